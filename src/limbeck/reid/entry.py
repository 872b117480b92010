"""What the command does with sets of people and re-identification models."""

from limbeck.registry import Input, Job, Task, Verb

_JOBS = "limbeck.reid.jobs"

TASK = Task(
    "reid",
    "train a re-identification model on visible and infrared pictures",
    "limbeck-reid-1",
    train=Job(f"{_JOBS}:train", f"{_JOBS}:train_arguments", recipes="limbeck.reid.recipe:shipped_recipe"),
    verbs={
        "evaluate": Job(f"{_JOBS}:evaluate", f"{_JOBS}:evaluate_arguments"),
        "diagnose": Job(f"{_JOBS}:diagnose", f"{_JOBS}:diagnose_arguments"),
    },
)

SETS = Input(
    "sets of people",
    f"{_JOBS}:is_set",
    {
        "data list": Job(f"{_JOBS}:list_known"),
        "data describe": Job(f"{_JOBS}:describe_set", f"{_JOBS}:set_arguments"),
        "data check": Job(f"{_JOBS}:check_set", f"{_JOBS}:check_arguments"),
    },
)

VERBS = Verb(
    "reid rank",
    "search a folder of pictures with one picture",
    Job(f"{_JOBS}:rank", f"{_JOBS}:rank_arguments"),
)
