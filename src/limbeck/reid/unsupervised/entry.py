"""What the command does with re-identification models that are trained without labels."""

from limbeck.registry import Job, Task

_JOBS = "limbeck.reid.jobs"

TASK = Task(
    "reid-unsupervised",
    "train a re-identification model on visible and infrared pictures without any label",
    "limbeck-reid-unsupervised-1",
    train=Job(
        f"{_JOBS}:train_unsupervised",
        f"{_JOBS}:train_unsupervised_arguments",
        recipes="limbeck.reid.unsupervised.recipe:shipped_recipe",
    ),
    verbs={
        "evaluate": Job(f"{_JOBS}:evaluate", f"{_JOBS}:evaluate_arguments"),
        "diagnose": Job(f"{_JOBS}:diagnose", f"{_JOBS}:diagnose_arguments"),
        "export": Job(f"{_JOBS}:export", f"{_JOBS}:export_arguments"),
    },
)
