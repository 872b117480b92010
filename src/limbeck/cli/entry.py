"""The verbs that many inputs share, and what they do with files of features, which are of no task."""

from limbeck.registry import Input, Job, SharedVerb

VERBS = (
    SharedVerb(
        "evaluate",
        "score a trained model, or anybody's features under a protocol",
        "folders that `limbeck train` wrote, or their model files; with --protocol also NPZ files of features (several "
        "are trials of one evaluation)",
        several=True,
    ),
    SharedVerb(
        "diagnose",
        "nats that representations hold of a label: kept, lost, only in one view, shared; for any model's features",
        "an NPZ file with z_0, z_1, ..., y and perhaps v_0, ...; a multi-view set; or a folder of `limbeck train`",
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
    "limbeck.cli.features:is_npz",
    {
        "evaluate": Job("limbeck.cli.features:evaluate", "limbeck.cli.features:evaluate_arguments"),
        "diagnose": Job("limbeck.cli.features:diagnose", "limbeck.cli.features:diagnose_arguments"),
    },
    general=True,
)
