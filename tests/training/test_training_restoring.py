"""A checkpoint with a right checksum that is not of this training is one line, before any of it is loaded."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.signed import rewrite
from tests.training.toytask import STEPS, train

from limbeck.errors import InputError
from limbeck.training import checkpoints
from limbeck.training.restoring import check_optimizer, load_optimizer

OPTIONS: dict[str, Any] = {"select": "best", "validate_epochs": 1, "checkpoint_steps": 1}
State = dict[str, Any]


class StoppedHereError(Exception):
    pass


@pytest.fixture(scope="module")
def left(one_thread: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a training that was left in its second epoch."""

    def hook(step: int) -> None:
        if step == STEPS + 2:
            raise StoppedHereError

    folder = tmp_path_factory.mktemp("left")
    with pytest.raises(StoppedHereError):
        train(folder, hook=hook, **OPTIONS)
    return folder


def _optimizer(name: str, value: Any) -> Callable[[State], object]:
    return lambda state: state["optimizer"]["state"][0].update({name: value})


def _group(name: str, value: Any) -> Callable[[State], object]:
    return lambda state: state["optimizer"]["param_groups"][0].update({name: value})


def _put(name: str, value: Any) -> Callable[[State], object]:
    return lambda state: state.update({name: value})


def _network(name: str, change: Callable[[torch.Tensor], Any]) -> Callable[[State], object]:
    return lambda state: state["network"].update({name: change(state["network"][name])})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_optimizer("exp_avg", torch.zeros(1)), r"exp_avg of parameter 0 is \(1,\) .* there and \(12, 6\)"),
        (_optimizer("exp_avg_sq", torch.zeros(12, 600)), "exp_avg_sq of parameter 0"),
        (_optimizer("exp_avg", torch.zeros(12, 6, dtype=torch.float64)), "exp_avg of parameter 0 is .*float64"),
        (_optimizer("step", torch.zeros(2)), "step of parameter 0"),
        (_optimizer("step", 3), "step of parameter 0 is int"),
        (_optimizer("more", torch.zeros(1)), "entries"),
        (lambda s: s["optimizer"]["state"][0].pop("exp_avg_sq"), "entries"),
        (lambda s: s["optimizer"]["state"].update({99: s["optimizer"]["state"][0]}), "6 parameters"),
        (lambda s: s["optimizer"]["state"].update({"0": {}}), "6 parameters"),
        (_group("params", [0]), "group 0 is of other parameters"),
        (_group("params", [1, 0, 2, 3, 4, 5]), "group 0 is of other parameters"),
        (_group("betas", (0.5, 0.5)), "betas is"),
        (_group("maximize", True), "maximize is"),
        (_put("optimizer", []), "no state of an optimiser"),
        (lambda s: s["optimizer"].update(param_groups=[]), "1 groups"),
        (_network("0.weight", lambda t: t[:, :1].clone()), r"0.weight is \(12, 1\) there"),
        (_network("0.weight", torch.Tensor.double), "0.weight is float64 there and float32 here"),
        (_network("0.weight", lambda _: "x"), "not tensors by name"),
        (lambda s: s["network"].pop("1.running_mean"), "it has no 1.running_mean"),
        (lambda s: s["best"]["weights"].update({"0.bias": torch.zeros(99)}), r"0.bias is \(99,\) there"),
        (lambda s: s["best"].update(step=10**9), "best is of no step"),
        (lambda s: s["best"].update(figures={}), "best has no figures"),
        (_put("best", 3), "best is not a network"),
        (_put("closed", 7), "7 epochs are closed"),
        (_put("closed", -1), "closed must be"),
        (_put("closed", "1"), "closed must be"),
        (_put("overflows", None), "overflows must be"),
        (_put("sums", {"total": [1.0]}), "sums are not"),
        (_put("sums", {"total": [1.0, 0]}), "sums are not"),
        (_put("rows", [3]), "rows are not"),
        (_put("rows", [{"epoch": "x", "step": 1}]), "rows are not"),
        (_put("history", {"accuracy": 1}), "history are not"),
        (_put("information", [{"step": 1}]), "information is not"),
        (lambda s: s.pop("closed"), "another version"),
    ],
)
def test_a_signed_checkpoint_of_another_training_is_refused(
    left: Path, tmp_path: Path, change: Callable[[State], object], words: str
) -> None:
    (newest, *_) = sorted((left / "checkpoints").iterdir(), reverse=True)
    found = checkpoints.read(newest)
    change(found.state)
    file = checkpoints.write(tmp_path / "checkpoints", found.step, found.state, found.fingerprint, keep=1)
    with pytest.raises(InputError, match=words) as caught:
        train(tmp_path, **OPTIONS)
    assert "\n" not in str(caught.value)
    assert str(file) in str(caught.value)


