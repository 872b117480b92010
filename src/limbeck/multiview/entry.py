"""What the command does with multi-view sets and classifiers."""

from limbeck.registry import Input, Job, Task, Verb

_JOBS = "limbeck.multiview.jobs"

TASK = Task(
    "multiview",
    "train a classifier on several views",
    "limbeck-multiview-1",
    train=Job(f"{_JOBS}:train", f"{_JOBS}:train_arguments"),
    verbs={
        "evaluate": Job(f"{_JOBS}:evaluate", f"{_JOBS}:evaluate_arguments"),
        "diagnose": Job(f"{_JOBS}:diagnose", f"{_JOBS}:diagnose_arguments"),
    },
)

SETS = (
    Input(
        "multi-view sets",
        f"{_JOBS}:is_set",
        {
            "data list": Job(f"{_JOBS}:list_known"),
            "diagnose": Job(f"{_JOBS}:diagnose_set", f"{_JOBS}:diagnose_set_arguments"),
        },
    ),
    Input(
        "multi-view sets, or files that should be",
        f"{_JOBS}:may_be_set",
        {"data describe": Job(f"{_JOBS}:describe_set"), "data check": Job(f"{_JOBS}:check_set")},
        general=True,
    ),
)

VERBS = (
    Verb(
        "predict",
        "answer for every sample of a file by a multi-view model: class, probabilities, abstention, missing views",
        Job(f"{_JOBS}:predict", f"{_JOBS}:predict_arguments"),
    ),
    Verb(
        "data convert",
        "make an NPZ of a .mat or .npz file, or of tables",
        Job(f"{_JOBS}:convert_file", f"{_JOBS}:convert_arguments"),
    ),
    Verb(
        "data download",
        "fetch a known set and verify it",
        Job(f"{_JOBS}:download_set", f"{_JOBS}:download_arguments"),
    ),
)
