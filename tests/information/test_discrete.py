"""Discrete information: closed forms, chain rules, a naive loop over outcomes, zeros, refusals."""

import itertools
import math
import re

import numpy as np
import pytest

from limbeck.errors import InputError
from limbeck.information.discrete import JointDistribution

BIT = math.log(2)
COIN = [0.5, 0.5]
XOR = JointDistribution(np.full((2, 2), 1 / 4), ("a", "b")).derive("y", ("a", "b"), lambda a, b: a ^ b)
SEEDS = pytest.mark.parametrize("seed", range(6))


def random_joint(seed, shape=(3, 2, 4, 2), names="abcd"):
    """Of odd seeds about half of the outcomes never happen."""
    rng = np.random.default_rng(seed)
    table = rng.random(shape) ** 2 * (rng.random(shape) < 0.5 if seed % 2 else 1)
    return JointDistribution(table / table.sum(), tuple(names))


def near(value):
    return pytest.approx(value, abs=1e-12)


# --- closed forms ------------------------------------------------------------------------------------------------


def test_independent_variables_share_nothing():
    joint = JointDistribution(np.outer([0.2, 0.8], [0.5, 0.25, 0.25]), ("a", "b"))
    assert joint.information("a", "b") == near(0)
    assert joint.entropy("b") == near(1.5 * BIT)
    assert joint.entropy(("a", "b")) == near(joint.entropy("a") + joint.entropy("b"))
    assert joint.entropy("b", given="a") == near(joint.entropy("b"))


def test_a_copy_shares_all():
    joint = JointDistribution([0.1, 0.2, 0.7], "a").derive("b", "a", lambda a: a)
    assert joint.information("a", "b") == near(joint.entropy("a")) == near(joint.information("a", "a"))
    assert joint.entropy("a", given="b") == near(0)
    assert joint.divergence("b", "a", "a") == 0


def test_exclusive_or_is_known_by_both_together_alone():
    assert XOR.information("a", "y") == near(0)
    assert XOR.information("a", "y", given="b") == near(BIT)
    assert XOR.information(("a", "b"), "y") == near(BIT)
    assert XOR.interaction("a", "b", "y") == near(-BIT)
    three = JointDistribution(np.full((2, 2, 2), 1 / 8), ("a", "b", "c")).derive(
        "y", ("a", "b", "c"), lambda a, b, c: a ^ b ^ c
    )
    assert three.interaction("a", "b", "y") == near(0)
    assert three.interaction("a", "b", "y", given="c") == near(-BIT)


@pytest.mark.parametrize("error", [0.0, 0.1, 0.5])
def test_noisy_channel(error):
    joint = JointDistribution(COIN, "y").extend("v", "y", [[1 - error, error], [error, 1 - error]])
    noise = JointDistribution([1 - error, error], "e").entropy("e")
    assert joint.information("v", "y") == near(BIT - noise)
    assert joint.entropy("v", given="y") == near(noise)
    # The channel twice is a channel of error 2 e (1 - e).
    twice = joint.extend("z", "v", joint.posterior("v", "y"))
    np.testing.assert_allclose(twice.posterior("z", "y")[0, 1], 2 * error * (1 - error), rtol=0, atol=1e-15)


def test_divergence_of_two_predictions():
    # b says more than a: p(y|a) = 1/2 always, p(y|b) = 1/4 or 3/4; KL[1/2 || 1/4] = log 2 - log(3) / 2.
    joint = JointDistribution(COIN, "y").extend("a", (), [1.0]).extend("b", "y", [[0.75, 0.25], [0.25, 0.75]])
    assert joint.divergence("y", "a", "b") == near(BIT - math.log(3) / 2)
    assert joint.divergence("y", "b", "a") == near(joint.information("y", "b"))
    # a = 0 rules out y = 1, which b allows where a = 0 happens; where a is the teacher nothing is ruled out.
    half = JointDistribution([[[1 / 4, 0]], [[1 / 4, 1 / 2]]], ("a", "b", "y"))
    assert half.divergence("y", "b", "a") == math.inf
    assert half.divergence("y", "a", "b") == near(half.information("y", "a"))


# --- identities and the naive loop -------------------------------------------------------------------------------


