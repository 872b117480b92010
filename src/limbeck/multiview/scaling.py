"""How the features of one view are scaled, measured on the rows that a model learns from."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import numpy as np
import scipy.sparse
from numpy.typing import NDArray
from scipy.special import ndtri
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.preprocessing import QuantileTransformer

from limbeck.multiview.views import Matrix

ScalingName = Literal["standard", "whole", "quantile", "whole+quantile", "tf-idf"]
Scaled: TypeAlias = NDArray[np.float32] | scipy.sparse.csr_array

# Features of a dense view are clipped to so many standard deviations, and normal scores of quantiles to so many.
CLIP = 10.0
NORMAL_CLIP = 3.0
FARTHEST = 1e15  # what is scaled and not clipped otherwise stays within this, so that squared distances fit float32
QUANTILES = 256


@dataclass(frozen=True, eq=False)
class ViewScaling:
    r"""One way to scale a view, with the numbers that it measured.

    A dense view x of d features becomes one of

    - "standard": :math:`(x_j - \mu_j) / \sigma_j`, clipped to ± 10; a constant feature becomes 0;
    - "whole": :math:`(x_j - \mu_j) / \sqrt{\frac{1}{d} \sum_k \sigma_k^2}`, one scale for all features, so that those
      that vary little stay little;
    - "quantile": the standard normal quantile of each feature's rank among the rows learned from, clipped to ± 3;
    - "whole+quantile": the two side by side, 2d features, each block divided by the root of its total variance, so that
      both weigh the same in a distance.

    A sparse view becomes one of

    - "whole": divided by the root mean square of its stored values, so that zeros stay zeros;
    - "tf-idf": times log((1 + n) / (1 + rows that have the feature)) + 1, then rows of length 1.

    where :math:`\mu_j` and :math:`\sigma_j` are the mean and the standard deviation of feature j over the n rows that
    have the view. The scaled view has float32 and stays dense or sparse. Where cells of a dense view are empty (NaN),
    all of this is measured on the others, and an empty cell becomes 0: the mean, or the median of "quantile".

    Attributes:
        name: which way.
        arrays: what was measured, by name.
    """

    name: ScalingName
    arrays: dict[str, NDArray[np.float64]]

    def __call__(self, matrix: Matrix) -> Scaled:
        """Scale rows of the view."""
        if isinstance(matrix, np.ndarray):
            blocks = [_DENSE_APPLY[part](matrix, self.arrays) for part in self.name.split("+")]
            if len(blocks) > 1:
                blocks = [block * weight for block, weight in zip(blocks, self.arrays["weights"], strict=True)]
            return np.concatenate(blocks, axis=1).astype(np.float32)
        if self.name == "whole":
            scaled = scipy.sparse.csr_array(matrix * self.arrays["factor"][0])
            scaled.data = scaled.data.clip(-FARTHEST, FARTHEST).astype(np.float32)
            return scaled
        return _tf_idf(self.arrays).transform(matrix, copy=True).astype(np.float32)

    def check(self, features: int, *, sparse: bool) -> int:
        """The width of the scaled view; refuses measurements of another view, as a file may hold them.

        Raises:
            ValueError: a measurement is missing, unexpected, or of another shape or kind of number.
        """
        if self.name not in (("whole", "tf-idf") if sparse else ("standard", "whole", "quantile", "whole+quantile")):
            raise ValueError(f"scaling {self.name!r} is unknown, or not for a view of this kind")
        if sparse:
            expected: dict[str, tuple[int, ...]] = {"idf": (features,)} if self.name == "tf-idf" else {"factor": (1,)}
        else:
            expected = {"mean": (features,)}
            if self.name != "quantile":
                expected["factor"] = (features,)
            if "quantile" in self.name:
                quantiles = self.arrays.get("quantiles", np.zeros((0, 0)))
                expected["quantiles"] = (max(1, len(quantiles)), features)
            if "+" in self.name:
                expected["weights"] = (2,)
        found = {name: (array.shape, array.dtype) for name, array in self.arrays.items()}
        if found != {name: (shape, np.dtype(np.float64)) for name, shape in expected.items()}:
            raise ValueError(f"scaling {self.name!r} holds other measurements than a view of {features} features has")
        return features * (1 + ("+" in self.name))


def candidates(matrix: Matrix) -> tuple[ScalingName, ...]:
    """The ways of scaling that are worth a trial for a view of this kind, the plainest first."""
    if isinstance(matrix, np.ndarray):
        return ("standard", "whole+quantile")
    counts = bool((matrix.data >= 0).all())
    return ("whole", "tf-idf") if counts else ("whole",)


def fit_scaling(name: ScalingName, matrix: Matrix) -> ViewScaling:
    """Measure what a way of scaling needs.

    Args:
        name: which way.
        matrix: `(rows, features)` the rows to learn from that have the view; at least one.

    Raises:
        ValueError: the name is unknown or not for a view of this kind, there are no rows, or "tf-idf" is asked of
            negative values.
    """
    if name not in get_args(ScalingName):
        raise ValueError(f"scaling must be one of {', '.join(get_args(ScalingName))}, not {name!r}")
    if matrix.shape[0] == 0:
        raise ValueError("a scaling needs at least one row")
    if isinstance(matrix, np.ndarray):
        if name == "tf-idf":
            raise ValueError("scaling 'tf-idf' is for sparse views")
        return _fit_dense(name, matrix)
    if name == "whole":
        square = float((matrix.data.astype(np.float64) ** 2).mean()) if matrix.nnz else 0.0
        return ViewScaling(name, {"factor": np.array([1 / np.sqrt(square) if square > 0 else 0.0])})
    if name != "tf-idf":
        raise ValueError(f"scaling {name!r} is for dense views: it would make every zero of a sparse one a number")
    if not (matrix.data >= 0).all():
        raise ValueError("scaling 'tf-idf' needs counts, but the view has negative values")
    return ViewScaling(name, {"idf": np.asarray(TfidfTransformer().fit(matrix).idf_, np.float64)})


def moments(rows: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and standard deviation of every column, over its cells that are not empty; 0 and 0 where all are."""
    empty = np.isnan(rows)
    if not empty.any():
        return rows.mean(axis=0, dtype=np.float64), rows.std(axis=0, dtype=np.float64)
    count = np.maximum((~empty).sum(axis=0), 1)
    values = np.where(empty, 0.0, rows.astype(np.float64))
    mean = values.sum(axis=0) / count
    square = (np.where(empty, 0.0, values - mean) ** 2).sum(axis=0)
    return mean, np.sqrt(square / count)


