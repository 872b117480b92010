"""Scoring trained models on a set under a protocol, with the evidence that people look at."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from limbeck.errors import InputError
from limbeck.reid.commands import load_people
from limbeck.reid.embedding import Feature
from limbeck.reid.images import read_image
from limbeck.reid.persons import PersonSet
from limbeck.reid.recipe import DataSettings
from limbeck.reid.runs import Bar, ReidModel, decoded, features_of, load_run, relocated
from limbeck.reid.task import divide
from limbeck.retrieval import Features, evaluate, named_protocols
from limbeck.retrieval.evidence import write_evidence
from limbeck.retrieval.protocols import Permutations
from limbeck.retrieval.report import format_evaluations
from limbeck.retrieval.reranking import KReciprocal
from limbeck.retrieval.similarity import Similarity

PROTOCOLS = {"sysu": "sysu-all-single", "regdb": "regdb", "llcm": "llcm", "csv": "cross"}


@dataclass(frozen=True, eq=False)
class Embedded:
    """A trained model's embeddings of a part of a set.

    Attributes:
        features: what is searched.
        representations: everything the network has for these pictures, by name.
        people: the set.
    """

    features: Features
    representations: dict[str, NDArray[np.float32]]
    people: PersonSet


def embed_part(
    model: ReidModel,
    run: Path,
    *,
    root: str | None = None,
    part: str = "test",
    feature: Feature = "v",
    bar: Bar | None = None,
) -> Embedded:
    """Embed a part of the set that a model was trained on, or of the same kind of set elsewhere.

    Args:
        model: trained.
        run: its folder, where the cache of decoded pictures lies.
        root: of the set; default: where it lay in training.
        part: of the set; "held_out" is the people that training took out of its parts.
        feature: what is compared: v, z or both.
        bar: makes progress bars.

    Raises:
        InputError: the set cannot be read or has no such part.
    """
    data = relocated(model.recipe, root)
    people = load_people(data.set, Path(data.root), split=data.split)
    if part == "held_out":
        members = divide(people, data, model.recipe.training.seed).held_out
        if not len(members):
            raise InputError("the training held out nobody (data.held_out was 0): name a part of the set")
    else:
        members = people.part(part)
    images, kept = decoded(people, data, run if run.is_dir() else run.parent, bar=bar)
    if bar is None:
        features, found = features_of(model, people, images, kept, members, feature=feature)
    else:
        with bar("embedding") as progress:
            features, found = features_of(model, people, images, kept, members, feature=feature, progress=progress)
    return Embedded(features, found, people)


def evaluate_runs(
    runs: Sequence[Path],
    *,
    protocol: str | None = None,
    root: str | None = None,
    part: str | None = None,
    feature: Feature = "v",
    out: Path | None = None,
    device: str = "cpu",
    permutations: Permutations | None = None,
    similarity: Similarity = "cosine",
    rerank: bool = False,
    seed: int = 0,
    bar: Bar | None = None,
) -> str:
    """Score trained models and write a report folder; several models (RegDB's splits) are trials of one evaluation.

    Args:
        runs: their folders.
        protocol: a name, or how several begin; default: the set's own.
        root: of the set; default: where it lay in training.
        part: of the set; default: "test", or the people held out of training where the set has no such part.
        feature: what is compared: v, z or both.
        out: the report's folder; default: one in the first run.
        device: where to embed.
        permutations: of SYSU-MM01's official galleries.
        similarity: of embeddings.
        rerank: with k-reciprocal neighbours.
        seed: of what the report's pictures show.
        bar: makes progress bars.

    Returns:
        The table to print, and where the report lies.

    Raises:
        InputError: a run, the set, the part or the protocol cannot be used.
    """
    model = load_run(runs[0], device=device)
    name = protocol or PROTOCOLS[model.recipe.data.set]
    protocols = named_protocols(name, permutations=permutations)
    chosen = part or _default_part(model.recipe.data)
    embedded: list[Embedded] = []
    for run in runs:
        current = model if run == runs[0] else load_run(run, device=device)
        embedded.append(embed_part(current, run, root=root, part=chosen, feature=feature, bar=bar))
    reranking = KReciprocal() if rerank else None
    evaluations = evaluate(
        [one.features for one in embedded],
        protocols,
        similarity=similarity,
        reranking=reranking,
    )
    folder = out or (runs[0] if runs[0].is_dir() else runs[0].parent) / f"report-{name}-{feature}"
    first = embedded[0]
    paths = first.features.path
    assert paths is not None

    def picture(position: int) -> NDArray[np.uint8]:
        return read_image(first.people.root / paths[position])

    representations = {name: found for name, found in first.representations.items() if name.startswith("z ")}
    files = write_evidence(
        folder,
        evaluations,
        [one.features for one in embedded],
        protocols,
        picture=picture,
        title=f"Re-identification on {first.people.name}",
        notes=[*_notes(model, chosen, feature, len(runs))],
        representations=representations or first.representations,
        similarity=similarity,
        reranking=reranking,
        seed=seed,
    )
    return f"{format_evaluations(evaluations)}\nWritten: {files[-1]}"


def _notes(model: ReidModel, part: str, feature: str, runs: int) -> Iterator[str]:
    network, loss, training = model.recipe.network, model.recipe.loss, model.recipe.training
    yield (
        f"{runs} model{'s' * (runs != 1)}: {network.encoder} (weights: {network.weights}), branches "
        f"{', '.join(network.branches)}, {'with' if network.bottleneck else 'without'} bottleneck, "
        f"objective {loss.objective}."
    )
    yield (
        f"Trained for {training.epochs} epochs, seed {training.seed}; "
        + ("the last step" if training.select == "last" else "the best step on held-out people")
        + " counts. Nothing was selected on the people shown here."
    )
    yield f"Part of the set: {part}. Compared: {feature} of every branch, each of length 1, side by side."


def _default_part(data: DataSettings) -> str:
    """The part nobody learned from; a table of one's own pictures has none but the people held out."""
    return "held_out" if data.set == "csv" else "test"
