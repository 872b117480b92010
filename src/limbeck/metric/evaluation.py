"""Scoring trained embeddings on a set under a protocol, with the evidence that people look at."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from limbeck.devices import check_device
from limbeck.errors import InputError
from limbeck.images.decoding import read_image
from limbeck.images.runs import PICTURES
from limbeck.metric.dataset import MetricDataset
from limbeck.metric.embedding import Feature, features_of, represent
from limbeck.metric.recipe import MetricRecipe
from limbeck.metric.runs import MetricModel, decoded, load_run, networks_of, place_of, recipe_of
from limbeck.metric.sets import load_photographs, metric_set
from limbeck.metric.splits import split_classes
from limbeck.reporting.progress import progress_bar
from limbeck.retrieval import Features, evaluate, named_protocols
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
        members: their positions in the set.
        photographs: the set.
    """

    features: Features
    representations: dict[str, NDArray[np.float32]]
    members: NDArray[np.int64]
    photographs: MetricDataset

    def picture(self, position: int) -> NDArray[np.uint8]:
        """The pixels of an item of the features."""
        place = int(self.members[position])
        if self.photographs.images is not None:
            return np.asarray(self.photographs.images[place])
        return read_image(self.photographs.root / self.photographs.path[place])


def embed_split(
    model: MetricModel, run: Path, *, root: str | None = None, split: str = "test", feature: Feature = "v"
) -> Embedded:
    """Embed a split of the set that a model was trained on, or of the same kind of set elsewhere.

    Args:
        model: trained.
        run: its folder, where the cache of decoded pictures lies.
        root: of the set; default: where it lay in training.
        split: "train", "validation" or "test", as `split_classes` divides; "all": every picture.
        feature: what is compared: v or z.

    Raises:
        InputError: the set cannot be read or has no such split, or the network no such feature.
    """
    data = model.recipe.data if root is None else replace(model.recipe.data, root=root)
    photographs = load_photographs(data.set, place_of(data))
    inside = run if run.is_dir() else run.parent
    # Another set's pictures do not take the place of those that the training reads.
    cache = Path(data.cache or inside / PICTURES) if root is None else inside / f"{PICTURES}-elsewhere"
    images, rows = decoded(photographs, data, cache)
    if split == "all":
        members = np.arange(len(photographs))
    else:
        parts = split_classes(photographs, data, model.recipe.training.seed)
        members = parts.part(split)
        if split == "validation" and not np.array_equal(np.unique(photographs.label[parts.train]), model.classes):
            raise InputError(
                f"{data.root}: does not hold the classes that this model was trained on, so that nobody knows which it "
                "held out: name another split"
            )
    members = members[rows[members] >= 0]
    with progress_bar("embedding") as advance:
        found = represent(model.network, images, rows[members], size=data.crop, device=model.device, progress=advance)
    return Embedded(features_of(photographs, members, found, feature), found, members, photographs)


