"""A diagnosis as text."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from rich.table import Table

from limbeck.information.diagnosis.resampling import Interval
from limbeck.information.diagnosis.results import Diagnosis, Retained, ViewDiagnosis
from limbeck.reporting.tables import rendered

_COLUMNS = 3  # views side by side

# What a row of a view shows, and what it is called.
FIGURES: dict[str, Callable[[ViewDiagnosis], Interval | Retained | None]] = {
    "I(v;y) of the observation": lambda view: view.observation,
    "I(z;y) of the representation": lambda view: view.representation,
    "gap I(v;y) - I(z;y)": lambda view: view.gap,
    "only in this view I(y;z|others)": lambda view: view.specific,
    "consistent I(z;y) less that": lambda view: view.consistent,
    "  redundant with the others": lambda view: view.redundancy,
    "  synergy with the others": lambda view: view.synergy,
    "I(z;v) held of v at all, between": lambda view: view.retained,
}


def format_diagnosis(diagnosis: Diagnosis) -> str:
    """The figures as tables, nats with their intervals; then the warnings."""
    found = diagnosis
    lines = [
        f"{found.samples} samples of {len(found.classes)} classes, H(y) = {found.entropy} nats; {found.probe} probes, "
        f"{found.folds} folds, {100 * found.confidence:g} % intervals, seed {found.seed}",
        "",
    ]
    for start in range(0, len(found.views), _COLUMNS):
        lines.append(_views(found.views[start : start + _COLUMNS]))
    lines.append(_together(found))
    lines += [f"warning: {warning}" for warning in found.warnings]
    return "\n".join(lines).rstrip("\n")


def _views(views: tuple[ViewDiagnosis, ...]) -> str:
    table = Table("nats", *(view.name for view in views))
    for row in view_rows(views):
        table.add_row(*row)
    return rendered(table)


def view_rows(views: Sequence[ViewDiagnosis]) -> Iterator[list[str]]:
    """What is said of every view: a name, and one cell per view; figures that no view has are left out."""
    for name, figure in FIGURES.items():
        cells = [figure(view) for view in views]
        if any(cells):
            yield [name, *("" if cell is None else str(cell) for cell in cells)]
    yield ["accuracy of the probe of z, %", *(f"{100 * view.accuracy:.2f}" for view in views)]
    yield ["its calibration error, %", *(f"{100 * view.calibration_error:.2f}" for view in views)]


def _together(found: Diagnosis) -> str:
    table = Table("all views", "")
    for name, value in together(found):
        table.add_row(name, value)
    return rendered(table)


def together(found: Diagnosis) -> Iterator[tuple[str, str]]:
    """(what, figure) of everything that is said of several views at once."""
    yield "I(z_1..n;y) joint, nats", str(found.joint)
    if found.joint_observations is not None:
        yield "I(v_1..n;y) joint of the observations, nats", str(found.joint_observations)
    if found.overlap is not None:
        yield "overlap: sum of the I(z_i;y) less the joint, nats", str(found.overlap)
    for names, interval in found.regions.items():
        outside = [view.name for view in found.views if view.name not in names]
        given = f", given {', '.join(outside)}" if outside else ""
        what = "only in" if len(names) == 1 else "in common of"
        yield f"{what} {', '.join(names)}{given}, nats", str(interval)
    share = f"{100 * found.majority:.2f} for the commonest class"
    yield "accuracy of the joint probe, %", f"{100 * found.accuracy:.2f} ({share})"
    yield "its calibration error, %", f"{100 * found.calibration_error:.2f}"
    for pair in found.agreements:
        yield (
            f"{pair.first} and {pair.second} predict the same, %",
            f"{100 * pair.share:.2f} ({100 * pair.chance:.2f} by chance), JS {pair.divergence:.4f} nats",
        )
    for search in found.retrieval:
        yield (
            f"{search.query} searches {search.gallery}, %",
            f"mAP {100 * search.mean_average_precision:.2f}, rank-1 {100 * search.rank_1:.2f}, "
            f"its own pair first {100 * search.pair:.2f}",
        )
