"""`limbeck study losses`."""

from limbeck.registry import Study

STUDY = Study(
    "losses",
    "losses of deep metric learning on photographs and procedural people of unseen classes: the same network, steps "
    "and tuning for each, over several seeds",
    settings="limbeck.studies.losses.run:LossesSettings",
    run="limbeck.studies.losses.run:run",
    format="limbeck.studies.losses.report:format_report",
    write="limbeck.studies.losses.report:write_report",
)
