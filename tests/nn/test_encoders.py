"""Encoders by name; timm's models by a stand-in for that package, which need not be installed."""

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from limbeck.errors import InputError
from limbeck.nn import OwnEncoder, ResNet, SmallResNet, TimmEncoder, load_weights, make_encoder


class _Model(nn.Module):
    """What timm promises of a model: num_features and forward_features."""

    def __init__(self, output: Callable[[Tensor], Tensor], **attributes: Any) -> None:
        super().__init__()
        self.num_features = 6
        self.output = output
        for name, value in attributes.items():
            setattr(self, name, value)

    def forward_features(self, pictures: Tensor) -> Tensor:
        return self.output(pictures)


@pytest.fixture
def timm(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[tuple[str, dict[str, Any]]]]:
    """`timm(model or error)` puts a stand-in in place, whose calls are listed."""

    def put(answer: nn.Module | Exception) -> list[tuple[str, dict[str, Any]]]:
        calls = []

        def create_model(name: str, **options: Any) -> nn.Module:
            calls.append((name, options))
            if isinstance(answer, Exception):
                raise answer
            return answer

        module = ModuleType("timm")
        module.create_model = create_model
        monkeypatch.setitem(sys.modules, "timm", module)
        return calls

    return put


def _refused(name: str, *words: str, **options: int) -> None:
    with pytest.raises(InputError) as caught:
        make_encoder(name, **options)
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message


def _tokens(prefix: int, rows: int, columns: int) -> Tensor:
    """Prefix tokens of -1; token (r, c) holds 100 r + 10 c + feature."""
    grid = (
        100 * torch.arange(float(rows))[:, None, None]
        + 10 * torch.arange(float(columns))[:, None]
        + torch.arange(float(6))
    )
    return torch.cat([-torch.ones(prefix, 6), grid.reshape(-1, 6)]).unsqueeze(0)


def _is_grid(maps: Tensor, rows: int, columns: int) -> bool:
    expected = _tokens(0, rows, columns)[0].reshape(rows, columns, 6).permute(2, 0, 1)
    return torch.equal(maps, expected.unsqueeze(0))


@pytest.mark.parametrize(
    ("name", "kind", "features", "size"),
    [("small", SmallResNet, 192, (8, 4)), ("resnet18", ResNet, 512, (4, 2)), ("resnet50", ResNet, 2048, (4, 2))],
)
def test_built_in_encoders(name: str, kind: type, features: int, size: tuple[int, int]) -> None:
    encoder = make_encoder(name).eval()
    assert isinstance(encoder, kind)
    assert encoder.features == features
    with torch.no_grad():
        assert encoder(torch.zeros(1, 3, 64, 32)).shape == (1, features, *size)


def test_the_last_stride_reaches_the_resnets() -> None:
    with torch.no_grad():
        assert make_encoder("resnet18", last_stride=2).eval()(torch.zeros(1, 3, 64, 32)).shape == (1, 512, 2, 1)
    _refused("small", "last_stride must be 1 or 2", last_stride=4)


