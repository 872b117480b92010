"""`limbeck study reid-cost`."""

from limbeck.registry import Study

STUDY = Study(
    "reid-cost",
    "Table 5 of Tian et al. 2022: what every objective costs in time and parameters",
    settings="limbeck.studies.reid_cost.run:ReidCostSettings",
    run="limbeck.studies.reid_cost.run:run",
    format="limbeck.studies.reid_cost.report:format_report",
    write="limbeck.studies.reid_cost.report:write_report",
    former=("table5",),
)
