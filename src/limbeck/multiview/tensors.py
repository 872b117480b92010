"""Views on a device, and batches of them for several models at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse
import torch
from torch import Tensor

from limbeck.multiview.views import Matrix, Views
from limbeck.nn import SparseRows


@dataclass(frozen=True)
class Batch:
    """Samples for several models at once.

    Attributes:
        views: one a view: (models, batch, features), or the rows of all models one after the other where sparse.
        present: (models, views, batch) booleans; None: everything is there.
    """

    views: tuple[Tensor | SparseRows, ...]
    present: Tensor | None


class TensorViews:
    """The views that some sample has, held once on a device whatever the number of models that read them."""

    def __init__(self, views: Views, device: torch.device) -> None:
        self.device = device
        self.samples = views.samples
        known = [matrix is not None for matrix in views.matrices]
        self._views = tuple(_to_device(matrix, device) for matrix in views.matrices if matrix is not None)
        self._present = None if views.present[known].all() else torch.from_numpy(views.present[known]).to(device)

    def batch(self, samples: Tensor, valid: Tensor | None = None) -> Batch:
        """Gather `samples` (models, batch); where `valid` of the same shape is false a sample counts as absent."""
        rows = tuple(view.rows(samples) if isinstance(view, _Csr) else view[samples] for view in self._views)
        present = None
        if self._present is not None:
            present = self._present[:, samples].transpose(0, 1)
        if valid is not None:
            everywhere = valid.unsqueeze(1).expand(-1, len(self._views), -1)
            present = everywhere if present is None else present & everywhere
        return Batch(rows, present)


@dataclass(frozen=True)
class _Csr:
    starts: Tensor
    columns: Tensor
    values: Tensor

    def rows(self, samples: Tensor) -> SparseRows:
        first, last = self.starts[samples.flatten()], self.starts[samples.flatten() + 1]
        length = last - first
        starts = torch.cumsum(length, 0) - length
        # Entry k of the gathered rows is entry k - starts[row] of its own row.
        entry = torch.arange(int(length.sum()), device=first.device) + (first - starts).repeat_interleave(length)
        return SparseRows(self.columns[entry], self.values[entry], starts)


def _to_device(matrix: Matrix, device: torch.device) -> Tensor | _Csr:
    if isinstance(matrix, np.ndarray):
        return torch.from_numpy(matrix).to(device)
    assert isinstance(matrix, scipy.sparse.csr_array)
    parts = matrix.indptr.astype(np.int64), matrix.indices.astype(np.int64), matrix.data
    return _Csr(*(torch.from_numpy(part).to(device) for part in parts))
