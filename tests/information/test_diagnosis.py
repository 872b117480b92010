"""The diagnosis on worlds of bits, where every figure is known exactly, and what it refuses."""

import itertools
import math
import re

import numpy as np
import pytest

from limbeck.errors import InputError
from limbeck.information.diagnosis import Diagnosis, diagnose
from limbeck.information.discrete import JointDistribution

BIT = math.log(2)


def flipped(world: JointDistribution, name: str, source: str, error: float) -> JointDistribution:
    return world.extend(name, source, [[1 - error, error], [error, 1 - error]])


def code(world: JointDistribution, name: str, bits: tuple[str, ...]) -> JointDistribution:
    """One variable of several bits."""
    return world.derive(name, bits, lambda *values: sum(value << place for place, value in enumerate(values)))


def two_views() -> JointDistribution:
    """A shared bit that is blurred in the second view, a bit of the label in each alone, and nuisance."""
    world = JointDistribution(np.full((2, 2, 2, 2), 1 / 16), ("shared", "first", "second", "nuisance"))
    world = flipped(world, "blurred", "shared", 0.1)
    world = code(world, "y", ("shared", "first", "second"))
    world = code(world, "v0", ("shared", "first", "nuisance"))
    world = code(world, "v1", ("blurred", "second", "nuisance"))
    world = code(world, "z0", ("shared", "first"))
    return code(world, "z1", ("second", "nuisance"))  # it lost the blurred bit


def three_views() -> JointDistribution:
    """Bits in all three views, in two and in one; a label that is wrong once in ten."""
    world = JointDistribution(np.full((2, 2, 2), 1 / 8), ("all", "pair", "own"))
    world = code(world, "truth", ("all", "pair", "own"))
    world = world.extend("y", "truth", 0.9 * np.eye(8) + 0.1 / 8)
    world = code(world, "z0", ("all", "pair"))
    world = code(world, "z1", ("all", "pair", "own"))
    return code(world, "z2", ("all",))


def drawn(world: JointDistribution, samples: int, seed: int, views: int) -> dict[str, object]:
    """Samples of a world; every view's values one-hot and turned, so that a linear probe can say anything of them."""
    rng = np.random.default_rng(seed)
    found = world.sample(samples, rng)

    def matrix(name: str) -> np.ndarray:
        values = found[name]
        return np.eye(8)[values] @ np.linalg.qr(rng.normal(size=(12, 12)))[0][:8]

    given: dict[str, object] = {
        "representations": [matrix(f"z{view}") for view in range(views)],
        "labels": found["y"],
    }
    if "v0" in found:
        given["observations"] = [matrix(f"v{view}") for view in range(views)]
    return given


def figures(found: Diagnosis) -> dict[str, object]:
    """Every interval by name."""
    named: dict[str, object] = {"entropy": found.entropy, "joint": found.joint, "overlap": found.overlap}
    if found.joint_observations is not None:
        named["joint of v"] = found.joint_observations
    for view in found.views:
        for name in ("observation", "representation", "gap", "specific", "consistent"):
            if getattr(view, name) is not None:
                named[f"{name} {view.name}"] = getattr(view, name)
    named |= {f"region {' '.join(names)}": interval for names, interval in found.regions.items()}
    return named


def truths(world: JointDistribution, views: int) -> dict[str, float]:
    """The same, summed over the table."""
    z, v = [f"z{view}" for view in range(views)], [f"v{view}" for view in range(views)]
    known = {"entropy": world.entropy("y"), "joint": world.information("y", z)}
    if "v0" in world.names:
        known["joint of v"] = world.information("y", v)
    for view, name in enumerate(z):
        others = [other for other in z if other != name]
        alone, specific = world.information("y", name), world.information("y", name, given=others)
        known |= {f"representation {view + 1}": alone, f"specific {view + 1}": specific}
        known[f"consistent {view + 1}"] = alone - specific
        if "v0" in world.names:
            known[f"observation {view + 1}"] = world.information("y", v[view])
            known[f"gap {view + 1}"] = world.information("y", v[view]) - alone
    known["overlap"] = sum(known[f"representation {view + 1}"] for view in range(views)) - known["joint"]
    for size in range(1, views + 1):
        for inside in itertools.combinations(range(views), size):
            outside = [z[view] for view in range(views) if view not in inside]
            name = "region " + " ".join(str(view + 1) for view in inside)
            known[name] = in_common(world, [z[view] for view in inside], outside)
    return known