@pytest.mark.parametrize("name", ["resnet", "timm:", "", "Small", "module:", ":factory", "a b:c", "a.b:c.d"])
def test_unknown_names_are_refused(name: str) -> None:
    _refused(name, repr(name), "small, resnet18, resnet50, timm:NAME, or package.module:factory")


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a module with factories of encoders, good and bad."""
    (tmp_path / "own_backbones.py").write_text(
        "from torch import nn\n"
        "def striding(features=5):\n"
        "    made = nn.Sequential(nn.Conv2d(3, features, 3, stride=4, padding=1))\n"
        "    made.features = features\n"
        "    return made\n"
        "def wrong():\n"
        "    made = striding(4)\n"
        "    made.features = 7\n"
        "    return made\n"
        "def flat():\n"
        "    made = nn.Sequential(nn.Flatten())\n"
        "    made.features = 3\n"
        "    return made\n"
        "def nameless():\n"
        "    return nn.Identity()\n"
        "def stages():\n"
        "    made = nn.Identity()\n"
        "    made.features = nn.Identity()\n"
        "    return made\n"
        "def text():\n"
        "    return 'resnet50'\n"
        "def asks(width):\n"
        "    return width\n"
        "number = 3\n"
    )
    (tmp_path / "own_broken.py").write_text("raise OSError('no licence')\n")
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("own_backbones", "own_broken"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return "own_backbones"


def test_an_encoder_of_ones_own_is_made_by_its_factory(own: str, tmp_path: Path) -> None:
    encoder = make_encoder(f"{own}:striding")
    assert isinstance(encoder, OwnEncoder)
    assert encoder.features == 5
    assert encoder(torch.zeros(2, 3, 16, 8)).shape == (2, 5, 4, 2)
    other = make_encoder(f"{own}:striding")
    torch.save(encoder.model.state_dict(), tmp_path / "own.pth")
    assert load_weights(other, str(tmp_path / "own.pth")).startswith("weights")
    assert torch.equal(other.model[0].weight, encoder.model[0].weight)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("no_such_package.mine:make", ("No module named 'no_such_package'", "PYTHONPATH")),
        ("own_backbones:gone", ("has no attribute 'gone'",)),
        ("own_broken:make", ("own_broken cannot be imported", "OSError: no licence")),
        ("own_backbones:asks", ("asks() failed", "TypeError", "called without arguments")),
        ("own_backbones:number", ("number() failed",)),
        ("own_backbones:text", ("returned a str", "torch.nn.Module")),
        ("own_backbones:nameless", ("`features`", "not absent")),
        ("own_backbones:stages", ("`features`", "not a Identity")),
    ],
)
def test_what_is_wrong_with_an_own_encoder_is_said(own: str, name: str, words: tuple[str, ...]) -> None:
    del own
    _refused(name, repr(name), *words)


@pytest.mark.parametrize(("factory", "shape"), [("wrong", "(2, 4, 4, 2)"), ("flat", "(2, 384)")])
def test_an_own_encoder_that_gives_something_else_is_refused(own: str, factory: str, shape: str) -> None:
    encoder = make_encoder(f"{own}:{factory}")
    with pytest.raises(InputError, match="must give maps of shape") as caught:
        encoder(torch.zeros(2, 3, 16, 8))
    assert shape in str(caught.value)


def test_timms_models_are_made_with_random_weights_and_without_a_classifier(timm) -> None:
    calls = timm(_Model(lambda x: x.new_ones(len(x), 6, 4, 2)))
    encoder = make_encoder("timm:some_net")
    assert isinstance(encoder, TimmEncoder)
    assert calls == [("some_net", {"pretrained": False, "num_classes": 0, "global_pool": ""})]
    assert encoder.features == 6
    assert encoder(torch.zeros(2, 3, 64, 32)).shape == (2, 6, 4, 2)


@pytest.mark.parametrize("attributes", [{}, {"output_fmt": "NHWC"}])
def test_channels_that_come_last_are_turned(timm, attributes: dict[str, str]) -> None:
    rows, columns = (6, 6) if attributes else (4, 2)  # 6 x 6 positions of 6 features: only output_fmt tells
    timm(_Model(lambda x: _tokens(0, rows, columns).reshape(1, rows, columns, 6), **attributes))
    assert _is_grid(make_encoder("timm:x")(torch.zeros(1, 3, 64, 32)), rows, columns)


@pytest.mark.parametrize("prefix", [0, 1, 5])
@pytest.mark.parametrize(
    ("embedding", "size", "grid"),
    [
        (SimpleNamespace(patch_size=(16, 16), grid_size=(14, 14)), (64, 32), (4, 2)),
        (SimpleNamespace(patch_size=16), (64, 32), (4, 2)),
        (SimpleNamespace(grid_size=(4, 2)), (64, 32), (4, 2)),
        # The grid of the picture comes before the one that the model was made for.
        (SimpleNamespace(patch_size=(16, 16), grid_size=(4, 4)), (128, 32), (8, 2)),
        (None, (48, 48), (3, 3)),
    ],
)
def test_tokens_become_maps(timm, prefix: int, embedding: Any, size: tuple[int, int], grid: tuple[int, int]) -> None:
    timm(_Model(lambda x: _tokens(prefix, *grid), num_prefix_tokens=prefix, patch_embed=embedding))
    assert _is_grid(make_encoder("timm:vit")(torch.zeros(1, 3, *size)), *grid)


@pytest.mark.parametrize(
    ("output", "words"),
    [
        (lambda x: _tokens(0, 4, 4), ("16 tokens", "64 x 32", "form no known grid")),
        (lambda x: torch.zeros(1, 6), ("(1, 6)", "6 maps")),
        (lambda x: torch.zeros(1, 5, 4, 2), ("(1, 5, 4, 2)", "6 maps")),
        (lambda x: torch.zeros(1, 8, 5), ("(1, 8, 5)", "6 maps")),
    ],
)
def test_outputs_that_are_no_maps_are_refused(timm, output: Callable[[Tensor], Tensor], words: tuple[str, ...]) -> None:
    timm(_Model(output))
    encoder = make_encoder("timm:vit")
    with pytest.raises(InputError) as caught:
        encoder(torch.zeros(1, 3, 64, 32))
    for word in ("timm:vit", *words):
        assert word in str(caught.value)


def test_a_size_that_the_model_refuses_is_one_line(timm) -> None:
    def refuse(pictures: Tensor) -> Tensor:
        raise AssertionError(f"Input height ({pictures.shape[-2]}) doesn't match model (224).\nmore")

    timm(_Model(refuse))
    with pytest.raises(InputError, match=r"^encoder 'timm:vit' refuses pictures of 64 x 32 pixels \(.*\(224\)\.\)$"):
        make_encoder("timm:vit")(torch.zeros(1, 3, 64, 32))


@pytest.mark.parametrize(
    "error", [RuntimeError("Unknown model (x)\nmore"), TypeError("no argument 'global_pool'"), AssertionError()]
)
def test_a_model_that_timm_cannot_make_is_one_line(timm, error: Exception) -> None:
    timm(error)
    _refused("timm:x", "timm:x", "list_models", (str(error) or "AssertionError").splitlines()[0])


def test_without_timm_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)  # makes its import fail, whether it is installed or not
    _refused("timm:x", "encoder 'timm:x'", "pip install timm torch==")


def test_a_torchvision_that_does_not_fit_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    importing = importlib.import_module

    def broken(name: str) -> ModuleType:
        if name == "timm":
            raise RuntimeError("operator torchvision::nms does not exist\nmore")
        return importing(name)

    monkeypatch.setattr(importlib, "import_module", broken)
    _refused("timm:x", "operator torchvision::nms does not exist", "install the torchvision")
