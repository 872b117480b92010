"""Settings are checked; the learning rate is a function of the step, with values computed by hand."""

import math
from typing import Any

import pytest

from limbeck.errors import InputError
from limbeck.training import TrainingSettings, generator, learning_rate, seed_step
from limbeck.training.settings import FREE, resume_fingerprint
from limbeck.training.steps import parameter_groups


@pytest.mark.parametrize(
    ("changes", "rates"),
    [
        # 4 steps an epoch. Warm-up of 2 epochs: eighths of the full rate.
        ({"warmup_epochs": 2, "milestones": (5, 6)}, {0: 0.1, 3: 0.4, 7: 0.8, 8: 0.8, 19: 0.8, 20: 0.4, 24: 0.2}),
        ({"warmup_epochs": 0, "milestones": (1,)}, {0: 0.8, 3: 0.8, 4: 0.4, 39: 0.4}),
        ({"warmup_epochs": 0.5, "schedule": "constant"}, {0: 0.4, 1: 0.8, 39: 0.8}),
        # A warm-up may be longer than the way to a milestone.
        ({"warmup_epochs": 2, "milestones": (1,)}, {3: 0.4, 4: 0.25, 7: 0.4, 8: 0.4}),
        # Half a cosine over the 32 steps after the warm-up: cos 0, cos 60°, cos 90°.
        ({"warmup_epochs": 2, "schedule": "cosine"}, {0: 0.1, 7: 0.8, 8: 0.8, 24: 0.4, 40: 0.0}),
        ({"warmup_epochs": 0, "schedule": "cosine"}, {0: 0.8, 20: 0.4, 10: 0.4 * (1 + 2**-0.5)}),
        ({"warmup_epochs": 20, "schedule": "cosine"}, {39: 0.4}),
    ],
)
def test_learning_rate_by_hand(changes: dict[str, Any], rates: dict[int, float]) -> None:
    settings = TrainingSettings(epochs=10, learning_rate=0.8, decay=0.5, **changes)
    found = {step: learning_rate(settings, step, 4) for step in rates}
    assert found == pytest.approx(rates, abs=1e-12)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("epochs", 0),
        ("epochs", 2.5),
        ("epochs", True),
        ("optimizer", "adagrad"),
        ("learning_rate", 0),
        ("learning_rate", float("nan")),
        ("learning_rate", "fast"),
        ("momentum", 1),
        ("weight_decay", -1),
        ("schedule", "linear"),
        ("warmup_epochs", -0.1),
        ("milestones", (0,)),
        ("milestones", (3, 2)),
        ("milestones", [3]),
        ("milestones", 3),
        ("decay", 0),
        ("decay", 1.1),
        ("precision", "fp8"),
        ("clip_norm", 0),
        ("clip_norm", float("inf")),
        ("seed", -1),
        ("seed", 2**63),
        ("workers", -1),
        ("checkpoint_steps", 0),
        ("keep", 0),
        ("validate_epochs", -1),
        ("information_epochs", -1),
        ("information_epochs", 1.5),
        ("select", "first"),
        ("tensorboard", 1),
    ],
)
def test_a_setting_that_makes_no_sense_is_named(name: str, value: Any) -> None:
    with pytest.raises(InputError, match=rf"^{name} must .*not ") as caught:
        TrainingSettings(**{name: value})
    assert "\n" not in str(caught.value)


def test_the_best_needs_figures() -> None:
    with pytest.raises(InputError, match="validate_epochs"):
        TrainingSettings(select="best", validate_epochs=0)


def test_settings_that_cannot_change_the_result_are_free() -> None:
    assert not set(FREE) & resume_fingerprint(TrainingSettings()).keys()
    assert "validate_epochs" not in resume_fingerprint(TrainingSettings())
    assert "validate_epochs" in resume_fingerprint(TrainingSettings(select="best"))
    assert "learning_rate" in resume_fingerprint(TrainingSettings())


def test_a_cosine_over_the_whole_training_is_bounded_by_the_warm_up() -> None:
    settings = TrainingSettings(schedule="whole-cosine", learning_rate=0.02, epochs=30, warmup_steps=100)
    total = 30 * 45
    for step in (0, 1, 57, 99, 100, 700, total - 1):
        expected = 0.02 * min((step + 1) / 100, (1 + math.cos(math.pi * step / total)) / 2)
        assert learning_rate(settings, step, 45) == pytest.approx(expected, rel=1e-15)


def test_a_warm_up_in_steps_takes_the_place_of_one_in_epochs() -> None:
    settings = TrainingSettings(schedule="constant", learning_rate=1.0, warmup_epochs=5, warmup_steps=4)
    assert [learning_rate(settings, step, 10) for step in range(5)] == [0.25, 0.5, 0.75, 1.0, 1.0]


def test_settings_of_later_versions_are_compared_where_they_say_something() -> None:
    assert not {"warmup_steps", "decay_vectors"} & resume_fingerprint(TrainingSettings()).keys()
    changed = resume_fingerprint(TrainingSettings(warmup_steps=3, decay_vectors=False))
    assert (changed["warmup_steps"], changed["decay_vectors"]) == (3, False)


def test_parameters_of_one_dimension_and_named_ones_have_groups_of_their_own() -> None:
    from torch import nn

    network = nn.ModuleDict({"body": nn.Linear(2, 3), "proxies": nn.Linear(3, 4, bias=False)})
    groups = parameter_groups(network, weight_decay=0.1, decay_vectors=False, factors={"proxies.": 100.0})
    assert [(len(one["params"]), one["weight_decay"], one["factor"]) for one in groups] == [
        (1, 0.1, 1.0),
        (1, 0.0, 1.0),
        (1, 0.1, 100.0),
    ]
    with pytest.raises(ValueError, match="factors"):
        parameter_groups(network, weight_decay=0.0, decay_vectors=True, factors={"head": 2.0})


def test_keys_of_any_length_are_independent() -> None:
    keys = [(), (0,), (0, 0), (3,), (3, 0), (0, 3), (2**32,), (0, 1), (1, 0), (2**32, 0), (2**64 - 1,), (1, 2, 3, 4, 5)]
    drawn = [int(generator(*key).integers(2**63)) for key in keys]
    assert drawn == [int(generator(*key).integers(2**63)) for key in keys]
    assert len(set(drawn)) == len(keys)
    with pytest.raises(OverflowError):
        generator(-1)


def test_a_step_is_seeded_by_seed_step_and_rank() -> None:
    import torch

    def drawn(*key: int) -> float:
        seed_step(*key)
        return float(torch.rand((), dtype=torch.float64))

    keys = [(0, 0), (1, 0), (0, 1), (0, 0, 1)]
    assert drawn(0, 0) == drawn(0, 0, 0)
    assert len({drawn(*key) for key in keys}) == len(keys)