def in_common(world: JointDistribution, views: list[str], given: list[str]) -> float:
    """I(y; view; view; ... | given), from its recursive definition."""
    *rest, last = views
    if not rest:
        return world.information("y", last, given=given)
    return in_common(world, rest, given) - in_common(world, rest, [*given, last])


@pytest.mark.slow
@pytest.mark.parametrize(("build", "views"), [(two_views, 2), (three_views, 3)])
def test_known_nats_lie_within_the_intervals(build, views):
    world = build()
    known = truths(world, views)
    inside, errors = [], []
    for seed in range(4):
        found = diagnose(**drawn(world, 1000, seed, views), seed=seed)
        named = figures(found)
        assert named.keys() == known.keys()
        inside += [named[name].low - 1e-12 <= truth <= named[name].high + 1e-12 for name, truth in known.items()]
        errors += [named[name].nats - truth for name, truth in known.items()]
    # Figures of one draw go together, so that more than one in twenty may miss.
    assert np.mean(inside) >= 0.93
    assert np.abs(errors).max() < 0.15
    assert abs(np.mean(errors)) < 0.02


def test_figures_agree_with_one_another():
    found = diagnose(**drawn(two_views(), 600, 0, 2), folds=2)
    first, second = found.views
    for view in found.views:
        assert view.gap.nats == pytest.approx(view.observation.nats - view.representation.nats)
        assert view.consistent.nats == pytest.approx(view.representation.nats - view.specific.nats)
        assert view.redundancy.nats - view.synergy.nats == pytest.approx(view.consistent.nats)
    assert first.consistent.nats == pytest.approx(second.consistent.nats)
    assert found.overlap.nats == pytest.approx(first.consistent.nats)
    assert sum(region.nats for region in found.regions.values()) == pytest.approx(found.joint.nats)
    assert found.regions["1",].nats == pytest.approx(first.specific.nats)
    for interval in figures(found).values():
        assert interval.low <= interval.nats <= interval.high


@pytest.mark.slow
def test_copies_are_redundant_and_an_exclusive_or_is_synergy():
    rng = np.random.default_rng(0)
    bits = rng.integers(2, size=(1200, 2))
    copies = [2.0 * bits[:, :1] - 1 + 0.1 * rng.normal(size=(1200, 1)) for _ in range(2)]
    same = diagnose(representations=copies, labels=bits[:, 0])
    assert same.views[0].redundancy.nats == pytest.approx(BIT, abs=0.01)
    assert same.views[0].specific.high < 0.01
    assert same.views[0].synergy.high < 0.01
    apart = [2.0 * bits[:, view : view + 1] - 1 + 0.1 * rng.normal(size=(1200, 1)) for view in range(2)]
    both = diagnose(representations=apart, labels=bits[:, 0] ^ bits[:, 1], probe="mlp")
    assert both.joint.nats == pytest.approx(BIT, abs=0.02)
    assert both.views[0].consistent.nats == pytest.approx(-BIT, abs=0.03)
    assert both.views[0].synergy.nats == pytest.approx(BIT, abs=0.03)
    assert both.views[0].redundancy.high < 0.01
    assert both.overlap.high < 0
    # What a linear probe cannot read it does not claim.
    assert abs(diagnose(representations=apart, labels=bits[:, 0] ^ bits[:, 1]).joint.nats) < 0.01


@pytest.mark.slow
def test_agreement_and_calibration_of_known_predictions():
    world = two_views()
    given = drawn(world, 1500, 3, 2)
    given["representations"][1] = (
        given["representations"][0] @ np.linalg.qr(np.random.default_rng(0).normal(size=(12, 12)))[0]
    )
    found = diagnose(**given)
    (pair,) = found.agreements
    # Both know two of three bits: predictions tie within four pairs of classes, which noise decides.
    assert pair.divergence < 1e-3
    assert pair.share > 0.5 > pair.chance
    assert all(view.calibration_error < 0.05 for view in found.views)
    assert found.accuracy == pytest.approx(0.5, abs=0.05)


