"""Losses of pytorch-metric-learning, called as the losses of this package are."""

from __future__ import annotations

import importlib
from collections.abc import Callable

from torch import Tensor, nn


class PytorchMetricLearningLoss(nn.Module):
    """A loss of pytorch-metric-learning with the arguments of the pairwise losses of `limbeck.objectives`.

    It is a module, so that the parameters of a loss that has some (proxies, classifiers) are trained and saved with it.
    Its formulas, its reductions and its normalisation, which most of its losses do unasked, remain those of
    pytorch-metric-learning: docs/metric.md lists where they differ from the papers.

    Args:
        loss: a loss object of pytorch-metric-learning, or the name of one of its classes, such as "CircleLoss".
        options: what the class is called with, if a name is given.

    Raises:
        ImportError: a name is given, and pytorch-metric-learning is not installed.
        ValueError: there is no such class, or options come with an object.

    Example:
        >>> import torch
        >>> loss = PytorchMetricLearningLoss(lambda embeddings, labels: embeddings.square().sum())
        >>> loss(torch.ones(2, 3), torch.tensor([0, 1]))
        tensor(6.)
    """

    def __init__(self, loss: str | Callable[..., Tensor], **options: object) -> None:
        super().__init__()
        if isinstance(loss, str):
            loss = _made(loss, options)
        elif options:
            raise ValueError("options go with the name of a loss; an object has its own already")
        self.loss = loss

    def forward(
        self,
        embeddings: Tensor,
        labels: Tensor,
        *,
        references: Tensor | None = None,
        reference_labels: Tensor | None = None,
    ) -> Tensor:
        """The loss of a batch with itself, or with references; a scalar, as its own reducer has it.

        Raises:
            ValueError: only one of `references` and `reference_labels` is given.
        """
        if (references is None) != (reference_labels is None):
            raise ValueError("references and reference_labels go together: give both or neither")
        if references is None:  # some of its losses refuse the arguments, even if they are None
            return self.loss(embeddings, labels)
        return self.loss(embeddings, labels, ref_emb=references, ref_labels=reference_labels)


def _made(name: str, options: dict[str, object]) -> Callable[..., Tensor]:
    try:
        losses = importlib.import_module("pytorch_metric_learning.losses")
    except ImportError as error:
        raise ImportError(f"{name} needs pytorch-metric-learning: pip install 'limbeck[metric]' ({error})") from None
    made = getattr(losses, name, None)
    if made is None:
        raise ValueError(f"pytorch-metric-learning has no loss named {name!r}")
    result: Callable[..., Tensor] = made(**options)
    return result
