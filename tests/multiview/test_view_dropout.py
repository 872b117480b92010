"""View dropout: its law, what it is to MV2D's leave-one-out terms, and that only training knows of it."""

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from limbeck.errors import InputError
from limbeck.multiview.loss import training_loss
from limbeck.multiview.network import MultiViewNetwork, ViewShape
from limbeck.multiview.recipe import Recipe
from limbeck.multiview.tensors import TensorViews
from limbeck.multiview.view_dropout import Sampling, ViewDropout
from limbeck.multiview.views import read_views
from limbeck.nn import AdditiveHead
from limbeck.objectives import cross_entropy, mv2d

VIEWS, BATCH, CLASSES, WIDTH = 4, 6, 5, 3
SMOOTHINGS = pytest.mark.parametrize("smoothing", [0.0, 0.1])


def _prediction(views: int = VIEWS) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Terms, bias, joint and leave-one-out logits of a head in float64."""
    generator = torch.Generator().manual_seed(0)
    head = AdditiveHead(WIDTH, CLASSES, views).double()
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
        z = torch.randn(views, BATCH, WIDTH, generator=generator, dtype=torch.float64)
        prediction = head(z)
        return head.terms(z), head.bias, prediction.joint, prediction.leave_one_out


LABELS = torch.tensor([0, 1, 2, 3, 4, 0])


def _left(hide: ViewDropout, present: Tensor, draws: int) -> dict[tuple[bool, ...], float]:
    """How often each set of views is left of one sample (views,)."""
    hide.generators = [torch.Generator().manual_seed(1)]
    kept = hide(present[None, :, None].expand(1, -1, draws))[0]
    found, count = torch.unique(kept, dim=1, return_counts=True)
    return {tuple(row): number / draws for row, number in zip(found.T.tolist(), count.tolist(), strict=True)}


def _law(sampling: Sampling, rate: float, present: Tensor) -> dict[tuple[bool, ...], float]:
    """The probability of each set, as the docstring states it."""
    here = present.nonzero().flatten().tolist()
    law = {}
    for size in range(1, len(here) + 1):
        for kept in itertools.combinations(here, size):
            hidden = len(here) - size
            if sampling == "independent":
                probability = rate**hidden * (1 - rate) ** size
                probability += rate ** len(here) / len(here) if size == 1 else 0
            elif len(here) == 1:
                probability = 1.0
            else:
                probability = {0: 1 - rate, 1: rate / len(here)}.get(hidden, 0.0)
            law[tuple(view in kept for view in range(len(present)))] = probability
    return law


@pytest.mark.parametrize("present", [(True,) * 4, (True, False, True, True), (True, True), (False, True), (True,)])
@pytest.mark.parametrize("rate", [0.2, 0.7, 1.0])
@pytest.mark.parametrize("sampling", ["independent", "one"])
def test_what_is_left_follows_the_law(sampling: Sampling, rate: float, present: tuple[bool, ...]) -> None:
    draws, there = 40_000, torch.tensor(present)
    law, found = _law(sampling, rate, there), _left(ViewDropout(rate, sampling), there, draws)
    assert sum(law.values()) == pytest.approx(1)
    assert {key for key, value in law.items() if value == 0}.isdisjoint(found)
    assert set(found) <= set(law)
    for kept, probability in law.items():
        error = (probability * (1 - probability) / draws) ** 0.5
        assert abs(found.get(kept, 0.0) - probability) <= 5 * error + 1e-12


def _expected(sampling: Sampling, rate: float, smoothing: float, views: int = VIEWS) -> Tensor:
    """The expected cross-entropy of each sample, by going through all sets of views."""
    terms, bias, _, _ = _prediction(views)
    total = torch.zeros(BATCH, dtype=torch.float64)
    for kept, probability in _law(sampling, rate, torch.ones(views, dtype=torch.bool)).items():
        logits = bias + terms[torch.tensor(kept)].sum(dim=0)
        total += probability * cross_entropy(logits, LABELS, label_smoothing=smoothing, reduction="none")
    return total


def _target(smoothing: float) -> Tensor:
    return (1 - smoothing) * torch.eye(CLASSES, dtype=torch.float64)[LABELS] + smoothing / CLASSES


def _consistency(joint: Tensor, rest: Tensor) -> Tensor:
    """MV2D's leave-one-out terms alone, a mean over the views of each sample."""
    nothing = torch.zeros_like(rest)
    return mv2d(nothing, nothing, joint, rest, over_views="mean", reduction="none")


