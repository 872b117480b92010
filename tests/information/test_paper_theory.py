"""The statements of both papers on discrete distributions, where every quantity is a sum: what holds, what fails.

2021: Tian et al., Farewell to Mutual Information. 2022: Tian et al., Variational Distillation for Multi-View Learning.
An identity is checked on random distributions, half of them with outcomes that never happen, half of them with encoders
that are functions. What fails is shown by a world of a few bits. `docs/theory.md` tells the same in words.
"""

import itertools
import math
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.special import entr, rel_entr

from limbeck.information.discrete import JointDistribution
from limbeck.nn import AdditiveHead
from limbeck.objectives import vsd as divergence_of_logits

BIT = math.log(2)
SEEDS = pytest.mark.parametrize("seed", range(12))
PAIRS = (("v1", "z1", "v2", "z2"), ("v2", "z2", "v1", "z1"))  # view, its representation, the other view's two


def near(value):
    return pytest.approx(value, abs=1e-12)


# --- worlds ------------------------------------------------------------------------------------------------------


def keep(v):
    return v


def forget(_):
    return 0


def coin(name):
    return JointDistribution([0.5, 0.5], name)


def encoded(joint, *encoders):
    """With z (or z1, z2, ...) computed from v (or v1, v2, ...)."""
    views = [name for name in joint.names if name.startswith("v")]
    for view, encoder in zip(views, encoders, strict=True):
        joint = joint.derive(view.replace("v", "z"), view, encoder)
    return joint


def random_world(seed, views=1):
    """v, y, z or v1, v2, ..., y, z1, z2, ...; each z_i sees v_i alone, with noise of its own."""
    rng = np.random.default_rng(seed)
    shape = (3,) * (views + 1)
    table = rng.random(shape) ** 2 * (rng.random(shape) < 0.6 if seed % 2 else 1)
    suffixes = ("",) if views == 1 else [str(view + 1) for view in range(views)]
    joint = JointDistribution(table / table.sum(), (*(f"v{i}" for i in suffixes), "y"))
    for i in suffixes:
        channel = np.eye(2)[rng.permutation([0, 1, 1])] if seed // 2 % 2 else rng.dirichlet(np.ones(2), size=3)
        joint = joint.extend(f"z{i}", f"v{i}", channel)
    return joint


def label_and_nuisance(*views):
    """Every view shows the label's bit and the same bit of nuisance."""
    joint = JointDistribution(np.full((2, 2), 1 / 4), ("y", "n"))
    for view in views:
        joint = joint.derive(view, ("y", "n"), lambda y, n: 2 * y + n)
    return joint


def same_bit():
    """Both views show the label, a bit."""
    return coin("y").derive("v1", "y", keep).derive("v2", "y", keep)


def own_bits():
    """The label is two bits; each view shows one of them."""
    return JointDistribution(np.full((2, 2), 1 / 4), ("v1", "v2")).derive("y", ("v1", "v2"), lambda a, b: 2 * a + b)


def exclusive_or():
    """The label is whether the views' bits differ; neither alone says anything."""
    return JointDistribution(np.full((2, 2), 1 / 4), ("v1", "v2")).derive("y", ("v1", "v2"), lambda a, b: a ^ b)


def noisy_label():
    """v is the label's bit, wrong in one case of four."""
    return coin("y").extend("v", "y", [[0.75, 0.25], [0.25, 0.75]])


NOISE = math.log(4) - 0.75 * math.log(3)  # H(v|y) of `noisy_label`


# --- quantities of the papers -------------------------------------------------------------------------------------


def representations(joint):
    return [name for name in joint.names if name.startswith("z")]


def others(joint, z):
    return [name for name in representations(joint) if name != z]


def view(z):
    return z.replace("z", "v")


def lost(joint, z="z"):
    """I(v; y) - I(z; y): 2021 eq. 7, 2022 eq. 5 and 12."""
    return joint.information(view(z), "y") - joint.information(z, "y")


def superfluous(joint, z="z"):
    """I(v; z | y)."""
    return joint.information(view(z), z, given="y")


def view_specific(joint, z):
    """I(y; z_i | the others)."""
    return joint.information("y", z, given=others(joint, z))


def consistent(joint, z):
    """I^c_i of 2022 eq. 7."""
    return joint.information("y", z) - view_specific(joint, z)


def of_all_views(joint):
    """I(v1 ... vn; y)."""
    return joint.information([name for name in joint.names if name.startswith("v")], "y")


def vsd(joint, z="z"):
    return joint.divergence("y", view(z), z)


def mv2d(joint):
    """2022 eq. 9, over exact posteriors."""
    every = representations(joint)
    return sum(vsd(joint, z) + joint.divergence("y", every, others(joint, z)) for z in every)


def vcd(joint):
    """2022 eq. 18."""
    return joint.divergence("y", "v2", "z1") + joint.divergence("y", "v1", "z2")


def vmd(joint):
    """2022 eq. 17, which is also 2021 eq. 15, eq. 10 + eq. 11."""
    return joint.divergence("y", "z2", "z1") + joint.divergence("y", "z1", "z2")


def meets_definition_1(joint):
    """2021: I(z1; y) = I(v1 v2; y) = I(z2; y)."""
    return all(joint.information(z, "y") == near(of_all_views(joint)) for z in representations(joint))


def meets_definition_2(joint):
    """2022: I(v_i; z_i | y) + I(y; z_i | the others) = 0 for all i."""
    return all(superfluous(joint, z) + view_specific(joint, z) == near(0) for z in representations(joint))


