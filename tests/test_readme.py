"""The commands of the README and of the first page run as printed, those of the guide are known ones, and links lead
somewhere. The Python of all pages is run by doctest.
"""

import importlib
import importlib.util
import re
import shlex
from functools import cache
from pathlib import Path

import pytest
from jsonargparse import ArgumentParser
from tests.cli.test_cli_memory import VERBS

from limbeck.cli import main, verbs
from limbeck.cli.jobs import parsers
from limbeck.cli.parser import SHORT
from limbeck.files import LONGEST_LINE, UNFOLDED
from limbeck.images.decoding import MAX_PIXELS
from limbeck.reid.recipe import ReidRecipe
from limbeck.yamlfiles import MOST_NODES

ROOT = Path(__file__).parent.parent
PAGES = [
    "README.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    *sorted(f"docs/{page.name}" for page in (ROOT / "docs").glob("*.md")),
]
# Whose commands are run.
RUN = ("README.md", "docs/start.md")
NOT_RUN = "<!-- not run: "


def shell_blocks(page: str) -> dict[str, list[str]]:
    """The lines of every block of shell commands that is not marked, by its heading."""
    text = (ROOT / page).read_text()
    blocks: dict[str, list[str]] = {}
    for block in re.finditer(r"```sh\n(.*?)```", text, flags=re.DOTALL):
        before = text[: block.start()]
        if before.rstrip().rpartition("\n")[2].startswith(NOT_RUN):
            continue
        title = re.findall(r"^##? (.+)", before, flags=re.MULTILINE)[-1]
        lines = [line.split(" #")[0].strip() for line in block[1].splitlines() if line.strip()]
        blocks.setdefault(f"{page}: {title}", []).extend(lines)
    return blocks


BLOCKS = {title: lines for page in RUN for title, lines in shell_blocks(page).items()}
COMMANDS = {title: [line for line in lines if line.startswith("limbeck ")] for title, lines in BLOCKS.items()}


class Shell:
    """Runs the README's commands in one folder, each once, and before it the earlier ones that make what it reads."""

    def __init__(self) -> None:
        self._done: set[str] = set()

    def run(self, command: str) -> None:
        if command in self._done:
            return
        known = [one for commands in COMMANDS.values() for one in commands]
        for earlier in known[: known.index(command)]:
            made = re.search(r"(?:--out|make people|make streets) (\S+)", earlier)
            if made and re.search(rf"(?<!--out) {re.escape(made[1])}(?![^\s/])", command):
                self.run(earlier)
        assert main(shlex.split(command)[1:]) == 0
        self._done.add(command)


@pytest.fixture(scope="module")
def shell_and_folder(tmp_path_factory: pytest.TempPathFactory) -> tuple[Shell, Path]:
    folder = tmp_path_factory.mktemp("readme")
    (folder / "recipes").symlink_to(ROOT / "recipes")
    return Shell(), folder


