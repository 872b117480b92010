"""`limbeck study segmentation`."""

from limbeck.registry import Study

STUDY = Study(
    "segmentation",
    "drawn streets, LiDAR alone, with pictures, with cross-distillation either way and both, over several seeds: in "
    "view and outside of it, by day and by night, and which classes which sensor knows",
    settings="limbeck.studies.segmentation.run:SegmentationStudySettings",
    run="limbeck.studies.segmentation.run:run",
    format="limbeck.studies.segmentation.report:format_report",
    write="limbeck.studies.segmentation.report:write_report",
)
