"""The objective against its parts, one row at a time."""

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from limbeck.objectives import cross_prediction_alignment, fairness, sharpness
from limbeck.reid.unsupervised.loss import Memory, Rows, unsupervised_terms
from limbeck.reid.unsupervised.recipe import PrototypeLossSettings
from limbeck.transport import Matching

FEATURES, ROWS = 6, 5
LABELS = torch.tensor([0, 1, 2, 2, 3]), torch.tensor([1, 0, 0, 2, 1])
MATCHING = Matching(torch.tensor([1, -1, 0, 2]), torch.tensor([2, 0, -1]))
PLAN = torch.rand(4, 3, generator=torch.Generator().manual_seed(9), dtype=torch.float64)
TEMPERATURE = 0.5


def _normal(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def _given() -> tuple[tuple[Rows, Rows], tuple[Memory, Memory]]:
    rows = tuple(
        Rows(labels, _normal(seed, ROWS, FEATURES), _normal(seed + 10, ROWS, FEATURES))
        for seed, labels in enumerate(LABELS)
    )
    memory = tuple(
        Memory(_normal(seed + 20, count, FEATURES), _normal(seed + 30, count, FEATURES))
        for seed, count in ((0, 4), (1, 3))
    )
    return rows, memory  # type: ignore[return-value]


def _terms(epoch: int = 0, **settings: Any) -> dict[str, Tensor]:
    rows, memory = _given()
    chosen = PrototypeLossSettings(temperature=TEMPERATURE, **settings)
    return unsupervised_terms(rows, memory, PLAN, MATCHING, chosen, epoch=epoch)


def _log_predicted(vectors: Tensor, prototypes: Tensor) -> Tensor:
    return (F.normalize(vectors, dim=1) @ F.normalize(prototypes, dim=1).T / TEMPERATURE).log_softmax(1)


def _contrast(vectors: Tensor, prototypes: Tensor, targets: list[int]) -> Tensor:
    found = _log_predicted(vectors, prototypes)
    each = [-found[row, target] for row, target in enumerate(targets) if target >= 0]
    return torch.stack(each).mean()


def test_every_term_is_its_parts() -> None:
    rows, memory = _given()
    found = _terms(
        intra_weight=0.5,
        cross_weight=2.0,
        alignment_weight=3.0,
        sharpness_weight=4.0,
        fairness_weight=5.0,
        sufficiency_weight=6.0,
        consistency_weight=7.0,
    )
    assert set(found) == {"intra", "cross", "alignment", "sharpness", "fairness", "vsd", "vcd"}
    targets = [1, -1, 0, 0, 2], [0, 2, 2, -1, 0]  # of each row's cluster, its match
    intra = cross = kl = torch.zeros((), dtype=torch.float64)
    aligned = sharp = fair = kl
    for m in (0, 1):
        for v, of in ((rows[m].observation, "observation"), (rows[m].representation, "representation")):
            intra = intra + _contrast(v, getattr(memory[m], of), LABELS[m].tolist())
            cross = cross + _contrast(v, getattr(memory[1 - m], of), targets[m])
        own = _log_predicted(rows[m].observation, memory[m].observation)
        there = _log_predicted(rows[m].observation, memory[1 - m].observation)
        aligned = aligned + cross_prediction_alignment(own, there, PLAN if m == 0 else PLAN.T)
        sharp, fair = sharp + sharpness(own), fair + fairness(own)
        of_z = _log_predicted(rows[m].representation, memory[m].representation)
        kl = kl + (own.exp() * (own - of_z)).sum(1).mean()
    assert found["intra"].item() == pytest.approx(0.5 * intra.item(), rel=1e-12)
    assert found["cross"].item() == pytest.approx(2 * cross.item(), rel=1e-12)
    assert found["alignment"].item() == pytest.approx(3 * aligned.item(), rel=1e-12)
    assert found["sharpness"].item() == pytest.approx(4 * sharp.item(), rel=1e-12)
    assert found["fairness"].item() == pytest.approx(5 * fair.item(), rel=1e-12)
    assert found["vsd"].item() == pytest.approx(6 * kl.item(), rel=1e-12)
    # Row 0: cluster 0 is matched to 1, and 1 stands beside it. Row 2: 2 to 0. Row 3: 2 is not matched to 2.
    expected = 0.0
    for row in (0, 2):
        for teacher, student in ((0, 1), (1, 0)):
            p = _log_predicted(rows[teacher].observation, memory[teacher].observation)[row]
            q = _log_predicted(rows[student].representation, memory[teacher].representation)[row]
            expected += (p.exp() * (p - q)).sum().item() / 2
    assert found["vcd"].item() == pytest.approx(7 * expected, rel=1e-12)


def test_nothing_is_asked_across_modalities_before_its_time_or_without_a_match() -> None:
    across = {"cross_weight": 1.0, "alignment_weight": 1.0, "consistency_weight": 1.0}
    assert set(_terms(epoch=1, intra_epochs=2, **across)) == {"intra"}
    assert set(_terms(epoch=2, intra_epochs=2, **across)) == {"intra", "cross", "alignment", "vcd"}
    rows, memory = _given()
    nobody = Matching(torch.full((4,), -1), torch.full((3,), -1))
    found = unsupervised_terms(rows, memory, torch.zeros(4, 3), nobody, PrototypeLossSettings(**across))
    assert set(found) == {"intra"}


def test_cross_terms_take_turns_where_asked() -> None:
    both, even, odd = (_terms(epoch=e, alternate=a)["cross"] for e, a in ((0, False), (0, True), (1, True)))
    assert even.item() + odd.item() == pytest.approx(both.item(), rel=1e-12)
    assert min(even, odd) > 0


def test_teachers_learn_nothing() -> None:
    rows, memory = _given()
    v = [one.observation.requires_grad_() for one in rows]
    settings = PrototypeLossSettings(intra_weight=0, cross_weight=0, sufficiency_weight=1, consistency_weight=1)
    terms = unsupervised_terms(rows, memory, PLAN, MATCHING, settings)
    z = [one.representation.requires_grad_() for one in rows]
    terms = unsupervised_terms(rows, memory, PLAN, MATCHING, settings)
    gradients = torch.autograd.grad(terms["vsd"] + terms["vcd"], [*v, *z], allow_unused=True)
    assert gradients[:2] == (None, None)
    assert min(gradient.abs().max() for gradient in gradients[2:]) > 1e-3
