"""The verbs that many inputs share, and what they do with files of features, which are of no task."""

from limbeck.registry import Input, Job, SharedVerb, Verb

VERBS = (
    SharedVerb(
        "evaluate",
        "score a trained model, or anybody's features under a protocol",
        "folders that `limbeck train` wrote, or their model files; with --protocol also files of features (NPZ, NPY, "
        "CSV, .mat, .pt; several are trials of one evaluation)",
        several=True,
    ),
    SharedVerb(
        "diagnose",
        "nats that representations hold of a label: kept, lost, only in one view, shared; for any model's features",
        "a file with z_0, z_1, ..., y and perhaps v_0, ..., or with features and labels (NPZ, NPY, CSV, .mat, .pt); a "
        "multi-view set; or a folder of `limbeck train`",
    ),
    SharedVerb(
        "export",
        "write a trained embedding as ONNX or a torch.export program, preprocessing included, checked against it",
        "a folder that `limbeck train reid` or `limbeck train metric` wrote, or its model file",
    ),
    SharedVerb("data list", "list the known sets", inputs=""),
    SharedVerb(
        "data describe",
        "say what a set holds",
        "an NPZ file, an embedded set such as digits, or the name of a set (`data list`) and where it lies",
        missing="there is no set {word!r}; give {inputs}",
    ),
    SharedVerb(
        "data check",
        "look for what would spoil a result; official counts",
        "an NPZ file, an embedded set such as digits, or the name of a set (`data list`) and where it lies",
        missing="there is no set {word!r}; give {inputs}",
    ),
)

FEATURES = Input(
    "features",
    "limbeck.cli.features:is_features",
    {
        "evaluate": Job("limbeck.cli.features:evaluate", "limbeck.cli.features:evaluate_arguments"),
        "diagnose": Job("limbeck.cli.features:diagnose", "limbeck.cli.features:diagnose_arguments"),
    },
    general=True,
)

SEARCH = Verb(
    "search",
    "find what is most similar to some queries in a file of features",
    Job("limbeck.cli.features:search", "limbeck.cli.features:search_arguments"),
)

PROJECT = Verb(
    "project",
    "draw features in the plane, by label, camera and modality",
    Job("limbeck.cli.features:project", "limbeck.cli.features:project_arguments"),
)

COMPLETION = Verb(
    "completion",
    "print a script that completes verbs, flags and file names in a shell",
    Job("limbeck.cli.completion:completion", "limbeck.cli.completion:completion_arguments"),
)
