"""The premises that the papers state, as checks of a world, and what the tests declare of the worlds that they use.

A test of `test_paper_theory_*.py` whose point rests on premises declares which of them its worlds keep and drop: by
`@verdict`, a row of the table of `docs/theory.md`, or by `@worlds`, for a remark of its text. It hands the worlds to
the fixture `premises`, which asserts the declaration. `test_paper_theory_page.py` compares the table to them.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from tests.information.paper_worlds import (
    consistent,
    observations,
    representations,
    superfluous,
    view,
    view_specific,
    zero,
)

from limbeck.information.discrete import JointDistribution

HOLDS = "holds under the stated premises"
FURTHER = "holds only under a further premise"
FAILS = "fails under the stated premises"


def drawn_alone(joint):
    """E(z|v), 2021 §3, 2022 §4 and eq. 9: given v_i, z_i depends on neither x, y, the other views nor the other z."""
    known = ["y", *(["x"] if "x" in joint.names else []), *observations(joint), *representations(joint)]
    return all(
        zero(joint.information(z, [name for name in known if name not in (z, view(z))], given=view(z)))
        for z in representations(joint)
    )


def sufficient(joint):
    """2021 eq. 4 and §3.2, 2022 eq. 4, read weakly: each v_i tells all that x and the views tell together."""
    everything = [name for name in joint.names if name == "x" or name.startswith("v")]
    known = joint.information(everything, "y")
    return all(zero(joint.information(v, "y") - known) for v in observations(joint))


def certain(joint):
    """The same, read strongly: "containing all label information", H(y|v_i) = 0."""
    return all(zero(joint.entropy("y", given=v)) for v in observations(joint))


def different(joint):
    """ "Two different sufficient observations", "n different views": none is a function of another, H(v_i|v_j) > 0."""
    views = observations(joint)
    if len(views) < 2:
        return None
    return not any(zero(joint.entropy(v, given=other)) for v in views for other in views if v != other)


def not_only_view_specific(joint):
    """2022 H2, by eq. 27: of no z_i is the view-specific part alone different from 0."""
    if len(observations(joint)) < 2:
        return None
    return all(
        zero(view_specific(joint, z)) or not (zero(superfluous(joint, z)) and zero(consistent(joint, z)))
        for z in representations(joint)
    )


PREMISES: dict[str, Callable[[JointDistribution], bool | None]] = {
    "E": drawn_alone,
    "S": sufficient,
    "S+": certain,
    "D": different,
    "H2": not_only_view_specific,
}
"""Letter of the page -> whether a world keeps it; None where it says nothing, as "different" of a single view."""

LETTERS = (*PREMISES, "P")
"""P: predictions are posteriors, as in the divergences of a `JointDistribution`; other predictions are handed over."""


@dataclass(frozen=True)
class Claim:
    """What a test declares; `statement`, `stated`, `world` and `verdict` are cells of the page's table."""

    keeps: tuple[str, ...]
    drops: tuple[str, ...]
    statement: str = ""
    stated: tuple[str, ...] = ()
    world: str = ""
    verdict: str = ""
    further: str = ""
    holds_in: str = ""
    every: bool = True
    """Every premise that applies is declared, as for a counterexample; random worlds may keep or drop the others."""


def verdict(statement, *, stated, world, keeps, drops="", word, further="", holds_in=""):
    """Declares a row of the page's table. `further` is the premise that is missing, `holds_in` a test that adds it."""
    claim = Claim(
        _letters(keeps), _letters(drops), statement, _letters(stated), world, word, further, holds_in, word != HOLDS
    )

    def mark(function):
        function.claim = claim
        return function

    return mark


def worlds(*, keeps, drops="", every=True):
    """Declares which premises the worlds of a test keep and drop."""

    def mark(function):
        function.claim = Claim(_letters(keeps), _letters(drops), every=every)
        return function

    return mark


class Premises:
    """Asserts of worlds what a claim says of them."""

    def __init__(self, claim):
        self.claim = claim
        self.checked = 0

    def check(self, joint, predictions=None):
        """`predictions`: name of a variable -> q(y|it) `(values, classes)`; without, predictions are the posteriors."""
        found = {letter: holds(joint) for letter, holds in PREMISES.items()}
        found["P"] = all(
            np.allclose(prediction, joint.posterior("y", name), rtol=0, atol=1e-12)
            for name, prediction in (predictions or {}).items()
        )
        for letter in self.claim.keeps:
            assert found[letter] is True, f"{letter} is declared as kept, and the world drops it"
        for letter in self.claim.drops:
            assert found[letter] is False, f"{letter} is declared as dropped, and the world keeps it"
        if self.claim.every:
            declared = {*self.claim.keeps, *self.claim.drops}
            assert declared == {letter for letter, value in found.items() if value is not None}
        self.checked += 1


def _letters(text):
    letters = tuple(text.split())
    assert set(letters) <= set(LETTERS)
    return letters


def row(name, claim):
    """The line of the page's table."""
    word = f"{claim.verdict}: {claim.further}" if claim.further else claim.verdict
    tests = f"`{name}`, `{claim.holds_in}`" if claim.holds_in else f"`{name}`"
    cells = (claim.statement, _cell(claim.stated), word, claim.world, _cell(claim.keeps), _cell(claim.drops), tests)
    return f"| {' | '.join(cells)} |"


def _cell(letters):
    return " ".join(letters) or "–"
