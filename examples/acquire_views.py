"""Which view to acquire next: accuracy against the number of views, by expected gain, in fixed and in random order."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from limbeck import MultiViewClassifier
from limbeck.multiview.digits import digits
from limbeck.multiview.evaluation import cross_entropy_nats

Floats = NDArray[np.float64]


def main(epochs: int = 12) -> float:
    """Return by how many nats the cross-entropy with two views is lower by expected gain than in random order."""
    data = digits()
    matrices = [np.asarray(view) for view in data.views.values()]
    training, validation, test = (np.flatnonzero(data.folds[0] == part) for part in range(3))
    model = MultiViewClassifier(epochs=epochs, milestones=(8,), encoder=(128, 64), representation=32)
    model.fit(
        [matrix[training] for matrix in matrices],
        data.labels[training],
        validation=([matrix[validation] for matrix in matrices], data.labels[validation]),
    )
    rng = np.random.default_rng(0)
    labels, samples, views = data.labels[test], np.arange(len(test)), len(matrices)
    first = rng.integers(0, views, len(test))  # the view that each sample has to begin with

    def seen(present: NDArray[np.bool_]) -> list[Floats]:
        return [
            np.where(here[:, np.newaxis], matrix[test], np.nan) for here, matrix in zip(present, matrices, strict=True)
        ]

    def gain(present: NDArray[np.bool_]) -> Floats:
        return model.expected_gain(seen(present)).T

    start = first == np.arange(views)[:, np.newaxis]
    fixed = np.broadcast_to(np.nanmean(gain(start), axis=1)[:, np.newaxis], start.shape)
    drawn = rng.random(start.shape)
    orders: dict[str, Callable[[NDArray[np.bool_]], Floats]] = {
        "expected gain": gain,
        "fixed order": lambda _: fixed,
        "random order": lambda _: drawn,
    }
    nats: dict[str, list[float]] = {}
    print(f"{'views':14}" + "".join(f"{number + 1:>16}" for number in range(views)))
    for name, rank in orders.items():
        present, cells, nats[name] = start.copy(), [], []
        for number in range(views):
            if number:
                present[np.where(present, -np.inf, rank(present)).argmax(axis=0), samples] = True
            probability = model.predict_proba(seen(present))
            nats[name].append(cross_entropy_nats(probability, labels))
            cells.append(f"{100 * (probability.argmax(axis=1) == labels).mean():.1f} % {nats[name][-1]:.3f}")
        print(f"{name:14}" + "".join(f"{cell:>16}" for cell in cells))
    return nats["random order"][1] - nats["expected gain"][1]


if __name__ == "__main__":
    print(f"with two views {main():.3f} nats less than in random order")
