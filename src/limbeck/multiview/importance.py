"""Permutation importance of views, also where samples lack some."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from limbeck.errors import InputError
from limbeck.multiview.views import Views

if TYPE_CHECKING:
    from limbeck.multiview.classifier import MultiViewClassifier


@dataclass(frozen=True, eq=False)
class PermutationImportance:
    """What shuffling a view, or a column of it, costs.

    Attributes:
        names: of the views, or of `view: column`.
        importances: `(names, repeats)` score without shuffling less the score with it.
        baseline: the score without shuffling.
    """

    names: tuple[str, ...]
    importances: NDArray[np.float64]
    baseline: float

    @property
    def means(self) -> NDArray[np.float64]:
        """Mean over the repeats, `(names,)`."""
        return np.asarray(self.importances.mean(axis=1))

    @property
    def deviations(self) -> NDArray[np.float64]:
        """Standard deviation over the repeats, `(names,)`."""
        return np.asarray(self.importances.std(axis=1))


def permutation_importance(
    model: MultiViewClassifier,
    X: Any,
    y: ArrayLike,
    *,
    by: Literal["view", "column"] = "view",
    score: Literal["accuracy", "cross-entropy"] = "accuracy",
    repeats: int = 5,
    random_state: int = 0,
) -> PermutationImportance:
    r"""How much worse a model answers where a view says what it says of another sample.

    .. math:: s - s_{jk}, \quad k = 1 \dots K

    with the score s on the samples as they are, and :math:`s_{jk}` where the rows of view j are shuffled for the k-th
    time, all columns of a row together (`by="view"`), or one column of it (`by="column"`). Only samples that have the
    view exchange rows, so that each keeps the views that it has; `sklearn.inspection.permutation_importance`, which
    takes one matrix and shuffles single columns, would give parts of missing rows to others, and such rows are refused.

    An importance is of the model, not of the view: where two views say the same, each may seem worth little.

    Args:
        model: fitted.
        X: views, see `MultiViewClassifier`, of samples that it did not learn from.
        y: `(samples,)` labels.
        by: what is shuffled.
        score: "accuracy", or "cross-entropy": minus the mean cross-entropy, in nats.
        repeats: K, how often each is shuffled.
        random_state: seed.

    Raises:
        InputError: bad views or labels, or an argument that is none of these.

    Example:
        >>> import numpy as np
        >>> from limbeck import MultiViewClassifier
        >>> rng = np.random.default_rng(0)
        >>> y = rng.integers(0, 2, 300)
        >>> X = {"knows": y[:, None] + 0.2 * rng.normal(size=(300, 2)), "noise": rng.normal(size=(300, 3))}
        >>> X["knows"][:30] = np.nan  # these samples lack it
        >>> found = permutation_importance(MultiViewClassifier(epochs=5, encoder=(16, 8)).fit(X, y), X, y)
        >>> found.names, bool(found.means[0] > 0.3), bool(abs(found.means[1]) < 0.1)
        (('knows', 'noise'), True, True)
    """
    if by not in ("view", "column"):
        raise InputError(f"by must be 'view' or 'column', not {by!r}")
    if score not in ("accuracy", "cross-entropy"):
        raise InputError(f"score must be 'accuracy' or 'cross-entropy', not {score!r}")
    if repeats < 1:
        raise InputError(f"repeats must be at least 1, not {repeats}")
    views, scorer = model.prepared_score(X, y, score)
    baseline = scorer(views)
    generator = np.random.default_rng(random_state)
    names: list[str] = []
    rows: list[list[float]] = []
    for position, view in enumerate(views.names):
        matrix = views.matrices[position]
        if matrix is None:
            continue
        labels = (views.columns[position] if views.columns else None) or range(matrix.shape[1])
        for number, label in [(None, "")] if by == "view" else list(enumerate(labels)):
            names.append(view if number is None else f"{view}: {label}")
            rows.append([baseline - scorer(_shuffled(views, position, number, generator)) for _ in range(repeats)])
    return PermutationImportance(tuple(names), np.array(rows), baseline)


def _shuffled(views: Views, position: int, column: int | None, generator: np.random.Generator) -> Views:
    """The views with the rows of one, or one column of it, exchanged among the samples that have it."""
    have = np.flatnonzero(views.present[position])
    other = np.arange(views.samples)
    other[have] = generator.permutation(have)
    matrix: Any = views.matrices[position]
    if column is None:
        mixed = matrix[other]
    elif isinstance(matrix, np.ndarray):
        mixed = matrix.copy()
        mixed[:, column] = mixed[other, column]
    else:
        mixed = matrix.tolil()
        mixed[:, [column]] = matrix[other][:, [column]].tolil()
        mixed = mixed.tocsr()
    matrices = (*views.matrices[:position], mixed, *views.matrices[position + 1 :])
    return dataclasses.replace(views, matrices=matrices)
