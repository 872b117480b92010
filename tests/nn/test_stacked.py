"""Stacked layers against torch's own, one copy at a time."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy import sparse
from torch import Tensor, nn

from limbeck.nn import SparseRows, StackedBatchNorm, StackedDropout, StackedLinear, StackedSparseLinear

STACKS = pytest.mark.parametrize("stack", [(), (3,), (2, 3)])


def _normal(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def _generators(*seeds: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in seeds]


# --- StackedLinear -----------------------------------------------------------------------------------------------


@STACKS
@pytest.mark.parametrize("bias", [True, False])
def test_stacked_linear_is_one_linear_layer_for_each_position(stack: tuple[int, ...], bias: bool) -> None:
    layer = StackedLinear(5, 4, stack=stack, bias=bias)
    inputs = _normal(0, *stack, 7, 5).requires_grad_()
    outputs = layer(inputs)
    assert outputs.shape == (*stack, 7, 4)
    outputs.square().sum().backward()
    for position in np.ndindex(stack):
        alone = nn.Linear(5, 4, bias=bias)
        with torch.no_grad():
            alone.weight.copy_(layer.weight[position].T)
            if bias:
                alone.bias.copy_(layer.bias[position])
        x = inputs[position].detach().requires_grad_()
        expected = alone(x)
        expected.square().sum().backward()
        torch.testing.assert_close(outputs[position], expected)
        torch.testing.assert_close(inputs.grad[position], x.grad)
        torch.testing.assert_close(layer.weight.grad[position], alone.weight.grad.T)
        if bias:
            torch.testing.assert_close(layer.bias.grad[position], alone.bias.grad)


def test_stacked_linear_applies_every_copy_to_a_shared_input() -> None:
    layer, shared = StackedLinear(5, 4, stack=(2, 3)), _normal(1, 7, 5)
    torch.testing.assert_close(layer(shared), layer(shared.expand(2, 3, 7, 5)))


@STACKS
def test_initial_weights_are_spread_as_in_torch(stack: tuple[int, ...]) -> None:
    """Uniform in ±b with b = 1 / sqrt(16) = .25, so that the standard deviation is b / sqrt 3 = .1443."""
    layer = StackedLinear(16, 400, stack=stack)
    for parameter in layer.parameters():
        assert 0.24 < parameter.abs().max() <= 0.25
        assert parameter.std().item() == pytest.approx(0.25 / math.sqrt(3), rel=0.15)
        assert parameter.mean().abs() < 0.05


@pytest.mark.parametrize("kind", [StackedLinear, StackedSparseLinear])
def test_initial_weights_do_not_depend_on_the_models_beside(kind: type[StackedLinear]) -> None:
    together, alone = kind(6, 4, stack=(3,)), kind(6, 4, stack=(1,))
    together.reset_parameters(_generators(1, 2, 3))
    for model, seed in enumerate((1, 2, 3)):
        alone.reset_parameters(_generators(seed))
        assert torch.equal(together.weight[model], alone.weight[0])
        assert torch.equal(together.bias[model], alone.bias[0])
    assert not torch.equal(together.weight[0], together.weight[1])
    views = StackedLinear(6, 4, stack=(3, 2))
    views.reset_parameters(_generators(1, 2, 3))
    pair = StackedLinear(6, 4, stack=(1, 2))
    pair.reset_parameters(_generators(3))
    assert torch.equal(views.weight[2], pair.weight[0])
    assert not torch.equal(pair.weight[0, 0], pair.weight[0, 1])


def test_one_generator_is_needed_for_each_model() -> None:
    with pytest.raises(ValueError, match="shorter"):
        StackedLinear(6, 4, stack=(3,)).reset_parameters(_generators(1, 2))


# --- StackedSparseLinear -----------------------------------------------------------------------------------------


def _rows(matrix: sparse.csr_matrix) -> SparseRows:
    return SparseRows(
        torch.from_numpy(matrix.indices.astype(np.int64)),
        torch.from_numpy(matrix.data.astype(np.float32)),
        torch.from_numpy(matrix.indptr[:-1].astype(np.int64)),
    )


@pytest.mark.parametrize("models", [1, 3])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("empty", [[], [0], [4], [0, 1, 4], [0, 1, 2, 3, 4]])
def test_sparse_linear_equals_the_dense_product(models: int, bias: bool, empty: list[int]) -> None:
    batch, features = 5, 9
    dense = _normal(2, models, batch, features) * (_normal(3, models, batch, features) > 0.3)
    dense[:, empty] = 0
    layer = StackedSparseLinear(features, 4, stack=(models,), bias=bias)
    outputs = layer.forward_rows(_rows(sparse.csr_matrix(dense.flatten(0, 1).numpy())))
    expected = layer(dense)
    torch.testing.assert_close(outputs, expected)
    direction = _normal(4, *expected.shape)
    parameters = list(layer.parameters())
    for gradient, other in zip(
        torch.autograd.grad((outputs * direction).sum(), parameters),
        torch.autograd.grad((expected * direction).sum(), parameters),
        strict=True,
    ):
        torch.testing.assert_close(gradient, other)


def test_sparse_linear_adds_entries_of_one_column() -> None:
    layer = StackedSparseLinear(3, 2, stack=(1,))
    rows = SparseRows(torch.tensor([1, 1, 2]), torch.tensor([0.5, 2.0, 1.0]), torch.tensor([0, 2]))
    torch.testing.assert_close(layer.forward_rows(rows), layer(torch.tensor([[[0.0, 2.5, 0.0], [0.0, 0.0, 1.0]]])))


# --- StackedBatchNorm --------------------------------------------------------------------------------------------


def _torch_norms(stacked: StackedBatchNorm, stack: tuple[int, ...]) -> dict[tuple[int, ...], nn.BatchNorm1d]:
    """One torch layer for each position, with the same parameters; none are the initial ones."""
    with torch.no_grad():
        stacked.weight.copy_(1 + 0.3 * _normal(5, *stacked.weight.shape))
        stacked.bias.copy_(_normal(6, *stacked.bias.shape))
    norms = {}
    for position in np.ndindex(stack):
        norms[position] = nn.BatchNorm1d(stacked.weight.shape[-1], momentum=stacked.momentum, eps=stacked.epsilon)
        with torch.no_grad():
            norms[position].weight.copy_(stacked.weight[position])
            norms[position].bias.copy_(stacked.bias[position])
    return norms


def _assert_same_state(stacked: StackedBatchNorm, norms: dict[tuple[int, ...], nn.BatchNorm1d]) -> None:
    for position, norm in norms.items():
        torch.testing.assert_close(stacked.running_mean[position], norm.running_mean)
        torch.testing.assert_close(stacked.running_variance[position], norm.running_var)


@STACKS
@pytest.mark.parametrize("momentum", [0.1, 0.5])
def test_batch_norm_is_that_of_torch_for_each_position(stack: tuple[int, ...], momentum: float) -> None:
    stacked = StackedBatchNorm(4, stack=stack, momentum=momentum, epsilon=1e-3)
    norms = _torch_norms(stacked, stack)
    for step in range(3):
        inputs = (2 + 3 * _normal(10 + step, *stack, 6, 4)).requires_grad_()
        direction = _normal(20 + step, *stack, 6, 4)
        outputs = stacked(inputs)
        stacked.zero_grad()
        (outputs * direction).sum().backward()
        for position, norm in norms.items():
            x = inputs[position].detach().requires_grad_()
            expected = norm(x)
            norm.zero_grad()
            (expected * direction[position]).sum().backward()
            torch.testing.assert_close(outputs[position], expected, rtol=1e-5, atol=1e-5)
            torch.testing.assert_close(inputs.grad[position], x.grad, rtol=1e-4, atol=1e-5)
            torch.testing.assert_close(stacked.weight.grad[position], norm.weight.grad, rtol=1e-4, atol=1e-5)
            torch.testing.assert_close(stacked.bias.grad[position], norm.bias.grad, rtol=1e-4, atol=1e-5)
        _assert_same_state(stacked, norms)
    stacked.eval()
    inputs = _normal(30, *stack, 6, 4)
    before = stacked.running_mean.clone()
    outputs = stacked(inputs)
    assert torch.equal(stacked.running_mean, before)
    for position, norm in norms.items():
        torch.testing.assert_close(outputs[position], norm.eval()(inputs[position]), rtol=1e-5, atol=1e-5)


@STACKS
def test_batch_norm_sees_usable_samples_only(stack: tuple[int, ...]) -> None:
    stacked = StackedBatchNorm(4, stack=stack)
    norms = _torch_norms(stacked, stack)
    for step in range(2):
        usable = torch.rand(*stack, 8, generator=torch.Generator().manual_seed(step)) < 0.6
        usable[..., :2] = True
        usable[..., 2] = False
        inputs = 1 + 2 * _normal(40 + step, *stack, 8, 4)
        inputs[~usable] *= 1e3
        inputs.requires_grad_()
        direction = _normal(50 + step, *stack, 8, 4) * usable.unsqueeze(-1)
        outputs = stacked(inputs, usable)
        (outputs * direction).sum().backward()
        assert inputs.grad[~usable].abs().max() == 0
        for position, norm in norms.items():
            rows = usable[position]
            x = inputs[position][rows].detach().requires_grad_()
            expected = norm(x)
            (expected * direction[position][rows]).sum().backward()
            torch.testing.assert_close(outputs[position][rows], expected, rtol=1e-5, atol=1e-5)
            torch.testing.assert_close(inputs.grad[position][rows], x.grad, rtol=1e-4, atol=1e-5)
        _assert_same_state(stacked, norms)


def test_batch_norm_with_all_samples_usable_is_without_a_mask() -> None:
    inputs, masked, plain = _normal(60, 3, 6, 4), StackedBatchNorm(4, stack=(3,)), StackedBatchNorm(4, stack=(3,))
    torch.testing.assert_close(masked(inputs, torch.ones(3, 6, dtype=torch.bool)), plain(inputs))
    torch.testing.assert_close(masked.running_variance, plain.running_variance)


def test_batch_norm_with_fewer_than_two_usable_samples_uses_the_running_averages() -> None:
    norm = StackedBatchNorm(4, stack=(3,))
    for step in range(3):
        norm(2 + 3 * _normal(70 + step, 3, 6, 4))
    mean, variance = norm.running_mean.clone(), norm.running_variance.clone()
    inputs = _normal(80, 3, 6, 4)
    usable = torch.zeros(3, 6, dtype=torch.bool)
    usable[1, 4] = True  # model 0 has none, model 1 has one, model 2 has all
    usable[2] = True
    outputs = norm(inputs, usable)
    expected = (inputs - mean.unsqueeze(1)) / (variance.unsqueeze(1) + norm.epsilon).sqrt()
    torch.testing.assert_close(outputs[1, 4], expected[1, 4], rtol=1e-5, atol=1e-5)
    assert outputs[:2].isfinite().all()
    assert (outputs[2] - expected[2]).abs().max() > 0.1
    assert torch.equal(norm.running_mean[:2], mean[:2])
    assert torch.equal(norm.running_variance[:2], variance[:2])
    assert (norm.running_mean[2] - mean[2]).abs().max() > 1e-2


@pytest.mark.parametrize("parameters", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("given", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("masked", [False, True])
def test_batch_norm_of_every_precision(parameters: torch.dtype, given: torch.dtype, masked: bool) -> None:
    norm, exact = StackedBatchNorm(4, stack=(2,)).to(parameters), StackedBatchNorm(4, stack=(2,)).double()
    inputs = (3 + 0.5 * _normal(90, 2, 16, 4)).to(given)
    usable = torch.arange(16).expand(2, 16) % 3 > 0 if masked else None
    rounding = max(2e-5 if given != torch.float64 else 1e-12, torch.finfo(given).eps)
    kept = max(rounding, torch.finfo(parameters).eps)  # what the running averages are held in
    for training, close in ((True, rounding), (False, 8 * kept)):
        norm.train(training)
        exact.train(training)
        found, expected = norm(inputs, usable), exact(inputs.double(), usable)
        assert found.dtype == given
        torch.testing.assert_close(found.double(), expected, rtol=close, atol=4 * close)
    torch.testing.assert_close(norm.running_mean.double(), exact.running_mean, rtol=2 * kept, atol=kept)
    torch.testing.assert_close(norm.running_variance.double(), exact.running_variance, rtol=2 * kept, atol=kept)
    norm.train()(inputs, usable).sum().backward()
    assert norm.weight.grad.isfinite().all()


def test_batch_norm_takes_nan_where_nothing_is_there() -> None:
    norm, inputs = StackedBatchNorm(4, stack=(2,)), _normal(91, 2, 8, 4)
    usable = torch.arange(8).expand(2, 8) % 3 > 0
    expected = StackedBatchNorm(4, stack=(2,))(inputs, usable)
    inputs[~usable] = torch.nan
    inputs.requires_grad_()
    found = norm(inputs, usable)
    torch.testing.assert_close(found[usable], expected[usable])
    found.square().sum().backward()
    for tensor in (inputs, norm.weight, norm.bias):
        assert tensor.grad.isfinite().all()
    assert norm.running_mean.isfinite().all()


def test_batch_norm_of_a_single_sample_uses_the_running_averages() -> None:
    norm = StackedBatchNorm(4, stack=(2,))
    inputs = _normal(81, 2, 1, 4)
    torch.testing.assert_close(norm(inputs), inputs / math.sqrt(1 + norm.epsilon))
    assert torch.equal(norm.running_mean, torch.zeros(2, 4))


# --- StackedDropout ----------------------------------------------------------------------------------------------


def _dropout(rate: float, *seeds: int) -> StackedDropout:
    layer = StackedDropout(rate)
    layer.generators = _generators(*seeds)
    return layer


def _plain_dropout(rate: float, *_seeds: int) -> StackedDropout:
    return StackedDropout(rate)


@pytest.mark.parametrize("rate", [0.1, 0.25, 0.5, 0.9])
@pytest.mark.parametrize("make", [_dropout, _plain_dropout])
def test_dropout_keeps_its_share_and_scales_it(rate: float, make: Callable[..., StackedDropout]) -> None:
    """Of N = 120 000 draws the share dropped has a standard deviation of at most .5 / sqrt N = .0014.

    The stacked draws know the rate to 1/512 = .002, so .01 is five deviations and more.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        inputs = torch.ones(2, 300, 200)
        outputs = make(rate, 0, 1)(inputs)
    kept = outputs != 0
    assert (~kept).float().mean().item() == pytest.approx(rate, abs=0.01)
    assert outputs[kept].unique().numel() == 1
    assert outputs.max().item() == pytest.approx(1 / (1 - rate), rel=0.02)
    assert outputs.mean().item() == pytest.approx(1, abs=0.03)
    # Whatever rate is drawn, the scale is exact for it: that of .1 is 26/256, and 256 / 230 undoes it.
    drawn = round(256 * rate) / 256 if make is _dropout else rate
    assert outputs.max().item() == pytest.approx(1 / (1 - drawn), rel=1e-6)


