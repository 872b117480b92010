"""A trained classifier as one safetensors file: its weights, and all else as JSON in the header."""

from __future__ import annotations

import dataclasses
import os
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import torch

from limbeck.devices import check_device
from limbeck.errors import InputError
from limbeck.multiview.answers import Answers
from limbeck.multiview.evaluation import ViewContribution
from limbeck.multiview.held_out import take_held_out
from limbeck.multiview.kernel_path import take_kernel_path
from limbeck.multiview.mixing import Mix
from limbeck.multiview.network import MultiViewNetwork, ViewShape
from limbeck.multiview.recipe import Recipe
from limbeck.multiview.training import Epoch
from limbeck.tensorfiles import DAMAGE, read_tensors, write_tensors

if TYPE_CHECKING:
    from limbeck.multiview.classifier import MultiViewClassifier

FORMAT = "limbeck-multiview-1"
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
        "kernel_weight": model.kernel_weight_,
        "leave_one_out_kernel_weight": model.leave_one_out_kernel_weight_,
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
    networks = range(description.get("networks", 1))
    model.network_ = MultiViewNetwork(used, len(model.classes_), recipe, seeds=networks, device=torch.device(device))
    held_out, others = take_held_out(tensors)
    kernel_path, weights = take_kernel_path(description.get("kernel_path"), others)
    model.network_.load_state_dict(weights)
    model.network_.eval()
    model.n_features_in_ = description["n_features_in"]
    if description["feature_names_in"]:
        model.feature_names_in_ = np.array(description["feature_names_in"], dtype=object)
    temperatures = [description["temperature"], *description["leave_one_out_temperature"]]
    weights_of = [description.get("kernel_weight", 0.0), *description.get("leave_one_out_kernel_weight", [])]
    weights_of += [0.0] * (len(temperatures) - len(weights_of))  # a model of an earlier version has no kernel path
    mixes = [Mix(*pair) for pair in zip(temperatures, weights_of, strict=True)]
    model._answers = Answers(model.network_, kernel_path, mixes, held_out, calibrate=model.calibrate)
    model._show_answers()
    model.best_epoch_ = description["best_epoch"]
    model.history_ = [
        Epoch(**{name: float("nan") if value is None else value for name, value in epoch.items()})
        for epoch in description["history"]
    ]
    model.view_contributions_ = [ViewContribution(**row) for row in description["account"]]
    return model


def _without_nan(values: dict[str, float]) -> dict[str, float | None]:
    """JSON has no NaN: None instead."""
    return {name: value if np.isfinite(value) else None for name, value in values.items()}
