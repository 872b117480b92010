"""`limbeck study diagnosis`."""

from limbeck.registry import Study

STUDY = Study(
    "diagnosis",
    "what v and z hold after four trainings: bottleneck, conventional, variational distillation, released code",
    settings="limbeck.studies.diagnosis.run:DiagnosisSettings",
    run="limbeck.studies.diagnosis.run:run",
    format="limbeck.studies.diagnosis.report:format_report",
    write="limbeck.studies.diagnosis.report:write_report",
)
