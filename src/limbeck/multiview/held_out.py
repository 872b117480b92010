"""What a fitted model says of the samples that it was not trained on, kept so that its answers can be calibrated."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from limbeck.multiview.network import MultiViewNetwork, Predictions
from limbeck.tensorfiles import under

_PREFIX = "held_out."
_KERNEL = "held_out_scores."
_LINEAR = "held_out_linear."


@dataclass(frozen=True, eq=False)
class HeldOutKernel:
    """Of the kernel path.

    Attributes:
        by_solution: `(1 + views, samples, classes)` scores from all views of a sample, and without each; with one view
            `(1, ...)`.
        terms: `(views, samples, classes)` one view's part of what answers where several views are missing, less the
            shares of the classes, times the root of the weight of the views that it is a part of.
        shares: `(classes,)` of the labels that were learned from.
        weights: `(views,)` of the views in the mean of their kernels.
    """

    by_solution: NDArray[np.float32]
    terms: NDArray[np.float32]
    shares: NDArray[np.float32]
    weights: NDArray[np.float32]

    def by_pattern(self, present: NDArray[np.bool_]) -> NDArray[np.floating]:
        """Scores `(1 + views, samples, classes)` from all views of a sample, and without each.

        Args:
            present: `(views, samples)`.
        """
        del present  # known when they were solved
        return self.by_solution

    def scores(self, pattern: NDArray[np.bool_], chosen: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Scores `(chosen, classes)` of some samples from the views of a pattern.

        By the solution without the view that is missing; where several are, the terms of the others.

        Args:
            pattern: `(views,)`.
            chosen: `(samples,)` which samples; they have these views.
        """
        missing = np.flatnonzero(~pattern)
        if len(missing) < 2:
            return np.asarray(self.by_solution[1 + missing[0] if len(missing) else 0][chosen], np.float64)
        added = self.terms[pattern][:, chosen].sum(axis=0, dtype=np.float64)
        return np.asarray(self.shares + added / np.sqrt(self.weights[pattern].sum(dtype=np.float64)))

    def parts(self) -> dict[str, NDArray[np.float32]]:
        """All arrays, by name."""
        return {"scores": self.by_solution, "terms": self.terms, "shares": self.shares, "weights": self.weights}

    def check(self, views: int, samples: int, classes: int) -> None:
        """Refuse arrays of another shape or kind of number with a ValueError."""
        patterns = 1 + views if views > 1 else len(self.by_solution)
        shapes = (patterns, samples, classes), (views, samples, classes), (classes,), (views,)
        _check(_KERNEL, self.parts(), shapes)
        if not (np.isfinite(self.weights) & (self.weights > 0)).all():
            raise ValueError(f"{_KERNEL}weights must be above 0")


@dataclass(frozen=True, eq=False)
class HeldOutTerms:
    """Of what adds up over views.

    Attributes:
        bias: `(samples, classes)`.
        terms: `(views, samples, classes)`; those of views that a sample lacks say nothing.
    """

    bias: NDArray[np.float32]
    terms: NDArray[np.float32]

    def scores(self, pattern: NDArray[np.bool_], chosen: NDArray[np.bool_]) -> NDArray[np.float64]:
        """The same: bias and terms of the pattern's views."""
        return np.asarray(self.bias[chosen] + self.terms[pattern][:, chosen].sum(axis=0, dtype=np.float64))

    def by_pattern(self, present: NDArray[np.bool_]) -> NDArray[np.floating]:
        """The same, with a view left out."""
        terms = np.where(present[:, :, np.newaxis], self.terms.astype(np.float64), 0.0)
        everything = self.bias + terms.sum(axis=0)
        return np.stack([everything, *(everything - one for one in terms)])

    def parts(self) -> dict[str, NDArray[np.float32]]:
        """All arrays, by name."""
        return {"bias": self.bias, "terms": self.terms}

    def check(self, views: int, samples: int, classes: int) -> None:
        """Refuse arrays of another shape or kind of number with a ValueError."""
        _check(_LINEAR, self.parts(), ((samples, classes), (views, samples, classes)))


