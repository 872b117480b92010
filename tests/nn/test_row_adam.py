"""AdamW of sparse rows against AdamW of torch on the dense product, which moves every weight in every step."""

import math
from collections.abc import Iterator, Sequence

import numpy as np
import pytest
import torch
from scipy import sparse
from torch import Tensor

from limbeck.nn import SparseRows, StackedSparseLinear, row_adam
from limbeck.nn.row_adam import RowAdamW

FEATURES, OUTPUTS, BATCH = 40, 5, 4


@pytest.fixture(params=[1, 3])
def threads(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Shares of the outputs of unequal width, however small the layer."""
    before = torch.get_num_threads()
    monkeypatch.setattr(row_adam, "_WORTH_A_THREAD", 1)
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


def _layer(*seeds: int, dtype: torch.dtype = torch.float64, bias: bool = False) -> StackedSparseLinear:
    layer = StackedSparseLinear(FEATURES, OUTPUTS, stack=(len(seeds),), bias=bias).to(dtype)
    layer.reset_parameters([torch.Generator().manual_seed(seed) for seed in seeds])
    return layer


def _batch(step: int, models: Sequence[int], dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    """Inputs (models, batch, features) and directions of the gradient; of every third step without an entry.

    Columns are the rarer the later: the first is in every row, the last but one in one step of a hundred, the last in
    none.
    """
    inputs, directions = [], []
    for model in models:
        rng = np.random.default_rng([step, model])
        met = rng.random((BATCH, FEATURES)) < 0.01 ** (np.arange(FEATURES) / (FEATURES - 2))
        met[:, -1] = False
        met[rng.random(BATCH) < 0.2] = False
        if step % 3 == 1:
            met[:] = False
        inputs.append(np.where(met, rng.normal(size=met.shape), 0))
        directions.append(rng.normal(size=(BATCH, OUTPUTS)))
    return torch.tensor(np.array(inputs), dtype=dtype), torch.tensor(np.array(directions), dtype=dtype)


def _rows(inputs: Tensor) -> SparseRows:
    """Every entry in two parts, the second ones behind, so that columns occur twice in a row."""
    matrix = sparse.csr_array(inputs.flatten(0, 1).numpy())
    columns = [np.tile(part, 2) for part in np.split(matrix.indices, matrix.indptr[1:-1])]
    values = [np.concatenate([0.25 * part, 0.75 * part]) for part in np.split(matrix.data, matrix.indptr[1:-1])]
    return SparseRows(
        torch.tensor(np.concatenate(columns), dtype=torch.int64),
        torch.from_numpy(np.concatenate(values)),
        torch.tensor(2 * matrix.indptr[:-1], dtype=torch.int64),
    )


def _learning_rate(step: int) -> float:
    return 1e-2 if step < 100 else 5e-4


def _step(layer: StackedSparseLinear, optimizer: RowAdamW, step: int, models: Sequence[int]) -> Tensor:
    """One step of a loss that is not linear in the weights; returns what the layer gives before it."""
    inputs, directions = _batch(step, models, layer.weight.dtype)
    optimizer.learning_rate = _learning_rate(step)
    optimizer.zero_grad()
    outputs = layer.forward_rows(_rows(inputs))
    (outputs * directions + 0.1 * outputs.square()).sum().backward()
    optimizer.step()
    return outputs.detach()


@pytest.mark.parametrize("betas", [(0.5, 0.9), (0.9, 0.999), (0.0, 0.9), (0.9, 0.7)], ids=str)
@pytest.mark.parametrize("weight_decay", [0.0, 0.3])
def test_training_is_that_of_the_dense_product_under_adamw(betas: tuple[float, float], weight_decay: float) -> None:
    """In float64, at every step before the update and at the end, of two models side by side."""
    layer, dense = _layer(1, 2), _layer(1, 2)
    ours = RowAdamW([layer], betas=betas, weight_decay=weight_decay)
    theirs = torch.optim.AdamW([dense.weight], betas=betas, weight_decay=weight_decay)
    for step in range(200):
        inputs, directions = _batch(step, (1, 2))
        theirs.param_groups[0]["lr"] = _learning_rate(step)
        expected = dense(inputs)
        theirs.zero_grad()
        (expected * directions + 0.1 * expected.square()).sum().backward()
        theirs.step()
        torch.testing.assert_close(_step(layer, ours, step, (1, 2)), expected.detach(), rtol=1e-9, atol=1e-11)
    ours.settle()
    torch.testing.assert_close(layer.weight, dense.weight, rtol=1e-9, atol=1e-11)
    assert layer.weight.grad is None
    assert (layer.weight - _layer(1, 2).weight).abs().max() > 0.1


def test_training_in_float32_is_that_in_float64_but_for_rounding() -> None:
    layer = _layer(3, dtype=torch.float32)
    exact = _layer(3)
    exact.load_state_dict(layer.state_dict())
    ours, theirs = (RowAdamW([one], betas=(0.5, 0.9), weight_decay=0.1) for one in (layer, exact))
    for step in range(100):
        _step(layer, ours, step, (3,))
        _step(exact, theirs, step, (3,))
    ours.settle()
    theirs.settle()
    torch.testing.assert_close(layer.weight.double(), exact.weight, rtol=1e-4, atol=1e-5)


def test_the_course_of_many_steps_is_kept() -> None:
    """More steps than room was made for at first, with a column that is met at both ends only."""
    layer, dense = _layer(4), _layer(4)
    ours = RowAdamW([layer], betas=(0.9, 0.999), weight_decay=0.01)
    theirs = torch.optim.AdamW([dense.weight], betas=(0.9, 0.999), weight_decay=0.01)
    for step in range(1100):
        rows = SparseRows(torch.tensor([0 if step in (5, 1098) else 1]), torch.ones(1).double(), torch.tensor([0]))
        ours.learning_rate = theirs.param_groups[0]["lr"] = 1e-3
        for one, optimizer in ((layer, ours), (dense, theirs)):
            optimizer.zero_grad()
            one.forward_rows(rows).exp().sum().backward()
            optimizer.step()
    ours.settle()
    torch.testing.assert_close(layer.weight, dense.weight, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_model_is_the_same_alone_and_beside_others_to_the_bit(dtype: torch.dtype, threads: int) -> None:
    together, optimizer = _layer(1, 2, 3, dtype=dtype), None
    optimizer = RowAdamW([together], betas=(0.5, 0.9), weight_decay=0.1)
    for step in range(60):
        _step(together, optimizer, step, (1, 2, 3))
    optimizer.settle()
    torch.set_num_threads(1)
    for place, model in enumerate((1, 2, 3)):
        alone = _layer(model, dtype=dtype)
        optimizer = RowAdamW([alone], betas=(0.5, 0.9), weight_decay=0.1)
        for step in range(60):
            _step(alone, optimizer, step, (model,))
        optimizer.settle()
        assert torch.equal(alone.weight[0], together.weight[place])


def test_models_that_stay_go_on_as_if_alone() -> None:
    layer = _layer(1, 2, 3)
    optimizer = RowAdamW([layer], betas=(0.5, 0.9))
    for step in range(40):
        _step(layer, optimizer, step, (1, 2, 3))
    optimizer.settle()
    layer.weight.data, layer.stack = layer.weight.data[[2, 0]].contiguous(), (2,)
    optimizer.keep_models([2, 0])
    for step in range(40, 60):
        _step(layer, optimizer, step, (3, 1))
    optimizer.settle()
    for place, model in enumerate((3, 1)):
        alone = _layer(model)
        single = RowAdamW([alone], betas=(0.5, 0.9))
        for step in range(60):
            _step(alone, single, step, (model,))
        single.settle()
        torch.testing.assert_close(alone.weight[0], layer.weight[place], rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("weight_decay", [0.0, 0.5])
def test_a_column_that_is_never_met_only_decays(weight_decay: float) -> None:
    layer = _layer(5)
    before = layer.weight[0, -1].detach().clone()
    optimizer = RowAdamW([layer], betas=(0.5, 0.9), weight_decay=weight_decay)
    for step in range(10):
        _step(layer, optimizer, step, (5,))
    optimizer.settle()
    torch.testing.assert_close(layer.weight[0, -1], before * (1 - 1e-2 * weight_decay) ** 10, rtol=1e-13, atol=0)


def test_after_one_gradient_a_weight_glides_as_the_series_says() -> None:
    """Of one gradient g: m = g / 2 and v = g^2 / 10, which fall by 1/2 and 9/10 a step."""
    layer = _layer(6)
    before = layer.weight[0, 3].detach().clone()
    optimizer = RowAdamW([layer], betas=(0.5, 0.9))
    optimizer.learning_rate = 1e-3
    layer.forward_rows(SparseRows(torch.tensor([3]), torch.tensor([-2.0]).double(), torch.tensor([0]))).sum().backward()
    for _ in range(100):
        optimizer.step()
    moved = sum(
        (0.5**t / (1 - 0.5**t)) / (math.sqrt(0.1 * 4 * 0.9 ** (t - 1) / (1 - 0.9**t)) + 1e-8) for t in range(1, 101)
    )
    optimizer.settle()
    torch.testing.assert_close(layer.weight[0, 3], before + 1e-3 * 2 * moved, rtol=1e-12, atol=0)


def test_a_forward_pass_sees_weights_that_are_up_to_date() -> None:
    layer = _layer(7)
    optimizer = RowAdamW([layer], betas=(0.5, 0.9), weight_decay=0.2)
    for step in range(30):
        _step(layer, optimizer, step, (7,))
    rows = _rows(_batch(0, (7,))[0])
    with torch.no_grad():
        late = layer.forward_rows(rows)
        optimizer.settle()
        torch.testing.assert_close(late, layer.forward_rows(rows), rtol=0, atol=0)


def test_settling_at_any_time_changes_nothing() -> None:
    often, seldom = _layer(8), _layer(8)
    optimizers = [RowAdamW([layer], betas=(0.5, 0.9), weight_decay=0.2) for layer in (often, seldom)]
    for step in range(60):
        for layer, optimizer in zip((often, seldom), optimizers, strict=True):
            _step(layer, optimizer, step, (8,))
        optimizers[0].settle()
    optimizers[1].settle()
    torch.testing.assert_close(often.weight, seldom.weight, rtol=1e-12, atol=1e-14)


def test_numbers_too_small_to_matter_become_zero() -> None:
    """Subnormal running means would slow every later step down."""
    layer = _layer(9, dtype=torch.float32)
    optimizer = RowAdamW([layer], betas=(0.5, 0.9))
    optimizer.learning_rate = 1e-3
    layer.forward_rows(SparseRows(torch.tensor([3]), torch.tensor([1e-3]), torch.tensor([0]))).sum().backward()
    for _ in range(140):  # 2^-140 is subnormal
        optimizer.step()
    optimizer.settle()
    for array in optimizer._layers[0]._table():
        assert not ((array != 0) & (np.abs(array) < np.finfo(np.float32).tiny)).any()
    assert layer.weight.isfinite().all()


def test_a_bias_is_left_to_others() -> None:
    layer = _layer(10, bias=True)
    optimizer = RowAdamW([layer], betas=(0.5, 0.9))
    inputs, directions = _batch(0, (10,))
    outputs = layer.forward_rows(_rows(inputs))
    torch.testing.assert_close(outputs, layer(inputs), rtol=1e-12, atol=1e-14)
    (outputs * directions).sum().backward()
    torch.testing.assert_close(layer.bias.grad, directions.sum(dim=1))
    optimizer.step()


def test_a_released_layer_is_an_ordinary_one() -> None:
    layer, other = _layer(11), _layer(11)
    optimizers = [RowAdamW([one], betas=(0.5, 0.9)) for one in (layer, other)]
    for step in range(20):
        for one, optimizer in zip((layer, other), optimizers, strict=True):
            _step(one, optimizer, step, (11,))
    optimizers[0].release()
    optimizers[1].settle()
    assert torch.equal(layer.weight, other.weight)
    inputs, directions = _batch(0, (11,))
    (layer.forward_rows(_rows(inputs)) * directions).sum().backward()
    torch.testing.assert_close(layer.weight.grad[0], inputs[0].T @ directions[0], rtol=1e-12, atol=1e-14)


def test_what_was_noted_can_be_forgotten() -> None:
    layer = _layer(12)
    optimizer = RowAdamW([layer], betas=(0.5, 0.9))
    optimizer.learning_rate = 1e-2
    before = layer.weight.detach().clone()
    layer.forward_rows(_rows(_batch(0, (12,))[0])).sum().backward()
    optimizer.zero_grad()
    optimizer.step()
    optimizer.settle()
    assert torch.equal(layer.weight, before)


def test_two_backward_passes_a_step_are_refused() -> None:
    layer = _layer(13)
    optimizer = RowAdamW([layer], betas=(0.5, 0.9))
    rows = _rows(_batch(0, (13,))[0])
    layer.forward_rows(rows).sum().backward()
    with pytest.raises(RuntimeError, match="one backward pass a step"):
        layer.forward_rows(rows).sum().backward()
    optimizer.step()
    layer.forward_rows(rows).sum().backward()


def test_entries_that_want_a_gradient_are_refused() -> None:
    layer = _layer(14)
    optimizer = RowAdamW([layer], betas=(0.5, 0.9))
    rows = _rows(_batch(0, (14,))[0])
    with pytest.raises(ValueError, match="must not require a gradient"):
        layer.forward_rows(rows._replace(values=rows.values.clone().requires_grad_()))
    optimizer.release()


@pytest.mark.parametrize("change", [{"dtype": torch.bfloat16}, {"device": "meta"}], ids=str)
def test_weights_of_another_kind_are_refused(change: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="layers must be on the CPU, float32 or float64"):
        RowAdamW([_layer(15).to(**change)], betas=(0.5, 0.9))


@pytest.mark.parametrize("name", ["_settle_and_multiply", "_step", "_settle"])
def test_ctrl_c_leaves_no_row_half_way(name: str, threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is felt when a compiled loop returns; what the loop has done is not done again."""
    layer, other = _layer(16), _layer(16)
    optimizers = [RowAdamW([one], betas=(0.5, 0.9), weight_decay=0.1) for one in (layer, other)]
    for step in range(20):
        for one, optimizer in zip((layer, other), optimizers, strict=True):
            _step(one, optimizer, step, (16,))
    compiled = getattr(row_adam, name)

    def interrupted(*arguments: object) -> None:
        compiled(*arguments)
        raise KeyboardInterrupt

    monkeypatch.setattr(row_adam, name, interrupted)

    def go_on() -> None:
        _step(layer, optimizers[0], 20, (16,))
        optimizers[0].settle()

    with pytest.raises(KeyboardInterrupt):
        go_on()
    monkeypatch.setattr(row_adam, name, compiled)
    if name != "_settle_and_multiply":
        _step(other, optimizers[1], 20, (16,))
    for optimizer in optimizers:
        optimizer.settle()
    assert torch.equal(layer.weight, other.weight)
