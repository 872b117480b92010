"""Discrete worlds on which the papers' statements are put to the test, and the papers' quantities on them.

A world is a `JointDistribution` of observations v (or v1, v2, ...), the label y, representations z (or z1, z2, ...)
and, where it matters, the input x. 2021: Tian et al., Farewell to Mutual Information. 2022: Tian et al., Variational
Distillation for Multi-View Learning.
"""

import math

import numpy as np
import pytest

from limbeck.information.discrete import JointDistribution

BIT = math.log(2)
SEEDS = pytest.mark.parametrize("seed", range(12))
PAIRS = (("v1", "z1", "v2", "z2"), ("v2", "z2", "v1", "z1"))  # view, its representation, the other view's two


def near(value):
    return pytest.approx(value, abs=1e-12)


def zero(value):
    return abs(value) < 1e-9


# --- worlds ------------------------------------------------------------------------------------------------------


def keep(v):
    return v


def forget(_):
    return 0


def coin(name):
    return JointDistribution([0.5, 0.5], name)


def encoded(joint, *encoders):
    """With z (or z1, z2, ...) computed from v (or v1, v2, ...)."""
    for v, encoder in zip(observations(joint), encoders, strict=True):
        joint = joint.derive(v.replace("v", "z"), v, encoder)
    return joint


def random_world(seed, views=1):
    """Nothing is asked of the views; each z_i sees v_i alone, with noise of its own.

    Of odd seeds some outcomes never happen; of every other pair of seeds the encoders are functions.
    """
    rng = np.random.default_rng(seed)
    shape = (3,) * (views + 1)
    table = rng.random(shape) ** 2 * (rng.random(shape) < 0.6 if seed % 2 else 1)
    suffixes = ("",) if views == 1 else [str(view + 1) for view in range(views)]
    joint = JointDistribution(table / table.sum(), (*(f"v{i}" for i in suffixes), "y"))
    return _randomly_encoded(joint, seed, rng)


def random_sufficient_world(seed, views=2, *, certain=False):
    """Every view tells all that the views together tell of y; each z_i sees v_i alone, with noise of its own.

    This is the general form of such views: v_i = (t, n_i), where y depends on t alone, and the noises n_i on t and on
    each other in any way. For p(y|v_i) = p(y|all views), so the class t of this posterior is a function of each view.
    With `certain`, y = t.
    """
    rng = np.random.default_rng(seed)
    shape = (3, *(2,) * views)
    table = rng.random(shape) ** 2 * (rng.random(shape) < 0.8 if seed % 2 else 1)
    noises = [f"n{view + 1}" for view in range(views)]
    joint = JointDistribution(table / table.sum(), ("t", *noises))
    joint = joint.extend("y", "t", np.eye(3) if certain else rng.dirichlet(np.ones(3), size=3))
    names = [f"v{view + 1}" for view in range(views)]
    for name, noise in zip(names, noises, strict=True):
        values = rng.permutation(6)
        joint = joint.derive(name, ("t", noise), lambda t, n, values=values: values[2 * t + n])
    return _randomly_encoded(joint.marginal((*names, "y")), seed, rng)


def _randomly_encoded(joint, seed, rng):
    for v in observations(joint):
        values = joint.table.shape[joint.names.index(v)]
        if seed // 2 % 2:
            channel = np.eye(2)[rng.permutation(np.arange(values) % 2)]
        else:
            channel = rng.dirichlet(np.ones(2), size=values)
        joint = joint.extend(v.replace("v", "z"), v, channel)
    return joint


def label_and_nuisance():
    """One view of the label's bit and a bit of nuisance: v = (y, n)."""
    return JointDistribution(np.full((2, 2), 1 / 4), ("y", "n")).derive("v", ("y", "n"), lambda y, n: 2 * y + n)