@SMOOTHINGS
@pytest.mark.parametrize("views", [2, VIEWS])
@pytest.mark.parametrize("rate", [0.3, 1.0])
def test_hiding_one_view_is_mv2d_but_for_the_label(rate: float, views: int, smoothing: float) -> None:
    """(1-q) CE(t, P) + q mean CE(t, P\\i) = CE(t, P) + q mean KL[P || P\\i] + q mean <t - P, log P - log P\\i>."""
    _, _, joint, rest = _prediction(views)
    plain = cross_entropy(joint, LABELS, label_smoothing=smoothing, reduction="none")
    ratio = joint.log_softmax(-1) - rest.log_softmax(-1)
    differ = ((_target(smoothing) - joint.softmax(-1)) * ratio).sum(dim=-1).mean(dim=0)
    expected = plain + rate * _consistency(joint, rest) + rate * differ
    torch.testing.assert_close(_expected("one", rate, smoothing, views), expected, rtol=1e-12, atol=1e-12)
    assert differ.abs().min() > 1e-3  # of a label that is not drawn from P they are not the same


def test_of_labels_drawn_from_the_joint_prediction_both_add_the_same() -> None:
    _, _, joint, rest = _prediction()
    probability, log_rest = joint.softmax(-1), rest.log_softmax(-1)
    entropy = -(probability * joint.log_softmax(-1)).sum(dim=-1)
    # The mean over labels y ~ P of the cross-entropy of what one hidden view leaves.
    added = -(probability * log_rest).sum(dim=-1).mean(dim=0) - entropy
    torch.testing.assert_close(added, _consistency(joint, rest), rtol=1e-12, atol=1e-12)


@SMOOTHINGS
def test_gradients_differ_by_that_of_the_joint_cross_entropy_alone(smoothing: float) -> None:
    _, _, joint, rest = (part.clone().requires_grad_() for part in _prediction())
    hard = cross_entropy(rest, LABELS.expand(VIEWS, -1), label_smoothing=smoothing, reduction="none").mean(dim=0)
    (of_hard,) = torch.autograd.grad(hard.sum(), rest)
    (of_soft,) = torch.autograd.grad(_consistency(joint, rest).sum(), rest)
    plain = cross_entropy(joint, LABELS, label_smoothing=smoothing, reduction="sum")
    (of_plain,) = torch.autograd.grad(plain, joint)
    torch.testing.assert_close(VIEWS * (of_hard - of_soft), of_plain.expand(VIEWS, -1, -1), rtol=1e-12, atol=1e-12)


@SMOOTHINGS
def test_hiding_views_independently_is_hiding_one_to_first_order(smoothing: float) -> None:
    plain = _expected("one", 0.0, smoothing)
    slopes = []
    for rate in (1e-4, 1e-5):
        slopes.append((_expected("independent", rate, smoothing) - _expected("one", VIEWS * rate, smoothing)) / rate)
    assert (_expected("one", 1e-3, smoothing) - plain).abs().min() > 1e-5
    torch.testing.assert_close(slopes[1], slopes[0] / 10, rtol=1e-2, atol=1e-6)  # what is left is of second order


@pytest.mark.parametrize("sampling", ["independent", "one"])
def test_the_mean_loss_of_many_draws_is_the_expected_one(sampling: Sampling) -> None:
    terms, bias, _, _ = _prediction()
    draws = 50_000
    hide = ViewDropout(0.4, sampling)
    hide.generators = [torch.Generator().manual_seed(0)]
    for sample in range(2):
        kept = hide(torch.ones(1, VIEWS, draws, dtype=torch.bool))[0]
        logits = bias + torch.where(kept.unsqueeze(-1), terms[:, sample : sample + 1], 0.0).sum(dim=0)
        losses = cross_entropy(logits, LABELS[sample].expand(draws), label_smoothing=0.1, reduction="none")
        error = losses.std() / draws**0.5
        assert (losses.mean() - _expected(sampling, 0.4, 0.1)[sample]).abs() < 5 * error


# -- in the network ---------------------------------------------------------------------------------------------------

RECIPE = Recipe(encoder=(8,), representation=4, dropout=0.0, normalization="none")
RNG = np.random.default_rng(0)
MATRICES = [RNG.normal(size=(9, width)).astype(np.float32) for width in (5, 3, 6)]
GAPS = [MATRICES[0].copy(), MATRICES[1], MATRICES[2].copy()]
GAPS[0][:4] = GAPS[2][:2] = np.nan