@SEEDS
def test_chain_rules(seed):
    joint = random_joint(seed)
    chain = (
        joint.entropy("a")
        + joint.entropy("b", "a")
        + joint.entropy("c", ("a", "b"))
        + joint.entropy("d", ("a", "b", "c"))
    )
    assert joint.entropy(("a", "b", "c", "d")) == near(chain)
    assert joint.information(("a", "b"), "c", "d") == near(
        joint.information("a", "c", "d") + joint.information("b", "c", ("a", "d"))
    )
    for a, b, c in itertools.permutations(("a", "b", "c")):
        assert joint.interaction(a, b, c) == near(joint.interaction("a", "b", "c"))
        assert joint.interaction(a, b, c, given="d") == near(joint.interaction("a", "b", "c", given="d"))
    assert joint.information("a", "b", "c") == near(joint.information("b", "a", "c"))
    assert joint.information("a", "b", "c") >= -1e-15
    assert joint.divergence("a", ("b", "c"), "c") == near(joint.information("a", "b", "c"))


@SEEDS
def test_everything_agrees_with_a_loop_over_outcomes(seed):
    joint = random_joint(seed)
    names = joint.names

    def probability(**fixed):
        """Of all outcomes that agree with what is fixed."""
        index = tuple(fixed.get(name, slice(None)) for name in names)
        return float(np.sum(joint.table[index]))

    entropy = information = divergence = 0.0
    for outcome in itertools.product(*map(range, joint.table.shape)):
        a, b, c, d = outcome
        p = float(joint.table[outcome])
        if p == 0:
            continue
        entropy -= p * math.log(probability(a=a, b=b, c=c) / probability(c=c))
        information += p * math.log(
            probability(a=a, b=b, c=c) * probability(c=c) / probability(a=a, c=c) / probability(b=b, c=c)
        )
        for y in range(joint.table.shape[0]):  # KL[p(a|b,d) || p(a|c,d)]
            teacher = probability(a=y, b=b, d=d) / probability(b=b, d=d)
            student = probability(a=y, c=c, d=d) / probability(c=c, d=d)
            if teacher > 0:
                divergence += p * teacher * (math.log(teacher / student) if student > 0 else math.inf)
    assert joint.entropy(("b", "a"), given="c") == near(entropy)
    assert joint.information("a", "b", given="c") == near(information)
    assert joint.divergence("a", ("d", "b"), ("c", "d")) == near(divergence)


# --- building and reading ----------------------------------------------------------------------------------------


def test_extended_variables_know_what_they_were_given_and_nothing_else():
    rng = np.random.default_rng(0)
    channel = rng.dirichlet(np.ones(5), size=(4, 3))
    joint = random_joint(0).extend("z", ("c", "a"), channel)
    np.testing.assert_allclose(joint.posterior("z", ("c", "a")), channel, rtol=1e-12)
    np.testing.assert_allclose(joint.marginal(("a", "b", "c", "d")).table, random_joint(0).table, rtol=1e-12)
    assert joint.information("z", ("b", "d"), given=("a", "c")) == near(0)
    derived = joint.derive("sum", ("c", "a"), lambda c, a: c + a)
    assert derived.table.shape[-1] == 6
    assert derived.posterior("sum", ("a", "c"))[2, 3].tolist() == [0, 0, 0, 0, 0, 1]
    assert derived.entropy("sum", given=("a", "c")) == near(0)


def test_marginals_keep_the_order_that_is_asked_for():
    joint = random_joint(1)
    np.testing.assert_allclose(joint.marginal(("d", "a", "b")).table, np.einsum("abcd->dab", joint.table), rtol=1e-12)
    assert joint.marginal(("d", "a", "b")).names == ("d", "a", "b")
    assert joint.marginal(()).table == near(1)
    assert joint.entropy(()) == joint.information((), "a") == near(0)


def test_posteriors_are_not_a_number_where_the_condition_never_happens():
    joint = JointDistribution([[0.5, 0.5], [0.0, 0.0]], ("a", "y"))
    np.testing.assert_array_equal(joint.posterior("y", "a"), [[0.5, 0.5], [np.nan, np.nan]])
    np.testing.assert_array_equal(joint.posterior("y"), COIN)
    assert joint.divergence("y", "a", ()) == 0
    assert random_joint(2).posterior(("c", "b"), "d").shape == (2, 4, 2)


