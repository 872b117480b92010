"""The study of losses: grids, choice on validation classes alone, divisions, resumption, report."""

import json
from dataclasses import replace
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from limbeck.errors import InputError
from limbeck.images.photographs import PhotographSettings
from limbeck.metric.recipe import PARAMETERS, LossSettings
from limbeck.metric.sets.arrays import load_arrays
from limbeck.reporting.statistics import paired_difference
from limbeck.studies.losses import trainings
from limbeck.studies.losses.data import PhotographsSettings, divide_photographs, draw_divided_people, read_photographs
from limbeck.studies.losses.report import format_report, write_report
from limbeck.studies.losses.rows import (
    BOTTLENECK,
    DISTILLATION,
    DISTILLED,
    GRIDS,
    ROWS,
    UNTRAINED,
    Point,
    bottleneck_recipe,
    points,
    row_recipe,
)
from limbeck.studies.losses.run import (
    LossesResult,
    LossesSettings,
    SetResult,
    Tuned,
    best_point,
    best_row,
    run,
    study_recipe,
)
from limbeck.studies.losses.trainings import Score, Scored
from limbeck.synthetic.people import PeopleSettings

SIDE, CLASSES, EACH = 16, 14, 6
PEOPLE = PeopleSettings(
    train_identities=5,
    validation_identities=2,
    test_identities=3,
    images_per_camera=2,
    height=32,
    width=16,
    absent=0.0,
    difficulty="easy",
)


def make_array(file: Path, *, noise: tuple[str, ...] = ()) -> Path:
    """Photographs of classes "a", "b", ..., and of "dull"; those that are named are noise and nothing else."""
    rng = np.random.default_rng(0)
    names = [*"abcdefghijklmn"[:CLASSES], "dull"]
    images = np.empty((len(names) * EACH, SIDE, SIDE, 3), np.uint8)
    for number, name in enumerate(names):
        colour, spread = rng.uniform(40, 215, 3), rng.normal(0, 30, (EACH, SIDE, SIDE, 3))
        values = 3 * spread + 128 if name in noise else spread + colour
        images[number * EACH : (number + 1) * EACH] = np.clip(values, 0, 255)
    np.savez(file, images=images, labels=np.repeat(names, EACH))
    return file


def tiny(data: Path, **changes: Any) -> LossesSettings:
    recipe = study_recipe()
    recipe = replace(
        recipe,
        network=replace(recipe.network, embedding=8, hidden=(8,), representation=6),
        augmentation=PhotographSettings(scale=(0.6, 1.0)),
        sampler=replace(recipe.sampler, batch=6, pictures=2, steps_per_epoch=2),
        training=replace(recipe.training, epochs=1, warmup_steps=0),
    )
    given: dict[str, Any] = {
        "data": str(data),
        "sets": ("photographs",),
        "losses": ("cross-entropy", "multi-similarity"),
        "seeds": (3, 4),
        "grid": "small",
        "recipe": recipe,
        "photographs": PhotographsSettings(leave_out=("dull",), validation_classes=4, most=5, side=SIDE),
        "people": PEOPLE,
        "people_side": 24,
    }
    return LossesSettings(**(given | changes))


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, LossesSettings, LossesResult]:
    folder = tmp_path_factory.mktemp("losses")
    settings = tiny(make_array(folder / "set.npz"), sets=("photographs", "people"))
    return folder, settings, run(settings, folder / "study")


@pytest.mark.slow
def test_every_row_and_seed_is_scored_on_every_set(done: tuple[Path, LossesSettings, LossesResult]) -> None:
    for one in done[2].sets:
        rows = (UNTRAINED, "cross-entropy", "multi-similarity", BOTTLENECK, DISTILLED)
        assert set(one.test) == {(row, seed) for row in rows for seed in (3, 4)}
        assert one.best in ("cross-entropy", "multi-similarity")
        for (row, _), trained in one.test.items():
            assert set(trained.scores) == ({"v", "z"} if row in (BOTTLENECK, DISTILLED) else {"v"})
            for score in trained.scores.values():
                assert 0 < score.recall_1 <= score.recall_2 <= score.recall_4 <= score.recall_8 <= 1
                assert score.nats is not None
                assert score.entropy is not None
                assert score.nats < score.entropy
            assert (trained.seconds > 0) == (row != UNTRAINED)
        for row, grid in one.grids.items():
            assert len(grid) == 2
            assert one.chosen[row] == best_point(grid)
            # The tuning seed's training is that of the chosen point.
            (kept,) = (tuned.map_at_r[0] for tuned in grid if tuned.point == one.chosen[row])
            assert kept == one.validation[row, 3].scores["v"].map_at_r


