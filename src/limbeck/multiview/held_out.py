"""What a fitted model says of the samples that it was not trained on, kept so that its answers can be calibrated."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from limbeck.multiview.kernel_path import HeldOutScores
from limbeck.multiview.network import MultiViewNetwork, Predictions

_PREFIX = "held_out."
_SCORES = "held_out_scores."


@dataclass(frozen=True, eq=False)
class HeldOut:
    """The terms of the additive head for held-out samples, by which the logits of any views are one sum.

    Attributes:
        bias: `(samples, classes)`, of the network that did not learn from the sample.
        terms: `(views, samples, classes)`, W_i z_i of each view that some training sample had.
        present: `(views, samples)` booleans; terms of views that a sample lacks say nothing.
        labels: `(samples,)` positions among the classes.
        kernel: what the kernel path says of them; None without one.
        shares: `(classes,)` of the labels that the kernel path learned from.
    """

    bias: NDArray[np.float32]
    terms: NDArray[np.float32]
    present: NDArray[np.bool_]
    labels: NDArray[np.int64]
    kernel: HeldOutScores | None = None
    shares: NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        views, samples, classes = self.terms.shape
        expected = (samples, classes), (views, samples), (samples,)
        if (self.bias.shape, self.present.shape, self.labels.shape) != expected:
            raise ValueError("the parts of what was held out do not fit one another")
        if self.kernel is not None and self.kernel.terms.shape != self.terms.shape:
            raise ValueError("the kernel path's scores are not those of what was held out")

    def check(self, views: int, classes: int) -> None:
        """Refuse parts of another model, as a file may hold them.

        Raises:
            ValueError: a part is of another shape or kind of number, or a label is of no class.
        """
        samples = len(self.labels)
        parts = {
            "bias": (self.bias, (samples, classes), np.float32),
            "terms": (self.terms, (views, samples, classes), np.float32),
            "present": (self.present, (views, samples), np.bool_),
            "labels": (self.labels, (samples,), np.int64),
        }
        if self.kernel is not None:
            patterns = 1 + views if views > 1 else len(self.kernel.scores)
            parts |= {
                "scores": (self.kernel.scores, (patterns, samples, classes), np.float32),
                "shares": (np.asarray(self.shares), (classes,), np.float32),
            }
        for name, (part, shape, dtype) in parts.items():
            if part.shape != shape or part.dtype != np.dtype(dtype):
                raise ValueError(f"{_PREFIX}{name} is {part.shape} {part.dtype}, not {shape} {np.dtype(dtype)}")
        if samples and not 0 <= self.labels.min() <= self.labels.max() < classes:
            raise ValueError(f"{_PREFIX}labels are of no class")

    def known(self, pattern: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Which samples have all views of `pattern` (views,)."""
        return np.asarray(self.present[pattern].all(axis=0))

    def logits(self, pattern: NDArray[np.bool_]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Joint logits of the networks (samples, classes) from the views of `pattern` (views,) alone, and labels.

        Samples that lack one of these views are left out.
        """
        chosen = self.known(pattern)
        return self.bias[chosen] + self.terms[pattern][:, chosen].sum(axis=0, dtype=np.float64), self.labels[chosen]

    def scores(self, pattern: NDArray[np.bool_]) -> NDArray[np.float64]:
        """The same of the kernel path; zeros without one."""
        chosen = self.known(pattern)
        if self.kernel is None or self.shares is None:
            return np.zeros((int(chosen.sum()), self.terms.shape[2]))
        missing = np.flatnonzero(~pattern)
        if len(missing) == 1:
            return np.asarray(self.kernel.scores[1 + missing[0]][chosen], np.float64)
        added = self.kernel.terms[pattern][:, chosen].sum(axis=0, dtype=np.float64)
        return np.asarray(self.shares + added / np.sqrt(pattern.sum()))

    def to_tensors(self) -> dict[str, Tensor]:
        """The parts under names that no weight of a network has."""
        parts = {"bias": self.bias, "terms": self.terms, "present": self.present, "labels": self.labels}
        named = {_PREFIX + name: torch.from_numpy(part) for name, part in parts.items()}
        if self.kernel is not None and self.shares is not None:
            parts = {"scores": self.kernel.scores, "terms": self.kernel.terms, "shares": self.shares}
            named |= {_SCORES + name: torch.from_numpy(part) for name, part in parts.items()}
        return named


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
    kernel: HeldOutScores | None,
    shares: NDArray[np.floating] | None,
) -> HeldOut:
    """What `measure_terms` gave of the held-out samples of each network, one after the other.

    Args:
        parts: one a network.
        present: `(views, samples)` which sample has which view.
        labels: `(samples,)`.
        kernel: of the same samples.
        shares: of the kernel path.
    """
    bias = np.concatenate([np.broadcast_to(own, (terms.shape[1], len(own))) for own, terms in parts])
    terms = np.concatenate([terms for _, terms in parts], axis=1)
    return HeldOut(bias, terms, present, labels, kernel, None if shares is None else np.asarray(shares, np.float32))


def take_held_out(tensors: Mapping[str, Tensor]) -> tuple[HeldOut | None, dict[str, Tensor]]:
    """What `HeldOut.to_tensors` put among a file's tensors, None where there is none, and the other tensors."""
    parts = _named(tensors, _PREFIX)
    scores = _named(tensors, _SCORES)
    others = {name: tensor for name, tensor in tensors.items() if not name.startswith((_PREFIX, _SCORES))}
    if not parts:
        return None, others
    kernel = HeldOutScores(scores["scores"], scores["terms"]) if scores else None
    return HeldOut(**parts, kernel=kernel, shares=scores.get("shares")), others


def _named(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Any]:
    return {name.removeprefix(prefix): part.cpu().numpy() for name, part in tensors.items() if name.startswith(prefix)}
