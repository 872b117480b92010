"""Flags are exact: no prefixes; near ones are suggested, older names answered, short ones stand for one longer flag."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import pytest

from limbeck.cli.parser import Parser
from limbeck.errors import InputError
from limbeck.reid.recipe import ReidRecipe, read_recipe, shipped_recipe


def parser() -> Parser:
    made = Parser("try", description="A parser.", elsewhere=lambda: {"branch": "digits.npz"})
    made.add_argument("--config", action="config")
    made.add_argument("--split", type=str, default="test")
    made.add_argument("--out", type=str | None, default=None)
    made.add_argument("--rows", type=int | None, default=None)
    made.add_argument("--size", type=tuple[int, int] | float | None, default=None)
    made.add_argument("--how", type=Literal["this", "that"] | None, default=None)
    made.add_class_arguments(ReidRecipe, as_group=False)
    return made


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--spli", "train"], "there is no flag --spli: did you mean --split? (see limbeck try --help)"),
        (["--ou=x"], "there is no flag --ou: did you mean --out?"),
        (["--training.epoch", "3"], "there is no flag --training.epoch: did you mean --training.epochs?"),
        (["--learning_rate", "3"], "there is no flag --learning_rate: did you mean --training.learning_rate?"),
        (["--part", "test"], "there is no flag --part any more: it is --split"),
        (["--branch", "shared"], "--branch is not for digits.npz: leave it out"),
        (["--qwertz", "3"], "there is no flag --qwertz (see limbeck try --help)"),
        (["--training.epochs", "many"], "--training.epochs must be a whole number, not 'many'"),
        (["--training.optimizer", "adm"], "training.optimizer must be one of adam, adamw, sgd, not 'adm'"),
        (["--rows", "many"], "--rows must be a whole number, or null, not 'many' (see limbeck try --help)"),
        (["--size", "wide"], "--size must be a list, [A, B], or a number, or null, not 'wide'"),
        (["--how", "so"], "--how must be one of this, that, or null, not 'so'"),
        (["--training", "3"], "--training must be a mapping of settings, or a file of them, not '3'"),
        (["stray"], "stray"),
        (["--split"], "--split"),
    ],
)
def test_a_mistake_is_one_line_with_what_was_meant(words: Sequence[str], expected: str) -> None:
    with pytest.raises(InputError) as caught:
        parser().read(words)
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("5", "training must be a mapping of settings, not 5"),
        ("true", "training must be a mapping of settings, not True"),
        ("[]", "training must be a mapping of settings, not []"),
        ("~", "training must be a mapping of settings, not null"),
        ("''", "training must be a mapping of settings, or a file of them, not ''"),
        ("{a: 1}", "there is no key training.a (see limbeck try --help)"),
    ],
)
def test_a_group_of_settings_is_a_mapping(value: str, expected: str, tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text(f"training: {value}\n")
    with pytest.raises(InputError) as caught:
        parser().read(["--config", str(tmp_path / "recipe.yaml")])
    assert expected in str(caught.value)


@pytest.mark.parametrize("where", ["a flag", "a file"])
def test_a_file_that_is_no_text_is_no_group_of_settings(where: str, tmp_path: Path) -> None:
    group, recipe = tmp_path / "group.yaml", tmp_path / "recipe.yaml"
    group.write_bytes(b"{epochs: 1}\xb6")
    recipe.write_text(f"training: {group}\n")
    words = [f"--training={group}"] if where == "a flag" else ["--config", str(recipe)]
    with pytest.raises(
        InputError, match=r"training must be a mapping of settings, or a file of them, not .*group\.yaml"
    ):
        parser().read(words)


def test_settings_may_be_longer_than_a_name_of_a_file() -> None:
    milestones = tuple(range(1, 2000))
    for name, words in (
        ("training", f"{{milestones: {list(milestones)}}}"),
        ("config", f"{{training: {{milestones: {list(milestones)}}}}}"),
    ):
        assert parser().read([f"--{name}", words])["training"]["milestones"] == milestones


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for words in (["--training", str(tmp_path / "pipe")], [f"--training={tmp_path / 'pipe'}"]):
        with pytest.raises(InputError, match="is a pipe or a device"):
            parser().read(words)


def test_hyphens_and_underscores_are_the_same() -> None:
    assert parser().read(["--training.learning-rate", "0.5"])["training"]["learning_rate"] == 0.5


def test_a_value_may_look_like_a_flag() -> None:
    assert parser().read(["--out=--seed-3"])["out"] == "--seed-3"


def test_a_short_flag_stands_for_the_only_longer_one() -> None:
    made = parser()
    values = made.read(["--epochs", "7", "--seed=3"])
    assert (values["training"]["epochs"], values["training"]["seed"]) == (7, 3)
    assert "--epochs is short for --training.epochs" in made.format_help()


def test_an_ambiguous_short_flag_is_refused_with_the_longer_ones() -> None:
    made = parser()
    made.add_argument("--other.epochs", type=int, default=1)
    with pytest.raises(InputError, match=r"--epochs: did you mean --training\.epochs or --other\.epochs"):
        made.read(["--epochs", "7"])


def test_the_flags_own_name_comes_before_a_longer_one() -> None:
    made = parser()
    made.add_argument("--epochs", type=int, default=1)
    values = made.read(["--epochs", "7"])
    assert (values["epochs"], values["training"]["epochs"]) == (7, ReidRecipe().training.epochs)


def test_a_shipped_recipe_is_named_like_a_file_and_a_file_comes_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    made = parser()
    made.recipes = shipped_recipe
    values = made.read(["--config", "small", "--epochs", "2"])
    shipped = read_recipe(shipped_recipe("small"))
    assert values["training"]["learning_rate"] == shipped.training.learning_rate != ReidRecipe().training.learning_rate
    assert values["training"]["epochs"] == 2 != shipped.training.epochs
    (tmp_path / "small").write_text("training: {epochs: 5}\n")
    assert made.read(["--config", "small"])["training"]["epochs"] == 5
    with pytest.raises(InputError, match="tiny: there is no such file, and a shipped recipe must be one of small"):
        made.read(["--config", "tiny"])


@pytest.mark.parametrize("where", ["a file", "a string in a file", "a flag"])
def test_yaml_that_stands_for_more_than_it_is_written_in_is_refused(tmp_path: Path, where: str) -> None:
    ring = "a: &a [*a]"
    file = tmp_path / "recipe.yaml"
    file.write_text(f"training: {{epochs: '{ring}'}}\n" if where == "a string in a file" else ring)
    words = [f"--training.epochs={ring}"] if where == "a flag" else ["--config", str(file)]
    with pytest.raises(InputError, match=r"the YAML alias \*a stands inside of what it names"):
        parser().read(words)


def test_a_number_of_thousands_of_digits_is_one_line(tmp_path: Path) -> None:
    file = tmp_path / "recipe.yaml"
    file.write_text(f"training: {{epochs: {'9' * 5000}}}\n")
    for words in (["--config", str(file)], [f"--training.epochs={'9' * 5000}"]):
        with pytest.raises(InputError, match="a number of 5,000 characters is refused"):
            parser().read(words)
