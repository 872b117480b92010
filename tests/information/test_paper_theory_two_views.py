"""The papers' statements about two views: definitions, 2021 §3.2, 2022 §4.3 and §4.4. See `docs/theory.md`."""

import itertools
import math

import numpy as np
import pytest
from tests.information.paper_premises import (
    FAILS,
    HOLDS,
    certain,
    different,
    not_only_view_specific,
    sufficient,
    verdict,
    worlds,
)
from tests.information.paper_worlds import (
    BIT,
    PAIRS,
    SEEDS,
    encoded,
    exclusive_or,
    forget,
    four_outcomes,
    keep,
    lost,
    meets_definition_1,
    meets_definition_2,
    mv2d,
    near,
    of_all_views,
    own_and_common_bits,
    own_nuisance,
    random_sufficient_world,
    random_world,
    shared_nuisance,
    split_label,
    superfluous,
    two_of_three,
    vcd,
    view_specific,
    vmd,
    zero,
)

from limbeck.information.discrete import JointDistribution

ALL_KEPT = "E S S+ D H2 P"
VIEWS = pytest.mark.parametrize("views", [own_nuisance, four_outcomes])  # v_i // 2 is the label in both


# --- definitions -------------------------------------------------------------------------------------------------


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


@VIEWS
@worlds(keeps=ALL_KEPT)
def test_definition_2_is_met_by_nothing(views, premises):
    """Definition 2 does not imply Definition 1: z constant."""
    world = encoded(views(), forget, forget)
    premises.check(world)
    assert meets_definition_2(world)
    assert not meets_definition_1(world)
    assert of_all_views(world) - world.information("z1", "y") == near(world.entropy("y"))