def views_are_sufficient(joint):
    """Each view tells all that both tell."""
    return all(joint.information(view(z), "y") == near(of_all_views(joint)) for z in representations(joint))


# --- one view ----------------------------------------------------------------------------------------------------


@SEEDS
def test_the_chain_rule(seed):
    """2021 eq. 5, 2022 eq. 6, 10 and 25: I(v;z) = I(z;y) + I(v;z|y), if z sees y through v alone."""
    world = random_world(seed)
    assert world.information("z", "y", given="v") == near(0)
    assert world.information("v", "z") == near(world.information("z", "y") + superfluous(world))


def test_a_representation_that_saw_the_label():
    """The same equations without their assumption: v says nothing, z = y. They miss I(z;y|v) = log 2."""
    world = coin("y").extend("v", (), [1.0]).derive("z", "y", keep)
    assert world.information("v", "z") == near(0)
    assert world.information("z", "y") + superfluous(world) == near(BIT) == near(world.information("z", "y", "v"))
    assert lost(world) == near(-BIT)  # against I(z;y) <= I(v;y)


@SEEDS
def test_data_processing(seed):
    """2021 eq. 6, 2022 eq. 11: I(z;y) <= I(v;y), so I(v;z) <= I(v;y) + I(v;z|y). The latter needs no assumption."""
    world = random_world(seed)
    assert lost(world) >= -1e-15
    assert world.information("v", "y") + superfluous(world) - world.information("v", "z") == near(lost(world))
    rng = np.random.default_rng(seed)
    anyhow = JointDistribution(rng.dirichlet(np.full(27, 0.3)).reshape(3, 3, 3), ("v", "y", "z"))
    slack = anyhow.information("v", "y") + superfluous(anyhow) - anyhow.information("v", "z")
    assert slack == near(anyhow.information("v", "y", given="z"))
    assert slack > 0


