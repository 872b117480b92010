"""What the command does with sets of LiDAR scans."""

from limbeck.registry import Input, Job, Verb

_JOBS = "limbeck.segmentation.jobs"

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