def _network(recipe: Recipe) -> MultiViewNetwork:
    return MultiViewNetwork([ViewShape(matrix.shape[1]) for matrix in MATRICES], 3, recipe, seeds=(0, 1))


def _batch(matrices: list[np.ndarray]) -> Any:
    return TensorViews(read_views(matrices), torch.device("cpu")).batch(torch.arange(9).expand(2, -1))


@pytest.mark.parametrize("matrices", [MATRICES, GAPS], ids=["complete", "missing"])
@pytest.mark.parametrize("sampling", ["independent", "one"])
def test_the_joint_prediction_is_of_views_that_are_there_and_of_one_at_least(
    sampling: Sampling, matrices: list[np.ndarray]
) -> None:
    network, batch = _network(replace(RECIPE, view_dropout=1.0, view_dropout_sampling=sampling)), _batch(matrices)
    out = network.train()(batch)
    terms = network.joint_head.terms(out.representations, batch.present)
    present = torch.ones(2, 3, 9, dtype=torch.bool) if batch.present is None else batch.present
    for model in range(2):
        for sample in range(9):
            here = present[model, :, sample].nonzero().flatten().tolist()
            left = {"independent": 1, "one": max(len(here) - 1, 1)}[sampling]
            sums = [
                network.joint_head.bias[model] + terms[model, list(kept), sample].sum(dim=0)
                for kept in itertools.combinations(here, left)
            ]
            found = out.dropped_joint_logits[model, sample]
            assert min((found - one).abs().max() for one in sums) < 1e-6
    torch.testing.assert_close(out.joint_logits, network.eval()(batch).joint_logits)


@pytest.mark.parametrize("sampling", ["independent", "one"])
def test_a_model_hides_the_same_views_in_a_stack_and_alone(sampling: Sampling) -> None:
    present = torch.rand(2, 5, 200, generator=torch.Generator().manual_seed(0)) < 0.8

    def kept(seeds: tuple[int, ...], there: Tensor) -> Tensor:
        hide = ViewDropout(0.5, sampling)
        hide.generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        return hide(there)

    together = kept((3, 4), present)
    assert torch.equal(together[1:], kept((4,), present[1:]))
    assert not torch.equal(together[1:], kept((3,), present[1:]))


def test_nothing_is_hidden_or_drawn_where_views_are_not_dropped() -> None:
    out = _network(RECIPE).train()(_batch(MATRICES))
    assert out.dropped_joint_logits is None
    network = _network(replace(RECIPE, view_dropout=0.5)).eval()
    assert network(_batch(MATRICES)).dropped_joint_logits is None
    present = torch.ones(1, 2, 3, dtype=torch.bool)
    hide = ViewDropout(0.0)
    hide.generators = [torch.Generator().manual_seed(0)]
    before = hide.generators[0].get_state()
    assert hide(present) is present
    assert torch.equal(hide.generators[0].get_state(), before)


def test_only_the_joint_cross_entropy_sees_what_is_left() -> None:
    network, batch = _network(replace(RECIPE, view_dropout=0.9)), _batch(MATRICES)
    out = network.train()(batch)
    labels = torch.arange(18).reshape(2, 9) % 3
    recipe = replace(RECIPE, ranking_weight=0.0)
    found = training_loss(out, labels, recipe).total
    whole = training_loss(replace(out, dropped_joint_logits=None), labels, recipe).total

    def classify(logits: Tensor) -> Tensor:
        return cross_entropy(logits, labels, label_smoothing=0.1, reduction="none").mean(dim=1)

    assert out.dropped_joint_logits is not None
    torch.testing.assert_close(found - whole, classify(out.dropped_joint_logits) - classify(out.joint_logits))


@pytest.mark.parametrize("bad", [-0.1, 1.1])
def test_a_rate_is_a_probability(bad: float) -> None:
    with pytest.raises(ValueError, match="rate"):
        ViewDropout(bad)
    with pytest.raises(InputError, match="view_dropout"):
        Recipe(view_dropout=bad)


def test_an_unknown_sampling_is_refused() -> None:
    with pytest.raises(ValueError, match="sampling"):
        ViewDropout(0.1, "two")  # type: ignore[arg-type]
