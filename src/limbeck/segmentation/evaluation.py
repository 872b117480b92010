"""Scoring trained models on a set under named protocols, with the evidence that people look at."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from limbeck.csvfiles import write_csv
from limbeck.errors import InputError
from limbeck.files import atomic_writer, write_json
from limbeck.reporting.formatting import format_estimate
from limbeck.reporting.html import Page
from limbeck.reporting.plots import png
from limbeck.reporting.progress import progress_bar
from limbeck.reporting.statistics import Estimate, finite_or_none
from limbeck.segmentation.cameras import point_pixels
from limbeck.segmentation.dataset import SegmentationDataset
from limbeck.segmentation.evaluators import PROTOCOLS, Protocol, SegmentationResult, SegmentationScores, format_results
from limbeck.segmentation.pictures import frame_figure
from limbeck.segmentation.prediction import KINDS, predicted_classes
from limbeck.segmentation.recipe import SegmentationRecipe
from limbeck.segmentation.runs import SegmentationModel, load_run, place_of, recipe_of
from limbeck.segmentation.sets import load_scans
from limbeck.segmentation.submissions import write_predictions
from limbeck.training.runs import check_trials

Kind = Literal["v", "z", "joint"]
Sight = Literal["with", "without", "both"]
WITH, WITHOUT = "with cameras", "without cameras"
_SHOWN = 3  # scans with a picture


@dataclass(frozen=True, eq=False)
class Scored:
    """Figures of a model on a split.

    Attributes:
        results: ("with cameras" or "without cameras", "v", "z" or "joint") -> protocol -> figures.
        scans: that were scored.
    """

    results: dict[tuple[str, str], Mapping[Protocol, SegmentationResult]]
    scans: SegmentationDataset


def score(
    model: SegmentationModel,
    *,
    root: str | None = None,
    split: str = "validation",
    protocols: Sequence[Protocol] = PROTOCOLS,
    cameras: Sight = "with",
    submission: Path | None = None,
    kind: Kind = "v",
    seed: int = 0,
) -> Scored:
    """Score a model on every scan of a split.

    Args:
        model: trained.
        root: of the set; default: where it lay in training.
        split: of the set.
        protocols: which points count; "fov" and "outside" need cameras.
        cameras: let the model see the pictures, or hide them, or both; without any in the recipe there is nothing to
            hide. What is in view is the same in both.
        submission: a folder that gets the predictions in the set's official layout.
        kind: whose predictions are written there.
        seed: of the intervals' draws.

    Raises:
        InputError: the set cannot be read, has other classes, no such split, or no labels.
    """
    data = model.recipe.data if root is None else replace(model.recipe.data, root=root)
    scans = load_scans(data.set, place_of(data))
    if scans.labels.classes != model.classes:
        raise InputError(f"{data.root}: its classes are not those that the model knows: {', '.join(model.classes)}")
    sights = {"with": (WITH,), "without": (WITHOUT,), "both": (WITH, WITHOUT)}[cameras] if data.cameras else (WITHOUT,)
    scores: dict[tuple[str, str], SegmentationScores] = {}
    members = scans.split(split)
    with progress_bar("scans") as advance:
        for done, position in enumerate(members.tolist(), start=1):
            frame = scans.frame(position, images=WITH in sights)
            visible = point_pixels(frame.points, frame.cameras).visible if frame.cameras else None
            chosen = tuple(protocols) if visible is not None else ("all",)
            for sight in sights:
                found = predicted_classes(model.network, frame, data, cameras=sight == WITH)
                if submission is not None and sight == sights[0]:
                    write_predictions(
                        submission,
                        scans,
                        position,
                        found[_known(kind, found)],
                        split=split,
                        camera=sight == WITH,
                    )
                if frame.labels is None:
                    continue
                for one, classes in found.items():
                    held = scores.setdefault((sight, one), SegmentationScores(model.classes, scans.evaluator, chosen))
                    held.add(frame.labels, classes, visible)
            advance(done, len(members))
    if not scores and submission is None:
        raise InputError(f"{scans.name}: split {split} has no labelled scan to score; --submission writes predictions")
    return Scored({key: held.results(seed=seed) for key, held in scores.items()}, scans)


def evaluate_runs(
    runs: Sequence[Path],
    *,
    protocols: Sequence[Protocol] = PROTOCOLS,
    kind: Kind = "v",
    root: str | None = None,
    split: str = "validation",
    cameras: Sight = "with",
    submission: Path | None = None,
    out: Path | None = None,
    device: str = "cpu",
    seed: int = 0,
) -> Iterator[str]:
    """Score trained models and write a report folder; models that differ in their seed alone are averaged too.

    Args:
        runs: their folders.
        protocols: which points count.
        kind: what is compared: v or z of the LiDAR branch, or the joint prediction of MV2D.
        root: of the set; default: where it lay in training.
        split: of the set.
        cameras: see `score`.
        submission: gets the predictions of the (only) run in the official layout.
        out: the report's folder; default: one in the first run.
        device: where to compute.
        seed: of the intervals' draws.

    Yields:
        The table of each run, what missing cameras cost, the mean over runs, and where the report lies.

    Raises:
        InputError: a run, the set or the split cannot be used.
    """
    if submission is not None and len(runs) > 1:
        raise InputError("--submission is of one run: name one")
    recipes = [recipe_of(run) for run in runs]
    bare = [recipe.elsewhere() for recipe in recipes]
    alike = [replace(one, training=replace(one.training, seed=0)) for one in bare]
    check_trials(runs, alike, [recipe.training.seed for recipe in recipes], "seed")
    home = runs[0] if runs[0].is_dir() else runs[0].parent
    folder = out or home / "-".join(["report", kind, *([split] if split != "validation" else [])])
    scored, first = [], None
    for run in runs:
        model = load_run(run, device=device)
        first = first or model
        found = score(
            model,
            root=root,
            split=split,
            protocols=protocols,
            cameras=cameras,
            submission=submission,
            kind=kind,
            seed=seed,
        )
        scored.append(found)
        if found.results:
            yield f"{run}\n{_told(found, kind)}"
    if submission is not None:
        yield f"Written: predictions of {len(scored[0].scans.split(split)):,} scans in {submission}"
    if not scored[0].results:
        return
    assert first is not None
    if len(runs) > 1:
        yield _averaged(scored, kind)
    yield f"Written: {_write(folder, first, recipes, scored, kind=kind, split=split, root=root)}"


def _known(kind: str, found: Mapping[Any, object]) -> str:
    if kind not in found:
        raise InputError(f"this model has no prediction {kind}: choose from {', '.join(map(str, found))}")
    return kind


def _of_kind(found: Scored, kind: str) -> dict[str, Mapping[Protocol, SegmentationResult]]:
    _known(kind, {one: None for _, one in found.results})
    return {sight: results for (sight, one), results in found.results.items() if one == kind}


def _told(found: Scored, kind: str) -> str:
    each = _of_kind(found, kind)
    lines = [f"{sight}, by {kind}\n{format_results(list(results.values()))}" for sight, results in each.items()]
    if len(each) == 2:
        for protocol, seen in each[WITH].items():
            cost = 100 * (seen.mean_iou - each[WITHOUT][protocol].mean_iou)
            lines.append(f"Without its cameras the model loses {cost:.2f} points of mean IoU, protocol {protocol}.")
    return "\n".join(lines)


def _averaged(scored: Sequence[Scored], kind: str) -> str:
    lines = [f"Mean IoU over {len(scored)} models, mean ± sd in per cent, by {kind}:"]
    for sight, results in _of_kind(scored[0], kind).items():
        for protocol in results:
            values = [_of_kind(one, kind)[sight][protocol].mean_iou for one in scored]
            lines.append(f"  {sight}, {protocol}: {format_estimate(Estimate.from_values(values), scale=100)}")
    return "\n".join(lines)


def _write(
    folder: Path,
    model: SegmentationModel,
    recipes: Sequence[SegmentationRecipe],
    scored: Sequence[Scored],
    *,
    kind: str,
    split: str,
    root: str | None,
) -> Path:
    """The report: `figures.json`, `iou.csv`, pictures of a few scans, and `index.html`, written last."""
    scans = scored[0].scans
    tables = _of_kind(scored[0], kind)
    write_json(
        folder / "figures.json",
        {
            "set": scans.name,
            "split": split,
            "read from": kind,
            "runs": [
                {
                    "seed": recipe.training.seed,
                    "figures": [
                        {"cameras": sight, "of": one, **result.as_json()}
                        for (sight, one), results in found.results.items()
                        for result in results.values()
                    ],
                }
                for recipe, found in zip(recipes, scored, strict=True)
            ],
        },
    )
    rows: list[tuple[object, ...]] = [("seed", "cameras", "of", "protocol", "class", "iou")]
    rows += [
        (recipe.training.seed, sight, one, protocol, name, finite_or_none(value))
        for recipe, found in zip(recipes, scored, strict=True)
        for (sight, one), results in found.results.items()
        for protocol, result in results.items()
        for name, value in result.iou.items()
    ]
    write_csv(folder / "iou.csv", rows)
    page = Page(f"Segmentation of {scans.name}, split {split}")
    network = recipes[0].network
    page.bullets(
        [
            f"Trained for {recipes[0].training.epochs} epochs, seeds "
            + ", ".join(str(recipe.training.seed) for recipe in recipes)
            + f"; SPVCNN of width {network.width:g}, "
            + (f"fusion {network.fusion}, weights {network.weights}" if recipes[0].data.cameras else "no image branch")
            + f"; divergences: {recipes[0].loss.distillation}.",
            f"Read from {kind}. Nothing was selected on these scans"
            + (" but for the best network." if recipes[0].training.select != "last" else "."),
            "Every figure is of the protocol that is named with it: all points, those in view of a camera (fov), or "
            "those in view of none (outside). They are not comparable with one another.",
        ]
    )
    for sight, results in tables.items():
        page.heading(f"Intersection over union, {sight}")
        held = list(results.values())
        page.table(
            ["class", *(one.protocol for one in held)],
            [
                *([name, *(_percent(one.iou[name]) for one in held)] for name in model.classes),
                ["mean", *(_percent(one.mean_iou) for one in held)],
                ["accuracy", *(_percent(one.accuracy) for one in held)],
            ],
            "Per cent, of the first run. " + " ".join(f"{one.named}." for one in held),
        )
    _show_scans(page, folder, model, scans, scored[0], kind=kind, split=split)
    page.heading("Files")
    page.links(
        [
            ("iou.csv", "IoU of every class, protocol and run"),
            ("figures.json", "all figures, confusion matrices included"),
        ]
    )
    page.write(folder / "index.html")
    return folder / "index.html"


def _show_scans(
    page: Page,
    folder: Path,
    model: SegmentationModel,
    scans: SegmentationDataset,
    found: Scored,
    *,
    kind: str,
    split: str,
) -> None:
    members = scans.split(split)
    page.heading("Scans")
    seen = any(sight == WITH for sight, _ in found.results)
    for number in np.unique(np.linspace(0, len(members) - 1, min(_SHOWN, len(members))).astype(np.int64)).tolist():
        position = int(members[number])
        frame = scans.frame(position, images=seen)
        if not len(frame.points):
            continue
        predicted = predicted_classes(model.network, frame, model.recipe.data, cameras=seen)
        shown = {f"by {kind}": predicted[kind]}
        picture = png(frame_figure(frame, shown, model.classes, title=frame.name))
        name = f"scan-{position:06d}.png"
        with atomic_writer(folder / name) as stream:
            stream.write(picture)
        page.picture(
            picture,
            f"Scan {frame.name} from above and over its first camera's picture: truth, prediction, errors.",
            f"{frame.name}: truth, prediction by {kind}, and errors (red; grey: ignored).",
            photographs=True,
        )


def _percent(value: float) -> str:
    return "–" if np.isnan(value) else f"{100 * value:.2f}"


assert set(KINDS) == {"v", "z", "joint"}
