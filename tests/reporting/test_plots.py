"""Text in pictures is what somebody else has named: it is shown as it is, whatever matplotlib would make of it."""

import warnings

import pytest
from matplotlib.figure import Figure

from limbeck.reporting.plots import plain, png

NAMES = [r"$\frac{$", "$x$ and $y$", "_hidden", r"\$", "a\x1b[31m", "\udcff", "$$", "50 $"]


@pytest.mark.parametrize("name", NAMES)
def test_any_name_can_be_drawn(name: str) -> None:
    figure = Figure(layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], label=plain(name))
    axes.set_title(plain(name))
    axes.set_xticks([0, 1], [plain(name)] * 2)
    figure.legend()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert png(figure).startswith(b"\x89PNG")


def test_a_formula_that_is_none_fails_without() -> None:
    figure = Figure()
    figure.suptitle(NAMES[0])
    with pytest.raises(ValueError, match="frac"):
        png(figure)


def test_names_keep_their_letters_and_their_entry_in_the_legend() -> None:
    assert plain("left view") == "left view"
    figure = Figure()
    axes = figure.subplots()
    axes.plot([0, 1], label=plain("_hidden"))
    assert axes.get_legend_handles_labels()[1] == [" _hidden"]
