"""Every script of examples/ runs and reaches what it claims."""

import importlib.util
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
