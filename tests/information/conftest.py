"""Fixtures of the tests of information."""

import pytest
from tests.information.paper_premises import Premises


@pytest.fixture
def premises(request):
    """Asserts what the test declares of its worlds; a test that hands none over fails."""
    asserted = Premises(request.function.claim)
    yield asserted
    assert asserted.checked, "no world was checked against the declared premises"
