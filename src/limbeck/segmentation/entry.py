"""What the command does with sets of LiDAR scans."""

from limbeck.registry import Input, Job, Task, Verb

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

SETS = Input(
    "sets of LiDAR scans",
    f"{_JOBS}:is_set",
    {
        "data list": Job(f"{_JOBS}:list_known"),
        "data describe": Job(f"{_JOBS}:describe_set", f"{_JOBS}:set_arguments"),
        "data check": Job(f"{_JOBS}:check_set", f"{_JOBS}:check_arguments"),
    },
)

VERBS = (
    Verb(
        "segmentation pack",
        "write a set of LiDAR scans in one format that is read fast",
        Job(f"{_JOBS}:pack", f"{_JOBS}:pack_arguments"),
    ),
)
