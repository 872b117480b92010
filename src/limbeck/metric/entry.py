"""What the command does with sets of photographs and embeddings."""

from limbeck.registry import Job, Task, Verb, set_input

_JOBS = "limbeck.metric.jobs"

TASK = Task(
    "metric",
    "train an embedding in which pictures of unseen classes find one another",
    "limbeck-metric-1",
    train=Job(f"{_JOBS}:train", f"{_JOBS}:train_arguments", recipes="limbeck.metric.recipe:shipped_recipe"),
    verbs={
        "evaluate": Job(f"{_JOBS}:evaluate", f"{_JOBS}:evaluate_arguments"),
        "diagnose": Job(f"{_JOBS}:diagnose", f"{_JOBS}:diagnose_arguments"),
        "export": Job(f"{_JOBS}:export", f"{_JOBS}:export_arguments"),
    },
)

SETS = set_input("sets of photographs", _JOBS)

VERBS = (
    Verb(
        "metric embed",
        "write a model's embeddings as a file of features",
        Job(f"{_JOBS}:embed", f"{_JOBS}:embed_arguments"),
    ),
    Verb(
        "metric pack",
        "write the pictures of a folder of classes, or of a ZIP, as one array",
        Job(f"{_JOBS}:pack", f"{_JOBS}:pack_arguments"),
    ),
)
