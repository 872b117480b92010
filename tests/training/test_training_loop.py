"""The loop: what it computes, what it writes, when it stops."""

import csv
import json
import sys
import threading
import types
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from tests.training.toytask import SETTINGS, STEPS, MeasuredTask, ToyTask, train, weights
from torch import Tensor, nn

from limbeck.errors import InputError
from limbeck.information import cross_fitted_information
from limbeck.information.curve import PICTURE, TABLE, read_information
from limbeck.reporting.progress import progress_shown
from limbeck.tensorfiles import read_tensors
from limbeck.training import Diverged, Fitted, TrainingSettings, fit, latest, learning_rate, to_device
from limbeck.training.guard import MOST_OVERFLOWS, leaves
from limbeck.training.loop import HeldOut, Measurable


def test_the_loop_is_plain_pytorch(tmp_path: Path) -> None:
    """Three epochs by hand give the same weights."""
    settings = TrainingSettings(**(SETTINGS | {"clip_norm": 0.5}))
    task = ToyTask(settings, dropout=0)
    optimizer = torch.optim.Adam(task.network.parameters(), weight_decay=settings.weight_decay, fused=True)
    for step, batch in enumerate(task.batches(0, 3 * STEPS)):
        optimizer.param_groups[0]["lr"] = learning_rate(settings, step, STEPS)
        optimizer.zero_grad()
        sum(task.terms(task.network, batch).values()).backward()
        torch.nn.utils.clip_grad_norm_(task.network.parameters(), 0.5)
        optimizer.step()
    train(tmp_path, clip_norm=0.5, dropout=0)
    description, found = read_tensors(tmp_path / "model.safetensors", format="limbeck-network-1", what="network")
    for name, value in task.network.state_dict().items():
        torch.testing.assert_close(found[name], value, rtol=1e-6, atol=1e-7)
    assert description["toy"] is True
    assert description["training"]["step"] == 3 * STEPS
    assert description["training"]["settings"]["clip_norm"] == 0.5


def test_logs_say_what_happened(uninterrupted: Path) -> None:
    lines = [json.loads(line) for line in (uninterrupted / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(1, 3 * STEPS + 1))
    assert [line["epoch"] for line in lines] == [1] * STEPS + [2] * STEPS + [3] * STEPS
    assert list(lines[0]) == [
        "step", "epoch", "learning_rate", "total", "classification", "size", "gradient_norm", "seconds",
    ]  # fmt: skip
    with (uninterrupted / "epochs.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert [int(row["epoch"]) for row in rows] == [1, 2, 3]
    mean = sum(line["size"] for line in lines[STEPS : 2 * STEPS]) / STEPS
    assert float(rows[1]["size"]) == pytest.approx(mean)
    assert [bool(row["validation_accuracy"]) for row in rows] == [False, True, True]


def test_the_best_network_is_the_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, messages: Any) -> None:
    figures = iter([0.1, 0.3, 0.7, 0.7, float("nan")])  # the first: whether there are any
    seen: list[dict[str, Tensor]] = []

    def validate(_task: ToyTask, network: nn.Module) -> dict[str, float]:
        assert not network.training
        assert not torch.is_grad_enabled()
        seen.append({name: value.clone() for name, value in network.state_dict().items()})
        return {"accuracy": next(figures)}

    monkeypatch.setattr(ToyTask, "validate", validate)
    settings = TrainingSettings(**(SETTINGS | {"epochs": 4, "validate_epochs": 1, "select": "best"}))
    task = ToyTask(settings)
    with messages() as news:
        result = fit(task, settings, tmp_path)
    assert (result.best_step, result.best) == (2 * STEPS, {"accuracy": 0.7})
    assert [entry["epoch"] for entry in result.history] == [1, 2, 3, 4]
    assert news[1] == "epoch 2: accuracy 0.7"
    for file in ("model.safetensors", "best.safetensors"):
        description, found = read_tensors(tmp_path / file, format="limbeck-network-1", what="network")
        assert description["training"]["figures"] == {"accuracy": 0.7}
        assert all(torch.equal(found[name], value) for name, value in seen[2].items())
    assert all(torch.equal(task.network.state_dict()[name], value) for name, value in seen[2].items())
    assert not task.network.training


def test_both_keeps_the_last_and_the_best_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    figures = iter([0.1, 0.3, 0.7, 0.5])
    monkeypatch.setattr(ToyTask, "validate", lambda *_: {"accuracy": next(figures)})
    result = train(tmp_path / "both", select="both", validate_epochs=1)
    assert (result.best_step, result.best) == (2 * STEPS, {"accuracy": 0.7})
    train(tmp_path / "last", select="last", validate_epochs=0)
    train(tmp_path / "short", select="last", validate_epochs=0, epochs=2)
    held = {
        name: read_tensors(tmp_path / folder / file, format="limbeck-network-1", what="network")
        for name, folder, file in (
            ("last", "both", "model.safetensors"),
            ("best", "both", "best.safetensors"),
            ("plain", "last", "model.safetensors"),
            ("short", "short", "model.safetensors"),
        )
    }
    for one, other in (("last", "plain"), ("best", "short")):
        assert all(torch.equal(held[one][1][name], value) for name, value in held[other][1].items())
    assert [held[name][0]["training"]["figures"] for name in ("last", "best")] == [{"accuracy": 0.5}, {"accuracy": 0.7}]


def test_the_best_cannot_be_selected_without_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ToyTask, "validate", lambda *_: {})
    with pytest.raises(InputError, match="select must be 'last'"):
        train(tmp_path, select="best")
    assert train(tmp_path) == Fitted(21, 3)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_half_precision_learns_the_same(tmp_path: Path, precision: str, uninterrupted: Path) -> None:
    train(tmp_path, precision=precision)
    half, full = (
        [json.loads(line)["total"] for line in (folder / "log.jsonl").read_text().splitlines()]
        for folder in (tmp_path, uninterrupted)
    )
    assert half != full
    assert half == pytest.approx(full, abs=0.1)