@pytest.mark.slow
def test_what_is_done_is_not_done_again(
    done: tuple[Path, LossesSettings, LossesResult], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, settings, result = done

    def never(*_: object, **__: object) -> None:
        raise AssertionError

    monkeypatch.setattr(trainings, "train_run", never)
    monkeypatch.setattr(trainings, "score", never)
    assert run(settings, folder / "study") == result
    longer = replace(settings, recipe=replace(settings.recipe, training=replace(settings.recipe.training, epochs=2)))
    with pytest.raises(InputError, match="another recipe"):
        run(longer, folder / "study")
    fewer = replace(settings, photographs=replace(settings.photographs, most=4))
    with pytest.raises(InputError, match="other pictures or settings"):
        run(fewer, folder / "study")


@pytest.mark.slow
def test_test_classes_change_no_choice(done: tuple[Path, LossesSettings, LossesResult], tmp_path: Path) -> None:
    """Other pictures of the test classes leave grids, choices and validation figures as they are, to the last bit."""
    folder, settings, result = done
    held = np.load(folder / "study" / "photographs" / "seed-3.npz")
    test = tuple(np.unique(held["labels"][held["split"] == "test"]).tolist())
    alone = replace(settings, sets=("photographs",), seeds=(3,))
    clean = run(replace(alone, data=str(make_array(tmp_path / "clean.npz"))), tmp_path / "clean").sets[0]
    noisy = run(replace(alone, data=str(make_array(tmp_path / "noisy.npz", noise=test))), tmp_path / "noisy").sets[0]
    assert clean.grids == noisy.grids
    assert clean.grids["cross-entropy"] == result.sets[0].grids["cross-entropy"]
    assert (clean.chosen, clean.best) == (noisy.chosen, noisy.best)
    for end, one in clean.validation.items():
        assert one.scores == noisy.validation[end].scores
        assert clean.test[end].scores != noisy.test[end].scores


@pytest.mark.slow
def test_the_best_of_validation_is_taken_and_the_others_never_meet_a_test_class(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Figures whose order on test classes is the reverse of that on validation classes."""
    asked: list[tuple[str, str]] = []

    def told(model: trainings.MetricModel, run: Path, split: str) -> dict[str, Score]:
        value = {0.001: 0.2, 0.004: 0.6}[model.recipe.training.learning_rate]
        if model.recipe.loss.name == "multi-similarity":
            value += 0.1
        asked.append((split, run.relative_to(tmp_path / "study").as_posix()))
        shown = value if split == "validation" else 1 - value
        return {"v": Score(shown, shown, shown, shown, shown, 1.0, 2.0)}

    monkeypatch.setattr(trainings, "score", told)
    found = run(tiny(make_array(tmp_path / "set.npz")), tmp_path / "study").sets[0]
    assert {point.rate for point in found.chosen.values()} == {0.004}
    assert found.best == "multi-similarity"
    tested = [place for split, place in asked if split == "test"]
    assert len(tested) == 2 * 5
    assert not [place for place in tested if "rate-0.001" in place and UNTRAINED not in place]
    assert found.values("multi-similarity") == pytest.approx([30.0, 30.0])


@pytest.mark.slow
def test_the_report_holds_every_figure(done: tuple[Path, LossesSettings, LossesResult], tmp_path: Path) -> None:
    result = done[2]
    files = write_report(result, tmp_path)
    assert [file.name for file in files] == ["losses.json", "losses.txt", "losses.png"]
    held, text = json.loads(files[0].read_text()), files[1].read_text()
    for one, shown in zip(result.sets, held["sets"], strict=True):
        assert len(shown["trainings"]) == 10
        assert sum(point["chosen"] for point in shown["grids"]) == 4
        for row in one.rows():
            values = one.values(row)
            assert f"{np.mean(values):.2f} ± {np.std(values, ddof=1):.2f}" in text
        for grid in one.grids.values():
            assert all(f"{100 * tuned.map_at_r[0]:.2f}" in text for tuned in grid)
        (difference,) = (
            entry
            for entry in shown["differences"]
            if (entry["row"], entry["of"], entry["figure"], entry["reference"])
            == ("multi-similarity", "v", "map_at_r", "cross-entropy")
        )
        assert difference["mean"] == pytest.approx(
            np.mean(one.values("multi-similarity")) - np.mean(one.values("cross-entropy"))
        )
    assert "65.7 / 84.1" in text
    assert "cross-entropy: a linear classifier" in text


def test_what_is_asked_for_can_be_sent_to_another_process(tmp_path: Path) -> None:
    recipe = row_recipe(tiny(tmp_path).recipe, "snca", Point(0.001, "temperature", 0.1), 1)
    wanted = trainings.Wanted("snca", recipe, tmp_path, "validation")
    assert len(ForkingPickler.dumps((trainings.scored, wanted)))


@pytest.mark.slow
def test_a_point_that_diverges_is_not_chosen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = tiny(make_array(tmp_path / "set.npz"), losses=("cross-entropy",), seeds=(3,), distillation=False)
    monkeypatch.setitem(GRIDS, "small", ((1e30, 1e-3), 1))  # weights overflow at the first rate
    (found,) = run(settings, tmp_path / "study").sets
    assert np.isnan(found.grids["cross-entropy"][0].map_at_r[0])
    assert found.chosen["cross-entropy"].rate == 1e-3
    assert "diverged" in format_report(LossesResult(settings, (found,)))


@pytest.mark.slow
def test_every_loss_trains_with_every_value_of_its_parameter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(GRIDS, "small", ((1e-3,), 3))
    settings = tiny(make_array(tmp_path / "set.npz"), losses=tuple(ROWS), seeds=(3,), distillation=False)
    (found,) = run(settings, tmp_path / "study").sets
    assert set(found.grids) == set(ROWS)
    for row, grid in found.grids.items():
        assert [tuned.point.value for tuned in grid] == list(ROWS[row].values)
        assert not np.isnan([tuned.map_at_r for tuned in grid]).any()


def test_every_row_is_tuned_on_as_many_points_of_a_setting_it_has(tmp_path: Path) -> None:
    base = tiny(tmp_path).recipe
    for grid, (rates, count) in GRIDS.items():
        for row, given in ROWS.items():
            made = points(grid, given.parameter, given.values)
            assert len(made) == len(set(made)) == len(rates) * count
            for point in made:
                recipe = row_recipe(base, row, point, 7)
                assert getattr(recipe.loss, point.parameter) == point.value
                assert (recipe.training.learning_rate, recipe.training.seed) == (point.rate, 7)
                assert recipe.loss.name == given.loss.get("name", row)
                assert row_recipe(base, row, made[0], 7).network == base.network
            # A setting that another loss ignores would make points of the grid one and the same training.
            users = PARAMETERS.get(given.parameter)
            assert users is None or recipe.loss.name in users
    assert ROWS["cross-entropy"].values == ROWS["cross-entropy-random"].values
    assert LossSettings().label_smoothing == ROWS["cross-entropy"].values[0]


def test_the_bottleneck_is_tuned_with_and_without_divergences(tmp_path: Path) -> None:
    base, chosen = tiny(tmp_path).recipe, Point(0.004, "negative_scale", 20.0)
    plain = bottleneck_recipe(base, "multi-similarity", chosen, Point(0.001, "negative_scale", 10.0), 1)
    assert plain.network.bottleneck
    assert (plain.loss.distillation_weight, plain.loss.consistency) == (0.0, "none")
    assert (plain.loss.negative_scale, plain.training.learning_rate) == (10.0, 0.001)
    distilled = bottleneck_recipe(base, "multi-similarity", chosen, Point(0.001, DISTILLATION, 3.0), 1)
    assert (distilled.loss.distillation_weight, distilled.loss.consistency_weight) == (3.0, 3.0)
    assert (distilled.loss.consistency, distilled.loss.negative_scale) == ("vcd", 20.0)
    assert distilled.training.learning_rate == 0.001


def test_photographs_are_divided_by_class(tmp_path: Path) -> None:
    settings = PhotographsSettings(leave_out=("dull", "absent"), validation_classes=4, most=5)
    photographs = read_photographs(str(make_array(tmp_path / "set.npz")), settings, tmp_path)
    files = divide_photographs(photographs, settings, (1, 2, 3), tmp_path)
    parts = {}
    for seed, file in files.items():
        held = load_arrays(file)
        assert held.classes is not None
        parts[seed] = {name: {held.classes[c] for c in held.label[rows]} for name, rows in held.splits.items()}
        assert np.bincount(held.label).tolist() == [5] * CLASSES
        assert [len(parts[seed][name]) for name in ("train", "validation", "test")] == [5, 4, 5]
        assert len(set().union(*parts[seed].values())) == CLASSES
    assert parts[1]["validation"] == parts[2]["validation"] == parts[3]["validation"]
    assert len({frozenset(part["test"]) for part in parts.values()}) > 1
    assert divide_photographs(photographs, settings, (1,), tmp_path) == {1: files[1]}


@pytest.mark.slow
def test_people_are_divided_as_drawn_and_seen_in_colour_only(tmp_path: Path) -> None:
    file = draw_divided_people(PEOPLE, 24, 5, tmp_path)
    held = load_arrays(file)
    assert held.images is not None
    assert held.images.shape == (10 * 4 * 2, 24, 24, 3)
    assert [len(np.unique(held.label[held.splits[name]])) for name in ("train", "validation", "test")] == [5, 2, 3]
    # Infrared pictures are grey.
    assert (np.ptp(held.images.astype(int), axis=3).max(axis=(1, 2)) > 20).all()
    with pytest.raises(InputError, match="other pictures"):
        draw_divided_people(PEOPLE, 16, 5, tmp_path)


def test_the_best_point_and_loss() -> None:
    grid = [Tuned(Point(rate, "margin", 0.1), values) for rate, values in ((1, (0.3, 0.1)), (2, (0.2, 0.2)))]
    assert best_point([*grid, Tuned(Point(3, "margin", 0.1), (0.1, 0.31))]).rate == 3
    assert best_point([*grid, Tuned(Point(3, "margin", 0.1), (0.9, float("nan")))]).rate == 1
    with pytest.raises(InputError, match=r"diverged: rate 1, margin 0\.1"):
        best_point([Tuned(grid[0].point, (float("nan"),))])
    assert best_row({"cross-entropy-random": 0.9, "triplet": 0.2, "snca": 0.3}) == "snca"
    assert best_row({"cross-entropy-random": 0.9}) is None


def test_differences_are_paired_by_seed() -> None:
    def one(value: float) -> Scored:
        return Scored({"v": Score(value, value, value, value, value, 2 * value, 3.0)})

    given = {("cross-entropy", 0): 0.5, ("cross-entropy", 1): 0.4, ("snca", 0): 0.2, ("snca", 1): 0.3}
    test = {end: one(value) for end, value in given.items()}
    found = SetResult("people", "", {}, {}, None, {}, test)
    assert found.against("cross-entropy", "snca") == paired_difference([20, 30], [50, 40], test_to_train=0.0)
    nats = found.against("cross-entropy", "snca", "nats")
    assert nats == paired_difference([0.4, 0.6], [1.0, 0.8], test_to_train=0.0)
    assert found.against("cross-entropy", "cross-entropy") is None
    assert found.against("cross-entropy", "triplet") is None
    assert found.against("cross-entropy", "snca", kinds=("z", "v")) is None


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"losses": ()}, "losses"),
        ({"losses": ("hinge",)}, "losses"),
        ({"seeds": (1, 1)}, "seeds"),
        ({"tuning_seeds": 3}, "tuning_seeds"),
        ({"jobs": 0}, "jobs"),
        ({"grid": "huge"}, "grid"),
        ({"people": replace(PEOPLE, validation_identities=0)}, "validation_identities"),
    ],
)
def test_settings_that_cannot_be_are_refused(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        tiny(tmp_path, **change)


def test_what_is_missing_is_said_before_anything_is_trained(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="data must say where the photographs lie; `limbeck metric pack"):
        run(replace(tiny(tmp_path), data=""), tmp_path / "study")
    with pytest.raises(InputError, match=r"absent\.zip: there is no such file"):
        run(tiny(tmp_path / "absent.zip"), tmp_path / "study")
    few = tiny(make_array(tmp_path / "set.npz"), photographs=PhotographsSettings(validation_classes=13))
    with pytest.raises(InputError, match="too few to learn from"):
        run(few, tmp_path / "study")
    selecting = replace(study_recipe(), training=replace(study_recipe().training, select="best", validate_epochs=1))
    with pytest.raises(InputError, match="select must be last"):
        tiny(tmp_path, recipe=selecting)
