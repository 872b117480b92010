"""The study of estimators: what rows say, stated errors on both sides, what is written, refusals."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from limbeck.errors import InputError
from limbeck.information.benchmark_tasks import benchmark_task, benchmark_tasks
from limbeck.studies.estimators import run as estimators_run
from limbeck.studies.estimators.report import as_json, coverage_tables, estimators_figure, format_report, write_report
from limbeck.studies.estimators.run import (
    CRITICS,
    ESTIMATORS,
    EstimatorRow,
    EstimatorsResult,
    EstimatorsSettings,
    StatedError,
    run,
    stated_error,
    suits,
)

TASKS = ("normal", "two-pairs-25", "gaussian-classes-8", "discrete-table", "linear-encoder-8")


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def result(messages, tmp_path_factory):
    torch.set_num_threads(1)
    settings = EstimatorsSettings(
        samples=200, seeds=2, estimators=("infonce", "ksg", "ross", "linear", "bracket"), tasks=TASKS
    )
    with messages() as told:
        found = run(settings, tmp_path_factory.mktemp("estimators"))
    assert len(told) == 5 + 3 + 1 + 2 + 1
    assert told[0].startswith("1/12: normal, infonce: ")
    assert told[-1].startswith("12/12: linear-encoder-8, bracket: ")
    return found


@pytest.mark.slow
def test_every_estimator_that_suits_is_there(result):
    asked = {(row.task.name, row.estimator) for row in result.rows}
    known = [f"known {name}" for name in ("infonce", "standard prior", "fitted prior", "leave-one-out")]
    assert asked == {
        *((task, "infonce") for task in TASKS),
        *((task, "ksg") for task in ("normal", "two-pairs-25", "linear-encoder-8")),
        ("gaussian-classes-8", "ross"),
        *((task, "linear") for task in ("gaussian-classes-8", "discrete-table")),
        *(("linear-encoder-8", name) for name in known),
    }
    assert all(len(row.nats) == len(row.low) == len(row.high) == 2 for row in result.rows)


@pytest.mark.slow
def test_bounds_are_on_their_sides_and_rows_repeat(result, tmp_path):
    assert set(result.right) == {row.estimator for row in result.rows if row.bound != "neither"}
    assert min(result.right.values()) >= 0.95
    settings = EstimatorsSettings(samples=200, seeds=1, first_seed=1, estimators=("ksg",), tasks=("normal",))
    (row,) = run(settings, tmp_path).rows
    assert row.nats[0] == next(one.nats[1] for one in result.rows if one.estimator == "ksg")


def row(nats, low, high, *, bound="lower", stated=None, saturates=None, warnings=None):
    return EstimatorRow(
        task=benchmark_task("two-pairs-2"),  # 1.0217 nats
        estimator="ours",
        bound=bound,
        stated=stated or StatedError(-0.3, 0.1, "noise"),
        nats=nats,
        low=low,
        high=high,
        saturates=saturates,
        seconds=0.0,
        warnings=warnings or ((),) * len(nats),
    )


def test_a_row_counts_what_it_says():
    one = row((0.9, 1.1, 1.3, 0.5), (0.8, 1.0, 1.2, 0.4), (1.0, 1.2, 1.4, 0.6))
    assert one.estimate.mean == pytest.approx(0.95)
    assert one.bias == pytest.approx(0.95 - 1.02165, abs=1e-4)
    assert one.estimate.deviation == pytest.approx(np.std([0.9, 1.1, 1.3, 0.5], ddof=1))
    assert (one.within, one.holds, one.right) == (0.5, False, 0.75)
    assert row(one.nats, one.low, one.high, bound="upper").right == 0.5
    assert row(one.nats, one.low, one.high, bound="neither").right is None
    nineteen = row((0.9,) * 19 + (2.0,), (0.8,) * 20, (1.0,) * 20)
    assert nineteen.holds
    assert not row((0.9,) * 18 + (2.0, 2.0), (0.8,) * 20, (1.0,) * 20).holds
    assert row(one.nats, one.low, one.high, saturates=1.0).saturated
    assert not row(one.nats, one.low, one.high, saturates=1.1).saturated
    assert math.isnan(row((1.0,), (0.9,), (1.1,)).estimate.deviation)


def test_a_row_counts_misses_by_what_its_bound_states():
    ends = (0.8, 0.9, 1.1, 1.2), (1.0, 1.1, 1.3, 1.4)  # 1.0217: below, in it, above, above
    warned = ((), (), ("why",), ())
    lower = row((0.9, 1.0, 1.2, 1.3), *ends, warnings=warned)
    assert (lower.covered, lower.warned, lower.missed, lower.silent, lower.loose) == (0.25, 0.25, 0.5, 0.25, 0.5)
    upper = row(lower.nats, *ends, bound="upper", warnings=warned)
    assert (upper.covered, upper.missed, upper.silent, upper.loose) == (0.25, 0.25, 0.25, 0.5)
    neither = row(lower.nats, *ends, bound="neither", warnings=warned)
    assert (neither.covered, neither.missed, neither.silent) == (0.25, 0.75, 0.5)


def test_the_table_of_coverage_marks_what_misses_silently():
    settings = EstimatorsSettings(seeds=10, tasks=("two-pairs-2",))
    held, above = ((0.9,) * 10, (1.1,) * 10), ((1.1,) * 10, (1.2,) * 10)
    two = ((1.1,) * 2 + (0.9,) * 8, (1.2,) * 10)
    said = (("why",),) * 10

    def cell(ends, bound, warnings=None):
        shown = EstimatorsResult(settings, (row((1.0,) * 10, *ends, bound=bound, warnings=warnings),))
        ((headings, cells),) = coverage_tables(shown)
        assert headings == ("task", "truth", "ours" + {"lower": " ≥", "upper": " ≤", "neither": ""}[bound])
        assert cells[-1][2] == str(int("!" in cells[0][2]))
        return cells[0][2]

    assert cell(held, "neither") == "10"
    assert cell(held, "lower", said) == "10 w10"
    assert cell(above, "lower") == "0 s0 !"
    assert cell(above, "lower", said) == "0 s0 w10"
    assert cell(above, "upper") == "0 ~"
    assert cell(two, "neither") == "8 !"
    assert cell(two, "neither", said) == "8 w10"
    one = ((1.1,) + (0.9,) * 9, (1.2,) * 10)  # 10 % and no more
    assert cell(one, "neither") == "9"
    assert cell(one, "lower") == "9 s9"


def test_a_second_run_measures_only_what_is_not_there(tmp_path, monkeypatch):
    settings = EstimatorsSettings(samples=200, seeds=2, estimators=("ksg",), tasks=("normal",))
    first = run(settings, tmp_path).rows[0]
    file = tmp_path / "figures" / "normal-ksg.json"
    assert list(json.loads(file.read_text())["seeds"]) == ["0", "1"]
    asked = []
    honest = estimators_run._estimates
    monkeypatch.setattr(
        estimators_run, "_estimates", lambda drawn, name, seed: asked.append(seed) or honest(drawn, name, seed)
    )
    more = run(replace(settings, seeds=3), tmp_path).rows[0]
    assert asked == [2]
    assert more.nats[:2] == first.nats
    assert (more.low[:2], more.high[:2], more.warnings[:2]) == (first.low, first.high, first.warnings)
    assert run(settings, tmp_path).rows[0] == first
    assert asked == [2]
    with pytest.raises(
        InputError, match=r"normal-ksg.json: was measured with 200 samples, not 300; name another folder"
    ):
        run(replace(settings, samples=300), tmp_path)
    file.write_text("{")
    with pytest.raises(InputError, match=r"normal-ksg.json: damaged .*; remove it to measure again"):
        run(settings, tmp_path)


def test_what_is_refused_is_counted_and_stops_nothing(tmp_path):
    settings = EstimatorsSettings(samples=400, seeds=8, estimators=("ross",), tasks=("rare-label-0.02",))
    (row,) = run(settings, tmp_path).rows
    rare = [int(benchmark_task("rare-label-0.02").sample(400, seed).y.sum()) < 8 for seed in range(8)]
    assert 0 < row.refused == sum(rare) < 8
    assert len(row.nats) == len(row.warnings) == 8 - row.refused
    ((_, cells),) = coverage_tables(EstimatorsResult(settings, (row,)))
    assert f"r{row.refused}" in cells[0][2].split()
    assert run(replace(settings, samples=200), tmp_path / "none").rows == ()


@pytest.mark.slow
def test_processes_side_by_side_find_the_same(tmp_path):
    settings = EstimatorsSettings(
        samples=200, seeds=2, estimators=("ksg", "ross"), tasks=("normal", "overlapping-uniforms-2")
    )
    one = run(settings, tmp_path / "one")
    two = run(replace(settings, jobs=2), tmp_path / "two")
    assert [row.nats for row in one.rows] == [row.nats for row in two.rows]


def test_a_stated_failure_excludes_the_truth():
    assert StatedError(-1.0, -0.2, "").fails
    assert StatedError(10.0, math.inf, "").fails
    assert not StatedError(-0.1, 0.1, "").fails
    failing = {
        (task.name, name)
        for task in benchmark_tasks()
        for name in (*CRITICS, "ksg", "ross", "linear", "quadratic", "mlp", "known infonce", "known leave-one-out")
        if (suits(name, task) if name in ESTIMATORS else suits("bracket", task))
        and stated_error(name, task, 1000).fails
    }
    above_a_fold = ("linear-encoder-8", "linear-encoder-32")
    assert failing == {
        *((task, name) for task in above_a_fold for name in CRITICS),
        *((task, "ksg") for task in ("dense-25", "dense-50", "two-pairs-25", *above_a_fold)),
        ("gaussian-classes-64", "ross"),
        ("informative-3-of-100", "ross"),
        ("unequal-variances-2", "linear"),
        ("linear-encoder-32", "known infonce"),
        ("linear-encoder-32", "known leave-one-out"),
    }


def test_a_stated_error_says_something():
    """No critic is said to lie anywhere: of more than a nat it finds some, and it is never far too high."""
    for task in benchmark_tasks():
        for name in CRITICS:
            stated = stated_error(name, task, 1000)
            assert stated.low < stated.high < 0.15
            assert stated.low > -task.truth or task.truth < 1, (task.name, name)
        assert stated_error("infonce", task, 4000).low >= stated_error("infonce", task, 1000).low - 0.01


@pytest.mark.slow
@pytest.mark.parametrize(
    ("estimator", "tasks"),
    [
        ("ksg", ("normal", "swiss-roll", "additive-uniform-0.1", "two-pairs-5", "student-3-3-2", "two-pairs-25")),
        ("ross", ("overlapping-uniforms-5", "gaussian-classes-8", "gaussian-classes-64", "informative-3-of-100")),
        ("linear", ("overlapping-uniforms-5", "gaussian-classes-64", "unequal-variances-2", "informative-3-of-100")),
        ("quadratic", ("unequal-variances-2", "structural-zeros")),
        ("infonce", ("normal", "two-pairs-5", "linear-encoder-32")),
        ("js", ("linear-encoder-8",)),
        ("bracket", ("linear-encoder-2", "linear-encoder-8", "linear-encoder-32")),
    ],
)
def test_errors_are_as_stated_on_draws_that_the_rules_were_not_made_from(estimator, tasks, tmp_path):
    settings = EstimatorsSettings(seeds=1, first_seed=1000, estimators=(estimator,), tasks=tasks)
    found = run(settings, tmp_path)
    assert {row.task.name for row in found.rows} == set(tasks)
    assert [(row.task.name, row.estimator, row.nats) for row in found.rows if not row.holds] == []


def test_what_suits_what():
    assert [task.name for task in benchmark_tasks() if suits("linear", task) and not suits("ross", task)] == [
        "discrete-table",
        "structural-zeros",
    ]
    for task in benchmark_tasks():
        assert suits("ksg", task) != suits("linear", task)
        assert suits("bracket", task) == (task.kind == "gaussian encoder")
        assert all(suits(name, task) for name in CRITICS)


@pytest.mark.slow
def test_the_text_names_what_fails_and_what_is_saturated(result):
    text = format_report(result)
    lines = text.splitlines()
    assert "200 samples, 2 seeds" in lines[0]
    start = next(number for number, line in enumerate(lines) if "two-pairs-25" in line)
    (collapsed,) = (line for line in lines[start : start + 2] if " ksg " in line)
    assert "fails" in collapsed
    assert any("infonce" in line and "lower sat." in line for line in lines)
    assert "…" not in text
    assert "on the right side of the truth" in text
    assert "Seeds of 2 whose 95 % interval holds the truth" in text
    assert "rows have intervals that miss in more than 10 % of the seeds without a warning" in text
    wrong = row((2.0, 2.0), (1.9, 1.9), (2.1, 2.1))
    spoiled = type(result)(result.settings, (wrong,))
    assert "0 % !" in format_report(spoiled)
    assert "0 of 1 rows are within their stated error" in format_report(spoiled)


@pytest.mark.slow
def test_the_json_is_plain_and_complete(result):
    plain = json.loads(json.dumps(as_json(result), allow_nan=False))
    assert plain["settings"]["samples"] == 200
    assert plain["settings"]["tasks"] == list(TASKS)
    assert len(plain["rows"]) == len(result.rows)
    for one, origin in zip(plain["rows"], result.rows, strict=True):
        assert (one["task"], one["estimator"], one["nats"]) == (origin.task.name, origin.estimator, list(origin.nats))
        assert one["truth"] == origin.task.truth


@pytest.mark.slow
def test_everything_is_written(result, tmp_path):
    files = write_report(result, tmp_path / "out")
    assert [file.name for file in files] == ["estimators.json", "estimators.txt", "estimators.png", "index.html"]
    assert files[1].read_text() == format_report(result)
    assert files[2].read_bytes().startswith(b"\x89PNG")
    page = files[3].read_text()
    assert "data:image/png;base64," in page
    assert "<script" not in page
    assert "http" not in page.replace("http-equiv", "")
    for task in TASKS:
        assert task in page
    axes = estimators_figure(result).axes[0]
    assert len(axes.get_yticks()) == len(TASKS)
    assert len(axes.texts) == len(result.rows)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"samples": 199}, "samples must be a whole number of at least 200, not 199"),
        ({"seeds": 0}, "seeds must be a whole number of at least 1"),
        ({"jobs": 0}, "jobs must be a whole number of at least 1, not 0"),
        ({"first_seed": -1}, "first_seed must be a whole number in"),
        ({"estimators": ("smile",)}, "estimators must be of ksg, .*, not 'smile'"),
        ({"tasks": ("moons",)}, "no benchmark task is called 'moons'"),
    ],
)
def test_unusable_settings_are_refused_in_one_line(options, words):
    with pytest.raises(InputError, match=words) as caught:
        EstimatorsSettings(**options)
    assert "\n" not in str(caught.value)


def test_the_default_is_everything():
    assert EstimatorsSettings().estimators == ESTIMATORS
    assert set(ESTIMATORS) == {*CRITICS, "ksg", "ross", "linear", "quadratic", "mlp", "bracket"}
