"""The bottleneck network: its size, its Gaussian, and when and how it samples."""

import math

import pytest
import torch
from scipy import stats
from torch import Tensor

from limbeck.nn import Bottleneck, Gaussian


def _normal(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def _bottleneck(*stack: int, stochastic: bool = False, seeds: tuple[int, ...] = ()) -> Bottleneck:
    bottleneck = Bottleneck(6, hidden=(8, 7), features=3, stochastic=stochastic, stack=stack)
    with torch.no_grad():
        for seed, parameter in enumerate(bottleneck.parameters()):
            parameter.copy_(0.5 * _normal(seed, *parameter.shape))
    if seeds:
        bottleneck.generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    return bottleneck


def test_size_is_that_of_the_papers_network() -> None:
    """(2048 + 1) 1024 + (1024 + 1) 512 + (512 + 1) (2 * 256) = 2 098 176 + 524 800 + 262 656 = 2 885 632."""
    bottleneck = Bottleneck(2048, hidden=(1024, 512), features=256)
    assert sum(parameter.numel() for parameter in bottleneck.parameters()) == 2_885_632
    default = [parameter.shape for parameter in Bottleneck(2048).parameters()]
    assert default == [parameter.shape for parameter in bottleneck.parameters()]
    assert bottleneck(torch.zeros(4, 2048)).shape == (4, 256)


def test_output_is_the_mean_and_the_log_variance_of_a_small_relu_network() -> None:
    bottleneck, v = _bottleneck(), _normal(10, 5, 6)
    hidden = v
    w1, b1, w2, b2, w3, b3 = bottleneck.parameters()
    for weight, bias in ((w1, b1), (w2, b2)):
        hidden = (hidden @ weight + bias).clamp(min=0)
    output = hidden @ w3 + b3
    mean, log_variance = bottleneck.distribution(v)
    torch.testing.assert_close(mean, output[:, :3])
    torch.testing.assert_close(log_variance, output[:, 3:])


@pytest.mark.parametrize(("stochastic", "training"), [(False, True), (False, False), (True, False)])
def test_representation_is_the_mean_unless_stochastic_and_in_training(stochastic: bool, training: bool) -> None:
    bottleneck, v = _bottleneck(stochastic=stochastic).train(training), _normal(11, 5, 6)
    assert torch.equal(bottleneck(v), bottleneck.distribution(v).mean)
    assert torch.equal(bottleneck(v), bottleneck(v))


@pytest.mark.parametrize("generators", [True, False])
def test_samples_follow_the_gaussian(generators: bool) -> None:
    """40 000 draws: the mean's standard error is sigma / 200, the variance's relative one sqrt(2 / 40 000) = .007."""
    draws = 40_000
    bottleneck = _bottleneck(1, stochastic=True, seeds=(0,) if generators else ())
    v = _normal(12, 1, 1, 6)
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        z = bottleneck(v.expand(1, draws, 6))[0]
    mean, log_variance = (part[0, 0].detach() for part in bottleneck.distribution(v))
    deviation = (log_variance / 2).exp()
    assert ((z.mean(0) - mean).abs() < 5 * deviation / math.sqrt(draws)).all()
    torch.testing.assert_close(z.var(0), log_variance.exp(), rtol=0.04, atol=0)
    noise = (z - mean) / deviation
    for feature in range(3):
        assert stats.kstest(noise[:2000, feature].double().numpy(), "norm").pvalue > 1e-3
    correlation = torch.corrcoef(noise.T) - torch.eye(3)
    assert correlation.abs().max() < 5 / math.sqrt(draws)


def test_gradients_flow_through_the_sample() -> None:
    """z = mu + exp(s / 2) eps: dz/dmu = 1 and dz/ds = (z - mu) / 2."""
    bottleneck = _bottleneck(1, stochastic=True, seeds=(1,))
    mean, log_variance = _normal(13, 1, 5, 3).requires_grad_(), _normal(14, 1, 5, 3).requires_grad_()
    z = bottleneck.sample(Gaussian(mean, log_variance))
    z.sum().backward()
    assert torch.equal(mean.grad, torch.ones_like(mean))
    torch.testing.assert_close(log_variance.grad, (z - mean).detach() / 2)
    assert log_variance.grad.abs().min() > 0


def test_a_models_draws_do_not_depend_on_the_models_beside() -> None:
    together = _bottleneck(3, 2, stochastic=True, seeds=(1, 2, 3))
    alone = [_bottleneck(1, 2, stochastic=True, seeds=(seed,)) for seed in (1, 2, 3)]
    gaussian = Gaussian(torch.zeros(3, 2, 5, 3), torch.zeros(3, 2, 5, 3))
    calls = []
    for _ in range(2):
        z = together.sample(gaussian)
        calls.append(z)
        for model, bottleneck in enumerate(alone):
            part = Gaussian(gaussian.mean[model : model + 1], gaussian.log_variance[model : model + 1])
            assert torch.equal(z[model], bottleneck.sample(part)[0])
    assert not torch.equal(calls[0], calls[1])
    assert not torch.equal(calls[0][0], calls[0][1])
    assert not torch.equal(calls[0][0, 0], calls[0][0, 1])


def test_a_stack_is_one_bottleneck_for_each_position() -> None:
    together, v = _bottleneck(2, 3), _normal(15, 2, 3, 5, 6)
    outputs = together(v)
    for i in range(2):
        for j in range(3):
            alone = _bottleneck()
            with torch.no_grad():
                for one, many in zip(alone.parameters(), together.parameters(), strict=True):
                    one.copy_(many[i, j])
            torch.testing.assert_close(outputs[i, j], alone(v[i, j]))


@pytest.mark.parametrize("widths", [(0, (8,), 3), (6, (8, 0), 3), (6, (-1,), 3), (6, (8,), 0)])
def test_widths_that_are_not_positive_are_refused(widths: tuple[int, tuple[int, ...], int]) -> None:
    in_features, hidden, features = widths
    with pytest.raises(ValueError, match="widths must be positive"):
        Bottleneck(in_features, hidden=hidden, features=features)


def test_without_hidden_layers_it_is_linear() -> None:
    bottleneck, v = Bottleneck(6, hidden=(), features=3), _normal(16, 5, 6)
    torch.testing.assert_close(bottleneck(v) + bottleneck(-v), 2 * bottleneck(torch.zeros(5, 6)))


# --- batch normalisation, and no Gaussian --------------------------------------------------------------------------


def test_size_is_that_of_the_authors_network() -> None:
    """(2048 + 1) 1000 + (1000 + 1) 500 + (500 + 1) 512, and 2 (1000 + 500) of batch normalisation."""
    bottleneck = Bottleneck(2048, hidden=(1000, 500), features=512, normalization="batch", gaussian=False)
    assert sum(parameter.numel() for parameter in bottleneck.parameters()) == 2_809_012
    assert bottleneck(torch.zeros(4, 2048)).shape == (4, 512)


def test_the_papers_network_keeps_the_names_of_its_state() -> None:
    assert list(Bottleneck(6, hidden=(8, 7), features=3).state_dict()) == [
        "hidden.0.weight",
        "hidden.0.bias",
        "hidden.2.weight",
        "hidden.2.bias",
        "output.weight",
        "output.bias",
    ]


@pytest.mark.parametrize("gaussian", [False, True])
def test_batch_normalisation_stands_between_each_hidden_layer_and_its_relu(gaussian: bool) -> None:
    bottleneck = Bottleneck(6, hidden=(8, 7), features=3, normalization="batch", gaussian=gaussian).double()
    v = _normal(20, 5, 6).double()
    hidden = v
    for layer in (0, 3):
        hidden = bottleneck.hidden[layer](hidden)
        hidden = (hidden - hidden.mean(0)) / (hidden.var(0, unbiased=False) + 1e-5).sqrt()
        hidden = hidden.clamp(min=0)
    torch.testing.assert_close(bottleneck(v), bottleneck.output(hidden)[:, :3])


def test_without_a_gaussian_there_is_nothing_to_sample() -> None:
    bottleneck = Bottleneck(6, hidden=(8,), features=3, gaussian=False)
    assert bottleneck.output.out_features == 3
    with pytest.raises(ValueError, match="gaussian=False has no distribution"):
        bottleneck.distribution(torch.zeros(2, 6))
    with pytest.raises(ValueError, match="stochastic=True asks for a Gaussian"):
        Bottleneck(6, gaussian=False, stochastic=True)


def test_without_a_gaussian_stacks_still_work() -> None:
    bottleneck = Bottleneck(6, hidden=(8,), features=3, gaussian=False, stack=(2,))
    assert bottleneck(torch.zeros(2, 5, 6)).shape == (2, 5, 3)


def test_batch_normalisation_of_a_stack_and_other_normalisations_are_refused() -> None:
    with pytest.raises(ValueError, match="not made for a stack"):
        Bottleneck(6, normalization="batch", stack=(2,))
    with pytest.raises(ValueError, match="normalization must be 'none' or 'batch', not 'layer'"):
        Bottleneck(6, normalization="layer")
