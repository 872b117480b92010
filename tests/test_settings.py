"""Settings are checked against their own annotations: every kind of annotation, what it takes and what it says."""

import math
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
import pytest

from limbeck.errors import InputError
from limbeck.settings import Items, OneOf, PositiveFloat, PositiveInt, Range, Share, check_settings, check_value

HUGE = 2**63


@pytest.mark.parametrize(
    ("annotation", "good", "bad", "words"),
    [
        (bool, [True, False], [1, 0, "true", None, np.True_], "true or false"),
        (int, [0, -3, HUGE, np.int64(2)], [True, 1.0, "1", None, math.nan], "a whole number"),
        (float, [0.5, 2, -1e308, np.float32(1)], [True, "1", None, math.nan, math.inf, -math.inf], "a number"),
        (str, ["", "a"], [1, None, ("a",)], "a string"),
        (PositiveInt, [1, 2**31 - 1], [0, -1, 1.5, True], "a whole number of at least 1"),
        (PositiveFloat, [1e-300, 1], [0, -1.0, math.nan, math.inf, True], "a number above 0"),
        (Share, [0, 0.999], [1, -0.1, math.nan, -math.inf], "a number in [0, 1)"),
        (Annotated[float, Range(gt=0, le=1)], [1e-9, 1], [0, 1.1, math.nan], "a number in (0, 1]"),
        (Annotated[float, Range(gt=0, le=math.inf)], [1, math.inf], [0, -math.inf, math.nan], "a number in (0, inf]"),
        (Annotated[int, Range(ge=0, lt=HUGE)], [0, HUGE - 1], [HUGE, -1], f"a whole number in [0, {HUGE})"),
        (Literal["a", "b"], ["a", "b", np.str_("b")], ["c", "", None, 1, ["a"]], "one of a, b"),
        (Annotated[str, OneOf({"a": 1, "b": 2})], ["a"], ["c", None, []], "one of a, b"),
        (PositiveInt | None, [None, 3], [0, "3"], "a whole number of at least 1 or null"),
        (Annotated[int | None, Range(ge=1)], [None, 3], [0, "3"], "a whole number of at least 1 or null"),
        (tuple[PositiveInt, ...], [(), (1, 2)], [(0,), (1, 2.5), [1], 1, (True,)], "whole numbers of at least 1"),
        (tuple[Share, Share], [(0.5, 0)], [(0.5,), (0.1, 0.2, 0.3), (0.5, 1.0), 0.5], "2 numbers in [0, 1)"),
        (tuple[Literal["a", "b"], ...], [(), ("b", "b")], [("c",), "a"], "some of a, b"),
        (tuple[Annotated[str, OneOf("ab")], ...], [("a",)], [("c",), (1,)], "some of a, b"),
        (Annotated[tuple[int, ...], Items(empty=False)], [(1, 1)], [()], "whole numbers, at least one"),
        (Annotated[tuple[int, ...], Items(different=True)], [(), (2, 1)], [(1, 1)], "whole numbers, each once"),
        (
            Annotated[tuple[int, ...], Items(increasing=True)],
            [(), (1, 3)],
            [(3, 1), (1, 1)],
            "whole numbers, increasing",
        ),
        (
            Annotated[tuple[Literal["a", "b"], ...], Items(empty=False, different=True)],
            [("b", "a")],
            [(), ("a", "a")],
            "some of a, b, at least one, each once",
        ),
    ],
    ids=str,
)
def test_an_annotation_says_what_a_value_may_be(annotation: Any, good: list[Any], bad: list[Any], words: str) -> None:
    for value in good:
        check_value("thing", value, annotation)
    for value in bad:
        with pytest.raises(InputError) as caught:
            check_value("thing", value, annotation)
        assert str(caught.value) == f"thing must be {words}, not {value!r}"


@pytest.mark.parametrize("annotation", [PositiveInt, PositiveInt | None, Annotated[int, Range(gt=-5)]])
def test_counts_end_at_what_products_of_two_fit_int64(annotation: Any) -> None:
    check_value("epochs", 2**31 - 1, annotation)
    for value in (2**31, HUGE, 10**400):
        with pytest.raises(InputError, match=r"^epochs must be a whole number.* and below 2\^31, not \d+$"):
            check_value("epochs", value, annotation)
    with pytest.raises(InputError, match=r"^hidden must be whole numbers of at least 1 and below 2\^31, not \(4, "):
        check_value("hidden", (4, HUGE), tuple[PositiveInt, ...])


@dataclass(frozen=True)
class Inner:
    width: PositiveInt = 1

    def __post_init__(self) -> None:
        check_settings(self, "inner.")


@dataclass(frozen=True)
class Outer:
    inner: Inner = Inner()
    rate: float = 0.1

    def __post_init__(self) -> None:
        check_settings(self)


def test_every_field_is_checked_and_named_with_its_prefix() -> None:
    Outer(Inner(3), 2)
    with pytest.raises(InputError, match=r"^inner\.width must be a whole number of at least 1, not 0$"):
        Inner(0)
    with pytest.raises(InputError, match=r"^rate must be a number, not 'fast'$"):
        Outer(rate="fast")  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"^inner must be of the type Inner, not 3$"):
        Outer(inner=3)  # type: ignore[arg-type]


def test_an_annotation_that_cannot_be_checked_is_no_mistake_of_the_user() -> None:
    with pytest.raises(TypeError, match="dict"):
        check_value("thing", {}, dict[str, int])
    with pytest.raises(TypeError, match="str"):
        check_value("thing", 1, int | str)