def three_outcomes():
    """The smallest view with a label and nuisance: v is 0, 1 or 2, equally likely, and y whether it is 2."""
    return JointDistribution(np.full(3, 1 / 3), "v").derive("y", "v", lambda v: v // 2)


def noisy_label():
    """v is the label's bit, wrong in one case of four."""
    return coin("y").extend("v", "y", [[0.75, 0.25], [0.25, 0.75]])


NOISE = math.log(4) - 0.75 * math.log(3)  # H(v|y) of `noisy_label`


def own_nuisance(views=2):
    """Every view shows the label, a bit, and a bit of nuisance of its own: v_i = (y, n_i)."""
    joint = coin("y")
    for view in range(1, views + 1):
        joint = joint.extend(f"n{view}", (), [0.5, 0.5]).derive(f"v{view}", ("y", f"n{view}"), lambda y, n: 2 * y + n)
    return joint


def shared_nuisance():
    """Two views of the label, of one bit of nuisance that both show, and of one of their own: v_i = (y, n, n_i)."""
    joint = JointDistribution(np.full((2, 2), 1 / 4), ("y", "n"))
    for view in "12":
        joint = joint.extend(f"n{view}", (), [0.5, 0.5])
        joint = joint.derive(f"v{view}", ("y", "n", f"n{view}"), lambda y, n, own: 4 * y + 2 * n + own)
    return joint


def split_label():
    """`shared_nuisance` with z_1 = y xor n and z_2 = n: together they tell the label, neither alone tells anything."""
    return encoded(shared_nuisance(), lambda v: (v >> 2 ^ v >> 1) & 1, lambda v: v >> 1 & 1)


def four_outcomes(views=2):
    """The smallest world of different views that hold all of the label: equally likely outcomes (v_1, v_2, [v_3,] y).

    (0, 0, 0), (0, 1, 0), (1, 1, 0), (2, 2, 1); the third view is 0, 1, 0, 2. v // 2 is the label.
    """
    joint = JointDistribution(np.full(4, 1 / 4), "o").derive("y", "o", lambda o: o // 3)
    for view, values in zip(range(views), ((0, 0, 1, 2), (0, 1, 1, 2), (0, 1, 0, 2)), strict=False):
        joint = joint.derive(f"v{view + 1}", "o", lambda o, values=values: values[o])
    return joint.marginal((*(f"v{view + 1}" for view in range(views)), "y"))


def own_bits():
    """The label is two bits; each view shows one of them."""
    return JointDistribution(np.full((2, 2), 1 / 4), ("v1", "v2")).derive("y", ("v1", "v2"), lambda a, b: 2 * a + b)


def own_and_common_bits():
    """The label is three bits, y = (a, b, c); the views are (a, c) and (b, c)."""
    joint = JointDistribution(np.full(8, 1 / 8), "y")
    return joint.derive("v1", "y", lambda y: (y >> 2 & 1) * 2 + (y & 1)).derive("v2", "y", lambda y: y & 3)


def exclusive_or():
    """The label is whether the views' bits differ; neither alone says anything."""
    return JointDistribution(np.full((2, 2), 1 / 4), ("v1", "v2")).derive("y", ("v1", "v2"), lambda a, b: a ^ b)


def two_of_three():
    """y = (a, b); the views are a, b and a xor b: any two of them tell the label."""
    return own_bits().derive("v3", ("v1", "v2"), lambda a, b: a ^ b)


# --- quantities of the papers -------------------------------------------------------------------------------------


def observations(joint):
    return [name for name in joint.names if name.startswith("v")]


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


def view_specific(joint, z="z"):
    """I(y; z_i | the others)."""
    return joint.information("y", z, given=others(joint, z))


def consistent(joint, z="z"):
    """I^c_i of 2022 eq. 7."""
    return joint.information("y", z) - view_specific(joint, z)


def of_all_views(joint):
    """I(v1 ... vn; y)."""
    return joint.information(observations(joint), "y")


def vsd(joint, z="z"):
    """2021 eq. 8, 2022 eq. 13, over exact posteriors as all the divergences here."""
    return joint.divergence("y", view(z), z)


def mv2d(joint):
    """2022 eq. 9."""
    every = representations(joint)
    return sum(vsd(joint, z) + joint.divergence("y", every, others(joint, z)) for z in every)


def vcd(joint):
    """2022 eq. 18."""
    return joint.divergence("y", "v2", "z1") + joint.divergence("y", "v1", "z2")


def vmd(joint):
    """2022 eq. 17, which is also 2021 eq. 15, eq. 10 + eq. 11."""
    return joint.divergence("y", "z2", "z1") + joint.divergence("y", "z1", "z2")


def equation_29(joint):
    """2022 eq. 29."""
    every = representations(joint)
    return sum(superfluous(joint, z) - joint.information("y", z) + view_specific(joint, z) for z in every)


def equation_8(joint):
    """2022 eq. 8."""
    every = representations(joint)
    return sum(-consistent(joint, z) + superfluous(joint, z) + view_specific(joint, z) for z in every)


def meets_definition_1(joint):
    """2021: I(z1; y) = I(v1 v2; y) = I(z2; y)."""
    return all(zero(joint.information(z, "y") - of_all_views(joint)) for z in representations(joint))


def meets_definition_2(joint):
    """2022: I(v_i; z_i | y) + I(y; z_i | the others) = 0 for all i."""
    return all(zero(superfluous(joint, z) + view_specific(joint, z)) for z in representations(joint))
