"""Every script of examples/ runs and reaches what it claims."""

import importlib.util
import runpy
from pathlib import Path
from types import ModuleType

import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"
REACHES = {
    "acquire_views": 0.01,
    "huggingface_trainer": 0.1,
    "lightning_module": 0.1,
    "losses_in_your_loop": 0.9,
    "missing_views": 0.75,
}
NEEDS = {"huggingface_trainer": ("transformers", "accelerate"), "lightning_module": ("lightning",)}


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_example_is_listed() -> None:
    assert {path.stem for path in EXAMPLES.glob("*.py")} == set(REACHES)


@pytest.mark.slow
@pytest.mark.parametrize("name", REACHES)
def test_example_reaches_its_figure(name: str) -> None:
    for package in NEEDS.get(name, ()):
        pytest.importorskip(package, reason=f"{package} is not installed", exc_type=ImportError)
    assert load(name).main() > REACHES[name]


@pytest.mark.slow
@pytest.mark.usefixtures("short_tsne")
@pytest.mark.parametrize("tutorial", sorted((EXAMPLES / "tutorials").glob("*.py")), ids=lambda path: path.stem)
def test_tutorial_runs(tutorial: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It prints something, and whatever it measures is better than chance."""
    import matplotlib as mpl

    if tutorial.stem == "table_with_missing_views":
        pytest.importorskip("pandas")
    mpl.use("agg")
    found = runpy.run_path(str(tutorial), run_name="__main__")
    assert capsys.readouterr().out
    if tutorial.stem == "table_with_missing_views":
        assert found["accuracy"] > 0.75
    if tutorial.stem == "score_and_diagnose_embeddings":
        assert found["scores"]["less each camera's mean"] > found["scores"]["as they are"] + 10
    if tutorial.stem == "reid_of_own_pictures":
        assert (found["run"] / "model.safetensors").is_file()