def test_dropout_masks_look_independent() -> None:
    """Correlations of N = 200 000 pairs have a standard deviation of .0022: .01 is more than four."""
    layer = _dropout(0.5, 3, 4)
    first, second = layer(torch.ones(2, 200_001))
    again, _ = layer(torch.ones(2, 200_001))
    kept = first - 1
    for other in (second - 1, again - 1, *((first - 1).roll(lag) for lag in (1, 2, 3, 4, 7, 8, 16, 64))):
        assert (kept * other).mean().abs() < 0.01


def test_dropout_masks_do_not_depend_on_the_models_beside() -> None:
    inputs = _normal(90, 3, 5, 7)
    together = _dropout(0.5, 1, 2, 3)
    alone = [_dropout(0.5, seed) for seed in (1, 2, 3)]
    for _ in range(3):  # one call after the other
        outputs = together(inputs)
        for model, layer in enumerate(alone):
            assert torch.equal(outputs[model], layer(inputs[model : model + 1])[0])


def test_dropout_passes_gradients_of_survivors_only() -> None:
    inputs = _normal(91, 2, 5, 7).requires_grad_()
    outputs = _dropout(0.5, 1, 2)(inputs)
    outputs.sum().backward()
    assert torch.equal(inputs.grad, torch.where(outputs != 0, 2.0, 0.0))
    assert set(inputs.grad.unique().tolist()) == {0.0, 2.0}


def test_dropout_is_the_identity_at_inference_and_at_rate_zero() -> None:
    inputs = _normal(92, 2, 5, 7)
    for layer in (_dropout(0.5, 1, 2).eval(), StackedDropout(0.5).eval(), _dropout(0.0, 1, 2), StackedDropout(0.0)):
        assert torch.equal(layer(inputs), inputs)


@pytest.mark.parametrize("rate", [-0.1, 1.0, 1.5, math.nan])
def test_dropout_refuses_impossible_rates(rate: float) -> None:
    with pytest.raises(ValueError, match="dropout rate must be in"):
        StackedDropout(rate)


@pytest.mark.parametrize("make", [_dropout, _plain_dropout])
def test_dropout_of_almost_everything_still_works(make: Callable[..., StackedDropout]) -> None:
    outputs = make(0.999, 1)(torch.ones(1, 10_000))
    assert torch.isfinite(outputs).all()
    assert (outputs != 0).float().mean() < 0.02
