"""`limbeck study factors`."""

from limbeck.registry import Study

STUDY = Study(
    "factors",
    "nats of identity, colour, light and pose read from v and z: what was kept and what was thrown away",
    settings="limbeck.studies.factors.run:FactorsSettings",
    run="limbeck.studies.factors.run:run",
    format="limbeck.studies.factors.report:format_report",
    write="limbeck.studies.factors.report:write_report",
    positional="runs",
)
