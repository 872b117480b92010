"""What the command does with sets of LiDAR scans."""

from limbeck.registry import Job, Task, Verb, set_input

_JOBS = "limbeck.segmentation.jobs"

TASK = Task(
    "segmentation",
    "train a network that gives a class to every point of a LiDAR scan",
    "limbeck-segmentation-1",
    train=Job(f"{_JOBS}:train", f"{_JOBS}:train_arguments", recipes="limbeck.segmentation.recipe:shipped_recipe"),
    verbs={
        "evaluate": Job(f"{_JOBS}:evaluate", f"{_JOBS}:evaluate_arguments"),
        "diagnose": Job(f"{_JOBS}:diagnose", f"{_JOBS}:diagnose_arguments"),
    },
)

SETS = set_input("sets of LiDAR scans", _JOBS)

VERBS = (
    Verb(
        "segmentation pack",
        "write a set of LiDAR scans in one format that is read fast",
        Job(f"{_JOBS}:pack", f"{_JOBS}:pack_arguments"),
    ),
)
