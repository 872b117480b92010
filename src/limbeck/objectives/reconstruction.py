"""Reconstruction of pictures: squared error and the differences of Laplacian pyramids."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from limbeck.objectives.divergences import Reduction, reduce
from limbeck.objectives.precision import full_precision

OverPixels = Literal["mean", "sum"]


def laplacian_pyramid(images: Tensor, levels: int) -> list[Tensor]:
    r"""Split pictures into what each scale adds.

    .. math:: G_0 = x, \quad G_{j+1} = \downarrow(k * G_j), \qquad
        L_j = G_j - 4 \, k * \uparrow(G_{j+1}) \; (j < J - 1), \quad L_{J-1} = G_{J-1}

    where :math:`J` is `levels`, :math:`k` the kernel (1, 4, 6, 4, 1) / 16 along both axes, :math:`\downarrow` keeps
    every other row and column, beginning with the first, and :math:`\uparrow` puts zeros between them. Borders are
    reflected about the outermost pixel. A constant picture is zero in all levels but the last. Pictures of half
    precision are taken to float32 first.

    Args:
        images: (..., height, width), real floating point.
        levels: number of levels, 1 or more.

    Returns:
        `levels` tensors, the finest first, each half the size of the one before, rounded up; the last is the low pass.

    Raises:
        ValueError: the pictures are empty, not floating point, or too small for so many levels: all but the last must
            have 3 rows and columns or more.

    Source: Burt & Adelson 1983, with a = 3/8.

    Example:
        >>> [tuple(level.shape) for level in laplacian_pyramid(torch.zeros(2, 3, 16, 9), 3)]
        [(2, 3, 16, 9), (2, 3, 8, 5), (2, 3, 4, 3)]
    """
    if images.ndim < 2 or images.numel() == 0 or not images.is_floating_point():
        raise ValueError(
            "images must be (..., height, width) of floating point and not empty, "
            f"got shape {tuple(images.shape)} of {images.dtype}"
        )
    _check_levels(images, levels)
    pyramid = []
    current = full_precision(images)
    for _ in range(levels - 1):
        smaller = _halve(_halve(current).mT).mT
        blurred = _double(_double(smaller, current.shape[-1]).mT, current.shape[-2]).mT
        pyramid.append(current - blurred)
        current = smaller
    return [*pyramid, current]


def laplacian_pyramid_l1(
    images: Tensor,
    reconstructions: Tensor,
    *,
    levels: int = 3,
    over_pixels: OverPixels = "mean",
    reduction: Reduction = "mean",
) -> Tensor:
    r"""Absolute differences between the Laplacian pyramids of two pictures. Symmetric.

    .. math:: Lap_1(x, x') = \sum_{j=0}^{J-1} 2^{2j} |L_j(x) - L_j(x')|_1

    where :math:`L_j` is level j of `laplacian_pyramid`, :math:`J` is `levels` and :math:`|.|_1` sums over all pixels
    and channels. Level j has a :math:`2^{2j}`-th of the pixels, so that the weights make all levels count the same.

    Args:
        images: x, (..., channels, height, width), floating point.
        reconstructions: x', the same shape.
        levels: number of levels, the last of which is the low pass. Ours: the papers do not say.
        over_pixels: "sum" is the equation as printed; "mean" (ours) divides by channels * height * width, so that the
            value is about the sum of the levels' mean absolute differences, whatever the size.
        reduction: "mean" or "sum" over all leading dimensions, or "none" for shape (...).

    Raises:
        ValueError: shapes differ, a dimension is empty, the pictures are too small for so many levels, or an option is
            unknown.

    Source: Tian et al. 2022, eq. 44; Bojanowski et al. 2018, §2.

    Example:
        >>> x = torch.rand(2, 3, 16, 8)
        >>> round(laplacian_pyramid_l1(x, x + 0.5, levels=2).item(), 4)  # only the low pass differs, by 1/2
        0.5
    """
    _check_pair(images, reconstructions, over_pixels)
    # The pyramid is linear: that of the difference is the difference of both.
    difference = full_precision(images) - full_precision(reconstructions)
    terms = [
        4**level * detail.abs().sum(dim=(-3, -2, -1))
        for level, detail in enumerate(laplacian_pyramid(difference, levels))
    ]
    return reduce(_over_pixels(torch.stack(terms).sum(dim=0), images, over_pixels), reduction)


def reconstruction_loss(
    images: Tensor,
    reconstructions: Tensor,
    *,
    weight: float = 1.0,
    levels: int = 3,
    over_pixels: OverPixels = "mean",
    reduction: Reduction = "mean",
) -> Tensor:
    r"""The squared error of a reconstructed picture and the difference of the Laplacian pyramids.

    .. math:: L_{recon} = \omega \|x - x'\|_2^2 + Lap_1(x, x')

    where :math:`\omega` is `weight` and :math:`Lap_1` is `laplacian_pyramid_l1`. It trains the U-Net that makes a
    third view of a person.

    Args:
        images: x, (..., channels, height, width), floating point.
        reconstructions: x', the same shape.
        weight: of the squared error. The paper does not give its value.
        levels: number of levels of the pyramid.
        over_pixels: "sum" is the equation as printed; "mean" (ours) divides both terms by channels * height * width.
        reduction: "mean" or "sum" over all leading dimensions, or "none" for shape (...).

    Raises:
        ValueError: as in `laplacian_pyramid_l1`.

    Source: Tian et al. 2022, eq. 43.

    Example:
        >>> x = torch.rand(2, 3, 16, 8)
        >>> round(reconstruction_loss(x, x + 0.5, weight=2.0, levels=2).item(), 4)  # 2 / 4 + 1 / 2
        1.0
    """
    _check_pair(images, reconstructions, over_pixels)
    difference = full_precision(images) - full_precision(reconstructions)
    squared = _over_pixels(difference.square().sum(dim=(-3, -2, -1)), images, over_pixels)
    laplacian = laplacian_pyramid_l1(images, reconstructions, levels=levels, over_pixels=over_pixels, reduction="none")
    return reduce(weight * squared + laplacian, reduction)


def _halve(x: Tensor) -> Tensor:
    """Blur along the last axis and keep every other value, from the first.

    Slices and sums, not a convolution with reflected padding: the gradient of that is not deterministic on a GPU.
    """
    size = x.shape[-1]
    padded = torch.cat([x[..., 1:3].flip(-1), x, x[..., -3:-1].flip(-1)], dim=-1)
    a, b, c, d, e = (padded[..., start : start + size : 2] for start in range(5))
    return (a + e + 4 * (b + d) + 6 * c) / 16


def _double(x: Tensor, size: int) -> Tensor:
    """Put zeros between the values of the last axis, which then has `size`, and blur them by twice the kernel."""
    # The doubled row is reflected about its last value; whether that is one of x or a zero makes the difference.
    padded = torch.cat([x[..., 1:2], x, x[..., -2:-1] if size % 2 else x[..., -1:]], dim=-1)
    even = (padded[..., :-2] + 6 * padded[..., 1:-1] + padded[..., 2:]) / 8
    odd = (padded[..., 1:-1] + padded[..., 2:]) / 2
    return torch.stack([even, odd], dim=-1).flatten(-2)[..., :size]


def _check_levels(images: Tensor, levels: int) -> None:
    side, most = min(images.shape[-2:]), 1
    while side >= 3:
        side, most = (side + 1) // 2, most + 1
    if not 1 <= levels <= most:
        raise ValueError(
            f"levels must be 1 to {most} for images of {images.shape[-2]} x {images.shape[-1]} pixels, not {levels}"
        )


def _check_pair(images: Tensor, reconstructions: Tensor, over_pixels: str) -> None:
    if images.ndim < 3 or images.numel() == 0:
        raise ValueError(f"images must be (..., channels, height, width) and not empty, got {tuple(images.shape)}")
    if images.shape != reconstructions.shape:
        raise ValueError(
            f"reconstructions has shape {tuple(reconstructions.shape)}, but images has {tuple(images.shape)}: "
            "they must be equal"
        )
    if over_pixels not in ("mean", "sum"):
        raise ValueError(f"over_pixels must be 'mean' or 'sum', not {over_pixels!r}")


def _over_pixels(sums: Tensor, images: Tensor, over_pixels: str) -> Tensor:
    return sums / images.shape[-3:].numel() if over_pixels == "mean" else sums
