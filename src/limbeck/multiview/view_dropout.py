"""View dropout: in training, some views are hidden from the joint prediction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

Sampling = Literal["independent", "one"]


class ViewDropout(nn.Module):
    r"""Draw which views of each sample the joint prediction sees in training; one at least stays.

    "independent": each of the m views that a sample has is hidden with probability q, the `rate`. Where all would be,
    one of them stays, each as likely. A set K of views is then what is left with probability

    .. math:: \pi(K) = q^{m-|K|} (1-q)^{|K|} + [|K| = 1] \, q^m / m, \qquad K \neq \emptyset

    "one": with probability q exactly one view is hidden, each as likely; a sample's only view never is.

    How this relates to MV2D. Let t be the target distribution of a sample (its label, smoothed or not), :math:`P` the
    prediction from all its views, :math:`P_{\setminus i}` that from all but view i, and :math:`\ell_i(c) = \log P(c) -
    \log P_{\setminus i}(c)`. Cross-entropies are :math:`CE(t, P) = -\sum_c t_c \log P(c)`. The expected cross-entropy
    under "one" is

    .. math:: (1-q) CE(t, P) + \frac qm \sum_i CE(t, P_{\setminus i})
        = CE(t, P) + \frac qm \sum_i \sum_c t_c \ell_i(c)
        = CE(t, P) + \frac qm \sum_i D_{KL}[P \| P_{\setminus i}] + \frac qm \sum_i \sum_c (t_c - P(c)) \ell_i(c)

    So view dropout adds to the joint cross-entropy the mean of :math:`\ell_i` under the target, and MV2D's
    leave-one-out terms are its mean under the joint prediction. The last sum is what they differ by; its expectation is
    0 where t is a label drawn from :math:`P`, that is, where the joint prediction is the posterior. Then view dropout
    with classification weight w adds what MV2D adds with distillation weight w q (a mean over views), at most w. The
    gradients in the logits of :math:`P_{\setminus i}` are :math:`P_{\setminus i} - t` and, with the teacher detached,
    :math:`P_{\setminus i} - P`: they differ by :math:`P - t`, the joint cross-entropy's own gradient, whatever i. The
    teacher thus takes the noise of the label out of what the others are asked to predict; in return it passes on its
    errors. The cross-entropy of all views together weighs w (1 - q) with view dropout and w with MV2D.

    "independent" is "one" with probability m q to first order in q; otherwise it leaves out two views and more as well,
    of which MV2D has no terms.

    Args:
        rate: q in [0, 1].
        sampling: "independent" or "one".

    Shapes: `present` and the result (models, views, batch) booleans. In evaluation mode, and at rate 0, the result is
    `present` and nothing is drawn.

    Raises:
        ValueError: the rate or the sampling is none of these.

    Source: ours; independent hiding of whole modalities: Neverova et al. 2016, ModDrop.

    Example:
        >>> hide = ViewDropout(1.0, "one")
        >>> hide(torch.ones(1, 3, 5, dtype=torch.bool)).sum(dim=1)
        tensor([[2, 2, 2, 2, 2]])
    """

    generators: Sequence[torch.Generator] | None = None  # one a model; None: the global one

    def __init__(self, rate: float, sampling: Sampling = "independent") -> None:
        super().__init__()
        if not 0 <= rate <= 1:
            raise ValueError(f"rate must be in [0, 1], not {rate}")
        if sampling not in ("independent", "one"):
            raise ValueError(f"sampling must be 'independent' or 'one', not {sampling!r}")
        self.rate, self.sampling = rate, sampling

    @property
    def active(self) -> bool:
        """Whether anything is hidden."""
        return self.training and self.rate > 0

    def forward(self, present: Tensor) -> Tensor:
        if not self.active:
            return present
        models, views, batch = present.shape
        generators: Sequence[torch.Generator | None] = self.generators or [None] * models
        draws = torch.stack([torch.rand(views + 1, batch, generator=one, device=present.device) for one in generators])
        ranks, chance = draws[:, :-1], draws[:, -1:]
        highest = torch.where(present, ranks, -1.0).argmax(dim=1, keepdim=True)
        chosen = torch.zeros_like(present).scatter_(1, highest, value=True)
        if self.sampling == "one":
            return present & ~(chosen & (chance < self.rate) & (present.sum(dim=1, keepdim=True) > 1))
        # Whichever has the highest rank is kept if any is; that it always is keeps one where none would be.
        return present & ((ranks >= self.rate) | chosen)

    def extra_repr(self) -> str:
        return f"{self.rate}, {self.sampling}"
