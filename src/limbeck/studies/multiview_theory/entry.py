"""`limbeck study multiview-theory`."""

from limbeck.registry import Study

STUDY = Study(
    "multiview-theory",
    "which part of multi-view variational distillation helps where a view is missing, in points and in nats",
    settings="limbeck.studies.multiview_theory.run:MultiviewTheorySettings",
    run="limbeck.studies.multiview_theory.run:run",
    format="limbeck.studies.multiview_theory.report:format_report",
    write="limbeck.studies.multiview_theory.report:write_report",
)
