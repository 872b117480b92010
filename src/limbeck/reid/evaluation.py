"""Scoring trained models on a set under a protocol, with the evidence that people look at."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from limbeck.errors import InputError
from limbeck.images.decoding import read_image
from limbeck.images.runs import PICTURES
from limbeck.reid.dataset import ReidDataset
from limbeck.reid.embedding import Feature, features_of
from limbeck.reid.recipe import DataSettings, PeopleRecipe
from limbeck.reid.runs import ReidModel, decoded, load_run, place_of, recipe_of
from limbeck.reid.sets import load_people, reid_set
from limbeck.reid.splits import split_identities
from limbeck.reporting.progress import progress_bar
from limbeck.retrieval import Features, evaluate, named_protocols
from limbeck.retrieval.protocols import Permutations
from limbeck.retrieval.report import write_report
from limbeck.retrieval.report.queries import write_queries
from limbeck.retrieval.report.table import format_evaluations
from limbeck.retrieval.reranking import KReciprocal
from limbeck.retrieval.similarity import Similarity
from limbeck.training.runs import check_trials


@dataclass(frozen=True, eq=False)
class Embedded:
    """A trained model's embeddings of a split of a set.

    Attributes:
        features: what is searched.
        representations: everything the network has for these pictures, by name.
        people: the set.
    """

    features: Features
    representations: dict[str, NDArray[np.float32]]
    people: ReidDataset


def embed_split(
    model: ReidModel,
    run: Path,
    *,
    root: str | None = None,
    split: str = "test",
    feature: Feature = "v",
) -> Embedded:
    """Embed a split of the set that a model was trained on, or of the same kind of set elsewhere.

    Args:
        model: trained.
        run: its folder, where the cache of decoded pictures lies.
        root: of the set; default: where it lay in training.
        split: of the set; "held_out" is the people that training took out of its splits.
        feature: what is compared: v, z or both.

    Raises:
        InputError: the set cannot be read, has no such split, or does not say who is on its pictures.
    """
    data = model.recipe.data if root is None else replace(model.recipe.data, root=root)
    people = load_people(data.set, place_of(data), fold=data.fold)
    # Another set's pictures do not take the place of those that the training reads.
    inside = run if run.is_dir() else run.parent
    cache = Path(data.cache or inside / PICTURES) if root is None else inside / f"{PICTURES}-elsewhere"
    images, rows = decoded(people, data, cache)
    members = _held_out(model, people, data, rows) if split == "held_out" else people.split(split)
    if (people.identity[members] < 0).all():
        raise InputError(
            f"{people.name} does not say who is on its pictures, so that nothing can be scored; search them with "
            "`limbeck reid rank`"
        )
    with progress_bar("embedding") as advance:
        features, found = features_of(
            model.network, people, images, rows, members, device=model.device, feature=feature, progress=advance
        )
    return Embedded(features, found, people)


def _held_out(model: ReidModel, people: ReidDataset, data: DataSettings, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """The pictures of the people that training took out; only of the very people that it was given."""
    split = split_identities(people, data, model.recipe.training.seed)
    if not len(split.held_out):
        raise InputError(
            "the training held out nobody (data.held_out was 0): name a split of the set, or other people with --data"
        )
    learned = split.training[rows[split.training] >= 0]
    if not np.array_equal(np.unique(people.identity[learned]), model.identities):
        raise InputError(
            f"{data.root}: does not hold the people that this model was trained on, so that nobody knows whom it "
            "held out: name a split of the set"
        )
    return split.held_out


def evaluate_runs(
    runs: Sequence[Path],
    *,
    protocol: str | None = None,
    root: str | None = None,
    split: str | None = None,
    feature: Feature = "v",
    out: Path | None = None,
    device: str = "cpu",
    permutations: Permutations | None = None,
    similarity: Similarity = "cosine",
    reranking: KReciprocal | None = None,
    recalls: Sequence[int] | None = None,
    per_query: Path | None = None,
    seed: int = 0,
) -> str:
    """Score trained models and write a report folder; several models (RegDB's folds) make one evaluation.

    Args:
        runs: their folders.
        protocol: a name, or how several begin; default: the set's own.
        root: of the set; default: where it lay in training.
        split: of the set; default: "test", or the people held out of training where the set has no such split.
        feature: what is compared: v, z or both.
        out: the report's folder; default: one in the first run.
        device: where to embed and to rank; re-ranking is computed on the CPU always, and the notes say so.
        permutations: of SYSU-MM01's official galleries.
        similarity: of embeddings.
        reranking: with k-reciprocal neighbours; None: none.
        recalls: the K of CMC that are shown; default: the protocol's.
        per_query: a CSV file to write, with a line for every query.
        seed: of what the report's pictures show.

    Returns:
        The table to print, and where the report lies.

    Raises:
        InputError: a run, the set, the split or the protocol cannot be used.
    """
    recipes = [recipe_of(run) for run in runs]
    _check_alike(runs, recipes)
    data = recipes[0].data
    name = protocol or reid_set(data.set).protocol
    protocols = named_protocols(name, permutations=permutations)
    chosen = split or reid_set(data.set).test
    # One model at a time: ten of RegDB need not fit into memory together.
    embedded = [
        embed_split(load_run(run, device=device), run, root=root, split=chosen, feature=feature) for run in runs
    ]
    ranked_on = None if reranking is not None or torch.device(device).type == "cpu" else device
    with progress_bar("queries") as advance:
        evaluations = evaluate(
            [one.features for one in embedded],
            protocols,
            similarity=similarity,
            reranking=reranking,
            device=ranked_on,
            recalls=recalls,
            progress=advance,
        )
    unusual = [
        word
        for word, said in (
            (chosen, split),
            (similarity, similarity != "cosine"),
            ("" if reranking is None else reranking.tag, reranking is not None),
        )
        if said
    ]
    home = runs[0] if runs[0].is_dir() else runs[0].parent
    folder = out or home / "-".join(["report", name, feature, *unusual])
    first = embedded[0]
    paths = first.features.path
    assert paths is not None

    def picture(position: int) -> NDArray[np.uint8]:
        return read_image(first.people.root / paths[position], radiometric=recipes[0].data.radiometric)

    notes = [*_notes(recipes, chosen, feature)]
    if reranking is not None and torch.device(device).type != "cpu":
        notes.append(f"Embedded on {device}; re-ranking is computed on the CPU only.")
    representations = {name: found for name, found in first.representations.items() if name.startswith("z ")}
    files = write_report(
        folder,
        evaluations,
        [one.features for one in embedded],
        protocols,
        picture=picture,
        title=f"Re-identification on {first.people.name}",
        notes=notes,
        representations=representations or first.representations,
        similarity=similarity,
        reranking=reranking,
        seed=seed,
    )
    if per_query is not None:
        searched = [one.features for one in embedded]
        write_queries(per_query, evaluations, protocols, searched, similarity=similarity, reranking=reranking)
    told = ", ".join(str(file) for file in (per_query, files[-1]) if file is not None)
    return "\n".join([format_evaluations(evaluations), *notes, f"Written: {told}"])


def _check_alike(runs: Sequence[Path], recipes: Sequence[PeopleRecipe]) -> None:
    """Trials of one evaluation differ in their seed or their fold alone.

    Raises:
        InputError: two runs do not.
    """
    bare = [recipe.elsewhere() for recipe in recipes]
    alike = [replace(one, data=replace(one.data, fold=1), training=replace(one.training, seed=0)) for one in bare]
    check_trials(runs, alike, [(recipe.data.fold, recipe.training.seed) for recipe in recipes], "fold and seed")


def _notes(recipes: Sequence[PeopleRecipe], split: str, feature: str) -> Iterator[str]:
    recipe = recipes[0]
    network, training, data = recipe.network, recipe.training, recipe.data
    yield (
        f"{len(recipes)} model{'s' * (len(recipes) != 1)}: {network.encoder} (weights: {network.weights}), branches "
        f"{', '.join(network.branches)}, {'with' if network.bottleneck else 'without'} bottleneck, "
        f"objective: {recipe.objective}."
    )
    folds = f", folds {', '.join(str(one.data.fold) for one in recipes)}" if reid_set(data.set).folds > 1 else ""
    yield (
        f"Trained for {training.epochs} epochs, seed{'s' * (len(recipes) != 1)} "
        f"{', '.join(str(one.training.seed) for one in recipes)}{folds}; "
        + ("the last step" if training.select == "last" else "the best step on held-out people")
        + " counts."
    )
    if split == "held_out" and training.select == "best":
        yield "The best step was chosen on these very people: the figures are optimistic."
    elif split in data.splits:
        yield "The model learned from people of this split: these are not figures of unseen people."
    else:
        yield "Nothing was learned from, or selected on, the people shown here."
    yield f"Split of the set: {split}. Compared: {feature} of every branch, each of length 1, side by side."