@VIEWS
@worlds(keeps=ALL_KEPT)
def test_definition_1_allows_superfluous_information(views, premises):
    """Definition 1 does not imply Definition 2: z = v keeps the nuisance."""
    world = encoded(views(), keep, keep)
    premises.check(world)
    assert meets_definition_1(world)
    assert superfluous(world, "z1") == near(world.entropy("v1", given="y"))
    assert not meets_definition_2(world)
    assert meets_definition_2(encoded(views(), lambda v: v // 2, lambda v: v // 2))  # under S+ z = y meets both


@worlds(keeps="E S D H2 P", drops="S+")
def test_a_label_that_definitions_1_and_2_cannot_share(premises):
    """Without S+: v_i = (t, n_i) with p(t,y) = 1/3 for (0,0), (0,1), (1,1). What meets Definition 1 tells t.

    Then I(v_i;z_i|y) >= H(t|y) = (2/3) log 2, against Definition 2.
    """
    views = JointDistribution([[1 / 3, 1 / 3], [0, 1 / 3]], ("t", "y"))
    for v in ("v1", "v2"):
        noise = np.kron(np.eye(2), [0.5, 0.5])
        views = views.extend(v, "t", noise)
    for encoders in itertools.product((keep, lambda v: v // 2, forget), repeat=2):
        world = encoded(views, *encoders)
        assert not (meets_definition_1(world) and meets_definition_2(world))
    world = encoded(views, lambda v: v // 2, lambda v: v // 2)
    premises.check(world)
    assert meets_definition_1(world)
    assert superfluous(world, "z1") == near(2 / 3 * BIT)


@worlds(keeps="E D H2 P", drops="S S+")
def test_definition_2_with_three_views(premises):
    """Without S: y = (a, b); the views are a, b and a xor b. Any two tell all, so nothing is view-specific.

    Definition 2 is met and all three together are sufficient; none alone is.
    """
    world = encoded(two_of_three(), keep, keep, keep)
    premises.check(world)
    assert meets_definition_2(world)
    assert world.information(("z1", "z2", "z3"), "y") == near(of_all_views(world)) == near(2 * BIT)
    assert world.information("z1", "y") == near(BIT)


# --- chain rules -------------------------------------------------------------------------------------------------


@SEEDS
@verdict(
    "I(v_1;z_1) = I(v_1;z_1∣v_2) + I(z_1;v_2) and its division (2021 eq. 9; 2022 eq. 14, 15, 16)",
    stated="E S D",
    world="random",
    keeps="E",
    drops="S",
    word=HOLDS,
)
def test_equations_9_to_16(seed, premises):
    world = random_world(seed, views=2)
    premises.check(world)
    for v, z, other, _ in PAIRS:
        held, specific = world.information(v, z), world.information(v, z, given=other)
        shared = world.information(other, z)
        assert held == near(specific + shared)
        irrelevant, predictive = world.information(other, z, given="y"), world.interaction(other, z, "y")
        assert shared == near(irrelevant + predictive)
        assert held == near(specific + irrelevant + predictive)
        # 2021 eq. 13 misses I(z1;y|v2), which S makes 0 and these worlds do not.
        missed = world.information(z, "y", given=other)
        assert irrelevant + world.information(z, "y") - shared == near(missed)
        assert missed > 1e-5


@worlds(keeps="S S+ D H2 P", drops="E")
def test_equation_9_needs_one_view_alone(premises):
    """Without E: v_i = (y, n_i) and z_1 = n_2. Eq. 9 says 0 = log 2."""
    world = own_nuisance().derive("z1", "v2", lambda v: v % 2)
    premises.check(world)
    assert world.information("v1", "z1") == near(0)
    assert world.information("v1", "z1", given="v2") + world.information("z1", "v2") == near(BIT)


@pytest.mark.slow
@verdict(
    "I(z_1;v_2) = I(v_2;z_1∣y) + I(z_1;y) (2021 eq. 13, 14)",
    stated="E S D",
    world="400 random with sufficient views",
    keeps="E S",
    word=HOLDS,
)
def test_equations_13_and_14(premises):
    """Up to rounding. S makes I(z1;y|v2) = 0, so I(v2;z1;y) of 2022 eq. 15 is I(z1;y) and not negative."""
    for seed in range(400):
        world = random_sufficient_world(seed, certain=seed % 3 == 0)
        premises.check(world)
        for v, z, other, _ in PAIRS:
            irrelevant, predictive = world.information(other, z, given="y"), world.information(z, "y")
            assert abs(world.information(z, other) - irrelevant - predictive) < 1e-14
            specific = world.information(v, z, given=other)
            assert abs(world.information(v, z) - specific - irrelevant - predictive) < 1e-14
            assert world.interaction(other, z, "y") == near(predictive)


@worlds(keeps="E D H2 P", drops="S S+")
def test_equations_13_and_14_need_a_sufficient_view(premises):
    """Without S: v_1 = z_1 = (y, n), v_2 a coin. I(z_1;v_2) = 0, and its parts in eq. 13 sum to log 2."""
    world = JointDistribution(np.full((2, 2), 1 / 4), ("y", "n")).derive("v1", ("y", "n"), lambda y, n: 2 * y + n)
    world = world.extend("v2", (), [0.5, 0.5]).derive("z1", "v1", keep)
    premises.check(world)
    assert world.information("z1", "v2") == near(0)
    assert world.information("v2", "z1", given="y") + world.information("z1", "y") == near(BIT)
    assert world.interaction("v2", "z1", "y") == near(0)  # 2022 eq. 15 is right


@worlds(keeps="E D H2 P", drops="S S+")
def test_equation_16_with_a_negative_part(premises):
    """Without S: exclusive or, z = v. I(v2;z1) = 0 = I(v2;z1|y) + I(v2;z1;y) = log 2 - log 2."""
    world = encoded(exclusive_or(), keep, keep)
    premises.check(world)
    assert world.information("v2", "z1") == near(0)
    assert (world.information("v2", "z1", given="y"), world.interaction("v2", "z1", "y")) == (near(BIT), near(-BIT))


# --- agreement, Theorem 2, VCD -----------------------------------------------------------------------------------


@VIEWS
@verdict(
    "D_KL[P_z1 ‖ P_z2], or JS, bounds I(v_1;z_1∣v_2) from above (2021 eq. 10–12), eliminates it (2022 eq. 17)",
    stated="E S D P",
    world="v_i = (y, n_i), z = v; smallest: W, z = v",
    keeps=ALL_KEPT,
    word=FAILS,
)
def test_agreement_is_no_upper_bound(views, premises):
    """Both predictions are sure and equal, so each divergence is 0; of v_1 is kept what v_2 does not tell."""
    world = encoded(views(), keep, keep)
    premises.check(world)
    assert vmd(world) == near(0)
    pairs = world.marginal(("z1", "z2")).table > 0
    first, second = world.posterior("y", "z1"), world.posterior("y", "z2")
    assert all(np.abs(first[a] - second[b]).max() < 1e-15 for a, b in zip(*np.nonzero(pairs), strict=True))  # JS is 0
    assert world.information("v1", "z1", given="v2") == near(world.entropy("v1", given="v2"))
    assert world.entropy("v1", given="v2") > 0.3


@worlds(keeps=ALL_KEPT)
def test_agreement_does_not_bound_what_predicts(premises):
    """v_i = (y, n, n_i), z_1 = y xor n, z_2 = n: the divergences are 0 and I(y;z_1|z_2) = log 2."""
    world = split_label()
    premises.check(world)
    assert vmd(world) == near(0)
    assert view_specific(world, "z1") == near(view_specific(world, "z2")) == near(BIT)


@SEEDS
def test_agreement_of_a_chain(seed):
    """E KL[P_z1 || P_z2] = I(y;z1|z2) if p(y|z1,z2) = p(y|z1), as where z2 is computed from z1."""
    world = random_world(seed).extend("z1", "v", np.eye(3)).extend("z2", "z1", [[1, 0], [0.5, 0.5], [0, 1]])
    expected = world.information("y", "z1", given="z2")
    assert world.divergence("y", "z1", "z2") == near(expected)
    assert expected > 1e-4


def conditions_of_theorem_2(world):
    return [world.information(v, z, given=w) + world.information(w, z, given="y") for v, z, w, _ in PAIRS]


@VIEWS
@verdict(
    "2021 Theorem 2: its two conditions make z_1 and z_2 view-consistent (Definition 1)",
    stated="E S D",
    world="v_i = (y, n_i), z constant; smallest: W, z constant",
    keeps=ALL_KEPT,
    word=FAILS,
)
def test_theorem_2_of_2021(views, premises):
    """The conditions are sums of information, so "<= 0" means 0."""
    world = encoded(views(), forget, forget)
    premises.check(world)
    assert conditions_of_theorem_2(world) == [near(0), near(0)]
    assert not meets_definition_1(world)
    assert of_all_views(world) - world.information("z1", "y") == near(world.entropy("y"))


@VIEWS
@worlds(keeps=ALL_KEPT)
def test_the_conditions_of_theorem_2_are_not_needed(views, premises):
    """z = v: the conditions are broken, Definition 1 is met."""
    world = encoded(views(), keep, keep)
    premises.check(world)
    assert meets_definition_1(world)
    assert min(conditions_of_theorem_2(world)) > 0.4


@SEEDS
@worlds(keeps="E S P", every=False)
def test_what_theorem_2_asks_for(seed, premises):
    """Sufficient views: its left sides are I(v_i;z_i|y); Definition 1 holds iff each z_i is sufficient."""
    world = random_sufficient_world(seed)
    views = world.marginal(("v1", "v2", "y"))
    first, second = posterior_class(views, "v1"), posterior_class(views, "v2")
    for candidate, met in (
        (world, False),
        (encoded(views, first, second), True),
        (encoded(views, first, forget), False),
    ):
        premises.check(candidate)
        assert conditions_of_theorem_2(candidate) == [near(superfluous(candidate, z)) for z in ("z1", "z2")]
        assert meets_definition_1(candidate) == met == all(zero(lost(candidate, z)) for z in ("z1", "z2"))


def posterior_class(world, v):
    """The encoder v -> which of the posteriors p(y|v) it has."""
    rows = np.nan_to_num(world.posterior("y", v)).round(9)
    return np.unique(rows, axis=0, return_inverse=True)[1].ravel().__getitem__


@VIEWS
@verdict(
    "D_KL[P_z2 ‖ P_z1] enables z_1 to preserve predictive cues (2021 eq. 15 as printed)",
    stated="E S D P",
    world="v_i = (y, n_i), z constant; smallest: W, z constant",
    keeps=ALL_KEPT,
    word=FAILS,
)
def test_equation_15_is_met_by_constants(views, premises):
    """2022 eq. 18, which compares z_1 with v_2, costs them I(v_2;y)."""
    world = encoded(views(), forget, forget)
    premises.check(world)
    assert vmd(world) == near(0)
    assert of_all_views(world) - world.information("z1", "y") == near(world.entropy("y"))
    assert vcd(world) == near(2 * world.entropy("y"))


@SEEDS
@verdict(
    "D_KL[P_v2 ‖ P_z1] + D_KL[P_v1 ‖ P_z2] = 0 makes z_1 and z_2 consistent by Definition 1 (2022 eq. 18)",
    stated="E S D P",
    world="random with sufficient views",
    keeps="E S P",
    word=HOLDS,
)
def test_equation_18(seed, premises):
    """Sufficient views predict the same, so VCD is the VSD of both views, what was lost: 0 iff nothing was."""
    world = random_sufficient_world(seed)
    views = world.marginal(("v1", "v2", "y"))
    told = encoded(views, posterior_class(views, "v1"), posterior_class(views, "v2"))
    for candidate in (world, told):
        premises.check(candidate)
        assert vcd(candidate) == near(lost(candidate, "z1") + lost(candidate, "z2"))
        assert zero(vcd(candidate)) == meets_definition_1(candidate)
    assert meets_definition_1(told)


SHARED = pytest.mark.parametrize("views", [shared_nuisance, four_outcomes])


@SHARED
@verdict(
    "VCD eliminates the superfluous I(v_2;z_1∣y) (2021 after eq. 15; 2022 before eq. 17)",
    stated="E S D P",
    world="v_i = (y, n, n_i), z = v; smallest: W, z = v",
    keeps=ALL_KEPT,
    word=FAILS,
)
def test_vcd_keeps_superfluous_information(views, premises):
    """Nuisance that both views show costs nothing, in VCD, VMD and MV2D."""
    world = encoded(views(), keep, keep)
    premises.check(world)
    assert vcd(world) == near(vmd(world)) == near(mv2d(world)) == near(0)
    assert world.information("v2", "z1", given="y") > 0.13
    if views is shared_nuisance:
        assert world.information("v2", "z1", given="y") == near(BIT)


# --- MV2D, VCD and VMD -------------------------------------------------------------------------------------------


@VIEWS
@verdict(
    "With two views eq. 9 degenerates to eq. 18 and 17: MV2D is VCD + VMD (2022 §4.4, Corollary 2)",
    stated="E S D P",
    world="v_i = (y, n_i), z_1 = v_1, z_2 constant; smallest: W, the same",
    keeps=ALL_KEPT,
    word=FAILS,
)
def test_mv2d_is_not_vcd_and_vmd(views, premises):
    """MV2D is finite, 2 H(y): H(y) is lost by z_2 and H(y) is in z_1 alone. VMD is infinite.

    I^c_1 is the hatted one all the same (eq. 19 and 20): equal I^c do not make equal objectives.
    """
    world = encoded(views(), keep, forget)
    premises.check(world)
    assert mv2d(world) == near(2 * world.entropy("y"))
    assert vcd(world) == near(world.entropy("y"))
    assert vmd(world) == math.inf


@worlds(keeps=ALL_KEPT)
def test_vmd_may_be_less_than_the_second_sum(premises):
    """v_i = (y, n, n_i), z_1 = y xor n, z_2 = n: VCD = 2 log 2, VMD = 0, MV2D = 4 log 2."""
    world = split_label()
    premises.check(world)
    assert (vcd(world), vmd(world), mv2d(world)) == (near(2 * BIT), near(0), near(4 * BIT))


@SEEDS
@worlds(keeps="E S P", every=False)
def test_vcd_and_mv2d_vanish_together(seed, premises):
    """Sufficient views: VCD <= MV2D <= 2 VCD, since I(y;z_1|z_2) <= I(v_2;y) - I(z_2;y). At 0 VMD is 0 as well."""
    world = random_sufficient_world(seed)
    views = world.marginal(("v1", "v2", "y"))
    told = encoded(views, posterior_class(views, "v1"), posterior_class(views, "v2"))
    for candidate in (world, told):
        premises.check(candidate)
        assert vcd(candidate) - 1e-12 <= mv2d(candidate) <= 2 * vcd(candidate) + 1e-12
    assert vcd(told) == near(mv2d(told)) == near(vmd(told)) == near(0)


@worlds(keeps="E D H2 P", drops="S S+")
def test_mv2d_vcd_and_vmd_of_views_that_each_know_more(premises):
    """Without S: y = (a, b, c), views (a, c) and (b, c). MV2D is 2 log 2 for z = v and for z = c.

    VCD and VMD rule out what the other allows: infinite for z = v, and for z = c 2 log 2 and 0. They make views forget.
    """
    kept = encoded(own_and_common_bits(), keep, keep)
    common = encoded(own_and_common_bits(), lambda v: v % 2, lambda v: v % 2)
    for world in (kept, common):
        premises.check(world)
        assert mv2d(world) == near(2 * BIT)
    assert vcd(kept) == vmd(kept) == math.inf
    assert (vcd(common), vmd(common)) == (near(2 * BIT), near(0))


# --- every world of few outcomes ---------------------------------------------------------------------------------


def worlds_of(outcomes, shape):
    """Every set of so many equally likely outcomes (v1, v2, y), whose views tell something of y."""
    for cells in itertools.combinations(np.ndindex(*shape), outcomes):
        table = np.zeros(shape)
        table[tuple(np.transpose(cells))] = 1 / outcomes
        world = JointDistribution(table, ("v1", "v2", "y"))
        if not zero(of_all_views(world)):
            yield world


@pytest.mark.slow
def test_no_smaller_world_keeps_the_premises():
    """Two different views that are sufficient, even weakly, need four outcomes; W is one of 90 such worlds of four.

    With three outcomes no variable has more than three values, so the search is complete. Each of the 90 keeps S+ too.
    More views do not help: views that each tell what all tell do so in pairs.
    """
    for outcomes in (1, 2, 3):
        assert not any(different(world) and sufficient(world) for world in worlds_of(outcomes, (3, 3, 3)))
    found = [world for world in worlds_of(4, (3, 3, 2)) if different(world) and sufficient(world)]
    assert len(found) == 90
    assert all(certain(world) for world in found)
    assert any(np.array_equal(world.table, four_outcomes().table) for world in found)


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


def outcomes(joint):
    return int((joint.marginal(("v1", "v2", "y")).table > 0).sum())


@pytest.mark.slow
def test_definition_1_is_vcd_at_zero(small_worlds):
    """With any views: Definition 1 iff both views are sufficient and VCD (2022 eq. 18) is 0.

    Why: VCD = 0 means I(z1;y) = I(v2;y) >= I(z2;y) = I(v1;y) >= I(z1;y), so all are equal; with sufficient views they
    are I(v1v2;y). And if each z tells all that is known, so does each v, and all predict the same.
    """
    met = 0
    for world in small_worlds:
        all_told = sufficient(world)
        consistent_at_zero = all_told and zero(vcd(world))
        assert meets_definition_1(world) == consistent_at_zero
        assert consistent_at_zero == (all_told and all(zero(lost(world, z)) for z in ("z1", "z2")))
        met += consistent_at_zero
    assert 100 < met < len(small_worlds) / 2


@pytest.mark.slow
def test_mv2d_vcd_and_vmd_at_zero(small_worlds):
    """With any views: MV2D = 0 implies VCD = VMD = 0; VCD = 0 implies VMD = VSD = 0 and MV2D = 2 I(y;z1|z2).

    That is 0 where a view is sufficient. The smallest world where it is not is the exclusive or, which drops S.
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
        assert not sufficient(world)
        if outcomes(world) == 4:
            assert not_only_view_specific(world)
            difference = world.derive("d", ("v1", "v2"), lambda a, b: a ^ b)
            assert difference.entropy("y", given="d") == near(0)


@pytest.mark.slow
def test_when_mv2d_can_be_zero(small_worlds):
    """With any two views: iff P_v1 = P_v2; sufficient views are so, and the exclusive or, where no view predicts."""
    least, agree = {}, {}
    for world in small_worlds:
        key = world.marginal(("v1", "v2", "y")).table.tobytes()
        least[key] = min(least.get(key, math.inf), mv2d(world))
        agree[key] = zero(world.divergence("y", "v1", "v2")) and zero(world.divergence("y", "v2", "v1"))
        assert agree[key] or not sufficient(world)
    assert {key: zero(value) for key, value in least.items()} == agree
    assert 0 < sum(agree.values()) < len(agree)
