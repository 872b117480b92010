"""Recipes: what they refuse, and that nothing is lost on the way to JSON and back."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from limbeck.errors import InputError
from limbeck.images.augmentation import AugmentationSettings
from limbeck.reid.recipe import (
    DataSettings,
    LossSettings,
    NetworkSettings,
    ReidRecipe,
    read_recipe,
    shipped_recipe,
)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: DataSettings(set="market"), "data.set"),
        (lambda: DataSettings(identities=1), "data.identities"),
        (lambda: DataSettings(held_out=-1), "data.held_out"),
        (lambda: DataSettings(steps_per_epoch=0), "data.steps_per_epoch"),
        (lambda: NetworkSettings(branches=("visible",)), "together"),
        (lambda: NetworkSettings(branches=("shared", "shared")), "once"),
        (lambda: NetworkSettings(branches=("sideways",)), "network.branches"),  # type: ignore[arg-type]
        (lambda: NetworkSettings(uniform=True, branches=("visible", "infrared")), "network.uniform"),
        (lambda: NetworkSettings(uniform=True, routing="grey"), "network.uniform"),
        (lambda: NetworkSettings(dropout=1.0), "network.dropout"),
        (lambda: LossSettings(objective="vib"), "loss.objective"),  # type: ignore[arg-type]
        (lambda: LossSettings(distillation_weight=-1.0), "loss.distillation_weight"),
        (lambda: LossSettings(temperature=0.0), "loss.temperature"),
        (lambda: LossSettings(margin=2.0), "loss.margin"),
        (lambda: AugmentationSettings(flip=1.5), "augmentation.flip"),
        (lambda: AugmentationSettings(channel_mode="swap"), "augmentation.channel_mode"),  # type: ignore[arg-type]
        (lambda: ReidRecipe(network=NetworkSettings(bottleneck=False)), "loss.objective vd needs a bottleneck"),
        (
            lambda: ReidRecipe(network=NetworkSettings(gaussian=False), loss=LossSettings(objective="cib")),
            "network.gaussian",
        ),
        (lambda: ReidRecipe(network=NetworkSettings(uniform=True)), "loss.consistency"),
        (lambda: NetworkSettings(hidden=(0,)), "network.hidden"),
        (lambda: NetworkSettings(head_hidden=0), "network.head_hidden"),
        (lambda: NetworkSettings(uniform_widths=()), "network.uniform_widths"),
        (lambda: NetworkSettings(critic_hidden=(0,)), "network.critic_hidden"),
        (lambda: LossSettings(ranking_temperature=-1.0), "loss.ranking_temperature"),
        (lambda: LossSettings(consistency="mv2d", pairs="all"), "loss.pairs"),
        (lambda: ReidRecipe(loss=LossSettings(supervise_observation=False)), "loss.supervise_observation"),
    ],
)
def test_unusable_values_are_named(make: Callable[[], object], words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        make()
    assert len(str(caught.value).splitlines()) == 1


def test_a_recipe_survives_json() -> None:
    recipe = replace(ReidRecipe(), network=NetworkSettings(hidden=(7, 5), branches=("shared",)))
    assert ReidRecipe.from_dict(json.loads(json.dumps(recipe.to_dict()))) == recipe


def test_a_recipe_under_the_names_of_earlier_versions_is_read() -> None:
    values = json.loads(json.dumps(ReidRecipe(data=DataSettings(set="regdb")).to_dict()))
    del values["data"]["fold"], values["data"]["splits"]
    values["data"] |= {"split": 3, "parts": ["train"]}
    assert ReidRecipe.from_dict(values).data == DataSettings(set="regdb", fold=3, splits=("train",))
    values["training"]["split"] = 3  # of the data alone
    with pytest.raises(InputError, match="not of this version"):
        ReidRecipe.from_dict(values)


def test_an_unknown_key_is_refused() -> None:
    values = ReidRecipe().to_dict()
    values["network"]["depth"] = 3
    with pytest.raises(InputError, match="not of this version"):
        ReidRecipe.from_dict(values)


def test_the_shipped_recipes_are_found_by_name_and_can_be_read() -> None:
    small = read_recipe(shipped_recipe("small"))
    assert (small.network.encoder, small.network.hidden, small.network.head_hidden) == ("small", (512,), None)
    assert (small.training.epochs, small.training.learning_rate, small.training.precision) == (24, 2e-3, "bf16")
    assert small.data == replace(DataSettings(), height=64, width=32, steps_per_epoch=50)
    with pytest.raises(InputError, match=r"^recipe must be one of small, not 'large'$"):
        shipped_recipe("large")


def test_a_recipe_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    for text in ("a: [", "network: {depth: 3}", "network: {encoder: 3}", "- 1"):
        (tmp_path / "recipe.yaml").write_text(text)
        with pytest.raises(InputError, match=r"recipe\.yaml") as caught:
            read_recipe(tmp_path / "recipe.yaml")
        assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match="absent"):
        read_recipe(tmp_path / "absent.yaml")
