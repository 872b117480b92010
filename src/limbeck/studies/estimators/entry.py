"""`limbeck study estimators`."""

from limbeck.registry import Study

STUDY = Study(
    "estimators",
    "every estimator of mutual information on tasks whose truth is known",
    settings="limbeck.studies.estimators.run:EstimatorsSettings",
    run="limbeck.studies.estimators.run:run",
    format="limbeck.studies.estimators.report:format_report",
    write="limbeck.studies.estimators.report:write_report",
)
