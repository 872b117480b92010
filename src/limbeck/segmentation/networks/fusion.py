"""What a camera sees of a point, brought into what the LiDAR says of it."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from limbeck.segmentation.networks.layers import linear_block

FusionKind = Literal["attention", "concatenation", "addition", "product"]
KINDS = ("attention", "concatenation", "addition", "product")


class LIFusion(nn.Module):
    r"""LI-Fusion: the image's feature of a point, weighted by how much it is trusted, joined with the point's own.

    .. math:: I' = a \, ReLU(BN(W_c I)), \quad a = \sigma(w_3 \tanh(W_1 I + W_2 P)), \quad
        output = ReLU(BN(W_o [P, I']))

    where I is the image's feature, P the point's, a one number for each point; linear layers have biases. That is
    "attention". The other kinds have a = 1, and join by :math:`[P, I']` ("concatenation"), :math:`P + I'` ("addition")
    or :math:`P \odot I'` ("product"). It is called with the points that are seen alone: with zeros for the others,
    most of what its normalisation counts would be zeros.

    Args:
        image: width of I.
        point: width of P and of the output.
        kind: what joins them. The paper's appendix names all but the first; the first is its source's.

    Shapes: points (seen, point), images (seen, image); output (seen, point).

    Raises:
        ValueError: a width is not positive or the kind is unknown.

    Source: Huang et al. 2020 (EPNet), §3.3, with its code's W_1 and W_2 of a quarter of P's width; Tian et al. 2022,
    §5.3.2 and appendix B.2, for the kinds.

    Example:
        >>> LIFusion(8, 16)(torch.zeros(5, 16), torch.zeros(5, 8)).shape
        torch.Size([5, 16])
    """

    def __init__(self, image: int, point: int, *, kind: FusionKind = "attention") -> None:
        super().__init__()
        if min(image, point) < 1:
            raise ValueError(f"widths must be positive, got {image} and {point}")
        if kind not in KINDS:
            raise ValueError(f"kind must be one of {', '.join(KINDS)}, not {kind!r}")
        self.kind = kind
        self.carry = linear_block(image, point)
        if kind == "attention":
            narrow = max(1, point // 4)
            self.of_image, self.of_point = nn.Linear(image, narrow), nn.Linear(point, narrow)
            self.trust = nn.Linear(narrow, 1)
        both = point if kind in ("addition", "product") else 2 * point
        self.join = linear_block(both, point)

    def forward(self, points: Tensor, images: Tensor) -> Tensor:
        carried = self.carry(images)
        if self.kind == "attention":
            carried = carried * torch.sigmoid(self.trust(torch.tanh(self.of_image(images) + self.of_point(points))))
        if self.kind == "addition":
            both = points + carried
        elif self.kind == "product":
            both = points * carried
        else:
            both = torch.cat([points, carried], dim=1)
        output: Tensor = self.join(both)
        return output
