"""The three-branch network: published counts, who sees what, what comes out."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from limbeck.nn import PairCritic
from limbeck.reid.export import export_model
from limbeck.reid.network import ReidNetwork
from limbeck.reid.recipe import DataSettings, LossSettings, NetworkSettings, ReidRecipe
from limbeck.reid.runs import ReidModel
from limbeck.studies.reid_cost.run import ReidCostSettings, count_parameters, published_recipe, row_recipe

BRANCHES = ("visible", "infrared", "shared")
IMAGENET_HEAD = 2048 * 1000 + 1000  # counted by the paper, used by nobody


def small(**network: Any) -> ReidRecipe:
    loss = network.pop("loss", LossSettings())
    settings = {"encoder": "small", "weights": "none", "hidden": (16,), "representation": 8, "head_hidden": None}
    return ReidRecipe(
        data=DataSettings(height=32, width=16), network=NetworkSettings(**(settings | network)), loss=loss
    )


def pictures(count: int = 6, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    rng = torch.Generator().manual_seed(seed)
    grey = torch.rand(count, 1, 32, 16, generator=rng).expand(-1, 3, -1, -1)
    return torch.rand(count, 3, 32, 16, generator=rng), grey


def test_parameters_of_the_published_configuration() -> None:
    """Tian et al. 2021, Table 4: 26.37 M, 29.41 M, 35.71 M, counting ImageNet's classification layer."""
    settings = ReidCostSettings()
    baseline = count_parameters(row_recipe(settings, "E"), 395)
    ours = count_parameters(row_recipe(settings, "VD"), 395)
    assert baseline + IMAGENET_HEAD == 26_370_483
    assert ours + IMAGENET_HEAD == 29_412_850
    critic = PairCritic(2048, 512, hidden=(2048, 512), normalization="batch")
    assert ours + IMAGENET_HEAD + sum(p.numel() for p in critic.parameters()) == 35_712_499
    assert count_parameters(row_recipe(settings, "CIB"), 395) + IMAGENET_HEAD == 35_712_499 - 589_824
    three = replace(published_recipe(), network=replace(published_recipe().network, branches=BRANCHES))
    assert count_parameters(three, 395) == 82_091_550
    assert count_parameters(three, 395) + 3 * IMAGENET_HEAD == 88_238_550


def test_each_specific_branch_sees_its_own_modality_only() -> None:
    network = ReidNetwork(small(), 5).eval()
    visible, infrared = (given.clone().requires_grad_() for given in pictures())
    outputs = network(visible, infrared)
    of_visible, of_infrared = outputs.specific
    assert torch.autograd.grad(of_visible.observation.sum(), infrared, retain_graph=True, allow_unused=True) == (None,)
    assert torch.autograd.grad(of_infrared.observation.sum(), visible, retain_graph=True, allow_unused=True) == (None,)
    assert len(outputs.shared) == 2
    (seen,) = torch.autograd.grad(outputs.shared[1].observation.square().sum(), infrared)
    assert seen.abs().sum() > 0


def test_grey_routing_shows_every_picture_in_both_ways() -> None:
    network = ReidNetwork(small(routing="grey"), 5).eval()
    visible, infrared = pictures()
    outputs = network(visible, infrared)
    assert [len(view.observation) for view in (*outputs.specific, *outputs.shared)] == [12] * 4
    # An infrared picture is grey already: both ways show the same.
    in_colour, in_grey = (view.observation[6:] for view in outputs.shared)
    assert torch.allclose(in_colour, in_grey, atol=1e-5)
    assert not torch.allclose(outputs.shared[0].observation[:6], outputs.shared[1].observation[:6], atol=1e-3)


@pytest.mark.parametrize(
    ("network", "names"),
    [
        ({}, {"v specific", "z specific", "v shared", "z shared"}),
        ({"branches": ("shared",)}, {"v shared", "z shared"}),
        ({"branches": ("visible", "infrared"), "bottleneck": False}, {"v specific"}),
        ({"routing": "grey", "bottleneck": False}, {"v visible", "v infrared", "v shared", "v shared grey"}),
        ({"uniform": True}, {f"{kind} {name}" for kind in "vz" for name in ("specific", "shared", "uniform")}),
    ],
)
def test_embedding_names_and_lengths(network: dict[str, Any], names: set[str]) -> None:
    loss = LossSettings(
        objective="none" if network.get("bottleneck") is False else "vd",
        consistency="mv2d" if "uniform" in network else "vcd+vmd",
    )
    made = ReidNetwork(small(loss=loss, **network), 5).eval()
    found = made.embed(pictures()[0], 0)
    assert set(found) == names
    for vectors in found.values():
        assert torch.allclose(vectors.norm(dim=1), torch.ones(6), atol=1e-5)


def test_embedding_is_what_training_compares() -> None:
    network = ReidNetwork(small(), 5).eval()
    visible, infrared = pictures()
    outputs = network(visible, infrared)
    for modality, given in enumerate((visible, infrared)):
        expected = torch.nn.functional.normalize(outputs.specific[modality].observation, dim=1)
        assert torch.allclose(network.embed(given, modality)["v specific"], expected, atol=1e-5)


def test_the_uniform_view_learns_from_reconstruction_alone() -> None:
    network = ReidNetwork(small(uniform=True, loss=LossSettings(consistency="mv2d")), 5)
    outputs = network(*pictures())
    assert len(outputs.shared) == 3
    assert outputs.joint is not None
    assert outputs.joint.leave_one_out.shape == (3, 6, 5)
    assert network.uniform is not None
    weight = next(network.uniform.parameters())
    sums = outputs.shared[2].observation_logits.square().sum()
    assert torch.autograd.grad(sums, weight, retain_graph=True, allow_unused=True) == (None,)
    assert outputs.reconstructed is not None
    made, grey = outputs.reconstructed
    assert made.shape == grey.shape == (12, 1, 32, 16)
    (gradient,) = torch.autograd.grad((made - grey).square().sum(), weight)
    assert gradient.abs().sum() > 0


def test_z_is_sampled_by_the_conventional_bottleneck_alone() -> None:
    for objective, moves in (("cib", True), ("vd", False)):
        network = ReidNetwork(small(loss=LossSettings(objective=objective), dropout=0.0), 5).train()  # type: ignore[arg-type]
        first, second = (network(*pictures()).shared[0].representation for _ in range(2))
        assert (not torch.allclose(first, second, atol=1e-4)) == moves


@pytest.mark.slow
@pytest.mark.parametrize("classes", [0, 5])
@pytest.mark.parametrize("routing", ["modality", "grey"])
def test_what_a_search_compares_is_exported_for_any_number_of_pictures(
    classes: int, routing: str, tmp_path: Path
) -> None:
    recipe = small(routing=routing)
    model = ReidModel(ReidNetwork(recipe, classes).eval(), recipe, np.arange(5), torch.device("cpu"))
    for one in export_model(model, tmp_path, forms=["torch"], feature="v", tolerance=1e-5):
        assert one.difference < 1e-5
