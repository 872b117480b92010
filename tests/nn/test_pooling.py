"""Pooling against means and maxima written out, and its limits."""

import pytest
import torch

from limbeck.errors import InputError
from limbeck.nn import GeneralizedMean, Stripes, make_pooling


def _maps(seed: int, *shape: int) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("power", [0.5, 1.0, 3.0, 7.5])
def test_generalized_mean_is_its_formula(power: float) -> None:
    maps = _maps(0, 2, 3, 4, 5) - 0.2
    expected = maps.clamp(min=1e-6).pow(power).mean((2, 3)).pow(1 / power)
    torch.testing.assert_close(GeneralizedMean(power=power).double()(maps), expected)


def test_generalized_mean_lies_between_the_average_and_the_maximum() -> None:
    maps = _maps(1, 2, 3, 4, 5) + 0.1
    torch.testing.assert_close(GeneralizedMean(power=1).double()(maps), maps.mean((2, 3)))
    torch.testing.assert_close(GeneralizedMean(power=2000).double()(maps), maps.amax((2, 3)), rtol=2e-3, atol=0)
    pooled = GeneralizedMean()(maps.float())
    assert ((maps.mean((2, 3)) < pooled) & (pooled < maps.amax((2, 3)))).all()


def test_generalized_mean_learns_its_power_and_has_the_gradients_of_its_formula() -> None:
    maps = (_maps(2, 2, 2, 2, 3) + 0.1).requires_grad_()
    pooling = GeneralizedMean().double()
    assert [tuple(parameter.shape) for parameter in pooling.parameters()] == [()]
    assert pooling.power.item() == 3
    assert torch.autograd.gradcheck(
        lambda x, p: torch.func.functional_call(pooling, {"power": p}, (x,)), (maps, pooling.power)
    )


@pytest.mark.parametrize("scale", [1e-5, 1.0, 1e30])
def test_generalized_mean_is_of_degree_one_at_any_scale(scale: float) -> None:
    maps = 1 + _maps(3, 1, 2, 4, 4).float()
    pooling = GeneralizedMean(power=30.0, epsilon=1e-9)
    torch.testing.assert_close(pooling(scale * maps) / scale, pooling(maps), rtol=1e-5, atol=0)


def test_generalized_mean_of_nothing_but_zeros_is_epsilon_and_finite_backwards() -> None:
    maps = torch.zeros(1, 2, 3, 3, requires_grad=True)
    pooling = GeneralizedMean()
    pooled = pooling(maps)
    pooled.sum().backward()
    torch.testing.assert_close(pooled, torch.full((1, 2), 1e-6))
    assert maps.grad.isfinite().all()
    assert pooling.power.grad.isfinite()


@pytest.mark.parametrize("options", [{"power": 0.0}, {"power": -1.0}, {"epsilon": 0.0}, {"power": float("nan")}])
def test_generalized_mean_needs_positive_numbers(options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="power and epsilon must be positive"):
        GeneralizedMean(**options)


@pytest.mark.parametrize("stripes", [1, 2, 4])
def test_stripes_are_the_average_and_maximum_of_each_from_the_top(stripes: int) -> None:
    maps = _maps(4, 2, 3, 8, 5)
    rows = 8 // stripes
    parts = [maps[:, :, rows * k : rows * (k + 1)].flatten(2) for k in range(stripes)]
    expected = torch.cat([part.mean(2) + part.amax(2) for part in parts], dim=1)
    torch.testing.assert_close(Stripes(stripes)(maps), expected)


def test_stripes_that_share_rows_and_stripes_without_rows() -> None:
    maps = _maps(5, 1, 2, 3, 2)
    parts = [maps[:, :, :2].flatten(2), maps[:, :, 1:].flatten(2)]
    torch.testing.assert_close(Stripes(2)(maps), torch.cat([part.mean(2) + part.amax(2) for part in parts], dim=1))
    with pytest.raises(InputError, match=r"^maps of 3 rows cannot be cut into 4 stripes; .*$"):
        Stripes(4)(maps)
    with pytest.raises(ValueError, match="stripes must be positive"):
        Stripes(0)


@pytest.mark.parametrize(("name", "width"), [("average", 6), ("gem", 6), ("stripes1", 6), ("stripes3", 18)])
def test_poolings_by_name_have_the_width_they_say(name: str, width: int) -> None:
    pooling, features = make_pooling(name, 6)
    maps = _maps(6, 2, 6, 8, 4).float()
    assert features == width
    assert pooling(maps).shape == (2, width)
    if name == "average":
        torch.testing.assert_close(pooling(maps), maps.mean((2, 3)))


@pytest.mark.parametrize("name", ["max", "stripes", "stripes0", "stripes4 ", "Stripes4", "", "stripes100"])
def test_unknown_poolings_are_refused_in_one_line(name: str) -> None:
    with pytest.raises(InputError) as caught:
        make_pooling(name, 6)
    assert "average, gem" in str(caught.value)
    assert "\n" not in str(caught.value)
