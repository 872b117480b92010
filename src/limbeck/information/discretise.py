"""Classes from real numbers, so that what can be read of a real-valued factor is measured as that of a label."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from limbeck.errors import InputError


def quantile_classes(values: ArrayLike, classes: int = 4) -> NDArray[np.int64]:
    r"""Cut real values at their quantiles into classes of equal shares.

    .. math:: y_i = \#\{k : q_k < x_i\}, \quad q_k \text{ the } k/C \text{ quantile}, \quad k = 1 \dots C-1

    where :math:`x_i` is a value and :math:`C` the number of classes. The entropy of the classes is at most
    :math:`\log C`, and so is all information about them: it says how coarsely a factor can be read, not how finely.
    Equal values share a class, so that there are fewer or less equal classes where values repeat, and one where all are
    equal.

    Args:
        values: `(samples,)` finite real numbers.
        classes: how many, at least 2.

    Returns:
        `(samples,)` int64 in the order of the values, counted from 0 without gaps.

    Raises:
        InputError: `values` is not a row of finite numbers, or holds fewer than `classes`; `classes` is not a whole
            number from 2.

    Example:
        >>> quantile_classes([0.1, 9.0, 0.2, 3.0], classes=2)
        array([0, 1, 0, 1])
        >>> quantile_classes([0, 0, 0, 0, 0, 1, 2, 3], classes=4)
        array([0, 0, 0, 0, 0, 1, 2, 2])
    """
    if isinstance(classes, bool) or not isinstance(classes, int | np.integer) or classes < 2:
        raise InputError(f"classes must be a whole number from 2, not {classes!r}")
    array = np.asarray(values)
    if array.ndim != 1 or array.dtype.kind not in "fiub":
        raise InputError(f"values must be real numbers of shape (samples,), not {array.dtype} {array.shape}")
    if len(array) < classes:
        raise InputError(f"values must be at least as many as the {classes} classes, not {len(array)}")
    array = array.astype(np.float64)
    if not np.isfinite(array).all():
        raise InputError("values must be finite: there is NaN or infinity among them")
    edges = np.quantile(array, np.arange(1, classes) / classes, method="inverted_cdf")
    return np.unique(np.searchsorted(edges, array, side="left"), return_inverse=True)[1].astype(np.int64)