def test_lost_and_superfluous_are_not_equivalent():
    """2021 after eq. 6, 2022 after eq. 11: "the last two terms are equivalent". Each is 0 where the other is log 2."""
    everything = encoded(label_and_nuisance("v"), keep)
    assert (lost(everything), superfluous(everything)) == (near(0), near(BIT))
    nothing = encoded(label_and_nuisance("v"), forget)
    assert (lost(nothing), superfluous(nothing)) == (near(BIT), near(0))
    label = encoded(label_and_nuisance("v"), lambda v: v // 2)
    assert (lost(label), superfluous(label)) == (near(0), near(0))
    # So VSD, which is 0 for the first and the last alike (Corollary 1), does not ask for minimality (2022 §4.2).
    assert vsd(everything) == near(vsd(label)) == near(0)


@SEEDS
def test_lost_and_superfluous_at_equal_capacity(seed):
    """lost - superfluous = I(v;y) - I(v;z): they are equivalent among representations that hold equally much of v."""
    world = random_world(seed)
    assert lost(world) - superfluous(world) == near(world.information("v", "y") - world.information("v", "z"))


@SEEDS
def test_the_least_that_is_superfluous(seed):
    """Sufficient and minimal at once (2022 §4.2) can be had only if y tells which posterior v has.

    v is (t, noise) and y depends on t; the posteriors p(y|t) differ. A sufficient z tells t, so I(v;z|y) >= H(t|y), and
    z = t attains it. A z that does not tell t loses information.
    """
    rng = np.random.default_rng(seed)
    world = JointDistribution(rng.dirichlet(np.ones(6)), "v").derive("t", "v", lambda v: v // 2)
    world = world.extend("y", "t", rng.dirichlet(np.ones(3), size=3))
    least = world.entropy("t", given="y")
    assert least > 1e-3
    minimal = encoded(world, lambda v: v // 2)
    assert (lost(minimal), superfluous(minimal)) == (near(0), near(least))
    sufficient = world.extend("r", "v", rng.dirichlet(np.ones(2), size=6)).derive(
        "z", ("t", "r"), lambda t, r: 2 * t + r
    )
    assert lost(sufficient) == near(0)
    assert superfluous(sufficient) > least
    assert lost(world.extend("z", "v", rng.dirichlet(np.ones(3), size=6))) > 1e-5


def test_a_noisy_label():
    """A label wrong in one case of four: lost + superfluous is 0.56 nats for z = v and 0.13 for a constant z.

    Each z that is not one to one mixes the two posteriors and loses, so no z makes both terms 0.
    """
    kept, dropped = (encoded(noisy_label(), encoder) for encoder in (keep, forget))
    assert (lost(kept), superfluous(kept)) == (near(0), near(NOISE))
    assert (lost(dropped), superfluous(dropped)) == (near(BIT - NOISE), near(0))
    assert BIT - NOISE < 0.14
    assert NOISE > 0.56
    for seed in range(20):
        channel = np.random.default_rng(seed).dirichlet(np.ones(3), size=2)
        assert lost(noisy_label().extend("z", "v", channel)) > 1e-4


@SEEDS
def test_theorem_1(seed):
    """I(v;y) - I(z;y) = H(y|z) - H(y|v), whatever v, y and z are; not negative if z sees y through v alone."""
    world = random_world(seed)
    assert lost(world) == near(world.entropy("y", given="z") - world.entropy("y", given="v"))
    anyhow = JointDistribution(np.random.default_rng(seed).dirichlet(np.ones(27)).reshape(3, 3, 3), ("v", "y", "z"))
    assert lost(anyhow) == near(anyhow.entropy("y", given="z") - anyhow.entropy("y", given="v"))


def test_an_encoder_that_destroys_the_observation():
    """2021 eq. 8 minimises over the encoder of v too: x = y, v and z constant are a minimum, 0, that tells nothing."""
    world = coin("y").derive("x", "y", keep).derive("v", "x", forget).derive("z", "v", forget)
    assert lost(world) == near(vsd(world)) == near(0)
    assert world.information("x", "y") - world.information("z", "y") == near(BIT)


@SEEDS
def test_corollary_1_and_its_converse(seed):
    """E KL[P_v || P_z] = H(y|z) - H(y|v) = I(v;y|z) if z sees y through v alone; so one is 0 iff the other is.

    v need not be sufficient for anything.
    """
    world = random_world(seed)
    assert vsd(world) == near(lost(world)) == near(world.information("v", "y", given="z"))
    # Zero, with noise in v that z drops:
    rng = np.random.default_rng(seed)
    clean = JointDistribution(rng.dirichlet(np.ones(4)), "v").extend("y", (), rng.dirichlet(np.ones(3)))
    assert vsd(encoded(clean, forget)) == near(0)
    assert vsd(encoded(label_and_nuisance("v"), lambda v: v // 2)) == near(0)


@SEEDS
def test_corollary_1_for_any_two_variables(seed):
    """P_v = P_z makes their entropies equal. Two noisy copies of y have equal entropies and different predictions."""
    two = noisy_label().extend("z", "y", [[0.75, 0.25], [0.25, 0.75]])
    assert lost(two) == near(0)
    # They disagree in 2 x 3/16 of all cases, and then KL[(3/4, 1/4) || (1/4, 3/4)] = log(3) / 2.
    assert vsd(two) == near(3 / 8 * math.log(3) / 2)
    # Predictions that agree, of variables that are not encodings of each other: v = (u, one noise), z = (u, another).
    rng = np.random.default_rng(seed)
    world = JointDistribution(rng.dirichlet(np.ones(3)), "u").extend("y", "u", rng.dirichlet(np.ones(3), size=3))
    for name in ("v", "z"):
        noise = np.kron(np.eye(3), np.ones(2)) * rng.dirichlet(np.ones(2), size=3)[:, [0, 1] * 3]
        world = world.extend(name, "u", noise)
    assert vsd(world) == near(lost(world)) == near(0)


def cross_entropy(joint, given, predictions):
    """-E log q(y | given) of predictions `(values, classes)`."""
    table = joint.marginal((given, "y")).table
    return -float((table * np.log(predictions)).sum())


def expected_divergence(joint, teacher, student):
    """E KL[q(y|v) || q(y|z)] of predictions `(values, classes)` that need not be posteriors."""
    return float((joint.marginal(("v", "z")).table[..., None] * rel_entr(teacher[:, None], student)).sum())


def test_heads_that_agree():
    """Corollary 1 with learned predictions: two heads that give the frequencies agree; z = 0 lost all of v = y."""
    world = encoded(coin("y").derive("v", "y", keep), forget)
    teacher, student = np.full((2, 2), 0.5), np.full((1, 2), 0.5)
    assert expected_divergence(world, teacher, student) == 0
    assert lost(world) == near(BIT)


@SEEDS
def test_vsd_with_a_right_teacher(seed):
    """E KL[p(y|v) || q(y|z)] = lost + E KL[p(y|z) || q(y|z)]: with an exact teacher any student's VSD is too high.

    With a teacher that is wrong it may be lower than what is lost.
    """
    world = random_world(seed)
    student = np.random.default_rng(seed).dirichlet(np.ones(3), size=2)
    measured = expected_divergence(world, world.posterior("y", "v"), student)
    excess = float((world.marginal("z").table[:, None] * rel_entr(world.posterior("y", "z"), student)).sum())
    assert measured == near(lost(world) + excess)
    assert measured > lost(world)
    timid = np.tile(world.posterior("y"), (3, 1))
    assert expected_divergence(world, timid, np.tile(world.posterior("y"), (2, 1))) == near(0)
    assert lost(world) > 1e-5


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


# --- two views: definitions ---------------------------------------------------------------------------------------


@SEEDS
def test_definition_1_in_two_parts(seed):
    """I(v1v2;y) - I(z1;y) = [I(v1v2;y) - I(z1z2;y)] + I(y;z2|z1), both not negative.

    So Definition 1 = together sufficient + the second half of Definition 2, with two views.
    """
    world = random_world(seed, views=2)
    together = of_all_views(world) - world.information(("z1", "z2"), "y")
    assert together >= -1e-15
    for z, other in (("z1", "z2"), ("z2", "z1")):
        assert of_all_views(world) - world.information(z, "y") == near(together + view_specific(world, other))


def test_definition_2_is_met_by_nothing():
    """Definition 2 does not imply Definition 1: v1 = v2 = y, z constant."""
    world = encoded(same_bit(), forget, forget)
    assert meets_definition_2(world)
    assert not meets_definition_1(world)
    assert of_all_views(world) - world.information("z1", "y") == near(BIT)


def test_definition_1_allows_superfluous_information():
    """Definition 1 does not imply Definition 2: a shared bit of nuisance; or p(v,y) = 1/3 for (0,0), (0,1), (1,1)."""
    nuisance = encoded(label_and_nuisance("v1", "v2"), keep, keep)
    noisy = JointDistribution([[1 / 3, 1 / 3], [0, 1 / 3]], ("v1", "y")).derive("v2", "v1", keep)
    for world, kept in ((nuisance, BIT), (encoded(noisy, keep, keep), 2 / 3 * BIT)):
        assert meets_definition_1(world)
        assert view_specific(world, "z1") == near(0)
        assert superfluous(world, "z1") == near(kept)
        assert not meets_definition_2(world)
    # In the second world Definition 2 can only be met by dropping what Definition 1 asks for.
    for encoders in itertools.product((keep, forget), repeat=2):
        world = encoded(noisy, *encoders)
        assert not (meets_definition_1(world) and meets_definition_2(world))


def test_definition_2_with_three_views():
    """y = (a, b); the views are a, b and a xor b. Any two tell all, so nothing is view-specific; none alone does."""
    world = own_bits().derive("v3", ("v1", "v2"), lambda a, b: a ^ b)
    world = encoded(world, keep, keep, keep)
    assert meets_definition_2(world)
    assert world.information(("z1", "z2", "z3"), "y") == near(of_all_views(world)) == near(2 * BIT)
    assert world.information("z1", "y") == near(BIT)


# --- two views: 2021, section 3.2 ---------------------------------------------------------------------------------


@SEEDS
def test_equations_9_to_16(seed):
    """2021 eq. 9 = 2022 eq. 14, if z1 sees v1 alone; 2022 eq. 15 always, 2022 eq. 16 of both.

    2021 eq. 13 and so eq. 14 miss I(z1;y|v2): they hold iff v2 tells all that z1 knows of y.
    """
    world = random_world(seed, views=2)
    for v, z, other, _ in PAIRS:
        held, specific = world.information(v, z), world.information(v, z, given=other)
        shared = world.information(other, z)
        assert held == near(specific + shared)
        irrelevant, predictive = world.information(other, z, given="y"), world.interaction(other, z, "y")
        assert shared == near(irrelevant + predictive)
        assert held == near(specific + irrelevant + predictive)
        missed = world.information(z, "y", given=other)
        assert irrelevant + world.information(z, "y") - shared == near(missed)
        assert missed > 1e-5


def test_equation_9_needs_one_view_alone():
    world = JointDistribution(np.full((2, 2), 1 / 4), ("v1", "v2")).derive("z1", "v2", keep)
    assert world.information("v1", "z1") == near(0)
    assert world.information("v1", "z1", given="v2") + world.information("z1", "v2") == near(BIT)


def test_equations_13_and_14_need_a_sufficient_view():
    """v1 = z1 = y, v2 constant: I(z1;v2) = 0, while its "superfluous" and "predictive" parts sum to log 2."""
    world = coin("y").derive("v1", "y", keep).extend("v2", (), [1.0]).derive("z1", "v1", keep)
    assert world.information("z1", "v2") == near(0)
    assert world.information("v2", "z1", given="y") + world.information("z1", "y") == near(BIT)
    assert world.interaction("v2", "z1", "y") == near(0)  # 2022 eq. 15 is right


def test_equation_16_with_a_negative_part():
    """The exclusive or: I(v2;z1) = 0 = I(v2;z1|y) + I(v2;z1;y) = log 2 - log 2."""
    world = encoded(exclusive_or(), keep, keep)
    assert world.information("v2", "z1") == near(0)
    assert (world.information("v2", "z1", given="y"), world.interaction("v2", "z1", "y")) == (near(BIT), near(-BIT))


def test_agreement_is_no_upper_bound():
    """2021 eq. 10-12, 2022 eq. 17: KL[P_z1 || P_z2] is no upper bound of I(v1;z1|v2), nor of I(y;z1|z2).

    Views that are fair coins: if y does not depend on them, or is their exclusive or, all predictions are the
    frequencies. Both divergences, and with them JS, are 0.
    """
    coins = JointDistribution(np.full((2, 2), 1 / 4), ("v1", "v2"))
    irrelevant = encoded(coins.extend("y", (), [0.5, 0.5]), keep, keep)
    synergy = encoded(exclusive_or(), keep, keep)
    for world, predictive in ((irrelevant, 0), (synergy, BIT)):
        assert vmd(world) == near(0)
        np.testing.assert_allclose(world.posterior("y", ("z1")), world.posterior("y", ("z2")), rtol=0, atol=1e-15)
        assert world.information("v1", "z1", given="v2") == near(BIT)
        assert view_specific(world, "z1") == near(predictive)


@SEEDS
def test_agreement_of_a_chain(seed):
    """E KL[P_z1 || P_z2] = I(y;z1|z2) if p(y|z1,z2) = p(y|z1), as where z2 is computed from z1."""
    world = random_world(seed).extend("z1", "v", np.eye(3)).extend("z2", "z1", [[1, 0], [0.5, 0.5], [0, 1]])
    expected = world.information("y", "z1", given="z2")
    assert world.divergence("y", "z1", "z2") == near(expected)
    assert expected > 1e-4


def test_theorem_2_of_2021():
    """Its conditions are sums of information, so "<= 0" means 0. v1 = v2 = y and constant z meet them."""

    def conditions(world):
        return [world.information(v, z, given=w) + world.information(w, z, given="y") for v, z, w, _ in PAIRS]

    nothing = encoded(same_bit(), forget, forget)
    assert views_are_sufficient(nothing)
    assert conditions(nothing) == [near(0), near(0)]
    assert not meets_definition_1(nothing)
    # Nor are they needed: a shared bit of nuisance breaks them, not Definition 1.
    nuisance = encoded(label_and_nuisance("v1", "v2"), keep, keep)
    assert meets_definition_1(nuisance)
    assert conditions(nuisance) == [near(BIT), near(BIT)]


def test_equation_15_and_equation_18():
    """2021 eq. 15 compares representations: 0 for constants. 2022 eq. 18 compares with the other view: log 2 each."""
    world = encoded(same_bit(), forget, forget)
    assert vmd(world) == near(0)
    assert vcd(world) == near(2 * BIT)


def test_vcd_keeps_superfluous_information():
    """2021 after eq. 15, 2022 before eq. 17: with a shared bit of nuisance VCD = VMD = 0 and I(v2;z1|y) = log 2."""
    world = encoded(label_and_nuisance("v1", "v2"), keep, keep)
    assert vcd(world) == near(vmd(world)) == near(mv2d(world)) == near(0)
    assert world.information("v2", "z1", given="y") == near(BIT)


# --- two bits and a label: every world ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def small_worlds():
    """Every set of equally likely outcomes of three bits v1, v2, y; each view kept, half forgotten or forgotten."""
    channels = ([[1, 0], [0, 1]], [[1, 0], [0.5, 0.5]], [[1], [1]])
    worlds = []
    for chosen in itertools.product((0, 1), repeat=8):
        if any(chosen):
            views = JointDistribution(np.reshape(chosen, (2, 2, 2)) / sum(chosen), ("v1", "v2", "y"))
            for first, second in itertools.product(channels, repeat=2):
                worlds.append(views.extend("z1", "v1", first).extend("z2", "v2", second))
    return worlds


def zero(value):
    return abs(value) < 1e-9


def outcomes(joint):
    return int((joint.marginal(("v1", "v2", "y")).table > 0).sum())


@pytest.mark.slow
def test_definition_1_is_vcd_at_zero(small_worlds):
    """Definition 1 iff both views are sufficient and VCD (2022 eq. 18) is 0 iff views and representations are.

    Why: VCD = 0 means I(z1;y) = I(v2;y) >= I(z2;y) = I(v1;y) >= I(z1;y), so all are equal; with sufficient views they
    are I(v1v2;y). And if each z tells all that is known, so does each v, and all predict the same.
    """
    met = 0
    for world in small_worlds:
        sufficient = views_are_sufficient(world)
        consistent_at_zero = sufficient and zero(vcd(world))
        assert meets_definition_1(world) == consistent_at_zero
        assert consistent_at_zero == (sufficient and all(zero(lost(world, z)) for z in ("z1", "z2")))
        met += consistent_at_zero
    assert 100 < met < len(small_worlds) / 2


@pytest.mark.slow
def test_mv2d_vcd_and_vmd_at_zero(small_worlds):
    """2022 §4.4 and Corollary 2, n = 2: MV2D = 0 implies VCD = VMD = 0; VCD = 0 implies VMD = VSD = 0.

    Back, VCD = VMD = 0 implies MV2D = 2 I(y;z1|z2), which is 0 but for the exclusive or and its kin.
    """
    apart = []
    for world in small_worlds:
        if zero(mv2d(world)):
            assert zero(vcd(world))
        if zero(vcd(world)):
            assert zero(vmd(world))
            assert mv2d(world) == near(2 * view_specific(world, "z1"))
            if not zero(mv2d(world)):
                apart.append(world)
    assert min(map(outcomes, apart)) == 4
    for world in apart:
        if outcomes(world) == 4:
            difference = world.derive("d", ("v1", "v2"), lambda a, b: a ^ b)
            assert difference.entropy("y", given="d") == near(0)


@pytest.mark.slow
def test_when_mv2d_can_be_zero(small_worlds):
    """With two views. Theorem 3 has no cost only there; the exclusive or belongs to it, since no view predicts."""
    least, agree = {}, {}
    for world in small_worlds:
        key = world.marginal(("v1", "v2", "y")).table.tobytes()
        least[key] = min(least.get(key, math.inf), mv2d(world))
        agree[key] = zero(world.divergence("y", "v1", "v2")) and zero(world.divergence("y", "v2", "v1"))
    assert {key: zero(value) for key, value in least.items()} == agree
    assert 0 < sum(agree.values()) < len(agree)


# --- several views: 2022 -------------------------------------------------------------------------------------------


def test_consistent_information_may_be_negative():
    """2022 eq. 7 and 26: I^c_1 = I(y;z1) - I(y;z1|z2) = I(y;z1;z2) = -log 2 for the exclusive or."""
    world = encoded(exclusive_or(), keep, keep)
    assert consistent(world, "z1") == near(world.interaction("y", "z1", "z2")) == near(-BIT)
    assert consistent(encoded(same_bit(), keep, keep), "z1") == near(BIT)


@SEEDS
def test_areas_of_the_venn_diagram_add_up(seed):
    """2022 Fig. 2: the parts of I^c_1 and of I(y;z1), signs included; those of I(v1;z1|y) if z1 is a function of v1."""
    world = random_world(seed, views=3)
    inner = world.interaction("y", "z1", "z2") - world.interaction("y", "z1", "z2", given="z3")
    parts = world.interaction("y", "z1", "z2", given="z3") + world.interaction("y", "z1", "z3", given="z2") + inner
    assert consistent(world, "z1") == near(parts)
    assert world.information("y", "z1") == near(parts + view_specific(world, "z1"))
    shared = world.interaction("z1", "z2", "z3", given="y")
    of_z1 = world.information("z1", "z2", ("y", "z3")) + world.information("z1", "z3", ("y", "z2")) + shared
    of_z1 += world.entropy("z1", given=("y", "z2", "z3"))
    assert of_z1 == near(world.entropy("z1", given="y"))
    noise = world.entropy("z1", given="v1")
    assert superfluous(world, "z1") == near(of_z1 - noise)
    assert noise == near(0) if seed // 2 % 2 else noise > 1e-3


@SEEDS
def test_equations_27_and_28(seed):
    """Eq. 27 adds up if z_i sees y through v_i alone; eq. 28 always holds, and misses by I(y;z_i|others) at least."""
    world = random_world(seed, views=3)
    for z in representations(world):
        held = world.information(view(z), z)
        assert held == near(superfluous(world, z) + view_specific(world, z) + consistent(world, z))
        bound = superfluous(world, z) + view_specific(world, z) + world.information("y", z)
        assert bound - held == near(view_specific(world, z))
        assert view_specific(world, z) >= -1e-15


@SEEDS
@pytest.mark.parametrize("views", [2, 3])
def test_what_mv2d_is_worth(seed, views):
    """Exact posteriors: MV2D = sum of I(v_i;y) - I^c_i. So minimising MV2D is maximising consistent information alone.

    Eq. 29 is the sum of I(v_i;z_i|y) - I^c_i, and eq. 8 adds I(y;z_i|others) to it once more.
    """
    world = random_world(seed, views=views)
    every = representations(world)
    known = sum(world.information(view(z), "y") for z in every)
    assert mv2d(world) == near(known - sum(consistent(world, z) for z in every))
    irrelevant, specific = (sum(term(world, z) for z in every) for term in (superfluous, view_specific))
    equation_29 = irrelevant - sum(world.information("y", z) for z in every) + specific
    assert equation_29 == near(mv2d(world) - known + irrelevant)
    equation_8 = irrelevant - sum(consistent(world, z) for z in every) + specific
    assert equation_8 == near(equation_29 + specific)


def test_equation_8_is_not_equation_29():
    """Views of one bit of the label each, per view: eq. 8 is log 2 for z = v, 0 for constants; eq. 29 is 0 for both."""
    for encoder, forgetful in ((keep, BIT), (forget, 0)):
        world = encoded(own_bits(), encoder, encoder)
        assert superfluous(world, "z1") == near(0)
        assert -consistent(world, "z1") == near(0)  # eq. 29
        assert -consistent(world, "z1") + view_specific(world, "z1") == near(forgetful)  # eq. 8


@SEEDS
def test_equations_19_to_24(seed):
    """Eq. 19, 20, 22, 24 hold and I^c_1 is the hatted one by symmetry; eq. 21 and 23 need z1 to be a function of v1."""
    world = random_world(seed, views=2)
    information, entropy = world.information, world.entropy
    assert information("v1", "z1") == near(information("v1", "z1", "z2") + information("z2", "z1"))
    assert information("z2", "z1") - information("z2", "z1", "y") == near(consistent(world, "z1"))
    assert information("v1", "z1") == near(
        information("v1", "z1", "y") + information("y", "z1", "z2") + consistent(world, "z1")
    )
    assert information("z2", "z1", "y") == near(entropy("z1", "y") - entropy("z1", ("z2", "y")))
    assert information("y", "z1", "z2") == near(entropy("z1", "z2") - entropy("z1", ("z2", "y")))
    noise = entropy("z1", "v1")
    assert entropy("z1", ("v1", "z2")) == near(entropy("z1", ("v1", "y"))) == near(noise)
    assert entropy("z1", "z2") - information("v1", "z1", "z2") == near(noise)  # eq. 21
    assert entropy("z1", "y") - information("v1", "z1", "y") == near(noise)  # eq. 23
    assert noise == near(0) if seed // 2 % 2 else noise > 1e-3


def test_equations_19_to_24_and_noise():
    """v1 and v2 constant. z1 a coin: "H(z1|v1,z2) = 0" is log 2. z2 the same coin: eq. 19 gives 0 = log 2."""
    blind = JointDistribution([[1.0]], ("v1", "v2")).extend("y", (), [1.0]).extend("z1", "v1", [[0.5, 0.5]])
    own = blind.extend("z2", "v2", [[0.5, 0.5]])
    assert (own.information("v1", "z1", "z2"), own.entropy("z1", "z2")) == (near(0), near(BIT))
    assert (own.information("v1", "z1", "y"), own.entropy("z1", "y")) == (near(0), near(BIT))
    same = blind.derive("z2", "z1", keep)
    assert (same.information("v1", "z1"), same.information("z2", "z1")) == (near(0), near(BIT))


def test_mv2d_is_not_vcd_and_vmd():
    """2022 §4.4: "eq. 9 degenerates to eq. 18 and 17". Exclusive or, z = v: VCD = VMD = 0, MV2D = 2 log 2.

    Views of one bit of the label each: MV2D is 2 log 2 for z = v and for constants. VCD and VMD rule out what the other
    allows: infinite for z = v; for constants VCD = 2 log 2 and VMD = 0, and more for whatever tells something.
    """
    synergy = encoded(exclusive_or(), keep, keep)
    assert vcd(synergy) == near(vmd(synergy)) == near(0)
    assert mv2d(synergy) == near(2 * BIT)
    kept, forgotten = (encoded(own_bits(), encoder, encoder) for encoder in (keep, forget))
    assert mv2d(kept) == near(mv2d(forgotten)) == near(2 * BIT)
    assert vcd(kept) == vmd(kept) == math.inf
    assert (vcd(forgotten), vmd(forgotten)) == (near(2 * BIT), near(0))
    for seed in range(10):
        channels = np.random.default_rng(seed).dirichlet(np.ones(3), size=(2, 2))
        world = own_bits().extend("z1", "v1", channels[0]).extend("z2", "v2", channels[1])
        assert vcd(world) > 2 * BIT + 1e-5
        assert vmd(world) > 1e-5


@SEEDS
def test_mv2d_of_one_view_is_a_constant(seed):
    """Corollary 2, n = 1: without z there is the frequency of y, so the second sum is I(y;z) and MV2D is I(v;y).

    It becomes VSD only if the second sum is left out.
    """
    world = random_world(seed)
    assert mv2d(world) == near(world.information("v", "y"))
    assert mv2d(world) - vsd(world) == near(world.information("z", "y"))
    assert world.information("z", "y") > 1e-5


# --- A.1: view-specific information -------------------------------------------------------------------------------


@SEEDS
def test_what_leaving_out_costs(seed):
    """I(y;z_i|others) = E KL[p(y|all) || p(y|others)] exactly; so eq. 41 and 42 are equalities, not limits."""
    world = random_world(seed, views=3)
    for z in representations(world):
        cost = world.divergence("y", representations(world), others(world, z))
        assert cost == near(view_specific(world, z))
        assert world.information("y", z) - consistent(world, z) == near(cost)


def test_equation_30_is_about_averages():
    """p(y|z1) is 1/2 for z1 = 0 and sure for z1 = 1: knowing z1 = 0 makes y less sure, by 0.13 nats."""
    world = JointDistribution([[1 / 4, 1 / 4], [0, 1 / 2]], ("z1", "y"))
    without, given = entr(world.posterior("y")).sum(), entr(world.posterior("y", "z1")).sum(axis=1)
    assert without - given[0] == near(NOISE - BIT)
    assert NOISE - BIT < -0.13
    assert (without - given).mean() == near(world.information("y", "z1"))


@pytest.mark.parametrize("seed", range(0, 12, 2))
def test_equation_38(seed):
    """Eq. 31-37 hold outcome by outcome. Eq. 38 holds, and is I(y;z_i|others) + E KL[P || P^] + H(y|others).

    So it is tight only where the others tell y. P is p(y|others), P^ is p(y|all); no outcome here has probability 0.
    """
    world = random_world(seed, views=3)
    teacher = world.posterior("y", ("z1", "z2", "z3"))
    student = np.broadcast_to(world.posterior("y", ("z2", "z3")), teacher.shape)
    weights = world.marginal(("z1", "z2", "z3")).table
    z1, z1_hat = rel_entr(student, teacher).sum(-1), rel_entr(teacher, student).sum(-1)
    z2, z2_hat = (student * np.log(teacher)).sum(-1), (teacher * np.log(student)).sum(-1)
    pointwise = -(z1 + z2) + (z1_hat + z2_hat)
    np.testing.assert_allclose(pointwise, entr(student).sum(-1) - entr(teacher).sum(-1), rtol=0, atol=1e-13)
    bound = z1_hat - z2
    assert (pointwise <= bound).all()
    specific = view_specific(world, "z1")
    assert (weights * pointwise).sum() == near(specific)
    reverse = world.divergence("y", ("z2", "z3"), ("z1", "z2", "z3"))
    expected = float((weights * bound).sum())
    assert expected == near(specific + reverse + world.entropy("y", given=("z2", "z3")))
    assert expected > specific + 0.1


def test_equation_38_may_be_infinite():
    """z1 = y, the others nothing: I(y;z1|others) = E KL = log 2, and the cross-entropy H(P, P^) is infinite."""
    world = coin("y").derive("z1", "y", keep)
    assert view_specific(world, "z1") == near(world.divergence("y", "z1", ())) == near(BIT)
    assert world.divergence("y", (), "z1") == math.inf


def test_equation_38_with_real_labels():
    """y uniform on [0, 1/2] and z1 constant: I = KL = 0, but the differential cross-entropy is -log 2.

    In bins of width w a differential entropy is the discrete one + log w.
    """
    bins = 64
    world = JointDistribution(np.full((1, bins), 1 / bins), ("z1", "y"))
    differential = world.entropy("y") + math.log(0.5 / bins)
    assert world.divergence("y", "z1", ()) + differential == near(-BIT)
    assert view_specific(world, "z1") == near(0)  # and not at most -log 2


@SEEDS
def test_leaving_out_with_a_right_teacher(seed):
    """E KL[p(y|all) || q(y|others)] = I(y;z_i|others) + E KL[p(y|others) || q]."""
    world = random_world(seed, views=2)
    student = np.random.default_rng(seed).dirichlet(np.ones(3), size=2)
    weights = world.marginal(("z1", "z2")).table[..., None]
    measured = (weights * rel_entr(world.posterior("y", ("z1", "z2")), student)).sum()
    excess = (weights.sum(0) * rel_entr(world.posterior("y", "z2"), student)).sum()
    assert measured == near(view_specific(world, "z1") + excess)
    assert excess > 1e-5


def test_an_additive_head_does_not_see_synergy():
    """Exclusive or: the cross-entropy of limbeck's joint head is convex and flat at 0, so it predicts the frequencies.

    Nothing is lost by leaving out a view then, while I(y;z_i|others) = log 2.
    """
    head = AdditiveHead(2, 2, 2).double()
    torch.nn.init.zeros_(next(head.blocks.parameters()))
    bits = torch.tensor([[0, 0], [0, 1], [1, 0], [1, 1]])
    z = torch.eye(2, dtype=torch.float64)[bits].transpose(0, 1)
    labels = bits[:, 0] ^ bits[:, 1]
    joint, leave_one_out = head(z)
    loss = torch.nn.functional.cross_entropy(joint, labels)
    assert loss.item() == near(BIT)
    gradients = torch.autograd.grad(loss, list(head.parameters()))
    assert all(gradient.abs().max() < 1e-15 for gradient in gradients)
    assert torch.equal(joint.expand(2, -1, -1), leave_one_out)
    assert view_specific(encoded(exclusive_or(), keep, keep), "z1") == near(BIT)


# --- Theorem 3 ----------------------------------------------------------------------------------------------------


@SEEDS
def test_theorem_3_where_each_view_knows_its_own_bit(seed):
    """Views of one bit of the label each, any encoders: lost_i + I(y;z_i|others) = log 2, one's gain the other's loss.

    "Without violating the sufficiency constraint" needs something else that pays for the bit, or lets it go.
    """
    rng = np.random.default_rng(seed)
    world = own_bits()
    for i in "12":
        world = world.extend(f"z{i}", f"v{i}", rng.dirichlet(np.ones(3), size=2))
    for z in ("z1", "z2"):
        assert lost(world, z) + view_specific(world, z) == near(BIT)
        assert 0 < view_specific(world, z) < BIT
    assert mv2d(world) == near(2 * BIT)
    # The second sum alone is least, 0, only if nothing of its own is left in a view.
    assert view_specific(encoded(own_bits(), forget, keep), "z1") == near(0)
    assert view_specific(encoded(own_bits(), keep, keep), "z1") == near(BIT)


def test_theorem_3_at_zero_is_not_sufficient_together():
    """Exclusive or, z constant: no view alone loses anything, nothing is view-specific, and log 2 is gone."""
    world = encoded(exclusive_or(), forget, forget)
    assert mv2d(world) == near(0)
    assert of_all_views(world) - world.information(("z1", "z2"), "y") == near(BIT)


@pytest.mark.parametrize("detached", [True, False])
def test_a_detached_teacher_asks_no_view_to_forget(detached):
    """Term i of the second sum reaches z_i through its teacher alone: detached, it only asks the others to learn."""
    generator = torch.Generator().manual_seed(0)
    head = AdditiveHead(4, 3, 2).double()
    for parameter in head.parameters():
        torch.nn.init.normal_(parameter, generator=generator)
    z = torch.randn(2, 5, 4, generator=generator, dtype=torch.float64, requires_grad=True)
    joint, leave_one_out = head(z)
    divergence_of_logits(joint, leave_one_out[0], detach_teacher=detached).backward()
    assert (z.grad[0] == 0).all() == detached
    assert z.grad[1].abs().max() > 1e-4


@SEEDS
def test_theorem_3_with_redundant_views(seed):
    """Sufficient for it with any n: z = v then has both sums 0. With three views they need not predict the same."""
    rng = np.random.default_rng(seed)
    shared = JointDistribution(rng.dirichlet(np.ones(3)), "u").extend("y", "u", rng.dirichlet(np.ones(3), size=3))
    for v in ("v1", "v2", "v3"):
        shared = shared.extend(v, "u", rng.permutation(np.eye(3)))
    assert mv2d(encoded(shared, keep, keep, keep)) == near(0)
    two_of_three = own_bits().derive("v3", ("v1", "v2"), lambda a, b: a ^ b)
    world = encoded(two_of_three, keep, keep, keep)
    assert mv2d(world) == near(0)
    assert world.divergence("y", "v1", "v2") == math.inf


def test_priorities():
    """T2 has no form that can be checked. One reading holds, another does not.

    Bits that one, two and three views show. To keep a bit everywhere rather than nowhere lowers MV2D by log 2 for each
    view that shows it, and by nothing for the bit of one view. But to drop a bit from a single representation costs
    more for the bit of two views, 2 log 2, than for the bit of three, log 2.
    """
    bits = JointDistribution(np.full((2, 2, 2), 1 / 8), ("a", "b", "c"))  # in one, two, three views
    world = bits.derive("y", ("a", "b", "c"), lambda a, b, c: 4 * a + 2 * b + c)
    world = world.derive("v1", "y", keep).derive("v2", "y", lambda y: y & 3).derive("v3", "y", lambda y: y & 1)

    def cost(*masks):
        return mv2d(encoded(world, *(lambda v, mask=mask: v & mask for mask in masks)))

    everything = cost(7, 7, 7)
    assert everything == near(BIT)  # I(y;z1|others), the bit of one view
    assert cost(6, 6, 6) - everything == near(3 * BIT)
    assert cost(5, 5, 5) - everything == near(2 * BIT)
    assert cost(3, 3, 3) - everything == near(0)
    assert cost(6, 7, 7) - everything == near(BIT)
    assert cost(5, 7, 7) - everything == near(2 * BIT)


def test_the_page_names_every_check_and_no_other():
    page = (Path(__file__).parents[2] / "docs" / "theory.md").read_text()
    checks = {name for name in globals() if name.startswith("test_")} - {"test_the_page_names_every_check_and_no_other"}
    assert set(re.findall(r"`(test_\w+)`", page)) == checks