def _fit_dense(name: ScalingName, matrix: NDArray[np.float32]) -> ViewScaling:
    mean, deviation = moments(matrix)
    # Rounding leaves a constant column with a tiny deviation; it must not be blown up to noise.
    constant = deviation <= 1e-6 * np.abs(mean)
    arrays = {"mean": mean}
    if name == "standard":
        arrays["factor"] = np.where(constant, 0.0, 1 / np.where(constant, 1.0, deviation))
        return ViewScaling(name, arrays)
    if "whole" in name:
        root = float(np.sqrt(np.where(constant, 0.0, deviation**2).mean()))
        arrays["factor"] = np.where(constant, 0.0, 1 / root if root > 0 else 0.0)
    if "quantile" in name:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # fewer rows than quantiles
            warnings.simplefilter("ignore", RuntimeWarning)  # a column of empty cells
            fitted = QuantileTransformer(
                n_quantiles=min(QUANTILES, len(matrix)), output_distribution="normal", subsample=None
            ).fit(matrix.astype(np.float64))
        arrays["quantiles"] = np.asarray(fitted.quantiles_, np.float64)
    if "+" in name:
        blocks = [_DENSE_APPLY[part](matrix, arrays) for part in name.split("+")]
        total = [float(np.sqrt(block.var(axis=0, dtype=np.float64).sum())) for block in blocks]
        arrays["weights"] = np.array([1 / one if one > 0 else 0.0 for one in total])
    return ViewScaling(name, arrays)


def _affine(matrix: NDArray[np.float32], arrays: dict[str, NDArray[np.float64]]) -> NDArray[np.float64]:
    return _filled((matrix - arrays["mean"]) * arrays["factor"]).clip(-FARTHEST, FARTHEST)


def _standard(matrix: NDArray[np.float32], arrays: dict[str, NDArray[np.float64]]) -> NDArray[np.float64]:
    return _affine(matrix, arrays).clip(-CLIP, CLIP)


def _quantile(matrix: NDArray[np.float32], arrays: dict[str, NDArray[np.float64]]) -> NDArray[np.float64]:
    fitted = QuantileTransformer()
    fitted.quantiles_ = arrays["quantiles"]
    fitted.n_quantiles_ = len(fitted.quantiles_)
    fitted.references_ = np.linspace(0, 1, fitted.n_quantiles_)
    fitted.n_features_in_ = fitted.quantiles_.shape[1]
    # Its own normal scores are those of one column at a time, which takes longer than all else.
    scores = ndtri(np.asarray(fitted.transform(matrix.astype(np.float64))))
    constant = fitted.quantiles_[0] == fitted.quantiles_[-1]
    return _filled(np.where(constant, 0.0, scores.clip(-NORMAL_CLIP, NORMAL_CLIP)))


def _filled(block: NDArray[np.float64]) -> NDArray[np.float64]:
    """0 in place of NaN."""
    empty = np.isnan(block)
    return np.where(empty, 0.0, block) if empty.any() else block


_DENSE_APPLY = {"standard": _standard, "whole": _affine, "quantile": _quantile}


def _tf_idf(arrays: dict[str, NDArray[np.float64]]) -> TfidfTransformer:
    fitted = TfidfTransformer()
    fitted.idf_ = arrays["idf"]
    return fitted
