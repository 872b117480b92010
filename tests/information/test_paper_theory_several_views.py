"""The papers' statements about any number of views: 2022 §4.1, §4.4 and appendix A. See `docs/theory.md`."""

import itertools
import math

import numpy as np
import pytest
import torch
from scipy.special import entr, rel_entr
from tests.information.paper_premises import FAILS, FURTHER, HOLDS, verdict, worlds
from tests.information.paper_worlds import (
    BIT,
    NOISE,
    SEEDS,
    coin,
    consistent,
    encoded,
    equation_8,
    equation_29,
    exclusive_or,
    forget,
    four_outcomes,
    keep,
    lost,
    meets_definition_2,
    mv2d,
    near,
    of_all_views,
    others,
    own_and_common_bits,
    own_bits,
    own_nuisance,
    random_sufficient_world,
    random_world,
    representations,
    split_label,
    superfluous,
    two_of_three,
    view,
    view_specific,
    vsd,
    zero,
)

from limbeck.information.discrete import JointDistribution
from limbeck.nn import AdditiveHead
from limbeck.objectives import mv2d as mv2d_of_logits
from limbeck.objectives import vsd as vsd_of_logits

ALL_KEPT = "E S S+ D H2 P"
VIEWS = pytest.mark.parametrize("views", [own_nuisance, four_outcomes])  # v_i // 2 is the label in both


# --- consistent information --------------------------------------------------------------------------------------


@SEEDS
@verdict(
    "I(y;z_i) = I(y;z_i∣others) + I^c_i and what adds up from it (2022 eq. 7, 26, 27, 28)",
    stated="E S D H2",
    world="random, three views",
    keeps="E",
    drops="S",
    word=HOLDS,
)
def test_equations_27_and_28(seed, premises):
    """Eq. 28 holds for any variables, with slack I(y;z_i|others) under E."""
    world = random_world(seed, views=3)
    premises.check(world)
    for z in representations(world):
        held = world.information(view(z), z)
        assert held == near(superfluous(world, z) + view_specific(world, z) + consistent(world, z))
        bound = superfluous(world, z) + view_specific(world, z) + world.information("y", z)
        assert bound - held == near(view_specific(world, z))
        assert view_specific(world, z) >= -1e-15


def split_by_four_outcomes():
    """W with z_1 = [v_1 > 0] and z_2 = [v_2 = 1]: each pair of values once in four, and y = z_1 and not z_2."""
    return encoded(four_outcomes(), lambda v: v > 0, lambda v: v == 1)


@pytest.mark.parametrize(("make", "expected"), [(split_label, -BIT), (split_by_four_outcomes, NOISE - BIT)])
@verdict(
    "I^c_i is an amount of information that z_i and others share, an area (2022 eq. 7, Fig. 2)",
    stated="E S D",
    world="v_i = (y, n, n_i), z_1 = y xor n, z_2 = n",
    keeps=ALL_KEPT,
    word=FURTHER,
    further="each z_i is sufficient",
    holds_in="test_consistent_information_of_sufficient_representations",
)
def test_consistent_information_may_be_negative(make, expected, premises):
    """It is the interaction I(y;z_1;z_2). In W, I(y;z_i) = 0.22 each; both together tell all of H(y) = 0.56."""
    world = make()
    premises.check(world)
    assert consistent(world, "z1") == near(world.interaction("y", "z1", "z2"))
    assert consistent(world, "z1") == near(expected)
    assert expected < -0.1


@SEEDS
@worlds(keeps="E S P", every=False)
def test_consistent_information_of_sufficient_representations(seed, premises):
    """Sufficient views, z = v and in z_1 a noisy bit besides: I^c_i = I(y;z_i), which is not negative."""
    views = random_sufficient_world(seed).marginal(("v1", "v2", "y"))
    noise = np.random.default_rng(seed).dirichlet(np.ones(2), size=6)
    noisy = np.einsum("vw,vn->vwn", np.eye(6), noise).reshape(6, 12)  # z_1 is v_1 and a bit drawn from p(bit|v_1)
    world = views.extend("z1", "v1", noisy).derive("z2", "v2", keep)
    premises.check(world)
    for z in representations(world):
        assert lost(world, z) == near(0)
        assert consistent(world, z) == near(world.information("y", z))
        assert world.information("y", z) > 1e-3


