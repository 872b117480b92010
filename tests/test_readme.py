"""The README's commands run as printed; its Python is run by doctest, with every other page's."""

import importlib
import re
import shlex
from pathlib import Path

import pytest

from limbeck.cli import main

ROOT = Path(__file__).parent.parent
PAGES = ["README.md", "CONTRIBUTING.md", *sorted(f"docs/{page.name}" for page in (ROOT / "docs").glob("*.md"))]


def shell_lines() -> list[str]:
    blocks = re.findall(r"```sh\n(.*?)```", (ROOT / "README.md").read_text(), flags=re.DOTALL)
    return [line.split("#")[0].strip() for block in blocks for line in block.splitlines() if line.strip()]


def test_limbeck_commands_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    commands = [line for line in shell_lines() if line.startswith("limbeck ")]
    assert commands
    for command in commands:
        assert main(shlex.split(command)[1:]) == 0


def test_make_targets_exist() -> None:
    targets = {line.split()[1] for line in shell_lines() if line.startswith("make ")}
    assert {"demo", "test"} <= targets
    makefile = (ROOT / "Makefile").read_text()
    assert all(re.search(rf"^{target}:", makefile, flags=re.MULTILINE) for target in targets)


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    text = (ROOT / page).read_text()
    for link in re.findall(r"\]\(([^)#]+?)\)", text):
        if "://" not in link:
            assert ((ROOT / page).parent / link).exists(), link


def test_every_function_of_the_equations_exists() -> None:
    text = (ROOT / "docs/equations.md").read_text()
    names = set(re.findall(r"`(limbeck(?:\.\w+)+)`", text))
    assert len(names) > 10
    for name in names:
        module, attribute = name.rsplit(".", 1)
        assert hasattr(importlib.import_module(module), attribute), name


@pytest.mark.parametrize("recipe", sorted((ROOT / "recipes").rglob("*.yaml")), ids=lambda path: path.stem)
def test_recipes_have_a_run_card_and_are_valid(recipe: Path) -> None:
    card = [line for line in recipe.read_text().splitlines() if line.startswith("#")]
    assert all(any(word in line for line in card) for word in ("what", "command", "time", "expect"))
    with pytest.raises(SystemExit) as stop:
        main(["study", "ablation", "--config", str(recipe), "--print_config"])
    assert stop.value.code in (None, 0)