@pytest.mark.slow
@pytest.mark.usefixtures("short_tsne")
@pytest.mark.parametrize("title", [title for title, commands in COMMANDS.items() if commands])
def test_limbeck_commands_run(
    title: str, shell_and_folder: tuple[Shell, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    shell, folder = shell_and_folder
    monkeypatch.chdir(folder)
    for command in COMMANDS[title]:
        shell.run(command)


def test_make_targets_exist() -> None:
    targets = {line.split()[1] for lines in BLOCKS.values() for line in lines if line.startswith("make ")}
    assert {"demo", "test"} <= targets
    makefile = (ROOT / "Makefile").read_text()
    assert all(re.search(rf"^{target}:", makefile, flags=re.MULTILINE) for target in targets)


def headings(path: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    text = re.sub(r"^```.*?^```", "", path.read_text(), flags=re.DOTALL | re.MULTILINE)
    titles = re.findall(r"^#+ (.+)", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    text = (ROOT / page).read_text()
    for link in re.findall(r"\]\(([^)]+?)\)", text):
        if "://" not in link:
            path, _, anchor = link.partition("#")
            target = (ROOT / page).parent / path if path else ROOT / page
            assert target.exists(), link
            assert not anchor or anchor in headings(target), link


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) < 120


LINE = re.compile(r"^(?:[A-Z_]+=\S+ )*limbeck [a-z].*$", flags=re.MULTILINE)


@cache
def known_flags(verb: str) -> frozenset[str]:
    found = {flag for parser in parsers(verbs.known()[verb]) for flag in parser.flags}
    return frozenset(found | {short for short in SHORT if any(flag.endswith(f".{short}") for flag in found)})


def guide_lines() -> list[tuple[str, str]]:
    """(page, line) of every command in a block of the guide."""
    found = []
    for page in PAGES:
        for block in re.finditer(r"^```\w*\n(.*?)^```", (ROOT / page).read_text(), flags=re.DOTALL | re.MULTILINE):
            found += [(page, line[0]) for line in LINE.finditer(block[1].replace("\\\n", " "))]
    return found


@pytest.mark.slow
def test_commands_of_the_guide_are_known() -> None:
    """Every verb and flag that a page shows exists, also where the data to run it are not here."""
    lines = guide_lines()
    assert len(lines) > 60
    wrong = []
    for page, line in lines:
        words = re.split(r"\s+#\s|\s+[;>|]\s", line)[0].split()
        words = words[words.index("limbeck") + 1 :]
        verb = next((" ".join(words[:n]) for n in (3, 2, 1) if " ".join(words[:n]) in verbs.known()), None)
        if verb is None:
            wrong.append(f"{page}: {line}: no such verb")
            continue
        for word in words:
            flag = word.partition("=")[0]
            name = flag[2:].rstrip("+").replace("-", "_")
            if re.fullmatch(r"--[a-z][\w.-]*\+?", flag) and name not in known_flags(verb):
                wrong.append(f"{page}: {line}: no flag {flag}")
    assert wrong == []


def test_every_function_of_the_equations_exists() -> None:
    text = (ROOT / "docs/equations.md").read_text()
    names = set(re.findall(r"`(limbeck(?:\.\w+)+)`", text))
    assert len(names) > 10
    for name in names:
        module, attribute = name.rsplit(".", 1)
        assert hasattr(importlib.import_module(module), attribute) or importlib.util.find_spec(name), name


RECIPES = sorted([*(ROOT / "recipes").rglob("*.yaml"), *(ROOT / "src").rglob("recipes/*.yaml")])


def checked_by(recipe: Path) -> list[str]:
    """The command that reads a recipe; one that changes another is laid over it."""
    if recipe.parent.name == "multiview":
        return ["study", "multiview-ablation", "--config", str(recipe)]
    if "metric" in recipe.relative_to(ROOT).parts:
        return ["train", "metric", "--out", "run", "--config", str(recipe)]
    if "segmentation" in recipe.relative_to(ROOT).parts:
        # "robust" changes either of the two others.
        bases = [recipe.with_stem("semantickitti")] if recipe.stem == "robust" else []
        configs = (word for file in (*bases, recipe) for word in ("--config", str(file)))
        return ["train", "segmentation", "--out", "run", *configs]
    if "unsupervised" in str(recipe.relative_to(ROOT)):
        return ["train", "reid-unsupervised", "--out", "run", "--config", str(recipe)]
    published = ROOT / "recipes" / "reid"
    tables = {"table3-2021": published / "sysu-vd-2021.yaml", "table4-2022": published / "sysu-mv2d-2view.yaml"}
    base = published / "sysu-mv2d-2view.yaml" if recipe.stem == "cam" else tables.get(recipe.parent.name)
    configs = [recipe] if base is None else [base, recipe]
    return ["train", "reid", "--out", "run", *(word for file in configs for word in ("--config", str(file)))]


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_recipes_have_a_run_card_and_are_valid(recipe: Path) -> None:
    card = [line for line in recipe.read_text().splitlines() if line.startswith("#")]
    assert all(any(word in line for line in card) for word in ("what", "command", "time", "expect"))
    with pytest.raises(SystemExit) as stop:
        main([*checked_by(recipe), "--print_config"])
    assert stop.value.code in (None, 0)


# Which branches and which objective the twelve rows of the papers' tables have: E_S; E_I and E_V; or all three.
ROWS = {
    "table3-2021": "S- I- A- S0 I0 A0 Sc Ic Ac Sv Iv Av",
    "table4-2022": "S- Sc S0 Sv I- Ic I0 Iv A- Ac A0 Av",
}
BRANCHES = {"S": ("shared",), "I": ("visible", "infrared"), "A": ("visible", "infrared", "shared")}


@pytest.mark.parametrize("table", ROWS)
def test_the_ablation_rows_are_the_papers(table: str) -> None:
    rows = sorted((ROOT / "recipes" / "reid" / table).glob("row-*.yaml"))
    assert len(rows) == 12
    for row, ticks in zip(rows, ROWS[table].split(), strict=True):
        parser = ArgumentParser()
        parser.add_argument("--config", action="config")
        parser.add_class_arguments(ReidRecipe, as_group=False)
        words = checked_by(row)[4:]
        read = parser.instantiate(parser.parse_args(words))
        recipe = ReidRecipe(**{group: read[group] for group in ("data", "network", "loss", "training")})
        assert recipe.network.branches == BRANCHES[ticks[0]]
        assert recipe.network.bottleneck == (ticks[1] != "-")
        assert recipe.loss.objective == {"-": "none", "0": "none", "c": "cib", "v": "vd"}[ticks[1]]
        if recipe.network.bottleneck:
            # 512 numbers leave the bottleneck: z itself, or the means and variances of 256.
            assert recipe.network.representation * (1 + recipe.network.gaussian) == 512


def test_the_limits_in_security_are_those_of_the_code() -> None:
    text = (ROOT / "SECURITY.md").read_text()
    assert UNFOLDED == 2**30
    assert "1 GiB, or 32 times the file" in text
    assert f"{LONGEST_LINE:,} characters" in text
    assert f"{MOST_NODES:,} with aliases written out" in text
    assert MAX_PIXELS == 2**25
    for verb, (_, times) in VERBS.items():
        assert f"| `{verb}` | {times:g} |" in text
