"""Settings that say themselves what they may be: a dataclass's annotations are what its values are checked against.

A field is annotated with what it holds: `bool`, `int`, `float` (whole numbers too), `str`, a `Literal` of strings,
another dataclass, tuples of these, and `| None`. `Annotated` narrows it: a number by a `Range`, a string by `OneOf`, a
tuple by `Items`. To anybody else these annotations mean what they would without them, so that a command's flags stay
as they are.

Example:
    >>> @dataclass(frozen=True)
    ... class Schedule:
    ...     epochs: PositiveInt = 10
    ...     milestones: Annotated[tuple[PositiveInt, ...], Items(increasing=True)] = (5,)
    ...
    ...     def __post_init__(self):
    ...         check_settings(self, "schedule.")
    >>> Schedule(epochs=0)
    Traceback (most recent call last):
    limbeck.errors.InputError: schedule.epochs must be a whole number of at least 1, not 0
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass, fields, is_dataclass
from functools import cache
from itertools import pairwise
from numbers import Integral, Real
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeAlias, Union, get_args, get_origin, get_type_hints

from limbeck.errors import InputError


@dataclass(frozen=True)
class Range:
    """Which numbers: at least `ge` or above `gt`, at most `le` or below `lt`; infinity only where `le` is infinite.

    Whole numbers without `le` and `lt` are below 2^31.
    """

    ge: float | None = None
    gt: float = -math.inf
    le: float | None = None
    lt: float = math.inf

    def holds(self, value: Any) -> bool:
        """Whether a number lies in the range; NaN lies in none."""
        above = value > self.gt if self.ge is None else value >= self.ge
        return bool(above and (value < self.lt if self.le is None else value <= self.le))

    def __str__(self) -> str:
        if self.le is None and self.lt == math.inf:
            above = f" above {self.gt}" if self.gt > -math.inf else ""
            return above if self.ge is None else f" of at least {self.ge}"
        low = f"({self.gt}" if self.ge is None else f"[{self.ge}"
        high = f"{self.lt})" if self.le is None else f"{self.le}]"
        return f" in {low}, {high}"


@dataclass(frozen=True)
class OneOf:
    """Which strings, where a `Literal` cannot say it."""

    options: Collection[str]

    def holds(self, value: str) -> bool:
        """Whether a string is one of them."""
        return value in self.options


@dataclass(frozen=True)
class Items:
    """Which tuples: not `empty` ones, with every item `different`, each above the one before it (`increasing`)."""

    empty: bool = True
    different: bool = False
    increasing: bool = False

    def holds(self, value: tuple[Any, ...]) -> bool:
        """Whether a tuple is such a one."""
        return (
            (self.empty or len(value) > 0)
            and (not self.different or len(set(value)) == len(value))
            and (not self.increasing or all(first < second for first, second in pairwise(value)))
        )

    def __str__(self) -> str:
        words = {", at least one": not self.empty, ", each once": self.different, ", increasing": self.increasing}
        return "".join(word for word, said in words.items() if said)


PositiveInt: TypeAlias = Annotated[int, Range(ge=1)]
NonNegativeInt: TypeAlias = Annotated[int, Range(ge=0)]
PositiveFloat: TypeAlias = Annotated[float, Range(gt=0)]
NonNegativeFloat: TypeAlias = Annotated[float, Range(ge=0)]
Probability: TypeAlias = Annotated[float, Range(ge=0, le=1)]
Share: TypeAlias = Annotated[float, Range(ge=0, lt=1)]
Seed: TypeAlias = Annotated[int, Range(ge=0, lt=2**63)]


def check_settings(settings: Any, prefix: str = "") -> None:
    """Check every field of a settings dataclass; to be called in its `__post_init__`, before what joins fields.

    Args:
        settings: an instance.
        prefix: of the fields' names in messages, such as "data.".

    Raises:
        InputError: a value is not what its annotation says; one line that names the field, what it must be, and what
            it is.
        TypeError: an annotation is none of those of this module.
    """
    for name, annotation in _annotations(type(settings)).items():  # type: ignore[arg-type]
        check_value(f"{prefix}{name}", getattr(settings, name), annotation)


def check_value(name: str, value: object, annotation: Any) -> None:
    """Check one value, such as an argument, against an annotation.

    Raises:
        InputError: it does not fit.

    Example:
        >>> check_value("layout", "market", Literal["sysu", "csv"])
        Traceback (most recent call last):
        limbeck.errors.InputError: layout must be one of sysu, csv, not 'market'
    """
    if not _fits(value, annotation):
        items = value if isinstance(value, tuple) else (value,)
        huge = any(isinstance(item, int) and abs(item) >= _MOST for item in items) and not _bounded(annotation)
        raise InputError(f"{name} must be {_words(annotation)}{' and below 2^31' * huge}, not {value!r}")


@cache
def _annotations(kind: Any) -> dict[str, Any]:
    hints = get_type_hints(kind, include_extras=True)
    return {field.name: hints[field.name] for field in fields(kind)}


# Counts are below it: nothing has more epochs, samples or units, and int64 holds the product of two.
_MOST = 2**31
# What each plain type takes, and its names; bool is a whole number to Python, but true is not a number of epochs.
_PLAIN: dict[Any, tuple[type, str, str]] = {
    bool: (bool, "true or false", "true or false"),
    int: (Integral, "a whole number", "whole numbers"),
    float: (Real, "a number", "numbers"),
    str: (str, "a string", "strings"),
}


def _unwrapped(annotation: Any) -> tuple[Any, tuple[Any, ...], bool]:
    """What is annotated, the rules it is narrowed by, and whether it may be None, in whatever order that is written."""
    if get_origin(annotation) is Annotated:
        inner, *rules = get_args(annotation)
        kind, more, optional = _unwrapped(inner)
        return kind, (*more, *rules), optional
    if get_origin(annotation) in (Union, UnionType):
        options = [option for option in get_args(annotation) if option is not NoneType]
        if len(options) == 1:
            kind, rules_of_it, _ = _unwrapped(options[0])
            return kind, rules_of_it, True
    return annotation, (), False


def _fits(value: Any, annotation: Any) -> bool:
    kind, rules, optional = _unwrapped(annotation)
    if value is None:
        return optional
    if kind in (int, float) and not rules:
        rules = (Range(),)
    elif kind is int and not _bounded(annotation):
        rules = (*rules, Range(lt=_MOST))
    return _is(value, kind) and all(rule.holds(value) for rule in rules)


def _bounded(annotation: Any) -> bool:
    """Whether a `Range` says where numbers, or those of a tuple, end."""
    kind, rules, _ = _unwrapped(annotation)
    ends = any(isinstance(rule, Range) and (rule.le is not None or rule.lt < math.inf) for rule in rules)
    return ends or (get_origin(kind) is tuple and any(map(_bounded, get_args(kind))))


def _is(value: Any, kind: Any) -> bool:
    origin, inner = get_origin(kind), get_args(kind)
    if kind in _PLAIN:
        return isinstance(value, _PLAIN[kind][0]) and isinstance(value, bool) == (kind is bool)
    if is_dataclass(kind):
        return isinstance(value, kind)  # type: ignore[arg-type]
    if origin is Literal:
        return isinstance(value, str) and value in inner
    if origin is tuple:
        kinds = inner[:1] * len(value) if isinstance(value, tuple) and inner[-1] is Ellipsis else inner
        return isinstance(value, tuple) and len(value) == len(kinds) and all(map(_fits, value, kinds))
    raise TypeError(f"settings cannot be of the type {kind!r}")


def _words(annotation: Any, *, several: bool = False) -> str:
    """What a value is to be, as it stands behind "must be"."""
    kind, rules, optional = _unwrapped(annotation)
    origin, inner = get_origin(kind), get_args(kind)
    options = next((rule.options for rule in rules if isinstance(rule, OneOf)), inner)
    if origin is tuple:
        name = ("" if inner[-1] is Ellipsis else f"{len(inner)} ") + _words(inner[0], several=True)
    elif options:
        name = f"{'some' if several else 'one'} of {', '.join(options)}"
    elif kind in _PLAIN:
        _, one, many = _PLAIN[kind]
        name = many if several else one
    else:
        name = f"of the type {kind.__name__}"
    return name + "".join(str(rule) for rule in rules if not isinstance(rule, OneOf)) + " or null" * optional
