"""Laplacian pyramids and reconstruction against loops over pixels, closed forms and identities."""

import pytest
import torch
from torch import Tensor

from limbeck.objectives import laplacian_pyramid, laplacian_pyramid_l1, reconstruction_loss

KERNEL = (1, 4, 6, 4, 1)
SIZES = pytest.mark.parametrize(("height", "width"), [(16, 8), (9, 12), (13, 11), (5, 5), (3, 4)])


def _images(seed: int, *shape: int) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def _blur(picture: Tensor) -> Tensor:
    """Both axes of one (height, width) picture, reflected about its outermost pixels, pixel by pixel."""
    height, width = picture.shape

    def reflect(place: int, size: int) -> int:
        place = abs(place)
        return 2 * (size - 1) - place if place >= size else place

    result = torch.zeros_like(picture)
    for row in range(height):
        for column in range(width):
            for i in range(5):
                for j in range(5):
                    source = picture[reflect(row + i - 2, height), reflect(column + j - 2, width)]
                    result[row, column] += KERNEL[i] * KERNEL[j] / 256 * source
    return result


def _enlarge(picture: Tensor, height: int, width: int) -> Tensor:
    sparse = torch.zeros(height, width, dtype=picture.dtype)
    sparse[::2, ::2] = picture
    return 4 * _blur(sparse)


def _pyramid(picture: Tensor, levels: int) -> list[Tensor]:
    result = []
    for _ in range(levels - 1):
        smaller = _blur(picture)[::2, ::2]
        result.append(picture - _enlarge(smaller, *picture.shape))
        picture = smaller
    return [*result, picture]


