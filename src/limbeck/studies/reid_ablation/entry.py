"""`limbeck study reid-ablation`."""

from limbeck.registry import Study

STUDY = Study(
    "reid-ablation",
    "Table 4 of Tian et al. 2022 on procedural people: the bottleneck and every objective, over several seeds",
    settings="limbeck.studies.reid_ablation.run:ReidAblationSettings",
    run="limbeck.studies.reid_ablation.run:run",
    format="limbeck.studies.reid_ablation.report:format_report",
    write="limbeck.studies.reid_ablation.report:write_report",
    former=("table4",),
)
