"""Estimates and differences as text, and tables of them."""

import math

import pytest

from limbeck.reporting.formatting import format_difference, format_estimate
from limbeck.reporting.statistics import Difference, Estimate
from limbeck.reporting.tables import format_table

SEVERAL, SINGLE = Estimate(0.96875, 0.0125, 0.00625), Estimate(0.97, math.nan, math.nan)


@pytest.mark.parametrize(
    ("estimate", "options", "text"),
    [
        (SEVERAL, {"scale": 100}, "96.88 ± 1.25"),
        (SEVERAL, {"digits": 3}, "0.969 ± 0.013"),
        (SEVERAL, {"scale": 100, "standard_error": True}, "96.88 ± 1.25\n(0.62)"),
        (SINGLE, {"scale": 100}, "97.00"),
        (SINGLE, {"scale": 100, "standard_error": True}, "97.00"),
        (Estimate(-0.0001, 0.0, 0.0), {}, "0.00 ± 0.00"),
    ],
)
def test_an_estimate_is_mean_and_deviation_or_the_mean_alone(
    estimate: Estimate, options: dict[str, float], text: str
) -> None:
    assert format_estimate(estimate, **options) == text  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("difference", "options", "text"),
    [
        (Difference(0.5, -0.25, 1.25), {}, "+0.50 [-0.25, +1.25]"),
        (Difference(0.5, -0.25, 1.25), {"digits": 1, "scale": 100}, "+50.0 [-25.0, +125.0]"),
        (Difference(0.5, -math.inf, math.inf), {"scale": 100}, "+50.00"),
        (Difference(-0.001, -0.002, 0.0), {}, "+0.00 [+0.00, +0.00]"),
        (None, {}, ""),
    ],
)
def test_a_difference_is_signed_and_has_its_interval(
    difference: Difference | None, options: dict[str, float], text: str
) -> None:
    assert format_difference(difference, **options) == text  # type: ignore[arg-type]


def test_a_table_is_plain_text_without_spaces_at_the_ends() -> None:
    rows = [["[bold]E[/bold] :smile:", "1"], ["VD", "10\n(2)"]]
    lines = format_table(["row", "mAP"], rows, title="[red]figures", width=60).splitlines()
    assert all(line == line.rstrip() for line in lines)
    assert lines[0].strip() == "[red]figures"
    assert "  [bold]E[/bold] :smile:     1" in lines
    assert [line for line in lines if "VD" in line or "(2)" in line] == [
        "  VD                        10",
        "                           (2)",
    ]


def test_columns_are_flush_left_cut_or_folded_as_told() -> None:
    word = "abcdefghijkl"
    (cut,) = (line for line in format_table(["one"], [[word]], no_wrap=("one",), width=10).splitlines() if "a" in line)
    assert cut.endswith("…")
    folded = [line.strip() for line in format_table(["one"], [[word]], fold=("one",), width=10).splitlines()]
    assert "".join(line for line in folded if set(line) <= set(word)) == word
    assert "    1   2" in format_table(["one", "two"], [["1", "2"]], left=("two",), width=30)
