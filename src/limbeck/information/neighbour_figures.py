"""The formulas of nearest-neighbour estimators of mutual information, without intervals, checks or refusals."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from scipy.special import digamma

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]


def ksg_figure(x: Floats, y: Floats, neighbours: int) -> float:
    """The formula of `limbeck.information.neighbours.ksg_information`, of x and y in the units they are in."""
    both = np.hstack([x, y])
    radius = cKDTree(both).query(both, neighbours + 1, p=np.inf)[0][:, -1]
    # Each count holds the sample itself, which is the one that the formula adds.
    counts = [_nearer(cKDTree(part), part, radius, np.inf) for part in (x, y)]
    return float(digamma(neighbours) + digamma(len(x)) - (digamma(counts[0]) + digamma(counts[1])).mean())


def ross_contributions(x: Floats, codes: Codes, neighbours: int) -> Floats:
    r"""What each sample adds to the figure of `limbeck.information.neighbours.ross_information`, their mean.

    Where the k-th neighbour of a sample is the same point, k and :math:`m_i` are the numbers of samples there, itself
    included, of its class and of all classes.

    Args:
        x: `(samples, features)`.
        codes: `(samples,)` from 0; every class that occurs has more samples than neighbours.
        neighbours: k.

    Returns:
        `(samples,)`.

    Source: of equal points, Gao et al. 2017, "Estimating mutual information for discrete-continuous mixtures", §3.
    """
    radius = np.empty(len(x))
    own = np.full(len(x), neighbours)
    for code in np.unique(codes):
        rows = codes == code
        tree = cKDTree(x[rows])
        radius[rows] = tree.query(x[rows], neighbours + 1)[0][:, -1]
        same = np.flatnonzero(rows)[radius[rows] == 0]
        own[same] = _nearer(tree, x[same], np.zeros(len(same)), 2)
    nearer = _nearer(cKDTree(x), x, radius, 2)
    return np.asarray(digamma(len(x)) + digamma(own) - digamma(np.bincount(codes)[codes]) - digamma(nearer))


def nearness(points: Floats, codes: Codes, neighbours: int, generator: np.random.Generator) -> float:
    """How far the k-th neighbour is against any other sample of its class: the ratio of median Euclidean distances.

    Near 0 where neighbours are near; towards 1 as independent columns are added, where all samples are about as far.

    Args:
        points: `(samples, features)`.
        codes: `(samples,)` from 0; every class that occurs has more samples than neighbours.
        neighbours: k.
        generator: of the other samples, one for each.

    Source: Beyer et al. 1999, "When is nearest neighbor meaningful?"
    """
    near, other = np.empty(len(points)), np.empty(len(points))
    for code in np.unique(codes):
        rows = generator.permutation(np.flatnonzero(codes == code))
        near[rows] = cKDTree(points[rows]).query(points[rows], neighbours + 1)[0][:, -1]
        other[rows] = np.linalg.norm(points[rows] - points[np.roll(rows, 1)], axis=1)
    return float(np.median(near) / np.median(other))


def _nearer(tree: cKDTree, points: Floats, radius: Floats, norm: float) -> Codes:
    """How many samples lie nearer than the radius, the point itself and its equals included."""
    within = tree.query_ball_point(points, np.maximum(np.nextafter(radius, -1), 0), p=norm, return_length=True)
    return np.asarray(within, dtype=np.int64)
