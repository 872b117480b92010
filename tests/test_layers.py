"""The house: imports only go down, tasks never import one another, and nothing heavy is imported for help."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import limbeck

HOME = Path(limbeck.__file__).parent
# From the ground up. What stands beside one another must not import one another.
FLOORS = (
    {"errors"},
    {"registry", "modalities", "cores", "temporaries", "processes"},
    {"files", "matfiles", "settings", "jit"},
    {"csvfiles", "records"},
    {"devices", "tensorfiles", "arrayfiles", "yamlfiles", "objectives", "transport"},
    {"nn"},
    {"reporting"},
    {"retrieval"},
    {"information"},
    {"training"},
    {"images"},
    {"synthetic"},
    {"metric", "multiview", "reid", "segmentation"},
    {"studies"},
    {"cli"},
)
FLOOR = {name: number for number, floor in enumerate(FLOORS) for name in floor}


def imports() -> Iterator[tuple[str, str, str]]:
    """(file, package that it lies in, package of limbeck that it imports) of every import but for type checking."""
    for file in sorted(HOME.rglob("*.py")):
        inside = file.relative_to(HOME).parts[0].removesuffix(".py")
        tree = ast.parse(file.read_text(encoding="utf-8"))
        skipped = {id(node) for block in ast.walk(tree) if _is_type_checking(block) for node in ast.walk(block)}
        for node in ast.walk(tree):
            if id(node) in skipped:
                continue
            names = [node.module] if isinstance(node, ast.ImportFrom) and node.module else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            for name in names:
                words = name.split(".")
                if words[0] == "limbeck" and len(words) > 1:
                    yield file.relative_to(HOME).as_posix(), inside, words[1]


def _is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def test_every_package_has_a_floor() -> None:
    there = {entry.name.removesuffix(".py") for entry in HOME.iterdir() if entry.suffix == ".py" or entry.is_dir()}
    assert there - {"__init__", "__main__", "__pycache__"} == set(FLOOR)


def test_imports_only_go_down() -> None:
    wrong = [
        f"{file} imports limbeck.{other}"
        for file, inside, other in imports()
        if inside not in {"__init__", "__main__"} and inside != other and FLOOR[other] >= FLOOR[inside]
    ]
    assert wrong == []


def _run_apart(code: str) -> None:
    """Run code where nothing is imported yet; it must not fail."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("words", [["--help"], ["study", "--help"], ["--version"], ["nonsense"]])
def test_what_answers_at_once_imports_nothing_heavy(words: list[str]) -> None:
    code = (
        "import sys\nfrom limbeck.cli import main\n"
        f"try:\n    main({words!r})\nexcept SystemExit:\n    pass\n"
        "heavy = {'torch', 'numpy', 'scipy', 'sklearn', 'matplotlib', 'rich', 'jsonargparse'} & set(sys.modules)\n"
        "sys.exit(' '.join(sorted(heavy)) or 0)\n"
    )
    _run_apart(code)


def test_the_classifier_is_imported_without_what_it_does_not_use() -> None:
    """scikit-learn itself imports pandas, where it is installed, scipy.stats and rich."""
    code = (
        "import sys\nfrom limbeck import MultiViewClassifier\n"
        "unused = {'torch._dynamo', 'matplotlib', 'PIL', 'torchvision', 'numba', 'jsonargparse', 'lightning', "
        "'limbeck.cli', 'limbeck.images', 'limbeck.information', 'limbeck.reid', 'limbeck.retrieval', "
        "'limbeck.studies'} & set(sys.modules)\n"
        "sys.exit(' '.join(sorted(unused)) or 0)\n"
    )
    _run_apart(code)


def test_packages_are_attributes_that_dir_lists() -> None:
    code = (
        "import sys, limbeck\n"
        "assert {'MultiViewClassifier', '__version__', 'objectives', 'retrieval'} <= set(dir(limbeck))\n"
        "assert 'torch' not in sys.modules\n"
        "assert callable(limbeck.objectives.vsd)\n"
    )
    _run_apart(code)
    packages = {path.parent.name for path in HOME.glob("*/__init__.py")}
    assert packages - {"cli"} <= set(dir(limbeck))
    assert all(hasattr(limbeck, name) for name in dir(limbeck))