def evaluate_runs(
    runs: Sequence[Path],
    *,
    protocol: str | None = None,
    root: str | None = None,
    split: str = "test",
    feature: Feature = "v",
    out: Path | None = None,
    device: str = "cpu",
    similarity: Similarity = "cosine",
    reranking: KReciprocal | None = None,
    recalls: Sequence[int] | None = None,
    per_query: Path | None = None,
    seed: int = 0,
) -> Iterator[str]:
    """Score trained models and write a report folder; models that differ in their seed make one evaluation.

    Where a training kept its last and its best network, both are scored, each with a report of its own.

    Args:
        runs: their folders.
        protocol: a name; default: the set's own.
        root: of the set; default: where it lay in training.
        split: "train", "validation", "test" or "all".
        feature: what is compared: v or z.
        out: the report's folder; default: one in the first run.
        device: where to embed and to rank; re-ranking is computed on the CPU always, and the notes say so.
        similarity: of embeddings.
        reranking: with k-reciprocal neighbours; None: none.
        recalls: the K of CMC that are shown; default: the protocol's.
        per_query: a CSV file to write, with a line for every query; of two networks two, NAME-last and NAME-best.
        seed: of what the report's pictures show.

    Yields:
        The table to print, and where the report lies, for each kind of network.

    Raises:
        InputError: a run, the set, the split or the protocol cannot be used.
    """
    place = check_device(device)
    recipes = [recipe_of(run) for run in runs]
    _check_alike(runs, recipes)
    name = protocol or metric_set(recipes[0].data.set).protocol
    protocols = named_protocols(name)
    files = [networks_of(run) for run in runs]
    if any(one.keys() != files[0].keys() for one in files):
        raise InputError(f"{runs[-1]}: some of the runs lack a network that others have; evaluate them apart")
    ranked_on = None if reranking is not None or place.type == "cpu" else device
    for kind in files[0]:
        models = [load_run(one[kind], device=device) for one in files]
        embedded = [
            embed_split(model, run, root=root, split=split, feature=feature)
            for model, run in zip(models, runs, strict=True)
        ]
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
                (kind, len(files[0]) > 1),
                (split, split != "test"),
                (similarity, similarity != "cosine"),
                ("" if reranking is None else reranking.tag, reranking is not None),
            )
            if said
        ]
        home = runs[0] if runs[0].is_dir() else runs[0].parent
        folder = out or home / "-".join(["report", name, feature, *unusual])
        if out is not None and len(files[0]) > 1:
            folder = out / kind
        notes = [*_notes(recipes, models, kind, split, feature)]
        if reranking is not None and place.type != "cpu":
            notes.append(f"Embedded on {device}; re-ranking is computed on the CPU only.")
        written = write_report(
            folder,
            evaluations,
            [one.features for one in embedded],
            protocols,
            picture=embedded[0].picture,
            title=f"Retrieval of classes of {embedded[0].photographs.name}, split {split}",
            notes=notes,
            representations=embedded[0].representations,
            names=embedded[0].photographs.classes,
            similarity=similarity,
            reranking=reranking,
            seed=seed,
        )
        lines = per_query
        if lines is not None and len(files[0]) > 1:
            lines = lines.with_stem(f"{lines.stem}-{kind}")
        if lines is not None:
            searched = [one.features for one in embedded]
            write_queries(lines, evaluations, protocols, searched, similarity=similarity, reranking=reranking)
        told = ", ".join(str(file) for file in (lines, written[-1]) if file is not None)
        yield "\n".join([format_evaluations(evaluations), *notes, f"Written: {told}"])


def _check_alike(runs: Sequence[Path], recipes: Sequence[MetricRecipe]) -> None:
    """Trials of one evaluation differ in their seed alone.

    Raises:
        InputError: two runs do not.
    """
    bare = [recipe.elsewhere() for recipe in recipes]
    alike = [replace(one, training=replace(one.training, seed=0)) for one in bare]
    check_trials(runs, alike, [recipe.training.seed for recipe in recipes], "seed")


def _notes(
    recipes: Sequence[MetricRecipe], models: Sequence[MetricModel], kind: str, split: str, feature: str
) -> Iterator[str]:
    recipe = recipes[0]
    network, training, loss = recipe.network, recipe.training, recipe.loss
    steps = ", ".join(f"step {one.step} (epoch {one.epoch})" for one in models)
    chosen = {"last": "the last network", "best": "the best network on held-out classes"}[kind]
    yield f"This is {chosen}: {steps}."
    yield (
        f"{len(recipes)} model{'s' * (len(recipes) != 1)}: {network.encoder} (weights: {network.weights}), embedding "
        f"of {models[0].network.features}, {'with' if network.bottleneck else 'without'} bottleneck; loss: "
        f"{loss.external or loss.name}{' with cross-batch memory' * bool(loss.memory)}; trained for {training.epochs} "
        f"epochs, seed{'s' * (len(recipes) != 1)} {', '.join(str(one.training.seed) for one in recipes)}."
    )
    if split == "validation" and kind == "best":
        yield "The best step was chosen on these very classes: the figures are optimistic."
    elif split in ("train", "all"):
        yield "The model learned from classes shown here: these are not figures of unseen classes."
    else:
        yield "Nothing was learned from, or selected on, the classes shown here."
    yield f"Split: {split}. Compared: {feature}."
