"""Where the classifier differs from what scikit-learn's checks expect, and why."""

_DRAWN = "mini-batches are drawn and samples held out: one of weight 2 does not teach as two of weight 1 do"

EXPECTED_FAILED_CHECKS = {
    "check_sample_weight_equivalence_on_dense_data": _DRAWN,
    "check_sample_weight_equivalence_on_sparse_data": _DRAWN,
}
"""For `sklearn.utils.estimator_checks.check_estimator(model, expected_failed_checks=...)`: check -> reason."""
