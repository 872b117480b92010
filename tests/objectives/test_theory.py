"""What the objectives are worth at exact predictions, on random discrete distributions.

The papers' statements themselves are checked in `tests/information/test_paper_theory_*.py`. Here everything is a table
of probabilities over v (or several of them), z and y; entropies are sums over the table, and the objectives get the
logarithms of exact posteriors as logits (a softmax of log p is p).
"""

import math

import pytest
import torch
from torch import Tensor

from limbeck.objectives import js_divergence, mv2d, vcd, vmd, vsd

SEEDS = pytest.mark.parametrize("seed", range(5))
EXACT = {"rtol": 0, "atol": 1e-12}


def _table(seed: int, *shape: int) -> Tensor:
    """A random joint distribution."""
    weights = torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) ** 2 + 1e-3
    return weights / weights.sum()


def _posterior(joint: Tensor) -> Tensor:
    """p(last | others)."""
    return joint / joint.sum(-1, keepdim=True)


def _entropy(table: Tensor) -> Tensor:
    return -torch.special.xlogy(table, table).sum()


def _conditional_entropy(joint: Tensor) -> Tensor:
    """H(last | others)."""
    return _entropy(joint) - _entropy(joint.sum(-1))


def _information(joint: Tensor) -> Tensor:
    """I(first; last) of a table (first, last)."""
    return _entropy(joint.sum(0)) + _entropy(joint.sum(1)) - _entropy(joint)


def _conditional_information(joint: Tensor) -> Tensor:
    """I(a; b | c) of a table (a, b, c), from its definition as an expected log-ratio."""
    c = joint.sum((0, 1), keepdim=True)
    ratio = joint * c / (joint.sum(1, keepdim=True) * joint.sum(0, keepdim=True))
    return torch.special.xlogy(joint, torch.where(joint > 0, ratio, 1.0)).sum()


def _encoder(seed: int, inputs: int, outputs: int, deterministic: bool) -> Tensor:
    """p(z | v): a random table, or a random map that uses every output."""
    if not deterministic:
        return _posterior(_table(seed, inputs, outputs))
    order = torch.randperm(inputs, generator=torch.Generator().manual_seed(seed))
    return torch.eye(outputs, dtype=torch.float64)[order % outputs]


# --- one view ----------------------------------------------------------------------------------------------------

VALUES, CODES, LABELS = 7, 3, 4


@SEEDS
@pytest.mark.parametrize("deterministic", [True, False])
def test_expected_vsd_is_the_information_lost(seed: int, deterministic: bool) -> None:
    """E KL[p(y|v) || p(y|z)] = E log p(y|v) - E log p(y|z) = H(y|z) - H(y|v).

    As y depends on z through v alone, p(y|v) = p(y|v,z), and the same expectation is I(v; y | z).
    """
    joint = _table(seed, VALUES, LABELS)
    encoder = _encoder(seed, VALUES, CODES, deterministic)
    coded = encoder.T @ joint
    shape = (VALUES, CODES, LABELS)
    observation = _posterior(joint).log().unsqueeze(1).expand(shape)
    representation = _posterior(coded).log().unsqueeze(0).expand(shape)
    terms = vsd(observation, representation, reduction="none")
    expected = (encoder * joint.sum(1, keepdim=True) * terms).sum()
    torch.testing.assert_close(expected, _conditional_entropy(coded) - _conditional_entropy(joint), **EXACT)
    triple = (encoder.unsqueeze(1) * joint.unsqueeze(2)).swapaxes(1, 2)  # p(v, z, y)
    torch.testing.assert_close(expected, _conditional_information(triple.permute(0, 2, 1)), **EXACT)


@SEEDS
def test_corollary_1_a_representation_that_predicts_the_same_is_sufficient(seed: int) -> None:
    """Observations that share a posterior may share a code: VSD is 0 and so is H(y|z) - H(y|v)."""
    encoder = _encoder(seed, VALUES, CODES, deterministic=True)
    joint = _table(seed, VALUES).unsqueeze(1) * (encoder @ _posterior(_table(seed + 10, CODES, LABELS)))
    coded = encoder.T @ joint
    divergence = vsd(_posterior(joint).log(), encoder @ _posterior(coded).log(), reduction="none")
    assert divergence.max() < 1e-12
    torch.testing.assert_close(_conditional_entropy(coded), _conditional_entropy(joint), **EXACT)
    # Swap two observations' codes: now codes mix posteriors, VSD sees it, and information is lost.
    first, second = (int(encoder[:, code].argmax()) for code in (0, 1))
    encoder[[first, second]] = encoder[[second, first]]
    coded = encoder.T @ joint
    divergence = vsd(_posterior(joint).log(), encoder @ _posterior(coded).log(), reduction="none")
    assert divergence.max() > 1e-3
    assert _conditional_entropy(coded) - _conditional_entropy(joint) > 1e-5


# --- several views -----------------------------------------------------------------------------------------------


@SEEDS
def test_leaving_a_view_out_costs_what_only_that_view_knows(seed: int) -> None:
    """I(y; z_i | others) = H(y | others) - H(y | all) = E KL[p(y | all) || p(y | others)], for exact posteriors."""
    joint = _table(seed, 2, 3, 4, LABELS)
    everything = _posterior(joint)
    for view in range(3):
        others = joint.sum(view, keepdim=True)
        terms = vsd(everything.log(), _posterior(others).log().expand_as(joint), reduction="none")
        expected = (joint.sum(-1) * terms).sum()
        torch.testing.assert_close(expected, _conditional_entropy(others) - _conditional_entropy(joint), **EXACT)
        order = [view, 3, *(i for i in range(3) if i != view)]
        triple = joint.permute(order).flatten(2)  # p(z_i, y, others)
        torch.testing.assert_close(expected, _conditional_information(triple), **EXACT)
        assert expected > 1e-3


