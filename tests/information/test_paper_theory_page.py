"""`docs/theory.md` is bound to the tests: its table to their declarations, its text to their names."""

import inspect
import re
from pathlib import Path

import pytest
from tests.information import test_paper_theory_one_view as one_view
from tests.information import test_paper_theory_several_views as several_views
from tests.information import test_paper_theory_two_views as two_views
from tests.information.paper_premises import FAILS, FURTHER, HOLDS, PREMISES, row

PAGE = (Path(__file__).parents[2] / "docs" / "theory.md").read_text()
TESTS = {
    name: value
    for module in (one_view, two_views, several_views)
    for name, value in vars(module).items()
    if name.startswith("test_")
}
CLAIMS = {name: test.claim for name, test in TESTS.items() if hasattr(test, "claim")}
VERDICTS = {name: claim for name, claim in CLAIMS.items() if claim.statement}


def table():
    """The lines of the page's table of verdicts, below its head."""
    lines = PAGE.splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("| statement |")) + 2
    return lines[start : next(number for number in range(start, len(lines)) if not lines[number].startswith("|"))]


def test_the_table_is_what_the_tests_declare():
    assert table() == [row(name, claim) for name, claim in VERDICTS.items()]
    assert len(VERDICTS) > 25


def test_the_page_names_every_check_and_no_other():
    of_this_file = {"test_the_page_names_every_check_and_no_other", "test_the_table_is_what_the_tests_declare"}
    assert set(re.findall(r"`(test_\w+)`", PAGE)) - of_this_file == set(TESTS)


@pytest.mark.parametrize("name", CLAIMS)
def test_what_is_declared_is_asserted(name):
    """The fixture fails a test that hands no world to it."""
    assert "premises" in inspect.signature(TESTS[name]).parameters


@pytest.mark.parametrize("name", VERDICTS)
def test_a_verdict_follows_from_the_premises_of_its_world(name):
    """What fails or needs more keeps every stated premise; what fails does so under the strong reading of S.

    What holds was shown with no more than the stated premises.
    """
    claim = VERDICTS[name]
    assert claim.verdict in (HOLDS, FURTHER, FAILS)
    if claim.verdict == HOLDS:
        assert set(claim.keeps) <= set(claim.stated)
    else:
        assert set(claim.stated) <= set(claim.keeps)
    if claim.verdict == FAILS:
        one = "D" not in claim.stated
        assert not claim.drops
        assert set(claim.keeps) == {*PREMISES, "P"} - ({"D", "H2"} if one else set())
    assert bool(claim.further) == bool(claim.holds_in) == (claim.verdict == FURTHER)
    assert claim.holds_in in TESTS or not claim.holds_in
