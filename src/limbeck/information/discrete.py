"""Exact information quantities of discrete variables, summed over a table of probabilities."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import rel_entr, xlogy

from limbeck.errors import InputError

Names = str | Collection[str]
"""One name or several; several together are one variable."""

_MOST_CELLS = 2**27


class JointDistribution:
    r"""The joint distribution of named discrete variables, each with values 0, 1, ..., and what one tells of another.

    .. math:: H(a|c) = -\sum p(a,c) \log p(a|c), \quad I(a;b|c) = H(a|c) - H(a|b,c), \quad
        I(a;b;c|d) = I(a;b|d) - I(a;b|c,d)

    where :math:`a, b, c, d` are one or several of the variables and :math:`0 \log 0 = 0`. All is in nats and exact up
    to rounding (about 1e-15); nothing is clamped.

    Args:
        table: probabilities, one axis per variable. A sum not quite 1 (within 1e-9) is divided out. The attribute
            of this name is float64 and read-only.
        names: of the variables, one an axis. The attribute of this name is a tuple.

    Raises:
        InputError: the table is not one of probabilities that sum to 1, or the names are not different and one an axis.
            So do the methods, where a name is unknown or given twice, a table does not fit, or a function gives
            something else than promised.

    Source: Cover and Thomas, *Elements of Information Theory*, ch. 2; the interaction as in Tian et al. 2022, Fig. 2.

    Example:
        >>> coins = JointDistribution(np.full((2, 2), 1 / 4), ("v1", "v2"))
        >>> coins = coins.derive("y", ("v1", "v2"), lambda a, b: a ^ b)
        >>> round(coins.information("v1", "y"), 4), round(coins.information(("v1", "v2"), "y"), 4)
        (0.0, 0.6931)
        >>> round(coins.interaction("v1", "v2", "y"), 4)
        -0.6931
    """

    def __init__(self, table: ArrayLike, names: Names) -> None:
        self.names = _tuple(names)
        array = np.asarray(table)
        if array.ndim != len(self.names) or len(set(self.names)) != len(self.names):
            raise InputError(f"names must be different and one for each of the {array.ndim} axes, not {self.names}")
        self.table = _probabilities(array, axis=None)
        self.table.setflags(write=False)

    @classmethod
    def from_samples(cls, samples: Mapping[str, ArrayLike]) -> JointDistribution:
        """The frequencies of samples: name -> `(samples,)` integers, booleans or strings, coded in sorted order.

        Of n samples, two independent variables of A and B values seem to share about (A - 1)(B - 1) / 2n nats. A table
        of more than 2^27 cells is refused.

        Example:
            >>> JointDistribution.from_samples({"v": ["a", "a", "b", "b"], "y": [3, 3, 3, 7]}).table
            array([[0.5 , 0.  ],
                   [0.25, 0.25]])
        """
        columns = {name: np.asarray(values) for name, values in samples.items()}
        for name, column in columns.items():
            if column.ndim != 1 or len(column) == 0 or column.dtype.kind not in "iubUS":
                kinds = "integers, booleans or strings of shape (samples,)"
                raise InputError(f"samples[{name!r}] must be {kinds}, not {column.dtype} {column.shape}")
        if len({len(column) for column in columns.values()}) != 1:
            raise InputError("samples must hold at least one variable, and equally many entries of each")
        codes = [np.unique(column, return_inverse=True)[1] for column in columns.values()]
        shape = tuple(int(code.max()) + 1 for code in codes)
        if math.prod(shape) > _MOST_CELLS:
            raise InputError(f"samples would need a table of {math.prod(shape)} cells: give fewer variables or values")
        counts = np.bincount(np.ravel_multi_index(codes, shape), minlength=math.prod(shape))
        return cls(counts.reshape(shape) / counts.sum(), columns)

    def extend(self, name: str, given: Names, table: ArrayLike) -> JointDistribution:
        """Add a variable drawn from p(new | given), with noise of its own: given those, it depends on nothing else.

        `table` is `(*values of the given variables in their order, values of the new one)`, its rows sum to 1. There
        may be no given variable, and then there is one row.

        Example:
            >>> JointDistribution([0.5, 0.5], "v").extend("z", "v", [[1, 0], [0.5, 0.5]]).table
            array([[0.5 , 0.  ],
                   [0.25, 0.25]])
        """
        axes, array = self._axes(given), np.asarray(table)
        shape = tuple(self.table.shape[axis] for axis in axes)
        if array.ndim != len(axes) + 1 or array.shape[:-1] != shape:
            raise InputError(f"table must have shape ({', '.join(map(str, (*shape, 'values')))}), not {array.shape}")
        rows = _probabilities(array, axis=-1).transpose([*np.argsort(axes).tolist(), len(axes)])
        return JointDistribution(self.table[..., None] * _spread(rows, axes, self.table.ndim), (*self.names, name))

    def derive(self, name: str, given: Names, function: Callable[..., Any]) -> JointDistribution:
        """Add a variable that is a function of others: `function(*values)` gives its value, a whole number from 0.

        Example:
            >>> JointDistribution(np.full(3, 1 / 3), "v").derive("y", "v", lambda v: v > 0).marginal("y").table.round(4)
            array([0.3333, 0.6667])
        """
        shape = tuple(self.table.shape[axis] for axis in self._axes(given))
        codes = np.array([function(*values) for values in np.ndindex(*shape)])
        if codes.ndim != 1 or codes.dtype.kind not in "iub" or codes.min() < 0:
            raise InputError(f"function must give whole numbers from 0, not {codes.flat[0]!r}")
        table = np.eye(int(codes.max()) + 1)[codes.astype(np.int64)]
        return self.extend(name, given, table.reshape(*shape, -1))

    def marginal(self, names: Names) -> JointDistribution:
        """The distribution of some of the variables, its axes in the order of `names`."""
        axes = self._axes(names)
        rest = tuple(axis for axis in range(self.table.ndim) if axis not in axes)
        order = [sorted(axes).index(axis) for axis in axes]
        return JointDistribution(self.table.sum(axis=rest).transpose(order), names)

    def entropy(self, names: Names, given: Names = ()) -> float:
        """H(names | given)."""
        condition = self.marginal(dict.fromkeys(_tuple(given))).table
        table = self.marginal(dict.fromkeys((*_tuple(names), *_tuple(given)))).table
        return float(xlogy(condition, condition).sum() - xlogy(table, table).sum())

    def information(self, a: Names, b: Names, given: Names = ()) -> float:
        """I(a; b | given); what a and b share counts in full, as in I(a; a) = H(a)."""
        return self.entropy(a, given) - self.entropy(a, (*_tuple(b), *_tuple(given)))

    def interaction(self, a: Names, b: Names, c: Names, given: Names = ()) -> float:
        """I(a; b; c | given), the same in any order of a, b and c; negative where c makes a tell more of b."""
        return self.information(a, b, given) - self.information(a, b, (*_tuple(c), *_tuple(given)))

    def posterior(self, target: Names, given: Names = ()) -> NDArray[np.float64]:
        """p(target | given), `(*values of given, *values of target)`; NaN where `given` never happens.

        Example:
            >>> JointDistribution([[0.5, 0.0], [0.25, 0.25]], ("v", "y")).posterior("y", given="v")
            array([[1. , 0. ],
                   [0.5, 0.5]])
        """
        given = _tuple(given)
        table = self.marginal((*given, *_tuple(target))).table
        condition: NDArray[np.float64] = table.sum(axis=tuple(range(len(given), table.ndim)), keepdims=True)
        with np.errstate(invalid="ignore"):
            return table / condition

    def divergence(self, target: Names, first: Names, second: Names) -> float:
        r"""The expected divergence of two exact predictions, :math:`E_{p(a,b)} D_{KL}[p(y|a) \| p(y|b)]`.

        Here :math:`y` is the target, :math:`a` are the variables of `first` and :math:`b` those of `second`. It is
        infinite where b rules out a value that a allows. If a holds all of b, it is I(y; a | b) and finite.

        Example:
            >>> noisy = JointDistribution([0.5, 0.5], "y").extend("v", "y", [[0.75, 0.25], [0.25, 0.75]])
            >>> round(noisy.divergence("y", "v", ()), 4), round(noisy.information("y", "v"), 4)
            (0.1308, 0.1308)
        """
        both = tuple(dict.fromkeys((*_tuple(first), *_tuple(second))))
        weights = self.marginal(both).table
        predictions = []
        for given in (_tuple(first), _tuple(second)):
            axes = [axis for axis, name in enumerate(both) if name in given]
            predictions.append(_spread(self.posterior(target, [both[axis] for axis in axes]), axes, len(both)))
        terms = rel_entr(*predictions)
        terms = terms.sum(axis=tuple(range(len(both), terms.ndim)))
        return float(np.multiply(weights, terms, out=np.zeros(weights.shape), where=weights > 0).sum())

    def sample(self, n: int, generator: np.random.Generator) -> dict[str, NDArray[np.intp]]:
        """Draw n times: name -> `(n,)` values."""
        if n < 0:
            raise InputError(f"n must be from 0, not {n}")
        cells = generator.choice(self.table.size, size=n, p=self.table.ravel())
        return dict(zip(self.names, np.unravel_index(cells, self.table.shape), strict=True))

    def _axes(self, names: Names) -> list[int]:
        names = _tuple(names)
        if not set(names) <= set(self.names) or len(set(names)) < len(names):
            raise InputError(f"names must be different ones of {', '.join(self.names)}, not {', '.join(names)}")
        return [self.names.index(name) for name in names]


def _tuple(names: Names) -> tuple[str, ...]:
    return (names,) if isinstance(names, str) else tuple(names)


def _spread(array: NDArray[np.float64], axes: list[int], ndim: int) -> NDArray[np.float64]:
    """With axes of length 1 among the first `ndim`, where they are not `axes`."""
    return np.expand_dims(array, [axis for axis in range(ndim) if axis not in axes])


def _probabilities(array: NDArray[Any], axis: int | None) -> NDArray[np.float64]:
    """A copy that sums to 1 over an axis, or over all."""
    if array.dtype.kind not in "fiub" or not np.isfinite(array).all() or (array < 0).any():
        raise InputError("table must hold finite numbers from 0")
    total = array.sum(axis=axis, keepdims=True, dtype=np.float64)
    wrong = total[abs(total - 1) > 1e-9]
    if wrong.size:
        raise InputError(f"table must sum to 1{'' if axis is None else ' in every row'}, not {wrong[0]:.10g}")
    return np.asarray(array / total, dtype=np.float64)
