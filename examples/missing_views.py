"""Tables of features from several sources, some of them missing for some people: fit, predict, contributions, save."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from limbeck import MultiViewClassifier
from limbeck.multiview.evaluation import format_view_contributions


def main(epochs: int = 20) -> float:
    """Return the accuracy on new samples that lack one of three views."""
    rng = np.random.default_rng(0)
    outcome = rng.choice(["stays", "leaves"], size=600)
    signal = (outcome == "leaves")[:, None]
    views = {
        "survey": signal + rng.normal(size=(600, 8)),
        "usage": 2.0 * signal * rng.random((600, 5)) + rng.normal(size=(600, 5)),
        "weather": rng.normal(size=(600, 4)),  # says nothing
    }
    views["survey"][rng.random(600) < 0.3] = np.nan  # three in ten did not answer
    old, new = slice(0, 400), slice(400, 600)

    model = MultiViewClassifier(epochs=epochs, encoder=(64, 32), representation=16, validation_fraction=0.2)
    model.fit({name: view[old] for name, view in views.items()}, outcome[old])
    fresh = {name: view[new] for name, view in views.items() if name != "weather"}
    print(
        format_view_contributions(model.view_contributions({**fresh, "weather": views["weather"][new]}, outcome[new]))
    )

    with tempfile.TemporaryDirectory() as folder:
        model.save(Path(folder) / "model.safetensors")
        again = MultiViewClassifier.load(Path(folder) / "model.safetensors")
        return again.score(fresh, outcome[new])


if __name__ == "__main__":
    print(f"accuracy without the weather: {100 * main():.1f} %")