@SEEDS
@verdict(
    "The areas of Fig. 2 and Fig. 4 within y add up, signs included (2022)",
    stated="E S D",
    world="random, three views",
    keeps="E",
    drops="S",
    word=HOLDS,
)
def test_areas_of_the_venn_diagram_add_up(seed, premises):
    """Of I^c_1 and I(y;z_1); those of I(v_1;z_1|y) are too large by H(z_1|v_1)."""
    world = random_world(seed, views=3)
    premises.check(world)
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
@verdict(
    "Eq. 19, 20, 22, 24, and that I^c_1 is the hatted one (2022 §4.4)",
    stated="E S D",
    world="random, two views",
    keeps="E",
    drops="S",
    word=HOLDS,
)
def test_equations_19_to_24(seed, premises):
    """I^c_1 = I(y;z_1;z_2) is symmetric, so the other equations are not needed for it. Eq. 21, 23 miss H(z_1|v_1)."""
    world = random_world(seed, views=2)
    premises.check(world)
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


@VIEWS
@verdict(
    "I(v_1;z_1) = H(z_1), so H(z_1∣v_1,z_2) = H(z_1∣v_1,y) = 0 (2022 Fig. 2, Fig. 4, eq. 21, 23)",
    stated="E S D",
    world="v_i = (y, n_i), z_i coins that ignore them",
    keeps=ALL_KEPT,
    word=FURTHER,
    further="z_1 is a function of v_1",
    holds_in="test_equations_21_and_23_of_functions",
)
def test_equations_21_and_23_and_noise(views, premises):
    """E(z|v) may have noise of its own, and data processing does not rule it out: 0 on one side, log 2 on the other."""
    world = views().extend("z1", (), [0.5, 0.5]).extend("z2", (), [0.5, 0.5])
    premises.check(world)
    assert (world.information("v1", "z1", "z2"), world.entropy("z1", "z2")) == (near(0), near(BIT))
    assert (world.information("v1", "z1", "y"), world.entropy("z1", "y")) == (near(0), near(BIT))
    assert (world.information("v1", "z1"), world.entropy("z1")) == (near(0), near(BIT))


