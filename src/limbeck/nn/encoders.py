"""Encoders by name: from pictures to maps."""

from __future__ import annotations

import importlib
import math
from typing import Any

import torch
from torch import Tensor, nn

from limbeck.errors import InputError
from limbeck.files import first_line
from limbeck.nn.resnet import ResNet, resnet18, resnet50
from limbeck.nn.small import SmallResNet


class TimmEncoder(nn.Module):
    """A model of the library timm up to its last maps, whatever layout it gives them.

    Maps with the channels last are turned. A transformer's tokens lose their prefix (class and register tokens, as many
    as the model's `num_prefix_tokens`) and become the maps of the first grid below that has as many positions as there
    are tokens: the picture's size divided by `patch_embed.patch_size`; `patch_embed.grid_size`; for square pictures, a
    square.

    Args:
        name: as timm knows it, such as "convnext_tiny".

    Attributes:
        features: number of output maps, timm's `num_features`.
        model: the model, to which `limbeck.nn.load_weights` loads; made with random weights and without a classifier.

    Shapes: pictures (n, 3, height, width); maps (n, features, height', width').

    Raises:
        InputError: timm is not installed, or not usable beside this torch, or knows no such model; when called, the
            model refuses pictures of that size or gives tokens that form no known grid.
    """

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name
        try:
            timm = importlib.import_module("timm")
        except ImportError as error:
            raise InputError(
                f"encoder 'timm:{name}' needs the package timm ({first_line(error)}); "
                f"install it with: pip install timm torch=={torch.__version__.split('+')[0]}"  # or pip replaces torch
            ) from error
        except RuntimeError as error:  # what a torchvision built for another torch raises when it is imported
            raise InputError(
                f"encoder 'timm:{name}': timm cannot be imported beside this torch ({first_line(error)}); "
                "install the torchvision that was built for it"
            ) from error
        try:
            model = timm.create_model(name, pretrained=False, num_classes=0, global_pool="")
        except (RuntimeError, ValueError, TypeError, AssertionError) as error:
            raise InputError(
                f"encoder 'timm:{name}': timm cannot make it ({first_line(error)}); timm.list_models() lists its models"
            ) from error
        self.model: Any = model
        self.features = int(model.num_features)

    def forward(self, pictures: Tensor) -> Tensor:
        height, width = pictures.shape[-2:]
        try:
            # Not forward: some models put layers of their classifier behind the maps even without a classifier.
            outputs: Tensor = self.model.forward_features(pictures)
        except AssertionError as error:  # how timm's transformers refuse a size that they were not made for
            raise InputError(
                f"encoder 'timm:{self.name}' refuses pictures of {height} x {width} pixels ({first_line(error)})"
            ) from error
        if outputs.ndim == 3 and outputs.shape[-1] == self.features:
            return self._from_tokens(outputs, height, width)
        if outputs.ndim == 4:
            channels_last = getattr(self.model, "output_fmt", "") == "NHWC" or outputs.shape[1] != self.features
            maps = outputs.permute(0, 3, 1, 2) if channels_last else outputs
            if maps.shape[1] == self.features:
                return maps
        raise InputError(
            f"encoder 'timm:{self.name}' gives an output of shape {tuple(outputs.shape)}, in which no {self.features} "
            "maps can be told; choose another model"
        )

    def _from_tokens(self, outputs: Tensor, height: int, width: int) -> Tensor:
        tokens = outputs[:, int(getattr(self.model, "num_prefix_tokens", 0)) :]
        count = tokens.shape[1]
        embedding = getattr(self.model, "patch_embed", None)
        grids = []
        if patch := _pair(getattr(embedding, "patch_size", None)):
            grids.append((height // patch[0], width // patch[1]))
        if grid := _pair(getattr(embedding, "grid_size", None)):
            grids.append(grid)
        if height == width:
            grids.append((math.isqrt(count), math.isqrt(count)))
        for rows, columns in grids:
            if rows * columns == count:
                return tokens.mT.reshape(len(tokens), self.features, rows, columns)
        raise InputError(
            f"encoder 'timm:{self.name}' gives {count} tokens for pictures of {height} x {width} pixels, "
            "which form no known grid; choose another model or another size of the pictures"
        )


class OwnEncoder(nn.Module):
    """A model of somebody else's code: what a factory returns, checked.

    The factory is imported and called, without arguments, also when a trained model is loaded whose recipe names it.
    Load models of people whom you do not know only where their recipe names an encoder that you know.

    Args:
        name: "package.module:factory". The module must be importable: installed, or in a folder of `PYTHONPATH`.

    Attributes:
        features: number of output maps, the model's own attribute `features`.
        model: what the factory returned, to which `limbeck.nn.load_weights` loads.

    Shapes: pictures (n, 3, height, width); maps (n, features, height', width').

    Raises:
        InputError: the module or the factory is not there or fails, what it returns is no module or has no number of
            `features`; when called, the output is not of that many maps.
    """

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name
        module, _, factory = name.partition(":")
        try:
            make = getattr(importlib.import_module(module), factory)
        except ModuleNotFoundError as error:
            raise InputError(
                f"encoder {name!r}: {first_line(error)}; install the package, or put its folder into PYTHONPATH"
            ) from error
        except AttributeError as error:
            raise InputError(f"encoder {name!r}: {first_line(error)}") from error
        except Exception as error:  # a module of others can raise anything when it is imported
            raise InputError(
                f"encoder {name!r}: {module} cannot be imported ({type(error).__name__}: {first_line(error)})"
            ) from error
        try:
            made = make()
        except Exception as error:  # and so can a factory
            raise InputError(
                f"encoder {name!r}: {factory}() failed ({type(error).__name__}: {first_line(error)}); "
                "it is called without arguments"
            ) from error
        if not isinstance(made, nn.Module):
            raise InputError(f"encoder {name!r} returned a {type(made).__name__}; return a torch.nn.Module")
        features: object = getattr(made, "features", None)
        if not isinstance(features, int) or features <= 0:
            raise InputError(
                f"encoder {name!r}: its attribute `features` must be the number of its output maps, not "
                f"{'absent' if features is None else f'a {type(features).__name__}'}"
            )
        self.model = made
        self.features = features

    def forward(self, pictures: Tensor) -> Tensor:
        maps: object = self.model(pictures)
        if not isinstance(maps, Tensor) or maps.ndim != 4 or maps.shape[:2] != (len(pictures), self.features):
            found = f"shape {tuple(maps.shape)}" if isinstance(maps, Tensor) else f"a {type(maps).__name__}"
            raise InputError(
                f"encoder {self.name!r} must give maps of shape ({len(pictures)}, {self.features}, height, width), "
                f"not {found}"
            )
        return maps


Encoder = ResNet | SmallResNet | TimmEncoder | OwnEncoder


def make_encoder(name: str, *, last_stride: int = 1) -> Encoder:
    """Make an encoder, with random weights, from its name; `limbeck.nn.load_weights` fills it.

    Args:
        name: "small" (`SmallResNet`), "resnet18", "resnet50" (`ResNet`), "timm:" and the name of a model of the
            optional package timm (`TimmEncoder`), or "package.module:factory", a function without arguments of your own
            that returns the module (`OwnEncoder`).
        last_stride: stride of the last layer of a ResNet, 1 or 2. The other encoders keep their own strides.

    Returns:
        A module from pictures (n, 3, height, width) to maps (n, features, height', width'), with that number as its
        attribute `features`.

    Raises:
        InputError: the name is unknown, the stride is neither 1 nor 2, timm is not there, or the factory fails.

    Example:
        >>> make_encoder("small").features, make_encoder("resnet18").features
        (192, 512)
    """
    if last_stride not in (1, 2):
        raise InputError(f"last_stride must be 1 or 2, not {last_stride}")
    if name == "small":
        return SmallResNet()
    if name == "resnet18":
        return resnet18(last_stride=last_stride)
    if name == "resnet50":
        return resnet50(last_stride=last_stride)
    if name.startswith("timm:") and name != "timm:":
        return TimmEncoder(name.removeprefix("timm:"))
    module, _, factory = name.partition(":")
    if factory.isidentifier() and all(word.isidentifier() for word in module.split(".")):
        return OwnEncoder(name)
    raise InputError(
        f"encoder {name!r} is unknown; choose small, resnet18, resnet50, timm:NAME, or package.module:factory"
    )


def _pair(size: Any) -> tuple[int, int] | None:
    """Two positive numbers, or None where there are none."""
    sides = (size, size) if isinstance(size, int) else size
    if not isinstance(sides, (tuple, list)) or len(sides) != 2 or not all(int(side) > 0 for side in sides):
        return None
    return int(sides[0]), int(sides[1])
