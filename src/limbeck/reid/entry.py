"""What the command does with sets of people and re-identification models."""

from limbeck.registry import Job, Task, Verb, set_input

_JOBS = "limbeck.reid.jobs"

TASK = Task(
    "reid",
    "train a re-identification model on visible and infrared pictures",
    "limbeck-reid-1",
    train=Job(f"{_JOBS}:train", f"{_JOBS}:train_arguments", recipes="limbeck.reid.recipe:shipped_recipe"),
    verbs={
        "evaluate": Job(f"{_JOBS}:evaluate", f"{_JOBS}:evaluate_arguments"),
        "diagnose": Job(f"{_JOBS}:diagnose", f"{_JOBS}:diagnose_arguments"),
        "export": Job(f"{_JOBS}:export", f"{_JOBS}:export_arguments"),
    },
)

SETS = set_input("sets of people", _JOBS)

VERBS = Verb(
    "reid rank",
    "search a folder of pictures with one picture",
    Job(f"{_JOBS}:rank", f"{_JOBS}:rank_arguments"),
)
