"""What docs/unsupervised.md says of information, on tables of probabilities."""

import itertools
import math

import numpy as np
import pytest
import torch

from limbeck.information.discrete import JointDistribution
from limbeck.objectives import fairness, prototype_contrast, sharpness

BIT = math.log(2)


def uniform(*names: str) -> JointDistribution:
    """Independent fair coins."""
    return JointDistribution(np.full((2,) * len(names), 2.0 ** -len(names)), names)


def seen_by_two() -> JointDistribution:
    """A bit s that both modalities show, a bit a of the visible and a bit b of the infrared one alone."""
    world = uniform("s", "a", "b")
    world = world.derive("v", ("s", "a"), lambda s, a: 2 * s + a)
    return world.derive("r", ("s", "b"), lambda s, b: 2 * s + b)


def apart(world: JointDistribution, y: str) -> float:
    """What a label has of either modality, added: half of eq. 3."""
    return world.information(y, "v") + world.information(y, "r")


def together(world: JointDistribution, y: str) -> float:
    """What it has of both at once: half of what the summaries call Theorem 1."""
    return world.information(y, ("v", "r"))


def test_the_chain_rule_of_both_modalities() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        world = JointDistribution(rng.dirichlet(np.ones(27)).reshape(3, 3, 3), ("v", "r", "y"))
        rest = world.information("y", "r", given="v")
        assert together(world, "y") == pytest.approx(world.information("y", "v") + rest, abs=1e-12)
        interaction = world.information("y", "r") - rest
        assert apart(world, "y") - together(world, "y") == pytest.approx(interaction, abs=1e-12)


def test_the_two_objectives_choose_differently() -> None:
    """A label of one bit: apart, the shared bit is worth twice any other; together, all are worth the same."""
    world = seen_by_two()
    assert apart(world, "s") == pytest.approx(2 * BIT)
    assert apart(world, "a") == apart(world, "b") == pytest.approx(BIT)
    assert together(world, "s") == pytest.approx(together(world, "a")) == pytest.approx(BIT)
    # Where both show nothing but the label, the two differ by what is redundant: all of it.
    pairs = uniform("y").derive("v", ("y",), lambda y: y).derive("r", ("y",), lambda y: y)
    assert apart(pairs, "y") == pytest.approx(2 * together(pairs, "y"))
    # Drawn apart, modalities are synergetic at most: no less is told together.
    xor = uniform("v", "r").derive("y", ("v", "r"), lambda v, r: v ^ r)
    assert apart(xor, "y") == pytest.approx(0)
    assert together(xor, "y") == pytest.approx(BIT)


def test_the_variational_bound_and_its_slack() -> None:
    """I(y; x) = H(y) - CE(y, q) + E KL[p(y|x) || q(y|x)] for any q."""
    rng = np.random.default_rng(1)
    for _ in range(20):
        table = rng.dirichlet(np.ones(12)).reshape(4, 3)
        world = JointDistribution(table, ("x", "y"))
        q = rng.dirichlet(np.ones(3), size=4)
        cross_entropy = -(table * np.log(q)).sum()
        p = table / table.sum(1, keepdims=True)
        slack = (table * np.log(p / q)).sum()
        bound = world.entropy("y") - cross_entropy
        assert world.information("x", "y") == pytest.approx(bound + slack, abs=1e-12)
        assert bound <= world.information("x", "y")


def test_a_pseudo_label_has_all_information_whatever_it_says() -> None:
    """y = f(x): I(y; x) = H(y), the same for every even division of the pictures, of people or of nuisance."""
    world = uniform("person", "light").derive("x", ("person", "light"), lambda person, light: 2 * person + light)
    world = world.derive("by person", ("x",), lambda x: x // 2).derive("by light", ("x",), lambda x: x % 2)
    for label, told in (("by person", BIT), ("by light", 0.0)):
        assert world.information(label, "x") == pytest.approx(world.entropy(label)) == pytest.approx(BIT)
        assert world.information(label, "person") == pytest.approx(told)
    best = max(
        world.derive("y", ("x",), lambda x, chosen=chosen: chosen[x]).information("y", "x")
        for chosen in itertools.product((0, 1), repeat=4)
    )
    assert best == pytest.approx(BIT)


def test_what_a_wrong_match_costs() -> None:
    """The least cross-entropy of one modality's labels by the other's pictures is H(y | other): all of it, if matches
    are drawn by chance, and h(e) + e log(K - 1), if a share e of them is wrong and goes anywhere else."""
    people, wrong = 4, 0.25
    rows = np.full((people, people), wrong / people / (people - 1))
    np.fill_diagonal(rows, (1 - wrong) / people)
    world = JointDistribution(rows, ("y", "r"))
    expected = -wrong * math.log(wrong) - (1 - wrong) * math.log(1 - wrong) + wrong * math.log(people - 1)
    assert world.entropy("y", given="r") == pytest.approx(expected)
    chance = JointDistribution(np.full((people, people), 1 / people**2), ("y", "r"))
    assert chance.entropy("y", given="r") == pytest.approx(math.log(people))


def test_contrast_bounds_sharpness_and_even_clusters_are_fair() -> None:
    """With y drawn from the prediction itself the contrast is its entropy on average; its least is the entropy of the
    labels given the pictures."""
    logits = torch.randn(500, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    predicted = logits.softmax(1)
    each = torch.stack([prototype_contrast(logits, torch.full((500,), y), reduction="none") for y in range(4)], dim=1)
    assert (predicted * each).sum(1).mean().item() == pytest.approx(sharpness(logits).item())
    even = 50.0 * torch.eye(4, dtype=torch.float64)[torch.arange(8) % 4]
    assert fairness(even).item() == pytest.approx(0, abs=1e-12)