# -- information ------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_information_is_measured_before_the_first_step_every_so_often_and_after_the_last(measured: Path) -> None:
    rows = read_information(measured / TABLE)
    assert [(row.step, row.name) for row in rows] == [(epoch * STEPS, name) for epoch in (0, 2, 3) for name in "vz"]
    with (measured / "epochs.csv").open() as stream:
        table = list(csv.DictReader(stream))
    assert [row["information_z"] for row in table] == ["", *(str(row.nats) for row in rows[3::2])]
    assert (measured / PICTURE).is_file()
    # What the table says can be measured again from the network that was written.
    settings = TrainingSettings(**SETTINGS)
    task = MeasuredTask(settings)
    task.network.load_state_dict(weights(measured))
    with torch.no_grad():
        held_out = task.held_out_representations(task.network.eval())
    read = cross_fitted_information(held_out.representations["z"], held_out.labels, seed=settings.seed)
    assert rows[-1].nats == pytest.approx(read.nats)


def test_a_task_that_cannot_be_measured_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = TrainingSettings(**(SETTINGS | {"information_epochs": 1}))
    with pytest.raises(InputError, match="information_epochs must be 0: the task has no held_out_representations"):
        fit(ToyTask(settings), settings, tmp_path)
    assert isinstance(MeasuredTask(settings), Measurable)
    monkeypatch.setattr(MeasuredTask, "held_out_representations", lambda *_: HeldOut({"v": torch.ones(9, 2)}, [1] * 9))
    with pytest.raises(
        InputError, match=r"^information_epochs: representations\['v'\]: labels must be of at least two"
    ):
        fit(MeasuredTask(settings), settings, tmp_path)


# -- divergence --------------------------------------------------------------------------------------------------------


def _spoil(monkeypatch: pytest.MonkeyPatch, at: int, change: Any) -> None:
    terms = ToyTask.terms

    def spoiled(self: ToyTask, network: nn.Module, batch: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
        return change(self, network, batch, terms) if self.asked >= at else terms(self, network, batch)

    monkeypatch.setattr(ToyTask, "terms", spoiled)


def _bad_term(task: ToyTask, network: nn.Module, batch: Any, terms: Any) -> dict[str, Tensor]:
    found = terms(task, network, batch)
    return {**found, "size": found["size"] * float("nan")}


def _bad_batch(task: ToyTask, network: nn.Module, batch: Any, terms: Any) -> dict[str, Tensor]:
    batch[0][2, 3] = float("inf")
    return terms(task, network, batch)  # type: ignore[no-any-return]


def _bad_parameter(task: ToyTask, network: nn.Module, batch: Any, terms: Any) -> dict[str, Tensor]:
    with torch.no_grad():
        task.network[4].bias[1] = float("nan")
    return terms(task, network, batch)  # type: ignore[no-any-return]


def _bad_gradient(task: ToyTask, network: nn.Module, batch: Any, terms: Any) -> dict[str, Tensor]:
    weight = task.network[4].bias
    return {**terms(task, network, batch), "root": (weight - weight.detach()).square().sum().sqrt()}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_bad_term, "the term 'size' of the loss is nan;"),
        (_bad_batch, r"the term 'classification' of the loss is nan, and so is batch\[0\];"),
        (_bad_parameter, "the term 'classification' of the loss is nan, and so is parameter 4.bias;"),
        (_bad_gradient, "the gradient of 4.bias is not finite;"),
    ],
)
def test_divergence_names_step_and_tensor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Any, words: str
) -> None:
    _spoil(monkeypatch, 10, change)
    with pytest.raises(Diverged, match=f"^training diverged in step 11: {words}.*step-000000009") as caught:
        train(tmp_path, checkpoint_steps=3)
    assert "\n" not in str(caught.value)
    found = latest(tmp_path / "checkpoints")
    assert found is not None
    assert found.step == 9
    assert all(value.isfinite().all() for value in found.state["network"].values())


