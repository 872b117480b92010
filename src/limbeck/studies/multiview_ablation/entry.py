"""`limbeck study multiview-ablation`."""

from limbeck.registry import Study

STUDY = Study(
    "multiview-ablation",
    "Table 7 and Figures 9 and 10 of Tian et al. 2022 on any multi-view set, beside plain baselines",
    settings="limbeck.studies.multiview_ablation.run:MultiviewAblationSettings",
    run="limbeck.studies.multiview_ablation.run:run",
    format="limbeck.studies.multiview_ablation.report:format_report",
    write="limbeck.studies.multiview_ablation.report:write_report",
    former=("ablation",),
)
