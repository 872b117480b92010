"""The papers' statements about one view and its representation; `docs/theory.md` tells the same in words."""

import itertools
import math

import numpy as np
import pytest
from scipy.special import rel_entr
from tests.information.paper_premises import FAILS, FURTHER, HOLDS, verdict, worlds
from tests.information.paper_worlds import (
    BIT,
    NOISE,
    SEEDS,
    coin,
    encoded,
    forget,
    keep,
    label_and_nuisance,
    lost,
    near,
    noisy_label,
    random_world,
    superfluous,
    three_outcomes,
    vsd,
    zero,
)

from limbeck.information.discrete import JointDistribution

NUISANCE = pytest.mark.parametrize("view", [label_and_nuisance, three_outcomes])  # v // 2 is the label in both


@SEEDS
@verdict(
    "Chain rule I(v;z) = I(z;y) + I(v;z∣y) (2021 eq. 5; 2022 eq. 6, 10, 25)",
    stated="E S",
    world="random",
    keeps="E S",
    drops="S+",
    word=HOLDS,
)
def test_the_chain_rule(seed, premises):
    world = random_world(seed)
    premises.check(world)
    assert world.information("v", "z") == near(world.information("z", "y") + superfluous(world))


@worlds(keeps="S P", drops="E S+")
def test_a_representation_that_saw_the_label(premises):
    """Without E: v says nothing, z = y. The chain rule and I(z;y) <= I(v;y) miss I(z;y|v) = log 2."""
    world = coin("y").extend("v", (), [1.0]).derive("z", "y", keep)
    premises.check(world)
    assert world.information("v", "z") == near(0)
    assert world.information("z", "y") + superfluous(world) == near(BIT) == near(world.information("z", "y", "v"))
    assert lost(world) == near(-BIT)


@SEEDS
@verdict(
    "Data processing I(z;y) ≤ I(v;y), I(v;z) ≤ I(v;y) + I(v;z∣y) (2021 eq. 6; 2022 eq. 11)",
    stated="E S",
    world="random",
    keeps="E S",
    drops="S+",
    word=HOLDS,
)
def test_data_processing(seed, premises):
    """The second bound needs no premise: its slack is I(v;y|z)."""
    world = random_world(seed)
    premises.check(world)
    assert lost(world) >= -1e-15
    assert world.information("v", "y") + superfluous(world) - world.information("v", "z") == near(lost(world))
    rng = np.random.default_rng(seed)
    anyhow = JointDistribution(rng.dirichlet(np.full(27, 0.3)).reshape(3, 3, 3), ("v", "y", "z"))
    slack = anyhow.information("v", "y") + superfluous(anyhow) - anyhow.information("v", "z")
    assert slack == near(anyhow.information("v", "y", given="z"))
    assert slack > 0


@NUISANCE
@verdict(
    '"The last two terms are equivalent": I(v;y) − I(z;y) and I(v;z∣y) (2021 after eq. 6 and 8; 2022 after eq. 11)',
    stated="E S",
    world="v = (y, n), z = v and z constant",
    keeps="E S S+ P",
    word=FURTHER,
    further="I(v;z) is fixed",
    holds_in="test_lost_and_superfluous_at_equal_capacity",
)
def test_lost_and_superfluous_are_not_equivalent(view, premises):
    """Each is 0 where the other is not. The three equally likely outcomes are `three_outcomes`."""
    everything, nothing = encoded(view(), keep), encoded(view(), forget)
    for world in (everything, nothing):
        premises.check(world)
    label, nuisance = everything.entropy("y"), everything.entropy("v", given="y")
    assert (lost(everything), superfluous(everything)) == (near(0), near(nuisance))
    assert (lost(nothing), superfluous(nothing)) == (near(label), near(0))
    assert min(label, nuisance) > 0.4


@SEEDS
def test_lost_and_superfluous_at_equal_capacity(seed):
    """lost - superfluous = I(v;y) - I(v;z): among representations that hold equally much of v the two fall together."""
    world = random_world(seed)
    assert lost(world) - superfluous(world) == near(world.information("v", "y") - world.information("v", "z"))


