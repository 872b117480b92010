"""The recipes of segmentation in YAML: what the paper says is in them."""

from pathlib import Path

import pytest

from limbeck.segmentation.recipe import LossSettings, SegmentationRecipe, shipped_recipe
from limbeck.training.recipes import read_recipe

RECIPES = Path(__file__).parents[2] / "recipes" / "segmentation"


@pytest.mark.parametrize("name", ["semantickitti", "nuscenes"])
def test_the_papers_recipe(name: str) -> None:
    recipe = read_recipe(RECIPES / f"{name}.yaml", SegmentationRecipe)
    data, network, training = recipe.data, recipe.network, recipe.training
    assert (data.set, data.cameras, data.voxel, data.points, data.batch) == (name, True, 0.05, "one-per-voxel", 8)
    assert (training.optimizer, training.learning_rate, training.momentum) == ("sgd", 0.24, 0.9)
    assert (training.weight_decay, training.epochs, training.schedule) == (1e-4, 40, "cosine")
    assert training.warmup_epochs > 0
    assert training.select == "last"
    assert (network.width, network.image_width, network.image_features, network.dropout) == (1.0, 64, 128, 0.3)
    assert (network.weights, network.fusion, network.image_rate) == ("resnet18-imagenet-v1", "attention", 1.0)
    assert recipe.loss == LossSettings(cross_entropy=1, focal=1, lovasz=1, distillation="vcd")


def test_the_robust_recipe_changes_what_it_says() -> None:
    recipe = read_recipe(RECIPES / "robust.yaml", SegmentationRecipe)
    assert (recipe.network.image_rate, recipe.augmentation.no_pictures, recipe.training.clip_norm) == (0.1, 0.1, 10.0)


def test_the_small_recipe_needs_no_published_weights_and_has_no_divergence() -> None:
    recipe = read_recipe(shipped_recipe("small"), SegmentationRecipe)
    assert recipe.network.weights == "none"
    assert recipe.loss.distillation == "none"
    assert recipe.training.precision == "fp32"
