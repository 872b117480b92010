"""Maps of pictures read at the pixels of points."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from limbeck.nn.sparse import WeightedSums


class Sight(NamedTuple):
    """Where the cameras see the points of a batch.

    A point that several cameras see has one pixel, that of the camera which whoever prepares the batch prefers.

    Attributes:
        seen: (points,) booleans. What the others hold of a point that is not seen says nothing.
        pixels: (points, 2), x to the right and y downwards, from -1 to 1 between the outer edges of the picture: the
            centre of pixel u of a picture of W pixels is (2 u + 1) / W - 1.
        pictures: (points,) integers, the picture of the batch that the pixel is in.
    """

    seen: Tensor
    pixels: Tensor
    pictures: Tensor


def check_sight(sight: Sight, points: int, pictures: int) -> None:
    """A ValueError unless these are pixels of so many points in so many pictures."""
    shapes = tuple(tuple(part.shape) for part in sight)
    if shapes != ((points,), (points, 2), (points,)):
        raise ValueError(
            f"sight must be seen ({points},), pixels ({points}, 2) and pictures ({points},), got shapes {shapes}"
        )
    if sight.seen.dtype != torch.bool:
        raise ValueError(f"sight: seen must be booleans, not {sight.seen.dtype}")
    pixels, which = sight.pixels[sight.seen], sight.pictures[sight.seen]
    if len(pixels) == 0:
        return
    if not pixels.abs().max() <= 1:  # NaN is not
        raise ValueError("sight: pixels of points that are seen must be in [-1, 1]")
    if not (which.min() >= 0 and which.max() < pictures):
        raise ValueError(f"sight: pictures must be in [0, {pictures}), found {which.min()} to {which.max()}")


def sampled(maps: Tensor, pixels: Tensor, pictures: Tensor) -> Tensor:
    r"""Bilinear interpolation of maps at pixels.

    .. math:: y_p = \sum_t w_{p,t} \, x_t, \qquad
        w_{p,t} = (1 - |u_p - u_t|) (1 - |v_p - v_t|)

    over the four pixels t of the map around the point, :math:`u = ((x + 1) W - 1) / 2` being the column at `pixels` x
    in a map of W columns, likewise the row v; beyond the outer pixels' centres their values go on. It is
    `grid_sample(..., padding_mode="border", align_corners=False)`, but every sum, forwards and backwards, is made in
    one order.

    Args:
        maps: (pictures, channels, height, width).
        pixels: (points, 2), as in `Sight`.
        pictures: (points,) integers.

    Returns:
        (points, channels).

    Example:
        >>> ramp = torch.tensor([[[[0.0, 1.0, 2.0, 3.0]]]])
        >>> sampled(ramp, torch.tensor([[0.0, 0.0], [-1.0, 0.0], [0.25, 0.0]]), torch.zeros(3, dtype=torch.int64)).T
        tensor([[1.5000, 0.0000, 2.0000]])
    """
    _, channels, height, width = maps.shape
    size = pixels.new_tensor([width, height])
    where = (((pixels + 1) * size - 1) / 2).clamp(min=0).minimum(size - 1)
    low = where.floor()
    above = where - low
    left, top = low.to(torch.int64).unbind(1)
    right, bottom = (left + 1).clamp(max=width - 1), (top + 1).clamp(max=height - 1)
    first = pictures.to(torch.int64) * height
    columns = [(first + row) * width + column for row in (top, bottom) for column in (left, right)]
    x, y = above.unbind(1)
    weights = [a * b for a in (1 - y, y) for b in (1 - x, x)]
    matrix = WeightedSums(
        torch.stack(columns, dim=1).flatten(),
        torch.arange(0, 4 * len(pixels) + 1, 4, device=pixels.device),
        torch.stack(weights, dim=1).flatten(),
        maps.shape[0] * height * width,
    )
    return matrix(maps.permute(0, 2, 3, 1).reshape(-1, channels))
