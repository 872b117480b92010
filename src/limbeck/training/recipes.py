"""Recipes: frozen dataclasses of groups of settings, to and from plain values and YAML files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Self, TypeVar, cast

from limbeck.errors import InputError
from limbeck.files import first_line, resolved
from limbeck.yamlfiles import read_yaml


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What every recipe can do; a frozen dataclass whose fields are groups of settings inherits it.

    A dataclass itself, and without annotations: the library that reads the flags does not take a dataclass with other
    bases for one, and looks the names in annotations up in the module of the recipe alone.
    """

    @classmethod
    def renamed(cls) -> Mapping[str, str]:
        """Names of settings, "group.setting", in files of earlier versions -> their current names."""
        return {}

    def to_dict(self) -> dict[str, Any]:
        """As nested plain values, for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The recipe of `to_dict`'s values, of this version or an earlier one (`renamed`); lists become tuples.

        Raises:
            InputError: a value is unknown or does not fit.
        """
        groups = {one.name: cast(Callable[..., Any], one.default_factory) for one in fields(cls)}
        try:
            return cls(**{name: cls._group(groups[name], name, held) for name, held in values.items()})
        except (TypeError, KeyError, AttributeError) as error:
            raise InputError(f"the recipe is not of this version ({error})") from None

    @classmethod
    def _group(cls, kind: Callable[..., Any], group: str, values: Mapping[str, Any]) -> Any:
        renamed = cls.renamed()

        def current(name: str) -> str:
            return renamed.get(f"{group}.{name}", f"{group}.{name}").removeprefix(f"{group}.")

        return kind(
            **{current(name): tuple(value) if isinstance(value, list) else value for name, value in values.items()}
        )


AnyRecipe = TypeVar("AnyRecipe", bound=Recipe)


def shipped_recipe(name: str, folder: Path) -> Path:
    """The YAML file of a recipe that comes with the package, such as "small".

    Args:
        name: of the recipe.
        folder: of the task, where its `recipes` lie.

    Raises:
        InputError: there is none of that name.
    """
    shipped = {path.stem: path for path in sorted((folder / "recipes").glob("*.yaml"))}
    if name not in shipped:
        raise InputError(f"recipe must be one of {', '.join(shipped)}, not {name!r}")
    return shipped[name]


def rooted(recipe: AnyRecipe) -> AnyRecipe:
    """The recipe with an absolute `data.root`, so that the run still finds its data from another folder; "" stays."""
    data: Any = recipe.data  # type: ignore[attr-defined]
    where = str(resolved(data.root)) if data.root else ""
    return replace(recipe, data=replace(data, root=where))  # type: ignore[call-arg]


def read_recipe(path: Path, kind: type[AnyRecipe]) -> AnyRecipe:
    """The recipe of a YAML file; what it does not name is as by default.

    Raises:
        InputError: it cannot be read, or a value is unknown or does not fit.
    """
    held = read_yaml(path)
    try:
        return kind.from_dict(held)
    except (ValueError, AttributeError) as error:
        raise InputError(f"{path}: not a recipe ({first_line(error)})") from None
