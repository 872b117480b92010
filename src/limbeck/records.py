"""What was measured and stored as JSON, and back: a file is not trusted to hold what its reader expects."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from limbeck.errors import InputError

T = TypeVar("T")
_MOST = 2**63  # what arrays of whole numbers hold is below it
_PLAIN: dict[Any, str] = {str: "text", bool: "true or false", int: "a whole number", float: "a number"}


def from_json(kind: type[T], value: Any, name: str = "") -> T:
    """What `dataclasses.asdict` made JSON of, as it was.

    Args:
        kind: a dataclass, or a type that its fields may have: `str`, `bool`, `int`, `float`, `Any`, a `Literal` of
            strings, `tuple`, `list` and `dict[str, ...]` of these, other dataclasses, and `| None`.
        value: what a JSON file held, or what is about to be written to one.
        name: of the value, in messages.

    Raises:
        ValueError: a field is missing, unknown or of another type; one line that names it. NaN, infinity and whole
            numbers beyond 64 bits are no numbers.
        TypeError: `kind` is none of these.

    Example:
        >>> from_json(dict[str, tuple[float, ...]], {"nats": [0.5, 1]})
        {'nats': (0.5, 1.0)}
    """
    return cast("T", _read(kind, value, name))


@contextmanager
def reading(file: Path, remedy: str) -> Iterator[None]:
    """Where what is inside fails because of what the file holds, say so in one line.

    Args:
        file: that is read.
        remedy: what to do, such as "remove it to measure again".

    Raises:
        InputError: the file cannot be read, or is not what its reader expects.
    """
    try:
        yield
    except (OSError, ValueError, KeyError, TypeError) as error:
        said = f"{error} is missing" if isinstance(error, KeyError) else error
        raise InputError(f"{file}: damaged ({said}); {remedy}") from None


def _read(kind: Any, value: Any, name: str) -> Any:  # noqa: PLR0911 (one a kind)
    origin, inner = get_origin(kind), get_args(kind)
    if kind is Any:
        return value
    if origin in (Union, UnionType):
        return _one_of(inner, value, name)
    if kind in _PLAIN:
        return _plain(kind, value, name)
    if origin is Literal:
        if value not in inner:
            raise _unexpected(name, f"one of {', '.join(inner)}", value)
        return value
    if origin in (tuple, list):
        return origin(_items(origin, inner, value, name))
    if origin is dict:
        return {key: _read(inner[1], one, _within(name, key)) for key, one in _mapping(value, name).items()}
    return _dataclass(kind, value, name)


def _plain(kind: Any, value: Any, name: str) -> Any:
    if kind is float and isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**1000:
        return float(value)
    fits = type(value) is kind
    if fits and kind is float:
        fits = math.isfinite(value)
    if fits and kind is int:
        fits = -_MOST <= value < _MOST
    if not fits:
        raise _unexpected(name, _PLAIN[kind], value)
    return value


def _one_of(kinds: tuple[Any, ...], value: Any, name: str) -> Any:
    if value is None and NoneType in kinds:
        return None
    (kind,) = (kind for kind in kinds if kind is not NoneType)
    return _read(kind, value, name)


def _items(origin: Any, inner: tuple[Any, ...], value: Any, name: str) -> list[Any]:
    if not isinstance(value, (list, tuple)):
        raise _unexpected(name, "a list", value)
    endless = origin is list or inner[-1] is Ellipsis
    if not endless and len(value) != len(inner):
        raise _unexpected(name, f"a list of {len(inner)}", value)
    kinds = inner[:1] * len(value) if endless else inner
    return [_read(kind, one, f"{name}[{place}]") for place, (kind, one) in enumerate(zip(kinds, value, strict=True))]


def _dataclass(kind: Any, value: Any, name: str) -> Any:
    if not (is_dataclass(kind) and isinstance(kind, type)):
        raise TypeError(f"records cannot be of the type {kind!r}")
    held, hints = _mapping(value, name), get_type_hints(kind)
    known = {field.name: field for field in fields(kind)}
    for key in sorted(held.keys() - known.keys()):
        raise ValueError(f"{_within(name, key)} is not known")
    for field in known.values():
        if field.name not in held and field.default is MISSING and field.default_factory is MISSING:
            raise ValueError(f"{_within(name, field.name)} is missing")
    return kind(**{key: _read(hints[key], one, _within(name, key)) for key, one in held.items()})


def _mapping(value: Any, name: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise _unexpected(name, "an object", value)
    return value


def _within(name: str, key: str) -> str:
    return f"{name}.{key}" if name else key


def _unexpected(name: str, wanted: str, value: Any) -> ValueError:
    told = repr(value)
    return ValueError(f"{name or 'it'} must be {wanted}, not {told if len(told) < 60 else told[:56] + ' ...'}")
