"""Ways of scaling a view."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse
from scipy.stats import norm, rankdata

from limbeck.multiview.kernels import squared_distances
from limbeck.multiview.scaling import ScalingName, candidates, fit_scaling


@pytest.fixture
def dense() -> np.ndarray:
    generator = np.random.default_rng(0)
    made = generator.lognormal(size=(60, 5)).astype(np.float32) * np.array([1, 100, 1e-3, 1, 1], np.float32)
    made[:, 3] = 7.1
    return made


@pytest.fixture
def counts() -> scipy.sparse.csr_array:
    return scipy.sparse.csr_array(np.random.default_rng(1).poisson(0.4, size=(40, 12)).astype(np.float32))


def test_standard_has_mean_0_and_variance_1_and_constants_become_0(dense: np.ndarray) -> None:
    scaled = fit_scaling("standard", dense)(dense)
    assert scaled.dtype == np.float32
    kept = [0, 1, 2, 4]
    np.testing.assert_allclose(scaled[:, kept].mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(scaled[:, kept].std(axis=0), 1, atol=1e-5)
    assert (scaled[:, 3] == 0).all()


def test_whole_keeps_the_ratio_of_features(dense: np.ndarray) -> None:
    scaled = fit_scaling("whole", dense)(dense)
    np.testing.assert_allclose(scaled.var(axis=0).mean(), 1, rtol=1e-5)
    np.testing.assert_allclose(
        scaled[:, 0].std() / scaled[:, 1].std(), dense[:, 0].std() / dense[:, 1].std(), rtol=1e-4
    )


def test_quantile_gives_normal_scores_of_ranks(dense: np.ndarray) -> None:
    scaled = fit_scaling("quantile", dense)(dense)
    share = (rankdata(dense[:, 0]) - 1) / (len(dense) - 1)  # sixty rows: every one is a quantile
    np.testing.assert_allclose(scaled[:, 0], norm.ppf(share).clip(-3, 3), atol=1e-3)
    assert (scaled[:, 3] == 0).all()
    beyond = fit_scaling("quantile", dense)(dense * np.float32(1e6))
    assert np.abs(beyond).max() <= 3


def test_both_side_by_side_weigh_the_same(dense: np.ndarray) -> None:
    scaled = fit_scaling("whole+quantile", dense)(dense)
    assert scaled.shape == (60, 10)
    np.testing.assert_allclose(scaled[:, :5].var(axis=0).sum(), 1, rtol=1e-5)
    np.testing.assert_allclose(scaled[:, 5:].var(axis=0).sum(), 1, rtol=1e-5)


@pytest.mark.parametrize("name", ["standard", "whole", "quantile", "whole+quantile"])
def test_nothing_but_constants_becomes_0(name: str) -> None:
    view = np.full((4, 3), 0.1, np.float32)
    scaled = fit_scaling(name, view)(view)  # type: ignore[arg-type]
    assert (scaled == 0).all()
    one = fit_scaling(name, view[:1])(view)  # type: ignore[arg-type]
    assert np.isfinite(one).all()


def test_tf_idf_by_its_formula(counts: scipy.sparse.csr_array) -> None:
    scaled = fit_scaling("tf-idf", counts)(counts)
    values = counts.toarray().astype(np.float64)
    values *= np.log((1 + len(values)) / (1 + (values > 0).sum(axis=0))) + 1
    length = np.linalg.norm(values, axis=1, keepdims=True)
    expected = values / np.where(length > 0, length, 1)
    assert scipy.sparse.issparse(scaled)
    assert scaled.dtype == np.float32
    np.testing.assert_allclose(scaled.toarray(), expected, atol=1e-6)
    assert counts.max() > 1  # the view itself is left as it was


def test_a_sparse_view_is_divided_by_one_number(counts: scipy.sparse.csr_array) -> None:
    scaled = fit_scaling("whole", counts)(counts)
    assert scaled.nnz == counts.nnz
    np.testing.assert_allclose((scaled.data.astype(np.float64) ** 2).mean(), 1, rtol=1e-5)
    nothing = scipy.sparse.csr_array((3, 4), dtype=np.float32)
    assert fit_scaling("whole", nothing)(nothing).nnz == 0


def test_what_is_tried_and_what_is_refused(dense: np.ndarray, counts: scipy.sparse.csr_array) -> None:
    assert candidates(dense) == ("standard", "whole+quantile")
    assert candidates(counts) == ("whole", "tf-idf")
    assert candidates(-counts) == ("whole",)
    with pytest.raises(ValueError, match="one of"):
        fit_scaling("min-max", dense)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="sparse views"):
        fit_scaling("tf-idf", dense)
    with pytest.raises(ValueError, match="dense views"):
        fit_scaling("standard", counts)
    with pytest.raises(ValueError, match="negative"):
        fit_scaling("tf-idf", -counts)
    with pytest.raises(ValueError, match="at least one row"):
        fit_scaling("standard", dense[:0])


@pytest.mark.parametrize("name", ["standard", "whole", "quantile", "whole+quantile"])
def test_numbers_far_outside_leave_squared_distances_finite(name: ScalingName, dense: np.ndarray) -> None:
    scaling = fit_scaling(name, dense)
    far = np.array([[1e30, -1e30, 3e38, 0, 1]], np.float32)
    with np.errstate(all="raise"):
        distances = squared_distances(scaling(far), scaling(dense))
    assert np.isfinite(distances).all()


def test_large_counts_leave_squared_distances_finite(counts: scipy.sparse.csr_array) -> None:
    scaling = fit_scaling("whole", counts)
    far = scipy.sparse.csr_array(np.array([[1e30] * 12], np.float32))
    assert np.isfinite(squared_distances(scaling(far), scaling(counts))).all()