def _most(height: int, width: int) -> int:
    levels, side = 1, min(height, width)
    while side >= 3:
        levels, side = levels + 1, -(-side // 2)
    return levels


@SIZES
def test_pyramid_is_that_of_the_loops(height: int, width: int) -> None:
    picture = _images(0, height, width)
    levels = _most(height, width)
    for given, expected in zip(laplacian_pyramid(picture, levels), _pyramid(picture, levels), strict=True):
        torch.testing.assert_close(given, expected)


@SIZES
def test_the_picture_comes_back_from_its_pyramid(height: int, width: int) -> None:
    picture = _images(1, height, width)
    *details, result = laplacian_pyramid(picture, _most(height, width))
    for detail in reversed(details):
        result = detail + _enlarge(result, *detail.shape)
    torch.testing.assert_close(result, picture)


def test_leading_dimensions_are_independent_pictures() -> None:
    images = _images(2, 2, 3, 10, 7)
    for level, whole in enumerate(laplacian_pyramid(images, 3)):
        for sample in range(2):
            for channel in range(3):
                torch.testing.assert_close(whole[sample, channel], laplacian_pyramid(images[sample, channel], 3)[level])


@SIZES
def test_a_constant_shift_touches_the_last_level_alone(height: int, width: int) -> None:
    picture = _images(3, 3, height, width)
    levels = _most(height, width)
    before, after = laplacian_pyramid(picture, levels), laplacian_pyramid(picture + 0.25, levels)
    for first, second in zip(before[:-1], after[:-1], strict=True):
        torch.testing.assert_close(first, second)
    torch.testing.assert_close(after[-1], before[-1] + 0.25)
    pixels = before[-1].numel()
    expected = 4.0 ** (levels - 1) * 0.25 * pixels
    given = laplacian_pyramid_l1(picture, picture + 0.25, levels=levels, over_pixels="sum")
    torch.testing.assert_close(given.item(), expected)


def test_one_level_is_the_picture_itself() -> None:
    x, y = _images(4, 2, 3, 2, 1), _images(5, 2, 3, 2, 1)
    (only,) = laplacian_pyramid(x, 1)
    assert torch.equal(only, x)
    torch.testing.assert_close(laplacian_pyramid_l1(x, y, levels=1), (x - y).abs().mean())


@pytest.mark.slow
@SIZES
def test_losses_are_their_equations(height: int, width: int) -> None:
    x, y = _images(6, 2, 3, height, width), _images(7, 2, 3, height, width)
    levels = _most(height, width)
    expected = torch.zeros(2, dtype=torch.float64)
    for sample in range(2):
        for channel in range(3):
            pyramids = _pyramid(x[sample, channel], levels), _pyramid(y[sample, channel], levels)
            for j, (first, second) in enumerate(zip(*pyramids, strict=True)):
                expected[sample] += 2 ** (2 * j) * (first - second).abs().sum()
    given = laplacian_pyramid_l1(x, y, levels=levels, over_pixels="sum", reduction="none")
    torch.testing.assert_close(given, expected)
    squared = (x - y).square().sum((1, 2, 3))
    given = reconstruction_loss(x, y, weight=0.3, levels=levels, over_pixels="sum", reduction="none")
    torch.testing.assert_close(given, 0.3 * squared + expected)
    pixels = 3 * height * width
    given = reconstruction_loss(x, y, weight=0.3, levels=levels, reduction="none")
    torch.testing.assert_close(given, (0.3 * squared + expected) / pixels)
    torch.testing.assert_close(reconstruction_loss(x, y, weight=0.3, levels=levels), given.mean())
    torch.testing.assert_close(reconstruction_loss(x, y, weight=0.3, levels=levels, reduction="sum"), given.sum())


def test_with_the_mean_over_pixels_every_level_counts_by_its_mean() -> None:
    x, y = _images(8, 3, 16, 32), _images(9, 3, 16, 32)
    expected = sum((a - b).abs().mean() for a, b in zip(*(laplacian_pyramid(z, 4) for z in (x, y)), strict=True))
    torch.testing.assert_close(laplacian_pyramid_l1(x, y, levels=4), expected)


@pytest.mark.parametrize("loss", [laplacian_pyramid_l1, reconstruction_loss])
def test_losses_are_zero_at_equality_alone_and_symmetric(loss) -> None:
    x, y = _images(10, 2, 3, 12, 9).float(), _images(11, 2, 3, 12, 9).float()
    assert loss(x, x.clone()).item() == 0
    assert loss(x, y).item() > 0
    assert loss(x, y).item() == loss(y, x).item()


def test_gradients() -> None:
    x, y = (_images(seed, 2, 1, 7, 6).requires_grad_() for seed in (12, 13))
    assert torch.autograd.gradcheck(lambda a, b: laplacian_pyramid_l1(a, b, levels=3), (x, y))
    assert torch.autograd.gradcheck(
        lambda a, b: reconstruction_loss(a, b, weight=2.0, levels=2, reduction="none"), (x, y)
    )
    assert torch.autograd.gradcheck(lambda a: laplacian_pyramid(a, 3), (x,))


@pytest.mark.parametrize(("size", "levels", "most"), [((8, 4), 4, 2), ((2, 9), 2, 1), ((16, 16), 0, 4), ((5, 5), 9, 3)])
def test_too_many_levels_are_refused_with_how_many_there_can_be(size: tuple[int, int], levels: int, most: int) -> None:
    match = rf"^levels must be 1 to {most} for images of {size[0]} x {size[1]} pixels, not {levels}$"
    with pytest.raises(ValueError, match=match):
        laplacian_pyramid(torch.zeros(3, *size), levels)
    with pytest.raises(ValueError, match="levels must be"):
        reconstruction_loss(torch.zeros(3, *size), torch.zeros(3, *size), levels=levels)


def test_what_is_no_pair_of_pictures_is_refused() -> None:
    x = torch.zeros(2, 3, 8, 8)
    with pytest.raises(ValueError, match="reconstructions has shape"):
        reconstruction_loss(x, x[:1])
    with pytest.raises(ValueError, match=r"images must be .* and not empty"):
        reconstruction_loss(x[:0], x[:0])
    with pytest.raises(ValueError, match=r"images must be \(\.\.\., channels"):
        laplacian_pyramid_l1(x[0, 0], x[0, 0])
    with pytest.raises(ValueError, match="of floating point"):
        laplacian_pyramid(x.to(torch.uint8), 2)
    with pytest.raises(ValueError, match="not empty, got shape"):
        laplacian_pyramid(x[:, :, :0], 1)
    with pytest.raises(ValueError, match="over_pixels must be 'mean' or 'sum', not 'max'"):
        reconstruction_loss(x, x, over_pixels="max")
    with pytest.raises(ValueError, match="reduction must be"):
        reconstruction_loss(x, x, reduction="max")
