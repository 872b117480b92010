"""Figures printed in the papers, shown beside ours. Accuracy in per cent."""

# Tian et al. 2022, Table 7; the mean of five experiments, without a spread. Keys: our names of data sets and rows. The
# Caltech features of the paper are not public; ours are the same six families computed from the same photographs.
TABLE_7: dict[str, dict[str, float]] = {
    "caltech101_102": {"E": 81.28, "E+CIB": 64.29, "E+B": 82.66, "E+B+MV2D": 85.93},
    "caltech101_20": {"E": 94.66, "E+CIB": 81.16, "E+B": 96.87, "E+B+MV2D": 99.16},
    "handwritten": {"E": 99.20, "E+CIB": 87.53, "E+B": 99.29, "E+B+MV2D": 99.40},
}

# The same source, Table 6, row SVMcon: "SVM on concatenated features".
TABLE_6_SVM: dict[str, float] = {"caltech101_102": 47.90, "caltech101_20": 83.83, "handwritten": 97.67}

# Tian et al. 2022, Table 4 (SYSU-MM01, all search, single shot): rank-1 and mAP in per cent, one training. Keys: the
# rows of our study that build the same network. The paper has no figures for our other rows.
TABLE_4: dict[str, tuple[float, float]] = {
    "E": (58.60, 57.35),
    "CIB-published": (43.81, 41.77),
    "E+B": (64.15, 61.74),
    "VD": (70.02, 66.70),
}

# Tian et al. 2021, Table 4, and 2022, Table 5: training time and parameters over those of the baseline.
TABLE_5: dict[str, tuple[float, float]] = {"E": (1.00, 26.37e6), "VD": (1.09, 29.41e6), "CIB": (1.26, 35.71e6)}

# Tian et al. 2022, Tables 8 and 9: mean IoU in per cent on nuScenes and on SemanticKITTI, one training each; the paper
# does not say on which points. Keys: rows of our study.
TABLES_8_9: dict[str, tuple[float, float]] = {"fused": (77.2, 64.7), "vcd": (78.9, 66.5)}

# Recall@1 in per cent on CUB-200-2011 and Cars196, one training each, as Boudiaf et al. 2020 compare them: of
# cross-entropy their own, of the others their authors', with other encoders and widths. Keys: rows of our study.
METRIC_LEARNING: dict[str, tuple[float, float]] = {
    "cross-entropy-random": (69.2, 89.3),
    "normalized-softmax": (65.3, 89.3),
    "multi-similarity": (65.7, 84.1),
    "proxy-nca": (49.2, 73.2),
}
# Kim et al. 2020, with BN-Inception and 512 numbers.
METRIC_LEARNING |= {"proxy-anchor": (68.4, 86.1)}
