"""A trained classifier as one safetensors file: its weights, and all else as JSON in the header."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as safetensors_bytes

from limbeck.devices import check_device
from limbeck.errors import InputError
from limbeck.files import atomic_writer
from limbeck.multiview.evaluation import ViewAccount
from limbeck.multiview.network import MultiViewNetwork, ViewShape
from limbeck.multiview.recipe import Recipe
from limbeck.multiview.training import Epoch

if TYPE_CHECKING:
    from limbeck.multiview.classifier import MultiViewClassifier

FORMAT = "limbeck-multiview-1"
Classifier = TypeVar("Classifier", bound="MultiViewClassifier")


def save(model: MultiViewClassifier, path: str | os.PathLike[str]) -> None:
    """Write a fitted classifier; an older file at `path` stays intact if anything fails."""
    description = {
        "format": FORMAT,
        "options": _options(model),
        "recipe": dataclasses.asdict(model.recipe_),
        "classes": np.asarray(model.classes_).tolist(),
        "classes_dtype": str(np.asarray(model.classes_).dtype),
        "views": [
            {"name": name, **dataclasses.asdict(shape)}
            for name, shape in zip(model.view_names_, model.view_shapes_, strict=True)
        ],
        "n_features_in": int(model.n_features_in_),
        "feature_names_in": [str(name) for name in getattr(model, "feature_names_in_", ())],
        "temperature": model.temperature_,
        "leave_one_out_temperature": model.leave_one_out_temperature_,
        "best_epoch": model.best_epoch_,
        "history": [_without_nan(dataclasses.asdict(epoch)) for epoch in model.history_],
        "account": [dataclasses.asdict(row) for row in model.account_],
    }
    tensors = {name: tensor.contiguous().cpu() for name, tensor in model.network_.state_dict().items()}
    text = json.dumps(description, default=_plain)
    # One entry only: safetensors writes several in any order, and the same model should be the same bytes.
    description["sha256"] = _checksum(text, tensors)
    content = safetensors_bytes(tensors, {"limbeck": json.dumps(description, default=_plain)})
    with atomic_writer(path) as stream:
        stream.write(content)


def load(cls: type[Classifier], path: str | os.PathLike[str], *, device: str) -> Classifier:
    """Read what `save` wrote. Nothing in the file is executed.

    Raises:
        InputError: the file is not there, damaged, or something else.
    """
    check_device(device)
    file = Path(path)
    if not file.is_file():
        raise InputError(f"{file}: there is no such file")
    try:
        with safe_open(file, framework="pt", device=device) as stream:
            metadata = stream.metadata() or {}
            tensors = {name: stream.get_tensor(name) for name in stream.keys()}  # noqa: SIM118 - not a mapping
        description = json.loads(metadata["limbeck"])
        if description["format"] != FORMAT:
            raise InputError(f"written by another version of limbeck ({description['format']})")
        checksum = description.pop("sha256")
        if checksum != _checksum(json.dumps(description), tensors):
            raise InputError("its checksum is wrong")
        return _restore(cls, description, tensors, device)
    except (
        SafetensorError,
        LookupError,
        TypeError,
        ValueError,
        AttributeError,
        RuntimeError,
        OSError,
        MemoryError,
    ) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{file}: not a multi-view model, or damaged ({reason})") from None


def _checksum(description: str, tensors: dict[str, torch.Tensor]) -> str:
    """Over everything that decides the model: the description, and every tensor with its name, kind and shape."""
    digest = hashlib.sha256(description.encode())
    for name in sorted(tensors):
        array = tensors[name].cpu().numpy()
        digest.update(f"\0{name}\0{array.dtype}\0{array.shape}\0".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def _options(model: MultiViewClassifier) -> dict[str, Any]:
    """The constructor's arguments that are not part of the recipe, as JSON can hold them."""
    recipe = {field.name for field in dataclasses.fields(Recipe)}
    options = {name: value for name, value in model.get_params(deep=False).items() if name not in recipe}
    del options["device"]  # where it was trained says nothing about where it is loaded
    if isinstance(options["class_weight"], dict):
        options["class_weight"] = None  # only fitting needs it, and its keys may be of any type
    columns = options["view_columns"]
    if isinstance(columns, dict):
        options["view_columns"] = {
            name: {"slice": [group.start, group.stop, group.step]} if isinstance(group, slice) else list(group)
            for name, group in columns.items()
        }
    return options


def _restore(
    cls: type[Classifier], description: dict[str, Any], tensors: dict[str, torch.Tensor], device: str
) -> Classifier:
    options = description["options"]
    columns = options["view_columns"]
    if isinstance(columns, dict):
        options["view_columns"] = {
            name: slice(*group["slice"]) if isinstance(group, dict) else group for name, group in columns.items()
        }
    recipe = Recipe.of(description["recipe"])
    model = cls.from_recipe(recipe, **options, device=device)
    model.recipe_ = recipe
    model.classes_ = np.array(description["classes"], dtype=description["classes_dtype"])
    model.view_names_ = tuple(view.pop("name") for view in description["views"])
    model.view_shapes_ = [ViewShape(**view) for view in description["views"]]
    used = [shape for shape in model.view_shapes_ if shape.features]
    model.network_ = MultiViewNetwork(used, len(model.classes_), recipe, device=torch.device(device))
    model.network_.load_state_dict(tensors)
    model.network_.eval()
    model.n_features_in_ = description["n_features_in"]
    if description["feature_names_in"]:
        model.feature_names_in_ = np.array(description["feature_names_in"], dtype=object)
    model.temperature_ = description["temperature"]
    model.leave_one_out_temperature_ = description["leave_one_out_temperature"]
    model.best_epoch_ = description["best_epoch"]
    model.history_ = [
        Epoch(**{name: float("nan") if value is None else value for name, value in epoch.items()})
        for epoch in description["history"]
    ]
    model.account_ = [ViewAccount(**row) for row in description["account"]]
    return model


def _without_nan(values: dict[str, float]) -> dict[str, float | None]:
    """JSON has no NaN: None instead."""
    return {name: value if np.isfinite(value) else None for name, value in values.items()}


def _plain(value: Any) -> Any:
    """NumPy numbers and arrays as JSON can hold them."""
    if isinstance(value, (np.generic, np.ndarray)):
        return value.tolist()
    raise TypeError(f"{value!r} cannot be saved")