@pytest.mark.slow
def test_one_view_and_many_views():
    given = drawn(two_views(), 300, 0, 2)
    alone = diagnose(
        representations=given["representations"][:1], observations=given["observations"][:1], labels=given["labels"]
    )
    assert alone.joint == alone.views[0].representation
    assert alone.joint_observations == alone.views[0].observation
    assert (alone.overlap, alone.regions, alone.agreements, alone.retrieval) == (None, {}, (), ())
    assert alone.views[0].specific is None
    four = diagnose(representations=given["representations"] * 2, labels=given["labels"], names=list("abcd"))
    assert [view.name for view in four.views] == ["a", "b", "c", "d"]
    assert (len(four.agreements), four.regions) == (6, {})
    assert all(abs(view.specific.nats) < 0.03 for view in four.views)  # each has a copy


@pytest.mark.slow
def test_search_across_two_views():
    rng = np.random.default_rng(0)
    y = np.arange(120) % 6
    things = 4 * np.eye(6)[y] + rng.normal(size=(120, 6))
    found = diagnose(representations=[things, things + 0.01 * rng.normal(size=things.shape)], labels=y, folds=2)
    there, back = found.retrieval
    assert (there.query, there.gallery, back.query) == ("1", "2", "2")
    assert there.pair == back.pair == 1.0
    assert there.rank_1 > 0.9
    similarity = things @ things.T / np.outer(np.linalg.norm(things, axis=1), np.linalg.norm(things, axis=1))
    np.fill_diagonal(similarity, -2)  # the pair itself is not a match
    assert there.rank_1 == pytest.approx((y[similarity.argmax(axis=1)] == y).mean(), abs=0.03)
    assert diagnose(representations=[things, things[:, :3]], labels=y).retrieval == ()


def test_groups_stay_together():
    rng = np.random.default_rng(1)
    people = np.repeat(np.arange(60), 8)
    look = 3 * rng.normal(size=(60, 40))[people] + rng.normal(size=(480, 40))
    factor = rng.permutation(np.arange(60) % 2)[people]
    assert diagnose(representations=[look], labels=factor).joint.nats > 0.2
    assert abs(diagnose(representations=[look], labels=factor, groups=people).joint.nats) < 0.05


def test_a_gaussian_encoder_is_bracketed_and_a_deterministic_one_refused():
    rng = np.random.default_rng(0)
    v = rng.normal(size=(800, 1))
    y = (v[:, 0] > 0).astype(int)
    found = diagnose(representations=[v], log_variances=[np.zeros_like(v)], labels=y)
    held = found.views[0].retained
    assert held.lower.low <= math.log(2) / 2 <= held.upper.high
    assert held.upper.nats - held.lower.nats < 0.1
    with pytest.raises(InputError, match=r"view 1: .*deterministic.*infinite"):
        diagnose(representations=[v], log_variances=[np.full_like(v, -np.inf)], labels=y)
    with pytest.raises(InputError, match=r"view 1: .*deterministic.*infinite"):
        diagnose(representations=[v], log_variances=[np.full_like(v, -80.0)], labels=y)


@pytest.mark.slow
def test_a_seed_gives_the_same_diagnosis_and_the_printed_table_names_everything():
    given = drawn(two_views(), 200, 0, 2)
    first, again, other = (diagnose(**given, folds=2, seed=seed) for seed in (3, 3, 4))
    assert first == again
    assert first != other
    text = str(first)
    for words in ("I(v;y)", "gap", "only in this view", "synergy", "H(y)", "by chance", "in common of 1, 2"):
        assert words in text
    assert max(len(line) for line in text.splitlines() if not line.startswith("warning")) <= 120


def test_a_stochastic_encoder_is_read_with_its_noise():
    rng = np.random.default_rng(1)
    v = rng.normal(size=(1500, 1))
    y = (v[:, 0] > 0).astype(int)
    found = diagnose(representations=[v], observations=[v], log_variances=[np.full_like(v, 4.0)], labels=y)
    (view,) = found.views
    assert view.representation.nats <= view.retained.upper.high  # data processing
    assert view.gap.low > 0.5


@pytest.mark.slow
def test_scale_does_not_matter_and_whole_numbers_are_exact():
    rng = np.random.default_rng(0)
    y = np.arange(120) % 3
    z = np.eye(3)[y] + 0.2 * rng.normal(size=(120, 3))
    plain, huge, tiny = (
        diagnose(representations=[z * scale, z * scale], labels=y, folds=2) for scale in (1.0, 1e300, 1e-300)
    )
    for other in (huge, tiny):
        assert other.joint.nats == pytest.approx(plain.joint.nats, abs=1e-3)
        assert other.retrieval[0].pair == 1.0
    counted = diagnose(representations=[1_000_000_000 + y[:, None]], labels=y)
    assert counted.joint.nats > 1.0