@SEEDS
def test_equations_21_and_23_of_functions(seed):
    views = random_world(seed, views=2).marginal(("v1", "v2", "y"))
    world = encoded(views, lambda v: v // 2, lambda v: (v + 1) // 2)
    assert world.information("v1", "z1") == near(world.entropy("z1"))
    assert world.information("v1", "z1", "z2") == near(world.entropy("z1", "z2"))
    assert world.information("v1", "z1", "y") == near(world.entropy("z1", "y"))


@worlds(keeps="S S+ D H2 P", drops="E")
def test_equation_19_needs_noise_of_its_own(premises):
    """Without E: z_1 and z_2 are the same coin, whatever the views. Eq. 19 says 0 = log 2."""
    world = own_nuisance().extend("z1", (), [0.5, 0.5]).derive("z2", "z1", keep)
    premises.check(world)
    assert (world.information("v1", "z1"), world.information("z2", "z1")) == (near(0), near(BIT))


# --- what MV2D is worth ------------------------------------------------------------------------------------------


@SEEDS
@pytest.mark.parametrize("views", [2, 3])
@worlds(keeps="E P", drops="S", every=False)
def test_what_mv2d_is_worth(seed, views, premises):
    """MV2D = sum of lost_i + I(y;z_i|others) = sum of I(v_i;y) - I^c_i.

    Eq. 29 is that plus the sum of I(v_i;z_i|y) - I(v_i;y), and eq. 8 adds I(y;z_i|others) to it once more.
    """
    world = random_world(seed, views=views)
    premises.check(world)
    every = representations(world)
    known = sum(world.information(view(z), "y") for z in every)
    assert mv2d(world) == near(known - sum(consistent(world, z) for z in every))
    irrelevant, specific = (sum(term(world, z) for z in every) for term in (superfluous, view_specific))
    assert mv2d(world) == near(sum(lost(world, z) for z in every) + specific)
    assert equation_29(world) == near(mv2d(world) - known + irrelevant)
    assert equation_8(world) == near(equation_29(world) + specific)


@VIEWS
@verdict(
    "Eq. 9 equivalently reformulates eq. 8 (2022 before Theorem 3)",
    stated="E S D H2 P",
    world="v_i = (y, n_i), z = v and z = y; smallest: W, the same",
    keeps=ALL_KEPT,
    word=FAILS,
)
def test_mv2d_is_not_equation_8(views, premises):
    """MV2D is least, 0, for both; eq. 8 is least, -2 H(y), for z = y alone, and higher by the nuisance for z = v."""
    everything, label = encoded(views(), keep, keep), encoded(views(), lambda v: v // 2, lambda v: v // 2)
    for world in (everything, label):
        premises.check(world)
        assert mv2d(world) == near(0)
    assert equation_8(label) == near(-2 * label.entropy("y"))
    nuisance = everything.entropy("v1", given="y") + everything.entropy("v2", given="y")
    assert equation_8(everything) == near(equation_8(label) + nuisance)
    assert nuisance > 0.9


@SEEDS
@worlds(keeps="E S S+ P", every=False)
def test_equations_8_and_29_of_certain_views(seed, premises):
    """Under S+ both are least, minus the sum of H(y), and for the same z: sufficient, with nothing superfluous."""
    drawn = random_sufficient_world(seed, certain=True)
    views = drawn.marginal(("v1", "v2", "y"))
    labels = [views.posterior("y", v).argmax(1).__getitem__ for v in ("v1", "v2")]
    least = -2 * views.entropy("y")
    for world, attained in (
        (drawn, False),
        (encoded(views, *labels), True),
        (encoded(views, labels[0], forget), False),
    ):
        premises.check(world)
        assert zero(equation_8(world) - least) == zero(equation_29(world) - least) == attained
        assert min(equation_8(world), equation_29(world)) >= least - 1e-12


@worlds(keeps="E D H2 P", drops="S S+")
def test_equation_8_is_not_equation_29(premises):
    """Without S: y = (a, b, c), views (a, c) and (b, c). Eq. 8 prefers to forget a and b, eq. 29 does not care.

    Per view eq. 8 is 0 for z = v and -log 2 for z = c; eq. 29 is -log 2 for both.
    """
    for encoder, forgetful in ((keep, 0), (lambda v: v % 2, -BIT)):
        world = encoded(own_and_common_bits(), encoder, encoder)
        premises.check(world)
        assert equation_29(world) == near(-2 * BIT)
        assert equation_8(world) == near(2 * forgetful)


@verdict(
    "With one view eq. 9 degenerates to VSD (2022 §4.4, Corollary 2)",
    stated="E S P",
    world="v = y; z = v and z constant",
    keeps="E S S+ P",
    word=FURTHER,
    further='the second sum is left out for n = 1, as "I(y;z) = I^c" in §4.4 has it',
    holds_in="test_mv2d_of_one_view_without_its_second_sum",
)
def test_mv2d_of_one_view_is_a_constant(premises):
    """The prediction "without z" is the frequency of y: the second sum is I(y;z), and eq. 9 as printed is I(v;y)."""
    for encoder, everything_lost in ((keep, 0), (forget, BIT)):
        world = encoded(coin("y").derive("v", "y", keep), encoder)
        premises.check(world)
        assert mv2d(world) == near(BIT)
        assert vsd(world) == near(everything_lost)
    for seed in range(12):
        world = random_world(seed)
        assert mv2d(world) == near(world.information("v", "y"))
        assert mv2d(world) - vsd(world) == near(world.information("z", "y"))


def test_mv2d_of_one_view_without_its_second_sum():
    """`limbeck.objectives.mv2d` leaves it out: of one view it is `vsd`."""
    v, z = torch.randn(2, 1, 5, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    torch.testing.assert_close(mv2d_of_logits(v, z), vsd_of_logits(v[0], z[0]), rtol=0, atol=1e-15)


# --- A.1: view-specific information -------------------------------------------------------------------------------


@SEEDS
@verdict(
    "T1: D_KL[P_z{1..n} ‖ P_z{1..n}∖i] removes I(y;z_i∣others) (2022 eq. 30–37, 41, 42, on average as in eq. 39)",
    stated="E S D H2 P",
    world="random, three views",
    keeps="E P",
    drops="S",
    word=HOLDS,
)
def test_what_leaving_out_costs(seed, premises):
    """They are equal, so eq. 41 and 42 are equalities, not limits, and no bound is needed."""
    world = random_world(seed, views=3)
    premises.check(world)
    for z in representations(world):
        cost = world.divergence("y", representations(world), others(world, z))
        assert cost == near(view_specific(world, z))
        assert world.information("y", z) - consistent(world, z) == near(cost)


@worlds(keeps=ALL_KEPT)
def test_equation_30_is_about_averages(premises):
    """W with z_1 = [v_1 > 0]: y is 1 once in four, and once in two where z_1 = 1. Knowing that costs 0.13 nats."""
    world = encoded(four_outcomes(), lambda v: v > 0, forget)
    premises.check(world)
    without, given = entr(world.posterior("y")).sum(), entr(world.posterior("y", "z1")).sum(axis=1)
    assert without - given[1] == near(NOISE - BIT)
    assert NOISE - BIT < -0.13
    assert (without - given).mean() == near(world.information("y", "z1"))


@pytest.mark.parametrize("seed", range(0, 12, 2))
@verdict(
    "I(y;z_i∣others) ≤ D_KL + cross-entropy (2022 eq. 38–40)",
    stated="E S D H2 P",
    world="random, three views",
    keeps="E P",
    drops="S",
    word=HOLDS,
)
def test_equation_38(seed, premises):
    """Eq. 31-37 hold outcome by outcome. The bound is I(y;z_i|others) + E KL[P || P^] + H(y|others).

    So it is tight only where the others tell y. P is p(y|others), P^ is p(y|all); no outcome here has probability 0.
    """
    world = random_world(seed, views=3)
    premises.check(world)
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


@VIEWS
@worlds(keeps=ALL_KEPT)
def test_equation_38_may_be_infinite(views, premises):
    """z_1 = v_1, z_2 constant: I(y;z_1|z_2) = E KL = H(y), and the cross-entropy H(P, P^) is infinite."""
    world = encoded(views(), keep, forget)
    premises.check(world)
    assert view_specific(world, "z1") == near(world.divergence("y", "z1", ())) == near(world.entropy("y"))
    assert world.divergence("y", "z2", ("z1", "z2")) == math.inf


def test_equation_38_with_real_labels():
    """Beyond labels that are classes: y uniform on [0, 1/2], z_1 constant. I = KL = 0; the cross-entropy is -log 2.

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


@worlds(keeps=ALL_KEPT)
def test_an_additive_head_does_not_see_synergy(premises):
    """v_i = (y, n, n_i), z_1 = y xor n, z_2 = n: I(y;z_i|others) = log 2, and the head's divergence is 0.

    The cross-entropy of limbeck's joint head is convex and flat at 0: it predicts the frequencies, with or without z_i.
    """
    world = split_label()
    premises.check(world)
    assert view_specific(world, "z1") == near(BIT)
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


# --- Theorem 3 ----------------------------------------------------------------------------------------------------


@pytest.mark.slow
@verdict(
    "Theorem 3, T1: the second sum complies with sufficiency, both sums can be least, 0, together",
    stated="E S D H2 P",
    world="400 random with sufficient views, two and three",
    keeps="E S P",
    word=HOLDS,
)
def test_theorem_3_with_sufficient_views(premises):
    """z = v has MV2D = 0. Of any z, sum of VSD <= MV2D <= twice that: MV2D is 0 iff each z_i is sufficient.

    For I(y;z_i|others) <= I(v_j;y) - I(z_j;y) for every j but i: another view knows it all, and z_j lost what it lacks.
    """
    for seed in range(400):
        world = random_sufficient_world(seed, views=2 + seed % 2, certain=seed % 3 == 0)
        premises.check(world)
        views = world.marginal([*map(view, representations(world)), "y"])
        assert abs(mv2d(encoded(views, *(keep for _ in representations(world))))) < 1e-12
        first = sum(vsd(world, z) for z in representations(world))
        assert first - 1e-12 <= mv2d(world) <= 2 * first + 1e-12


@VIEWS
@verdict(
    "Eq. 9 at its least eliminates both view-specific and task-irrelevant information (2022 after eq. 9, Definition 2)",
    stated="E S D H2 P",
    world="v_i = (y, n_i), z = v; smallest: W, z = v",
    keeps=ALL_KEPT,
    word=FAILS,
)
def test_mv2d_at_zero_keeps_nuisance(views, premises):
    """Nothing is view-specific at MV2D = 0; all of the nuisance is there."""
    world = encoded(views(), keep, keep)
    premises.check(world)
    assert mv2d(world) == near(0)
    assert view_specific(world, "z1") == near(view_specific(world, "z2")) == near(0)
    assert superfluous(world, "z1") == near(world.entropy("v1", given="y"))
    assert not meets_definition_2(world)


@SEEDS
@worlds(keeps="E D P", drops="S S+ H2")
def test_theorem_3_where_each_view_knows_its_own_bit(seed, premises):
    """Without S, and H2: views of one bit of the label each, any encoders. lost_i + I(y;z_i|others) = log 2."""
    rng = np.random.default_rng(seed)
    world = own_bits()
    for i in "12":
        world = world.extend(f"z{i}", f"v{i}", rng.dirichlet(np.ones(3), size=2))
    premises.check(world)
    for z in ("z1", "z2"):
        assert lost(world, z) + view_specific(world, z) == near(BIT)
        assert 0 < view_specific(world, z) < BIT
    assert mv2d(world) == near(2 * BIT)


@worlds(keeps="E D H2 P", drops="S S+")
def test_theorem_3_where_views_know_more_than_they_share(premises):
    """Without S, with H2: y = (a, b, c), views (a, c) and (b, c). MV2D = 4 log 2 - 2 I(z_1;z_2) >= 2 log 2.

    That least is had by z = v, which is sufficient, by z = c, which is consistent, and by what lies between; nothing is
    both. With a weight above 1 on the second sum z = c wins, below 1 z = v.
    """
    sums = {}
    for name, encoder in (("v", keep), ("c", lambda v: v % 2)):
        world = encoded(own_and_common_bits(), encoder, encoder)
        premises.check(world)
        sums[name] = [sum(term(world, z) for z in ("z1", "z2")) for term in (vsd, view_specific)]
    assert sums == {"v": [near(0), near(2 * BIT)], "c": [near(2 * BIT), near(0)]}
    for seed in range(20):
        rng = np.random.default_rng(seed)
        world = own_and_common_bits()
        for i in "12":
            world = world.extend(f"z{i}", f"v{i}", rng.dirichlet(np.full(4, 0.3), size=4))
        premises.check(world)
        assert mv2d(world) == near(4 * BIT - 2 * world.information("z1", "z2"))
        assert mv2d(world) > 2 * BIT


@worlds(keeps="E D H2 P", drops="S S+")
def test_theorem_3_at_zero_is_not_sufficient_together(premises):
    """Without S: exclusive or, z constant. No view loses anything, nothing is view-specific, and log 2 is gone."""
    world = encoded(exclusive_or(), forget, forget)
    premises.check(world)
    assert mv2d(world) == near(0)
    assert of_all_views(world) - world.information(("z1", "z2"), "y") == near(BIT)


@worlds(keeps="E D H2 P", drops="S S+")
def test_theorem_3_with_redundant_views(premises):
    """S is not needed for MV2D = 0: three views, a, b and a xor b, each redundant given the others, do not agree."""
    world = encoded(two_of_three(), keep, keep, keep)
    premises.check(world)
    assert mv2d(world) == near(0)
    assert world.divergence("y", "v1", "v2") == math.inf


@pytest.mark.parametrize("detached", [True, False])
def test_a_detached_teacher_asks_no_view_to_forget(detached):
    """Term i of the second sum reaches z_i through its teacher alone: detached, its gradient in z_i is exactly 0."""
    generator = torch.Generator().manual_seed(0)
    head = AdditiveHead(4, 3, 2).double()
    for parameter in head.parameters():
        torch.nn.init.normal_(parameter, generator=generator)
    z = torch.randn(2, 5, 4, generator=generator, dtype=torch.float64, requires_grad=True)
    joint, leave_one_out = head(z)
    vsd_of_logits(joint, leave_one_out[0], detach_teacher=detached).backward()
    assert (z.grad[0] == 0).all() == detached
    assert z.grad[1].abs().max() > 1e-4


# --- T2: priorities ----------------------------------------------------------------------------------------------


@SEEDS
@verdict(
    "T2, a weight as the coefficient that eq. 9 gives to an area of Fig. 2: larger where more share it",
    stated="E S D H2 P",
    world="random, three views",
    keeps="E P",
    drops="S",
    word=HOLDS,
)
def test_weights_of_the_areas(seed, premises):
    """MV2D = sum of I(v_i;y) - 2 (areas of two) - 3 (area of all three), signs included."""
    world = random_world(seed, views=3)
    premises.check(world)
    pairs = sum(
        world.interaction("y", a, b, given=c)
        for a, b, c in (("z1", "z2", "z3"), ("z1", "z3", "z2"), ("z2", "z3", "z1"))
    )
    three = world.interaction("y", "z1", "z2") - world.interaction("y", "z1", "z2", given="z3")
    known = sum(world.information(view(z), "y") for z in representations(world))
    assert mv2d(world) == near(known - 2 * pairs - 3 * three)


@pytest.mark.parametrize("make", [own_nuisance, four_outcomes])
@verdict(
    "T2, a weight as the cost in eq. 9 of dropping information from one z_i: larger where more share it",
    stated="E S D H2 P",
    world="three views v_i = (y, n_i), z_i = v_i or constant; smallest: W with v_3 = 0, 1, 0, 2",
    keeps=ALL_KEPT,
    word=FAILS,
)
def test_priorities(make, premises):
    """y in all three: to drop one costs H(y). y in two: to drop one of them costs 2 H(y). In one: nothing."""
    costs = []
    for kept in (3, 2, 1, 0):
        world = encoded(make(3), *(keep if i < kept else forget for i in range(3)))
        premises.check(world)
        costs.append(mv2d(world) / world.entropy("y"))
    assert costs == [near(0), near(1), near(3), near(3)]


@worlds(keeps="E H2 P", drops="S S+ D")
def test_bits_that_more_views_show(premises):
    """Without S and D: bits that one, two and three views show; z = v, less one bit.

    To keep a bit everywhere rather than nowhere lowers MV2D by log 2 a view, and by nothing for the bit of one view.
    """
    views = JointDistribution(np.full(8, 1 / 8), "y").derive("v1", "y", keep)
    views = views.derive("v2", "y", lambda y: y & 3).derive("v3", "y", lambda y: y & 1)

    def cost(mask):
        world = encoded(views, *itertools.repeat(lambda v: v & mask, 3))
        premises.check(world)
        return mv2d(world)

    everything = cost(7)
    assert everything == near(BIT)  # I(y;z_1|others), the bit of one view
    assert [cost(7 - bit) - everything for bit in (1, 2, 4)] == [near(3 * BIT), near(2 * BIT), near(0)]
