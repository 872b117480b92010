"""Evaluation as everybody runs it, by a full sort, gives the same figures where the rules are the same."""

from __future__ import annotations

import numpy as np
import pytest
from benchmarks.references import market_by_compiled_sorting, market_by_sorting, sysu_by_sorting
from tests.retrieval.test_protocols import sysu_like

from limbeck.retrieval.evaluation import evaluate
from limbeck.retrieval.features import Features
from limbeck.retrieval.protocols import SYSU, Market


@pytest.mark.parametrize("mode", ["all", "indoor"])
@pytest.mark.parametrize("shots", [1, 10])
def test_the_fields_sysu_script(mode: str, shots: int) -> None:
    features = sysu_like(identities=7, shuffled=True)
    protocol = SYSU(mode, shots)  # type: ignore[arg-type]
    (found,) = evaluate(features, protocol)
    unit = features.feature / np.linalg.norm(features.feature, axis=1, keepdims=True)
    place = protocol.places(features)
    for trial, figures in zip(protocol.trials(features), found.trials, strict=True):
        curve, precision, penalty = sysu_by_sorting(
            -unit[trial.queries] @ unit[trial.gallery].T,
            (features.identity[trial.queries], place[trial.queries]),
            (features.identity[trial.gallery], place[trial.gallery]),
        )
        np.testing.assert_allclose(figures.cmc[: len(curve)], curve, atol=1e-12)
        assert figures.mean_average_precision == pytest.approx(precision, abs=1e-9)
        assert figures.mean_inverse_negative_penalty == pytest.approx(penalty, abs=1e-9)


def test_torchreid_style_market_evaluations() -> None:
    generator = np.random.default_rng(0)
    identity, camera = generator.integers(0, 30, 400), generator.integers(0, 6, 400)
    query = np.arange(400) < 120
    features = Features.from_arrays(generator.normal(size=(400, 8)), identity, camera=camera, query=query)
    (found,) = evaluate(features, Market())
    unit = features.feature / np.linalg.norm(features.feature, axis=1, keepdims=True)
    asked, searched = (identity[query], camera[query]), (identity[~query], camera[~query])
    for reference in (market_by_sorting, market_by_compiled_sorting):
        curve, precision = reference(-unit[query] @ unit[~query].T, asked, searched)
        np.testing.assert_allclose(found.trials[0].cmc, curve, atol=1e-12)
        assert found.trials[0].mean_average_precision == pytest.approx(precision, abs=1e-9)