@pytest.mark.parametrize(
    "change",
    [
        lambda d, _: d.update(step=-1),
        lambda d, _: d.update(step="12"),
        lambda d, _: d.update(step=True),
        lambda d, _: d.update(state=[]),
        lambda d, _: d.update(state={"dict": [[[1], 2]]}),
        lambda d, _: d.update(state={"tensor": "no such tensor"}),
        lambda d, _: d.update(fingerprint="x"),
        lambda d, _: d.pop("fingerprint"),
        lambda _, t: t.clear(),
    ],
)
def test_a_signed_description_that_is_none_is_one_line(left: Path, tmp_path: Path, change: Any) -> None:
    shutil.copytree(left, tmp_path / "run")
    files = sorted((tmp_path / "run" / "checkpoints").iterdir(), reverse=True)
    for file in files:
        rewrite(file, change)
        with pytest.raises(InputError, match="not a training checkpoint") as caught:
            checkpoints.read(file)
        assert "\n" not in str(caught.value)


def test_a_step_beyond_the_training_is_refused(left: Path, tmp_path: Path) -> None:
    found = checkpoints.latest(left / "checkpoints")
    assert found is not None
    checkpoints.write(tmp_path / "checkpoints", 10**6, found.state, found.fingerprint, keep=1)
    with pytest.raises(InputError, match="it is of step 1000000 of 21"):
        train(tmp_path, **OPTIONS)


@pytest.mark.parametrize(
    "make",
    [
        lambda parameters: torch.optim.Adam(parameters, fused=True),
        lambda parameters: torch.optim.AdamW(parameters, weight_decay=0.1),
        lambda parameters: torch.optim.SGD(parameters, 0.1, momentum=0.9, nesterov=True, fused=True),
        lambda parameters: torch.optim.SGD(parameters, 0.1),
    ],
)
def test_every_optimiser_takes_its_own_state_and_no_other(make: Callable[[Any], torch.optim.Optimizer]) -> None:
    torch.manual_seed(0)
    used, unused = torch.nn.Parameter(torch.randn(2, 3)), torch.nn.Parameter(torch.randn(4))
    single = torch.nn.Parameter(torch.randn(()))
    optimizer = make([used, unused, single])
    for _ in range(2):
        optimizer.zero_grad()
        (used.square().sum() * single).backward()
        optimizer.step()
    state = optimizer.state_dict()
    fresh = make([used, unused, single])
    load_optimizer(fresh, state, "FILE")
    for parameter in (used, single):
        for name, value in optimizer.state[parameter].items():
            assert value is None or torch.equal(fresh.state[parameter][name], value)
    other = make([used, unused])
    with pytest.raises(InputError, match="FILE does not fit this optimiser"):
        check_optimizer(other, state, "FILE")
    assert not other.state
    swapped = make([single, unused, used])
    if state["state"]:  # without momentum there is nothing to mistake
        with pytest.raises(InputError, match="FILE does not fit this optimiser"):
            load_optimizer(swapped, state, "FILE")


def test_a_scaler_s_state_is_compared(left: Path) -> None:
    from limbeck.training.restoring import check_scaler

    scaler = torch.amp.GradScaler("cpu")
    check_scaler(scaler, scaler.state_dict(), "FILE")
    for change in ({"scale": "x"}, {"scale": -1.0}, {"growth_interval": 0.5}, {"_growth_tracker": None}):
        with pytest.raises(InputError, match="FILE does not fit this training"):
            check_scaler(scaler, scaler.state_dict() | change, "FILE")
    with pytest.raises(InputError, match="is not the state of one"):
        check_scaler(scaler, None, "FILE")