@NUISANCE
@verdict(
    "VSD attains sufficiency and minimality, eliminates distractors (2021 after eq. 8; 2022 after eq. 9, §4.2)",
    stated="E S P",
    world="v = (y, n), z = v; smallest: v one of three, y = [v = 2], z = v",
    keeps="E S S+ P",
    word=FAILS,
)
def test_vsd_does_not_ask_for_minimality(view, premises):
    """VSD is 0 for z = v as for z = y, which is sufficient and minimal."""
    everything, label = encoded(view(), keep), encoded(view(), lambda v: v // 2)
    for world in (everything, label):
        premises.check(world)
        assert vsd(world) == near(0)
    assert superfluous(label) == near(0)
    assert superfluous(everything) > 0.4


def test_two_outcomes_hold_no_nuisance():
    """Of up to two equally likely outcomes (v, y) whose v tells of y, every z with VSD 0 has nothing superfluous."""
    for shape_cells in itertools.chain.from_iterable(
        itertools.combinations(np.ndindex(2, 2), outcomes) for outcomes in (1, 2)
    ):
        table = np.zeros((2, 2))
        table[tuple(np.transpose(shape_cells))] = 1 / len(shape_cells)
        world = JointDistribution(table, ("v", "y"))
        if not zero(world.information("v", "y")):
            assert zero(superfluous(encoded(world, keep)))
            assert not zero(vsd(encoded(world, forget)))


@verdict(
    "Some z is sufficient and minimal at once (2021 §3.1; 2022 §3.1, §4.2)",
    stated="E S",
    world="v is y, wrong once in four; every z",
    keeps="E S P",
    drops="S+",
    word=FURTHER,
    further="y tells which posterior p(y∣v) v has, as under S+",
    holds_in="test_the_least_that_is_superfluous",
)
def test_a_noisy_label(premises):
    """Lost + superfluous is 0.56 nats for z = v and 0.13 for a constant z.

    Each z that is not one to one mixes the two posteriors and loses, so no z makes both terms 0.
    """
    kept, dropped = (encoded(noisy_label(), encoder) for encoder in (keep, forget))
    premises.check(kept)
    premises.check(dropped)
    assert (lost(kept), superfluous(kept)) == (near(0), near(NOISE))
    assert (lost(dropped), superfluous(dropped)) == (near(BIT - NOISE), near(0))
    assert BIT - NOISE < 0.14
    assert NOISE > 0.56
    for seed in range(20):
        channel = np.random.default_rng(seed).dirichlet(np.ones(3), size=2)
        world = noisy_label().extend("z", "v", channel)
        premises.check(world)
        assert lost(world) > 1e-4


@SEEDS
def test_the_least_that_is_superfluous(seed):
    """v is (t, noise) and y depends on t; the posteriors p(y|t) differ.

    A sufficient z tells t, so I(v;z|y) >= H(t|y), and z = t attains it: 0 iff y tells t. A z that does not loses.
    """
    rng = np.random.default_rng(seed)
    views = JointDistribution(rng.dirichlet(np.ones(6)), "v").derive("t", "v", lambda v: v // 2)
    world = views.extend("y", "t", rng.dirichlet(np.ones(3), size=3))
    least = world.entropy("t", given="y")
    assert least > 1e-3
    minimal = encoded(world, lambda v: v // 2)
    assert (lost(minimal), superfluous(minimal)) == (near(0), near(least))
    noisy = world.extend("r", "v", rng.dirichlet(np.ones(2), size=6))
    sufficient = noisy.derive("z", ("t", "r"), lambda t, r: 2 * t + r)
    assert lost(sufficient) == near(0)
    assert superfluous(sufficient) > least
    assert lost(world.extend("z", "v", rng.dirichlet(np.ones(3), size=6))) > 1e-5
    # y tells t, though v does not tell y: y = (t, a coin).
    telling = views.extend("c", (), [0.5, 0.5]).derive("y", ("t", "c"), lambda t, c: 2 * t + c)
    minimal = encoded(telling, lambda v: v // 2)
    assert telling.entropy("y", given="v") == near(BIT)
    assert (lost(minimal), superfluous(minimal)) == (near(0), near(0))


@SEEDS
@verdict(
    "Theorem 1: min I(v;y) − I(z;y) ⟺ min H(y∣z) − H(y∣v)",
    stated="E S",
    world="random",
    keeps="E S",
    drops="S+",
    word=HOLDS,
)
def test_theorem_1(seed, premises):
    """Both sides are one number, whatever v, y and z are, and so under every encoder of v; not negative under E."""
    world = random_world(seed)
    premises.check(world)
    assert lost(world) == near(world.entropy("y", given="z") - world.entropy("y", given="v"))
    assert lost(world) >= -1e-15
    anyhow = JointDistribution(np.random.default_rng(seed).dirichlet(np.ones(27)).reshape(3, 3, 3), ("v", "y", "z"))
    assert lost(anyhow) == near(anyhow.entropy("y", given="z") - anyhow.entropy("y", given="v"))


@worlds(keeps="E P", drops="S S+")
def test_an_encoder_that_destroys_the_observation(premises):
    """2021 eq. 8 minimises over the encoder of v too: x = y, v and z constant are a minimum, 0, that tells nothing."""
    world = coin("y").derive("x", "y", keep).derive("v", "x", forget).derive("z", "v", forget)
    premises.check(world)
    assert lost(world) == near(vsd(world)) == near(0)
    assert world.information("x", "y") - world.information("z", "y") == near(BIT)


@SEEDS
@verdict(
    "Corollary 1: D_KL[P_v ‖ P_z] = 0 ⇒ H(y∣z) = H(y∣v); so eq. 8 (2022 eq. 13) at 0 means sufficiency",
    stated="E S P",
    world="random",
    keeps="E S P",
    drops="S+",
    word=HOLDS,
)
def test_corollary_1_and_its_converse(seed, premises):
    """E KL[P_v || P_z] = H(y|z) - H(y|v) = I(v;y|z) under E; so one is 0 iff the other is."""
    world = random_world(seed)
    premises.check(world)
    assert vsd(world) == near(lost(world)) == near(world.information("v", "y", given="z"))
    # Zero, with noise in v that z drops: v = (t, noise), y depends on t, z = t.
    rng = np.random.default_rng(seed)
    noisy = JointDistribution(rng.dirichlet(np.ones(6)), "v").derive("t", "v", lambda v: v // 2)
    noisy = encoded(noisy.extend("y", "t", rng.dirichlet(np.ones(3), size=3)), lambda v: v // 2)
    premises.check(noisy)
    assert vsd(noisy) == near(lost(noisy)) == near(0)


@worlds(keeps="S P", drops="E S+")
def test_the_converse_of_corollary_1_needs_an_encoder(premises):
    """Without E: two noisy copies of y have equal entropies and different predictions."""
    two = noisy_label().extend("z", "y", [[0.75, 0.25], [0.25, 0.75]])
    premises.check(two)
    assert lost(two) == near(0)
    # They disagree in 2 x 3/16 of all cases, and then KL[(3/4, 1/4) || (1/4, 3/4)] = log(3) / 2.
    assert vsd(two) == near(3 / 8 * math.log(3) / 2)


@SEEDS
def test_corollary_1_for_any_two_variables(seed):
    """P_v = P_z makes their entropies equal, also of variables that are not encodings of each other.

    v = (u, one noise), z = (u, another).
    """
    rng = np.random.default_rng(seed)
    world = JointDistribution(rng.dirichlet(np.ones(3)), "u").extend("y", "u", rng.dirichlet(np.ones(3), size=3))
    for name in ("v", "z"):
        noise = np.kron(np.eye(3), np.ones(2)) * rng.dirichlet(np.ones(2), size=3)[:, [0, 1] * 3]
        world = world.extend(name, "u", noise)
    assert vsd(world) == near(lost(world)) == near(0)


# --- predictions that are not posteriors --------------------------------------------------------------------------


def cross_entropy(joint, given, predictions):
    """-E log q(y | given) of predictions `(values, classes)`."""
    table = joint.marginal((given, "y")).table
    return -float((table * np.log(predictions)).sum())


def expected_divergence(joint, teacher, student):
    """E KL[q(y|v) || q(y|z)] of predictions `(values, classes)` that need not be posteriors."""
    return float((joint.marginal(("v", "z")).table[..., None] * rel_entr(teacher[:, None], student)).sum())


@worlds(keeps="E S S+", drops="P")
def test_heads_that_agree(premises):
    """Two heads that give the frequencies agree; z = 0 lost all of v = y."""
    world = encoded(coin("y").derive("v", "y", keep), forget)
    teacher, student = np.full((2, 2), 0.5), np.full((1, 2), 0.5)
    premises.check(world, {"v": teacher, "z": student})
    assert expected_divergence(world, teacher, student) == 0
    assert lost(world) == near(BIT)


@SEEDS
def test_vsd_with_a_right_teacher(seed):
    """E KL[p(y|v) || q(y|z)] = lost + E KL[p(y|z) || q(y|z)]: with an exact teacher any student's VSD is too high."""
    world = random_world(seed)
    student = np.random.default_rng(seed).dirichlet(np.ones(3), size=2)
    measured = expected_divergence(world, world.posterior("y", "v"), student)
    excess = float((world.marginal("z").table[:, None] * rel_entr(world.posterior("y", "z"), student)).sum())
    assert measured == near(lost(world) + excess)
    assert measured > lost(world)


@SEEDS
def test_barber_agakov(seed):
    """H(y) - CE(q) = I(z;y) - E KL[p(y|z) || q(y|z)]: a lower bound, exact for the posterior."""
    world = random_world(seed)
    student = np.random.default_rng(seed).dirichlet(np.ones(3), size=2)
    bound = world.entropy("y") - cross_entropy(world, "z", student)
    excess = float((world.marginal("z").table[:, None] * rel_entr(world.posterior("y", "z"), student)).sum())
    assert bound == near(world.information("z", "y") - excess)
    assert bound < world.information("z", "y")
    if seed % 2 == 0:  # nothing has probability 0
        assert world.entropy("y") - cross_entropy(world, "z", world.posterior("y", "z")) == near(
            world.information("z", "y")
        )


@SEEDS
def test_renaming_changes_nothing(seed):
    """A one-to-one encoder keeps I(v;y) and all predictions; the label's remainder in z is all of H(v|y)."""
    world = encoded(random_world(seed).marginal(("v", "y")), lambda v: (v + 1) % 3)
    assert lost(world) == near(vsd(world)) == near(0)
    assert superfluous(world) == near(world.entropy("v", given="y"))
