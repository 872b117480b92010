"""A trained classifier as one safetensors file: its weights, and all else as JSON in the header."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import numpy as np
import torch

from limbeck.devices import check_device
from limbeck.errors import InputError
from limbeck.multiview.answers import Answers
from limbeck.multiview.evaluation import ViewContribution
from limbeck.multiview.held_out import take_held_out
from limbeck.multiview.kernel_path import KernelPath, take_kernel_path
from limbeck.multiview.linear_path import LinearPath, take_linear_paths
from limbeck.multiview.mixing import Mix
from limbeck.multiview.network import MultiViewNetwork, ViewShape
from limbeck.multiview.recipe import Recipe
from limbeck.multiview.training import Epoch
from limbeck.settings import NonNegativeInt, PositiveFloat, PositiveInt, Range, check_value
from limbeck.tensorfiles import DAMAGE, check_tensors, read_tensors, write_tensors

if TYPE_CHECKING:
    from limbeck.multiview.classifier import MultiViewClassifier

FORMAT = "limbeck-multiview-1"
_OPTIONAL = float | None
_LONGEST_CLASS = 2**18  # bytes
# Of the weight of a path and of offsets, well above what `fit_mix` gives.
_LARGEST = 1e4
Classifier = TypeVar("Classifier", bound="MultiViewClassifier")


def save(model: MultiViewClassifier, path: str | os.PathLike[str]) -> None:
    """Write a fitted classifier; an older file at `path` stays intact if anything fails."""
    description = {
        "options": _options(model),
        "recipe": dataclasses.asdict(model.recipe_),
        "classes": np.asarray(model.classes_).tolist(),
        "classes_dtype": str(np.asarray(model.classes_).dtype),
        "views": [
            {"name": name, **dataclasses.asdict(shape), "columns": columns}
            for name, shape, columns in zip(model.view_names_, model.view_shapes_, model.view_features_, strict=True)
        ],
        "n_features_in": int(model.n_features_in_),
        "feature_names_in": list(getattr(model, "feature_names_in_", ())),
        "temperature": model.temperature_,
        "leave_one_out_temperature": model.leave_one_out_temperature_,
        "path_weights": [list(mix.weights) for mix in model._answers.mixes],
        "class_offsets": [list(mix.offsets) for mix in model._answers.mixes],
        "sharpening": [mix.sharpening for mix in model._answers.mixes],
        "networks": model.network_.models,
        "best_epoch": model.best_epoch_,
        "history": [_without_nan(dataclasses.asdict(epoch)) for epoch in model.history_],
        "account": [dataclasses.asdict(row) for row in model.view_contributions_],
    }
    tensors = model.network_.state_dict() | (
        {} if model._answers.held_out is None else model._answers.held_out.to_tensors()
    )
    if model.kernel_path_ is not None:
        description["kernel_path"], parts = model.kernel_path_.to_tensors()
        tensors |= parts
    linear = [path.to_tensors(number) for number, path in enumerate(model.linear_paths_)]
    description["linear_paths"] = [described for described, _ in linear]
    for _, parts in linear:
        tensors |= parts
    write_tensors(path, tensors, description, format=FORMAT)


def load(cls: type[Classifier], path: str | os.PathLike[str], *, device: str) -> Classifier:
    """Read what `save` wrote. Nothing in the file is executed.

    Raises:
        InputError: the file is not there, damaged, or something else.
    """
    check_device(device)
    description, tensors = read_tensors(path, format=FORMAT, what="multi-view model", device=device)
    try:
        return _restore(cls, description, tensors, device)
    except DAMAGE as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{os.fspath(path)}: not a multi-view model, or damaged ({reason})") from None


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
    _check(description)
    options = description["options"]
    columns = options["view_columns"]
    if isinstance(columns, dict):
        options["view_columns"] = {
            name: slice(*group["slice"]) if isinstance(group, dict) else group for name, group in columns.items()
        }
    recipe = Recipe.from_dict(description["recipe"])
    model = cls.from_recipe(recipe, **options, device=device)
    model.recipe_ = recipe
    model.classes_ = np.array(description["classes"], dtype=description["classes_dtype"])
    model.view_names_ = tuple(view.pop("name") for view in description["views"])
    columns_of = [view.pop("columns", None) for view in description["views"]]  # earlier versions did not ask for them
    model.view_features_ = tuple(None if names is None else tuple(names) for names in columns_of)
    model.view_shapes_ = [ViewShape(**view) for view in description["views"]]
    used = [shape for shape in model.view_shapes_ if shape.features]
    described = description.get("linear_paths", [])  # a model of an earlier version has none
    held_out, others = take_held_out(tensors, linear=len(described))
    kernel_path, others = take_kernel_path(description.get("kernel_path"), others)
    linear_paths, weights = take_linear_paths(described, others)
    paths: list[KernelPath | LinearPath] = [*([] if kernel_path is None else [kernel_path]), *linear_paths]
    if held_out is not None:
        held_out.check(len(used), len(model.classes_), description.get("networks", 1))
    for path in paths:
        path.check([(shape.features, shape.sparse) for shape in used], len(model.classes_))
    networks = description.get("networks", 1)
    # By the shapes of one network, so that nothing of a size that the file does not have is allocated.
    with torch.device("meta"):
        single = MultiViewNetwork(used, len(model.classes_), recipe, device=torch.device("meta"))
        expected = {
            name: torch.empty((networks, *one.shape[1:]), dtype=one.dtype) for name, one in single.state_dict().items()
        }
    check_tensors(weights, expected, "it")
    model.network_ = MultiViewNetwork(
        used, len(model.classes_), recipe, seeds=range(networks), device=torch.device(device)
    )
    model.network_.load_state_dict(weights)
    model.network_.eval()
    model.n_features_in_ = description["n_features_in"]
    if description["feature_names_in"]:
        model.feature_names_in_ = np.array(description["feature_names_in"], dtype=object)
    temperatures = [description["temperature"], *description["leave_one_out_temperature"]]
    weights_of = _path_weights(description, len(temperatures))
    if any(len(weights) != len(paths) for weights in weights_of):
        raise ValueError(f"path_weights must be of {len(paths)} paths")
    # Earlier versions had no offsets, and sharpened nothing.
    offsets_of = [tuple(offsets) for offsets in description.get("class_offsets", [()] * len(temperatures))]
    if any(len(offsets) not in (0, len(model.classes_)) for offsets in offsets_of):
        raise ValueError(f"class_offsets must be of {len(model.classes_)} classes")
    sharpening = description.get("sharpening", [0.0] * len(temperatures))
    mixes = [Mix(*parts) for parts in zip(temperatures, weights_of, offsets_of, sharpening, strict=True)]
    model._answers = Answers(model.network_, paths, mixes, held_out, calibrate=model.calibrate)
    model._show_answers()
    model.best_epoch_ = description["best_epoch"]
    model.history_ = [
        Epoch(**{name: float("nan") if value is None else value for name, value in epoch.items()})
        for epoch in description["history"]
    ]
    model.view_contributions_ = [ViewContribution(**row) for row in description["account"]]
    return model


def _path_weights(description: Mapping[str, Any], count: int) -> list[tuple[float, ...]]:
    """The weights of the paths in every mix; earlier versions had the kernel path's alone, or no path."""
    if "path_weights" in description:
        return [tuple(weights) for weights in description["path_weights"]]
    if "kernel_path" not in description:
        return [()] * count
    return [(description["kernel_weight"],), *((weight,) for weight in description["leave_one_out_kernel_weight"])]


