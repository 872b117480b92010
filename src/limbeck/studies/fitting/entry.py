"""`limbeck study fitting`."""

from limbeck.registry import Study

STUDY = Study(
    "fitting",
    "Figure 7 of Tian et al. 2021: I(v;y) and I(z;y) while training, over widths of the bottleneck",
    settings="limbeck.studies.fitting.run:FittingSettings",
    run="limbeck.studies.fitting.run:run",
    format="limbeck.studies.fitting.report:format_report",
    write="limbeck.studies.fitting.report:write_report",
)