def test_samples_are_counted():
    joint = JointDistribution.from_samples({"y": np.array(["b", "a", "b", "b"]), "v": [True, False, False, True]})
    assert joint.names == ("y", "v")
    np.testing.assert_array_equal(joint.table, [[0.25, 0], [0.25, 0.5]])
    truth = random_joint(3)
    drawn = truth.sample(20000, np.random.default_rng(0))
    np.testing.assert_allclose(JointDistribution.from_samples(drawn).table, truth.table, atol=0.015)
    again = truth.sample(20000, np.random.default_rng(0))
    assert all(np.array_equal(drawn[name], again[name]) for name in truth.names)


def test_independent_samples_seem_to_share_what_the_docstring_says():
    rng = np.random.default_rng(0)
    shares = [
        JointDistribution.from_samples({"a": rng.integers(3, size=200), "b": rng.integers(4, size=200)}).information(
            "a", "b"
        )
        for _ in range(200)
    ]
    assert np.mean(shares) == pytest.approx(2 * 3 / 400, rel=0.15)


def test_the_table_is_a_copy_that_cannot_be_changed():
    table = np.array(COIN)
    joint = JointDistribution(table, "a")
    table[0] = 9
    assert joint.table.tolist() == COIN
    with pytest.raises(ValueError, match="read-only"):
        joint.table[0] = 9


def test_a_sum_that_rounding_keeps_from_one_is_divided_out():
    joint = JointDistribution(np.array([1, 1, 1]) / 3 + 1e-11, "a")
    assert joint.table.sum() == pytest.approx(1, abs=1e-15)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda: JointDistribution([0.5, 0.4], "a"), "table must sum to 1, not 0.9"),
        (lambda: JointDistribution([0.5, 0.500001], "a"), "table must sum to 1, not 1.000001"),
        (lambda: JointDistribution([1.5, -0.5], "a"), "table must hold finite numbers from 0"),
        (lambda: JointDistribution([np.nan, 1.0], "a"), "table must hold finite numbers from 0"),
        (lambda: JointDistribution(["x"], "a"), "table must hold finite numbers from 0"),
        (lambda: JointDistribution([], "a"), "table must sum to 1, not 0"),
        (
            lambda: JointDistribution(COIN, ("a", "b")),
            "names must be different and one for each of the 1 axes, not ('a', 'b')",
        ),
        (lambda: JointDistribution(np.eye(2) / 2, ("a", "a")), "names must be different"),
        (lambda: XOR.marginal("w"), "names must be different ones of a, b, y, not w"),
        (lambda: XOR.entropy("a", given=("b", "w")), "names must be different ones of a, b, y"),
        (lambda: XOR.marginal(("a", "a")), "names must be different ones of a, b, y, not a, a"),
        (lambda: XOR.posterior("a", given=("b", "a")), "names must be different ones of a, b, y, not b, a, a"),
        (lambda: XOR.divergence("a", "a", "b"), "names must be different ones"),
        (lambda: XOR.extend("z", "a", [[1, 0]]), "table must have shape (2, values), not (1, 2)"),
        (lambda: XOR.extend("z", "a", COIN), "table must have shape (2, values), not (2,)"),
        (lambda: XOR.extend("z", "a", [[1, 0], [0.5, 0.4]]), "table must sum to 1 in every row, not 0.9"),
        (lambda: XOR.extend("y", "a", np.eye(2)), "names must be different"),
        (lambda: XOR.derive("z", "a", lambda a: a - 1), "function must give whole numbers from 0, not"),
        (lambda: XOR.derive("z", "a", lambda a: a / 2), "function must give whole numbers from 0, not"),
        (lambda: XOR.sample(-1, np.random.default_rng(0)), "n must be from 0, not -1"),
        (lambda: JointDistribution.from_samples({}), "samples must hold at least one variable"),
        (lambda: JointDistribution.from_samples({"a": [1, 2], "b": [1]}), "equally many entries"),
        (lambda: JointDistribution.from_samples({"a": []}), "samples['a'] must be integers, booleans or strings"),
        (lambda: JointDistribution.from_samples({"a": [0.5]}), "samples['a'] must be integers, booleans or strings"),
        (
            lambda: JointDistribution.from_samples(dict.fromkeys("abc", range(1000))),
            "samples would need a table of 1000000000 cells",
        ),
    ],
)
def test_unusable_input_is_refused_in_one_line(wrong, words):
    with pytest.raises(InputError, match=re.escape(words)) as caught:
        wrong()
    assert "\n" not in str(caught.value)