# What a path beside the networks says of samples that it did not learn from.
HeldOutPath: TypeAlias = HeldOutKernel | HeldOutTerms


@dataclass(frozen=True, eq=False)
class HeldOut:
    """What is said of held-out samples, so that the logits of any views are one sum.

    Attributes:
        networks: of the network that did not learn from the sample; its terms are W_i z_i of each view that some
            training sample had.
        present: `(views, samples)` booleans.
        labels: `(samples,)` positions among the classes.
        folds: `(samples,)` the network, and the part of the paths, that did not learn from the sample.
        paths: of the kernel path, then of the linear paths, as far as there are any.
    """

    networks: HeldOutTerms
    present: NDArray[np.bool_]
    labels: NDArray[np.int64]
    folds: NDArray[np.int64]
    paths: tuple[HeldOutPath, ...] = ()

    def __post_init__(self) -> None:
        views, samples, classes = self.networks.terms.shape
        expected = (samples, classes), (views, samples), (samples,), (samples,)
        if (self.networks.bias.shape, self.present.shape, self.labels.shape, self.folds.shape) != expected:
            raise ValueError("the parts of what was held out do not fit one another")
        if any(path.terms.shape != self.networks.terms.shape for path in self.paths):
            raise ValueError("the paths' scores are not those of what was held out")

    def check(self, views: int, classes: int, networks: int) -> None:
        """Refuse parts of another model, as a file may hold them.

        Raises:
            ValueError: a part is of another shape or kind of number, or a label is of no class.
        """
        samples = len(self.labels)
        named = {**self.networks.parts(), "present": self.present, "labels": self.labels, "folds": self.folds}
        shapes = (samples, classes), (views, samples, classes), (views, samples), (samples,), (samples,)
        _check(_PREFIX, named, shapes, (np.float32, np.float32, np.bool_, np.int64, np.int64))
        for path in self.paths:
            path.check(views, samples, classes)
        if samples and not 0 <= self.labels.min() <= self.labels.max() < classes:
            raise ValueError(f"{_PREFIX}labels are of no class")
        if samples and not 0 <= self.folds.min() <= self.folds.max() < networks:
            raise ValueError(f"{_PREFIX}folds are of no network")

    def known(self, pattern: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Which samples have all views of `pattern` (views,)."""
        return np.asarray(self.present[pattern].all(axis=0))

    def logits(self, pattern: NDArray[np.bool_]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Joint logits of the networks (samples, classes) from the views of `pattern` (views,) alone, and labels.

        Samples that lack one of these views are left out.
        """
        chosen = self.known(pattern)
        return self.networks.scores(pattern, chosen), self.labels[chosen]

    def scores(self, pattern: NDArray[np.bool_]) -> NDArray[np.float64]:
        """The same of every path, (paths, samples, classes)."""
        chosen = self.known(pattern)
        found = [path.scores(pattern, chosen) for path in self.paths]
        return np.stack(found) if found else np.zeros((0, int(chosen.sum()), self.networks.terms.shape[2]))

    def calibrating(
        self, pattern: NDArray[np.bool_]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
        """Logits, scores and labels, as above, of the samples that can calibrate (`of_known_classes`); maybe none."""
        chosen = of_known_classes(self.labels, self.folds)[self.known(pattern)]
        logits, labels = self.logits(pattern)
        return logits[chosen], self.scores(pattern)[:, chosen], labels[chosen]

    def to_tensors(self) -> dict[str, Tensor]:
        """The parts under names that no weight of a network has."""
        named: dict[str, NDArray[Any]] = {_PREFIX + name: part for name, part in self.networks.parts().items()}
        named |= {_PREFIX + "present": self.present, _PREFIX + "labels": self.labels, _PREFIX + "folds": self.folds}
        linear = 0
        for path in self.paths:
            start = _KERNEL if isinstance(path, HeldOutKernel) else f"{_LINEAR}{linear}."
            linear += isinstance(path, HeldOutTerms)
            named |= {start + name: part for name, part in path.parts().items()}
        return {name: torch.from_numpy(np.ascontiguousarray(part)) for name, part in named.items()}


def of_known_classes(labels: NDArray[np.int64], folds: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which held-out samples are of a class that another part holds too; all, where that is none or there is one part.

    Of the others nobody who answers has seen the class: their answers are wrong whatever temperature and weights are.

    Args:
        labels: `(samples,)`.
        folds: `(samples,)` the part of each.
    """
    if not len(folds) or (folds == folds[0]).all():
        return np.ones(len(labels), bool)
    parts = np.zeros((int(labels.max()) + 1, int(folds.max()) + 1), bool)
    parts[labels, folds] = True
    known = parts.sum(axis=1)[labels] > 1
    return np.asarray(known if known.any() else ~known)


@torch.no_grad()
def measure_terms(
    network: MultiViewNetwork, batches: Iterable[Predictions], model: int = 0
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The bias (classes,) of one model of a network, and its terms (views, samples, classes) for the batches' samples.

    Raises:
        ValueError: its joint head is not additive, so that no sum of terms is its logits.
    """
    head = network.joint_head
    if not head.additive:
        raise ValueError("only an additive joint head has terms that add up")
    parts = [head.terms(batch.representations)[model] for batch in batches]
    return head.bias[model].cpu().numpy(), torch.cat(parts, dim=-2).cpu().numpy()


def assemble_held_out(
    parts: Sequence[tuple[NDArray[np.float32], NDArray[np.float32]]],
    present: NDArray[np.bool_],
    labels: NDArray[np.int64],
    folds: NDArray[np.int64],
    paths: Sequence[HeldOutPath],
) -> HeldOut:
    """What `measure_terms` gave of the held-out samples of each network, one after the other.

    Args:
        parts: one a network.
        present: `(views, samples)` which sample has which view.
        labels: `(samples,)`.
        folds: `(samples,)` of which network.
        paths: what each path says of the same samples.
    """
    bias = np.concatenate([np.broadcast_to(own, (terms.shape[1], len(own))) for own, terms in parts])
    terms = np.concatenate([terms for _, terms in parts], axis=1)
    return HeldOut(HeldOutTerms(bias, terms), present, labels, folds, tuple(paths))


def take_held_out(tensors: Mapping[str, Tensor], *, linear: int) -> tuple[HeldOut | None, dict[str, Tensor]]:
    """What `HeldOut.to_tensors` put among a file's tensors, None where there is none, and the other tensors.

    Args:
        tensors: of a file.
        linear: how many linear paths the model has.
    """
    parts, kernel = _named(tensors, _PREFIX), _named(tensors, _KERNEL)
    others = {name: tensor for name, tensor in tensors.items() if not name.startswith((_PREFIX, _KERNEL, _LINEAR))}
    if not parts:
        return None, others
    paths: list[HeldOutPath] = []
    if kernel:
        equal = np.ones(len(kernel["terms"]), np.float32)  # earlier versions did not weigh views
        paths.append(HeldOutKernel(kernel["scores"], kernel["terms"], kernel["shares"], kernel.get("weights", equal)))
    paths += [HeldOutTerms(**_named(tensors, f"{_LINEAR}{number}.")) for number in range(linear)]
    own = HeldOutTerms(parts["bias"], parts["terms"])
    # Earlier versions did not keep the folds: all are then answered by the mean of the networks, and by all rows.
    folds = parts.get("folds", np.zeros(len(parts["labels"]), np.int64))
    return HeldOut(own, parts["present"], parts["labels"], folds, tuple(paths)), others


def _named(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Any]:
    return {name: part.cpu().numpy() for name, part in under(prefix, tensors).items()}


def _check(
    start: str,
    parts: Mapping[str, NDArray[Any]],
    shapes: Sequence[tuple[int, ...]],
    dtypes: Sequence[type[np.generic]] | None = None,
) -> None:
    for (name, part), shape, dtype in zip(parts.items(), shapes, dtypes or [np.float32] * len(shapes), strict=True):
        if part.shape != shape or part.dtype != np.dtype(dtype):
            raise ValueError(f"{start}{name} is {part.shape} {part.dtype}, not {shape} {np.dtype(dtype)}")