def _encode(joint: Tensor, encoders: list[Tensor]) -> Tensor:
    """p(z_1, ..., z_n, y) of p(v_1, ..., v_n, y)."""
    for view, encoder in enumerate(encoders):
        joint = torch.tensordot(encoder.T, joint.movedim(view, 0), dims=1).movedim(0, view)
    return joint


def _exact_logits(joint: Tensor, encoders: list[Tensor]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The four kinds of logits of `mv2d` for every combination of observations, from exact posteriors.

    `joint` is p(v_1, ..., v_n, y) and each z_i is a function of v_i; a batch has one row for every (v_1, ..., v_n).
    """
    views, coded = len(encoders), _encode(joint, encoders)

    def rows(table: Tensor, kept: list[int], *, of_codes: bool) -> Tensor:
        """log p(y | kept) for every row, where the other axes were summed out."""
        for view in range(views):
            table = table if view in kept else table.sum(view, keepdim=True)
        posterior = _posterior(table).log()
        if of_codes:
            for view in kept:
                posterior = posterior.index_select(view, encoders[view].argmax(1))
        return posterior.expand(joint.shape).reshape(-1, joint.shape[-1])

    each, everything = range(views), list(range(views))
    return (
        torch.stack([rows(joint, [view], of_codes=False) for view in each]),
        torch.stack([rows(coded, [view], of_codes=True) for view in each]),
        rows(coded, everything, of_codes=True),
        torch.stack([rows(coded, [view for view in each if view != out], of_codes=True) for out in each]),
    )


@SEEDS
@pytest.mark.parametrize("views", [2, 3])
def test_expected_mv2d_is_the_information_lost_and_the_information_not_shared(seed: int, views: int) -> None:
    """E L = sum_i (H(y|z_i) - H(y|v_i)) + sum_i (H(y | z without i) - H(y | z)), with over_views = "sum"."""
    joint = _table(seed, *(4,) * views, LABELS)
    encoders = [_encoder(seed + 20 + view, 4, 2, deterministic=True) for view in range(views)]
    terms = mv2d(*_exact_logits(joint, encoders), over_views="sum", reduction="none")
    expected = (joint.sum(-1).flatten() * terms).sum()

    coded = _encode(joint, encoders)
    loss = torch.zeros((), dtype=torch.float64)
    for view in range(views):
        others = [other for other in range(views) if other != view]
        loss = loss + _conditional_entropy(coded.sum(others)) - _conditional_entropy(joint.sum(others))
        loss = loss + _conditional_entropy(coded.sum(view)) - _conditional_entropy(coded)
    torch.testing.assert_close(expected, loss, **EXACT)
    assert expected > 1e-3


def test_mv2d_is_zero_when_the_views_say_the_same_and_not_when_one_knows_more() -> None:
    """y = u with three values; views that all show u share everything they know, so nothing is view-specific.

    If view 2 shows only whether u = 0, leaving out view 1 costs H(u | [u = 0]) = P(u != 0) log 2 = (2/3) log 2, and
    leaving out view 2 costs nothing. All observations are kept as they are (z = v), so sufficiency costs nothing.
    """
    tiny = 1e-15  # keeps logarithms finite where a combination never happens
    same, poorer = (torch.full((3, 3, 3), tiny, dtype=torch.float64) for _ in range(2))
    for u in range(3):
        same[u, u, u] = 1 / 3
        poorer[u, min(u, 1), u] = 1 / 3
    keep = [torch.eye(3, dtype=torch.float64)] * 2
    for joint, expected in ((same, 0.0), (poorer, 2 / 3 * math.log(2))):
        terms = mv2d(*_exact_logits(joint / joint.sum(), keep), over_views="sum", reduction="none")
        assert (joint.sum(-1).flatten() * terms).sum().item() == pytest.approx(expected, abs=1e-9)


@SEEDS
def test_views_whose_codes_agree_with_their_observations_and_each_other_cost_nothing(seed: int) -> None:
    """Two views v_i = (u, noise_i) of one u that alone decides y, with codes that keep u: VSD, VCD and VMD are 0."""
    decides = _table(seed, CODES, LABELS)  # p(u, y)
    noise = _posterior(_table(seed + 1, CODES, 1, 2))  # p(noise | u), whatever y is
    view = (decides.unsqueeze(-1) * noise).movedim(-1, 1)  # p(u, noise, y)
    observation = _posterior(view).log()
    representation = _posterior(view.sum(1, keepdim=True)).log().expand_as(observation)
    first, second = observation, observation.flip(1)  # the same u with the other noise
    assert vsd(first, representation).abs() < 1e-12
    assert vcd(first, second, representation, representation).abs() < 1e-12
    assert vmd(representation, representation.flip(1)).abs() < 1e-12


@SEEDS
def test_js_divergence_is_what_a_prediction_tells_about_which_view_made_it(seed: int) -> None:
    """Toss a fair coin b between views and draw y from P_{z_b}: I(b; y) = H(M) - (H(P) + H(Q)) / 2 = JS[P || Q]."""
    predictions = _posterior(_table(seed, 2, LABELS))
    expected = _information(predictions / 2)
    torch.testing.assert_close(js_divergence(*predictions.log()), expected, **EXACT)
