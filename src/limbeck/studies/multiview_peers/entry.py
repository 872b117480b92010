"""`limbeck study multiview-peers`."""

from limbeck.registry import Study

STUDY = Study(
    "multiview-peers",
    "the multi-view classifier beside tuned linear models, kernels, fusion and trees, complete and with views missing",
    settings="limbeck.studies.multiview_peers.run:MultiviewPeersSettings",
    run="limbeck.studies.multiview_peers.run:run",
    format="limbeck.studies.multiview_peers.report:format_report",
    write="limbeck.studies.multiview_peers.report:write_report",
)