def _check(description: Mapping[str, Any]) -> None:
    """Refuse values of a description that the classifier would take without a word.

    Raises:
        InputError, TypeError, ValueError, KeyError: one is not what it must be.
    """
    views = description["views"]
    for view in views:
        check_value("views.name", view["name"], str)
        check_value("views.features", view["features"], NonNegativeInt)
        check_value("views.sparse", view["sparse"], bool)
    used = sum(view["features"] > 0 for view in views)
    if not used or len({view["name"] for view in views}) < len(views):
        raise ValueError("views must have names of their own, and one of them features")
    _check_classes(description["classes"], description["classes_dtype"])
    for name, needed in (("n_features_in", PositiveInt), ("networks", PositiveInt), ("temperature", PositiveFloat)):
        check_value(name, description.get(name, 1), needed)
    _check_mixes(description, used)
    check_value("best_epoch", description["best_epoch"], int)
    check_value("calibrate", description["options"].get("calibrate", True), bool)
    if (names := description["feature_names_in"]) != []:
        _check_names("feature_names_in", names, description["n_features_in"])
    for view in views:
        if (names := view.get("columns")) is not None:
            _check_names("views.columns", names, view["features"])
    _check_figures(description)


def _check_mixes(description: Mapping[str, Any], used: int) -> None:
    given = description["leave_one_out_temperature"]
    if not isinstance(given, list) or len(given) != used:
        raise ValueError("leave_one_out_temperature must be a list of one number a view")
    for value in given:
        check_value("leave_one_out_temperature", value, PositiveFloat)
    for weights in _path_weights(description, 1 + used):
        for value in weights:
            check_value("path_weights", value, Annotated[float, Range(ge=0, le=_LARGEST)])
    for offsets in description.get("class_offsets", []):
        for value in offsets:
            check_value("class_offsets", value, Annotated[float, Range(ge=-_LARGEST, le=_LARGEST)])
    for value in description.get("sharpening", []):
        check_value("sharpening", value, Annotated[float, Range(ge=-1, le=1)])


def _check_names(what: str, names: Any, count: int) -> None:
    if not isinstance(names, list) or not all(isinstance(name, str | int | float) for name in names):
        raise ValueError(f"{what} must be a list of names")
    if len(names) != count:
        raise ValueError(f"{what} must name {count} features")


def _check_figures(description: Mapping[str, Any]) -> None:
    for epoch in description["history"]:
        for value in epoch.values():
            check_value("history", value, _OPTIONAL)
    for row in description["account"]:
        for name, value in row.items():
            if not isinstance(value, str if name == "view" else int | float):  # NaN of a view that no sample has
                raise TypeError(f"account.{name} cannot be {value!r}")


def _check_classes(labels: Any, dtype: Any) -> None:
    kind = np.dtype(dtype)
    if kind.kind not in "biufUO" or kind.itemsize > _LONGEST_CLASS:
        raise ValueError(f"classes cannot be of the type {kind}")
    classes = np.array(labels, kind)
    if classes.ndim != 1 or not len(classes) or classes.tolist() != labels:
        raise ValueError(f"classes must be labels of the type {kind}")
    if (classes[1:] <= classes[:-1]).any():
        raise ValueError("classes must be sorted, each once")


def _without_nan(values: dict[str, float]) -> dict[str, float | None]:
    """JSON has no NaN: None instead."""
    return {name: value if np.isfinite(value) else None for name, value in values.items()}