def test_a_network_that_is_not_finite_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(Diverged, match=r"the parameter .* is not finite; there is no checkpoint yet"):
        train(tmp_path, optimizer="sgd", learning_rate=1e38, checkpoint_steps=1, weight_decay=1e30, warmup_epochs=0)
    assert latest(tmp_path / "checkpoints") is None


def test_a_single_overflow_in_fp16_is_left_out_and_many_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _spoil(monkeypatch, 10, lambda *given: _bad_gradient(*given) if given[0].asked == 10 else given[3](*given[:3]))
    train(tmp_path / "one", precision="fp16")
    lines = [json.loads(line) for line in (tmp_path / "one" / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if line["gradient_norm"] is None] == [11]
    _spoil(monkeypatch, 10, _bad_gradient)
    with pytest.raises(Diverged, match=f"in step {10 + MOST_OVERFLOWS}: .* {MOST_OVERFLOWS} times in a row"):
        train(tmp_path / "many", precision="fp16", epochs=6)


# -- misuse, batches, news -----------------------------------------------------------------------------------------


def test_batches_that_end_early_and_terms_that_are_no_numbers_are_errors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(ToyTask, "batches", lambda *_: [])
        with pytest.raises(ValueError, match="ended at step 0 of 21"):
            train(tmp_path)
    for terms in ({}, {"total": torch.ones(())}, {"a": torch.ones(2)}):
        monkeypatch.setattr(ToyTask, "terms", lambda *_, terms=terms: terms)
        with pytest.raises(ValueError, match="loss"):
            train(tmp_path)


class Pair(NamedTuple):
    left: Tensor
    name: str


@dataclass(frozen=True)
class Record:
    pair: Pair
    others: list[Any]


def test_batches_of_any_build_are_moved() -> None:
    record = Record(Pair(torch.ones(1), "a"), [{"x": torch.ones(2)}, (torch.ones(3), None)])
    moved = to_device(record, torch.device("meta"))
    assert type(moved.pair) is Pair
    assert moved.pair.name == "a"
    assert moved.others[1][1] is None
    assert all(tensor.device.type == "meta" for _, tensor in leaves(moved))
    assert [place for place, _ in leaves(record)] == [".pair.left", ".others[0]['x']", ".others[1][0]"]


def test_progress_without_a_terminal_is_ten_lines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = TrainingSettings(**SETTINGS)
    with progress_shown(True):
        fit(ToyTask(settings), settings, tmp_path)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines()[0].startswith("training: step 2/21, epoch 1/3, loss 0.")
    assert err.splitlines()[-1].startswith("training: step 21/21, epoch 3/3, loss 0.")
    assert 10 <= len(err.splitlines()) <= 11


def test_without_tensorboard_there_is_one_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.warns(UserWarning, match="tensorboard is not installed") as caught:
        train(tmp_path, tensorboard=True)
    assert len(caught) == 1


@pytest.mark.slow
def test_tensorboard_gets_every_value(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[tuple[str, int]] = []

    class Writer:
        def __init__(self, folder: str, purge_step: int) -> None:
            assert folder == str(tmp_path / "tensorboard")
            assert purge_step == 1

        def add_scalar(self, name: str, _value: float, step: int) -> None:
            drawn.append((name, step))

        def flush(self) -> None: ...

        def close(self) -> None: ...

    module = types.ModuleType("torch.utils.tensorboard")
    module.SummaryWriter = Writer  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    train(tmp_path, tensorboard=True, information_epochs=3)
    assert [step for name, step in drawn if name == "training/size"] == list(range(1, 22))
    assert [step for name, step in drawn if name == "information/z"] == [0, 21]
    assert [step for name, step in drawn if name == "validation/accuracy"] == [14, 21]


def test_training_in_another_thread_leaves_signals_alone(tmp_path: Path, uninterrupted: Path) -> None:
    found: list[Fitted] = []
    thread = threading.Thread(target=lambda: found.append(train(tmp_path)))
    thread.start()
    thread.join()
    assert found[0].step == 3 * STEPS
    assert all(torch.equal(value, weights(uninterrupted)[name]) for name, value in weights(tmp_path).items())
