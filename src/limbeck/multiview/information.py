"""What can be read of the label from the views' observations and representations, while the networks learn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from limbeck.multiview.network import MultiViewNetwork
from limbeck.multiview.tensors import TensorViews
from limbeck.multiview.training import PREDICTION_BATCH, EpochState
from limbeck.multiview.views import Views

if TYPE_CHECKING:
    from limbeck.information.probes import Probe

ALL = "all views"


class InformationCallback:
    """The callback of `limbeck.multiview.training.train` that measures I(v; y) and I(z; y) on held-out samples.

    In nats. Measured are, for every view that some sample has, "v NAME" and "z NAME", and where there are several views
    also "v all views" and "z all views", all of them side by side. A sample that lacks a view has zeros there, as in
    `MultiViewClassifier.transform`. Without a bottleneck there is no z.

    Args:
        views: all samples.
        labels: `(samples,)`.
        held_out: one a model: samples that it does not learn from.
        due: whether to measure when so many epochs are done; the first moment and every model's last are measured
            anyway.
        probe: `linear` or `mlp`.
        folds: of every measurement.
        seed: of the folds.

    Attributes:
        curves: one a model.

    Raises:
        InputError: in a call: a model's held-out samples are too few to measure on.
    """

    def __init__(
        self,
        views: Views,
        labels: NDArray[np.int64],
        held_out: Sequence[NDArray[np.int64]],
        *,
        due: Callable[[int], bool],
        probe: Probe = "linear",
        folds: int = 5,
        seed: int = 0,
    ) -> None:
        from limbeck.information.curve import InformationCurve  # noqa: PLC0415 (most classifiers measure nothing)

        self._views, self._held_out, self._due = views, held_out, due
        self._data: TensorViews | None = None
        self.curves = [InformationCurve(labels[own], probe=probe, folds=folds, seed=seed) for own in held_out]

    def __call__(self, moment: EpochState) -> None:
        wanted = [
            slot for slot, ended in enumerate(moment.ended) if ended or moment.epoch == 0 or self._due(moment.epoch)
        ]
        if not wanted:
            return
        if self._data is None:
            self._data = TensorViews(self._views, next(moment.network.parameters()).device)
        samples = [self._held_out[model] for model in moment.models]
        for slot, vectors in enumerate(self._representations(moment.network, self._data, samples)):
            if slot in wanted:
                self.curves[moment.models[slot]].record(moment.step, vectors)

    @torch.no_grad()
    def _representations(
        self, network: MultiViewNetwork, data: TensorViews, samples: Sequence[NDArray[np.int64]]
    ) -> list[dict[str, NDArray[np.float32]]]:
        """Of every model, what it makes of its own samples."""
        union = np.unique(np.concatenate(samples))
        found: dict[str, list[NDArray[np.float32]]] = {"v": [], "z": []}
        for start in range(0, len(union), PREDICTION_BATCH):
            rows = torch.from_numpy(union[start : start + PREDICTION_BATCH]).to(data.device)
            batch = data.batch(rows.expand(network.models, -1))
            outputs = network(batch)
            there = 1.0 if batch.present is None else batch.present.unsqueeze(-1)
            found["v"].append((outputs.observations * there).cpu().numpy())
            if outputs.distribution is not None:
                found["z"].append((outputs.representations * there).cpu().numpy())
        names = [name for name, m in zip(self._views.names, self._views.matrices, strict=True) if m is not None]
        results: list[dict[str, NDArray[np.float32]]] = [{} for _ in samples]
        for word, parts in found.items():
            if parts:
                vectors = np.concatenate(parts, axis=2)  # (models, views, samples, features)
                for slot, own in enumerate(samples):
                    held = vectors[slot][:, np.searchsorted(union, own)]
                    results[slot] |= {f"{word} {name}": view for name, view in zip(names, held, strict=True)}
                    if len(names) > 1:
                        results[slot][f"{word} {ALL}"] = np.concatenate(list(held), axis=1)
        return results