def test_progress_ends_at_its_total():
    calls = []
    diagnose(**drawn(two_views(), 200, 0, 2), folds=2, progress=lambda done, total: calls.append((done, total)))
    assert calls == sorted(calls)
    assert calls[-1][0] == calls[-1][1]


@pytest.mark.slow
def test_warnings_say_what_the_sample_cannot_bear():
    rng = np.random.default_rng(0)
    y = np.append(np.arange(40) % 4, 4)
    few = diagnose(representations=[np.eye(5)[y] + 0.5 * rng.normal(size=(41, 5)), rng.normal(size=(41, 60))], labels=y)
    said = " ".join(few.warnings)
    assert "1 of 5 classes have fewer samples than the 5 folds (first: '4', 1)" in said
    assert "too many features for 41 samples (65 of all z)" in said
    assert "too few samples to tell" in said
    assert diagnose(**drawn(two_views(), 2000, 0, 2)).warnings == ()


@pytest.mark.slow
def test_warnings_where_a_narrow_interval_would_mislead():
    rng = np.random.default_rng(0)
    y = np.arange(200) % 2
    wide = rng.normal(size=(200, 50))
    wide[:, 0] += y  # 0.11 nats, of which hardly anything can be read among so many columns
    assert "too many features for 200 samples (50 of z of 1)" in " ".join(
        diagnose(representations=[wide], labels=y).warnings
    )
    copies = np.repeat(rng.normal(size=(40, 3)), 5, axis=0)
    assert "copies of others" in " ".join(diagnose(representations=[copies], labels=y).warnings)
    people = np.repeat(np.arange(8), 25)
    grouped = diagnose(representations=[rng.normal(size=(200, 3))], labels=people % 4, groups=people)
    assert "4 of 4 classes have fewer groups than the 5 folds" in " ".join(grouped.warnings)


GOOD = np.random.default_rng(0).normal(size=(30, 3))
LABELS = np.arange(30) % 3


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"labels": np.zeros(30, int)}, "labels must be of at least two classes: all are '0'"),
        ({"labels": np.arange(30)}, "labels must be fewer classes than samples: there are 30 of 30"),
        ({"labels": LABELS[:-1]}, "labels must have shape (30,)"),
        ({"labels": LABELS / 2}, "labels must be integers, booleans or strings"),
        (
            {"representations": [GOOD, GOOD[:-1]]},
            "representations[1] must have 30 rows, as representations[0] has, not 29",
        ),
        ({"representations": [GOOD, np.where(GOOD > 1, np.nan, GOOD)]}, "representations[1] must be finite"),
        ({"representations": [GOOD, np.ones((30, 4))]}, "representations[1] is constant"),
        ({"representations": GOOD}, "representations must be a list with one matrix per view"),
        ({"representations": []}, "representations must hold at least one view"),
        ({"representations": [GOOD[:, 0]]}, "representations[0] must be real numbers of shape (samples, features)"),
        ({"observations": [GOOD, GOOD]}, "observations must be of 1 views, as representations are, not 2"),
        ({"observations": [GOOD[:7]]}, "observations[0] must have 30 rows"),
        ({"log_variances": [GOOD[:, :2]]}, "log_variances[0] must be (30, 3) as its means are, not (30, 2)"),
        ({"names": ["a", "b"]}, "names must be 1 different ones"),
        ({"names": ["a\nb"]}, "names must be printable"),
        ({"groups": np.arange(29)}, "groups must have shape (30,)"),
        ({"groups": np.arange(30) % 3}, "folds must be at most the number of groups, 3"),
        ({"folds": 31}, "folds must be at most the number of samples, 30"),
        ({"confidence": 95}, "confidence must be between 0 and 1"),
        ({"probe": "tree"}, "probe must be one of linear, mlp"),
    ],
)
def test_unusable_input_is_refused_in_one_line(given, words):
    with pytest.raises(InputError, match=re.escape(words)) as caught:
        diagnose(**({"representations": [GOOD], "labels": LABELS} | given))
    assert "\n" not in str(caught.value)
