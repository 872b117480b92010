"""Recipes of deep metric learning: what they refuse, the way to JSON and back, and the official ones."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from limbeck.errors import InputError
from limbeck.metric.recipe import DataSettings, LossSettings, MetricRecipe, NetworkSettings, SamplerSettings
from limbeck.training.recipes import read_recipe

RECIPES = Path(__file__).parents[2] / "recipes" / "metric"


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: DataSettings(set="birds"), r"data\.set"),
        (lambda: DataSettings(resize=200), r"data\.crop must be at most data\.resize, 200, not 224"),
        (lambda: DataSettings(test_classes=1.0), r"data\.test_classes"),
        (lambda: NetworkSettings(dropout=1.0), r"network\.dropout"),
        (lambda: NetworkSettings(embedding=0), r"network\.embedding"),
        (lambda: NetworkSettings(normalization="l2"), r"network\.normalization"),  # type: ignore[arg-type]
        (lambda: SamplerSettings(kind="classes", batch=10, pictures=4), r"sampler\.pictures must divide"),
        (lambda: LossSettings(name="angular"), r"loss\.name"),  # type: ignore[arg-type]
        (lambda: LossSettings(margin=0.5), r"loss\.margin is not a parameter of loss\.name cross-entropy"),
        (lambda: LossSettings(name="triplet", scale=2.0), r"loss\.scale is not a parameter"),
        (lambda: LossSettings(memory=10), r"loss\.memory is for losses of pairs"),
        (lambda: LossSettings(name="ranked-list", memory=10), r"loss\.memory"),
        (lambda: LossSettings(name="pytorch-metric-learning"), r"loss\.external"),
        (lambda: LossSettings(external="CircleLoss"), r"loss\.external"),
        (lambda: MetricRecipe(loss=LossSettings(consistency="vcd")), "needs a bottleneck"),
        (
            lambda: MetricRecipe(loss=LossSettings(consistency="vcd"), network=NetworkSettings(bottleneck=True)),
            r"sampler\.kind",
        ),
    ],
)
def test_unusable_values_are_named(make: Callable[[], object], words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        make()
    assert "\n" not in str(caught.value)


def test_a_recipe_survives_json() -> None:
    recipe = replace(MetricRecipe(), network=NetworkSettings(hidden=(7, 5)), loss=LossSettings(name="snca"))
    assert MetricRecipe.from_dict(json.loads(json.dumps(recipe.to_dict()))) == recipe


@pytest.mark.parametrize(
    ("name", "epochs", "rate", "momentum", "normalization", "fit", "ratio"),
    [
        ("cub", 30, 0.02, 0.0, "none", "short", (0.75, 4 / 3)),
        ("cars", 100, 0.05, 0.0, "batch", "squash", (1.0, 1.0)),
        ("sop", 100, 0.003, 0.99, "batch", "squash", (0.75, 4 / 3)),
        ("inshop", 100, 0.003, 0.99, "batch", "squash", (0.75, 4 / 3)),
    ],
)
def test_the_official_recipes(
    name: str, epochs: int, rate: float, momentum: float, normalization: str, fit: str, ratio: tuple[float, float]
) -> None:
    recipe = read_recipe(RECIPES / f"{name}.yaml", MetricRecipe)
    training, network, loss = recipe.training, recipe.network, recipe.loss
    assert (recipe.data.set, recipe.data.fit, recipe.data.resize, recipe.data.crop) == (name, fit, 256, 224)
    assert (training.epochs, training.learning_rate, training.momentum) == (epochs, rate, momentum)
    assert (training.optimizer, training.weight_decay, training.decay_vectors) == ("sgd", 5e-4, False)
    assert (training.schedule, training.warmup_steps) == ("whole-cosine", 100)
    assert (network.encoder, network.weights) == ("resnet50", "resnet50-imagenet-v1")
    assert (network.normalization, network.dropout, network.freeze_bn) == (normalization, 0.5, True)
    assert (network.last_stride, network.embedding, network.bottleneck) == (2, None, False)
    assert (loss.name, loss.label_smoothing, loss.smoothing_over, loss.zero_classifier, loss.rate_factor) == (
        "cross-entropy",
        0.1,
        "others",
        True,
        1.0,
    )
    assert (recipe.sampler.kind, recipe.sampler.batch) == ("random", 128)
    assert recipe.augmentation.ratio == pytest.approx(ratio)
    assert (recipe.augmentation.scale, recipe.augmentation.flip) == ((0.16, 1.0), 0.5)
    jitter = {"cub": (0.25, 0.25, 0.25, 0.0), "cars": (0.3, 0.3, 0.3, 0.1)}.get(name, (0.0,) * 4)
    changed = recipe.augmentation
    assert (changed.brightness, changed.contrast, changed.saturation, changed.hue) == jitter
