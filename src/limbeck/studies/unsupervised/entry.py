"""`limbeck study unsupervised`."""

from limbeck.registry import Study

STUDY = Study(
    "unsupervised",
    "training without labels on procedural people: how clusters are matched, with full and half overlap, over several "
    "seeds",
    settings="limbeck.studies.unsupervised.run:UnsupervisedStudySettings",
    run="limbeck.studies.unsupervised.run:run",
    format="limbeck.studies.unsupervised.report:format_report",
    write="limbeck.studies.unsupervised.report:write_report",
)
