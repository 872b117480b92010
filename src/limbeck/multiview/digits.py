"""The embedded set: 1,797 handwritten digits in six views, made here from the pictures that scikit-learn ships.

The six families are those of the UCI Multiple Features set, by name and by idea, computed from 8 x 8 pictures instead
of 15 x 16 ones: figures on the one do not carry over to the other. Each family is a function of any square pictures.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.datasets import load_digits

from limbeck.errors import InputError
from limbeck.multiview.data import MultiViewData, assemble, stratified_folds

_Array = NDArray[np.float64]


def digits() -> MultiViewData:
    """The 1,797 digits of scikit-learn in six views, with five stratified folds (seed 0). Nothing is downloaded.

    Views and features: pixels 64, fourier 34, zernike 25, karhunen_loeve 32, profiles 48, morphology 8. As in the UCI
    set, the Karhunen-Loève basis is computed from all pictures, without labels; for a strict protocol compute
    `karhunen_loeve(pictures, reference=pictures[train])` instead.
    """
    bunch = load_digits()
    pictures = np.asarray(bunch.images, np.float64)
    views = {
        "pixels": pixels(pictures),
        "fourier": fourier(pictures),
        "zernike": zernike(pictures),
        "karhunen_loeve": karhunen_loeve(pictures),
        "profiles": profiles(pictures),
        "morphology": morphology(pictures),
    }
    return assemble("digits", views, bunch.target, folds=stratified_folds(bunch.target))


def pixels(pictures: ArrayLike) -> _Array:
    """The grey values, row by row.

    `(samples, size, size)` -> `(samples, size²)`.

    Raises:
        InputError: `pictures` are not square, or hold NaN or infinity.
    """
    grey = _square(pictures)
    return grey.reshape(len(grey), -1)


def fourier(pictures: ArrayLike) -> _Array:
    """The magnitudes of the two-dimensional discrete Fourier transform; a cyclic shift leaves them unchanged.

    |F(u, v)| = |Σ_xy f(x, y) exp(-2πi (u x + v y) / size)| / size. A real picture has |F(-u, -v)| = |F(u, v)|, so of
    each such pair one is kept: 34 for 8 x 8. `(samples, size, size)` -> `(samples, frequencies)`.

    Raises:
        InputError: `pictures` are not square, or hold NaN or infinity.
    """
    grey = _square(pictures)
    size = grey.shape[1]
    magnitudes = np.abs(np.fft.rfft2(grey, norm="ortho"))
    # In the column v = 0, and in the last one of an even size, rows u and -u are each other's conjugates.
    keep = np.ones(magnitudes.shape[1:], bool)
    keep[size // 2 + 1 :, 0] = False
    if size % 2 == 0:
        keep[size // 2 + 1 :, -1] = False
    return np.asarray(magnitudes[:, keep])


def zernike(pictures: ArrayLike, order: int = 8) -> _Array:
    """The magnitudes of the Zernike moments up to `order`; turning the picture by 90° leaves them unchanged.

    A_nm = (n + 1)/π Σ f(x, y) R_nm(ρ) exp(-i m θ) Δ, for n = 0..order and m = n, n-2, ... ≥ 0, where ρ and θ are the
    polar coordinates of a pixel's centre, with the whole picture inside the unit disc (corners at ρ = 1), Δ the area
    of a pixel in that scale, and
    R_nm(ρ) = Σ_s (-1)^s (n-s)! / (s! ((n+m)/2 - s)! ((n-m)/2 - s)!) ρ^(n-2s), for s = 0..(n-m)/2.
    The centre is the picture's. `(samples, size, size)` -> `(samples, moments)`, 25 moments for order 8.

    Raises:
        InputError: `pictures` are not square, or hold NaN or infinity; `order` is negative.
    """
    grey = _square(pictures)
    if order < 0:
        raise InputError(f"order must be at least 0, not {order}")
    size = grey.shape[1]
    axis = (2 * np.arange(size) + 1 - size) / size / math.sqrt(2)
    plane = axis[None, :] - 1j * axis[:, None]
    radius, angle = np.abs(plane), np.angle(plane)
    basis = []
    for n in range(order + 1):
        for m in range(n % 2, n + 1, 2):
            radial = np.zeros_like(radius)
            for s in range((n - m) // 2 + 1):
                below = math.factorial(s) * math.factorial((n + m) // 2 - s) * math.factorial((n - m) // 2 - s)
                radial += (-1) ** s * math.factorial(n - s) / below * radius ** (n - 2 * s)
            basis.append((n + 1) / math.pi * radial * np.exp(-1j * m * angle))
    area = 2 / size**2
    kernel = np.stack(basis, axis=-1).reshape(size * size, -1) * area
    return np.asarray(np.abs(grey.reshape(len(grey), -1) @ kernel))


def karhunen_loeve(pictures: ArrayLike, components: int = 32, *, reference: ArrayLike | None = None) -> _Array:
    """The coefficients of the pictures in their Karhunen-Loève (principal component) basis, largest variance first.

    The mean and the basis come from `reference`, without labels: from all `pictures` where it is absent, as in the UCI
    original, so that test pictures have a part in the basis. Give the training pictures as `reference` to avoid that.
    Each direction is signed so that its largest loading is positive. `(samples, size, size)` ->
    `(samples, min(components, size²))`.

    Raises:
        InputError: the pictures are not square, hold NaN or infinity or differ in size; `components` is below 1.
    """
    grey = pixels(pictures)
    base = grey if reference is None else pixels(reference)
    if base.shape[1] != grey.shape[1] or not len(base):
        raise InputError("reference must hold at least one picture, of the same size as the others")
    if components < 1:
        raise InputError(f"components must be at least 1, not {components}")
    mean = base.mean(axis=0)
    _, directions = np.linalg.eigh((base - mean).T @ (base - mean))
    directions = directions[:, ::-1][:, :components]
    largest = np.abs(directions).argmax(axis=0)
    directions = directions * np.sign(directions[largest, np.arange(directions.shape[1])])
    return np.asarray((grey - mean) @ directions)


def profiles(pictures: ArrayLike) -> _Array:
    """Sums of the rows and columns, and the four contour profiles.

    A contour profile is, for every row (from the left, from the right) or column (from the top, from the bottom), the
    number of pixels before the first ink, or `size` where there is none. Ink is what exceeds half the picture's
    maximum. `(samples, size, size)` -> `(samples, 6 size)`.

    Raises:
        InputError: `pictures` are not square, or hold NaN or infinity.
    """
    grey = _square(pictures)
    ink = _ink(grey)
    size = grey.shape[1]
    families = [grey.sum(axis=2), grey.sum(axis=1)]
    for seen in (ink, ink[:, :, ::-1]):
        families.append(np.where(seen.any(axis=2), seen.argmax(axis=2), size))
    for seen in (ink, ink[:, ::-1]):
        families.append(np.where(seen.any(axis=1), seen.argmax(axis=1), size))
    return np.concatenate(families, axis=1)


def morphology(pictures: ArrayLike) -> _Array:
    """Eight figures of the shape of the ink (what exceeds half the picture's maximum).

    In this order: area (share of the pixels); Euler number (pieces joined by side or corner, minus holes: 1 for a
    stroke, 0 for a ring); perimeter (pixel sides between ink and paper); height / width of the bounding box; share of
    the box that is ink; eccentricity √(1 - λ2/λ1), λ1 ≥ λ2 the eigenvalues of the second central moments of the ink,
    weighted by its grey values; cosine and sine of twice the angle of the major axis from the horizontal (twice,
    because an axis has no direction). An empty picture gives zeros. `(samples, size, size)` -> `(samples, 8)`.

    Raises:
        InputError: `pictures` are not square, or hold NaN or infinity.
    """
    grey = _square(pictures)
    ink = _ink(grey)
    size = grey.shape[1]
    padded = np.pad(ink, ((0, 0), (1, 1), (1, 1))).astype(np.int64)

    # Gray's rule: pieces minus holes from the 2 x 2 windows with one pixel, with three, and with a diagonal pair.
    a, b, c, d = padded[:, :-1, :-1], padded[:, :-1, 1:], padded[:, 1:, :-1], padded[:, 1:, 1:]
    filled = a + b + c + d
    diagonal = (filled == 2) & (a == d)
    euler = (np.sum(filled == 1, (1, 2)) - np.sum(filled == 3, (1, 2)) - 2 * np.sum(diagonal, (1, 2))) / 4
    perimeter = np.abs(np.diff(padded, axis=1)).sum((1, 2)) + np.abs(np.diff(padded, axis=2)).sum((1, 2))

    height, width = _extent(np.any(ink, axis=2)), _extent(np.any(ink, axis=1))
    area = ink.sum((1, 2))
    trace, wide, tilt = _second_moments(np.where(ink, grey, 0.0))
    spread = np.hypot(wide, tilt)
    spread[spread <= 1e-9 * trace] = 0.0  # a round shape has no axis: keep rounding from inventing one
    figures = [
        area / size**2,
        euler,
        perimeter,
        _ratio(height, width),
        _ratio(area, height * width),
        np.sqrt(_ratio(2 * spread, trace + spread)),
        _ratio(wide, spread),
        _ratio(tilt, spread),
    ]
    return np.stack([np.asarray(figure, np.float64) for figure in figures], axis=1)


def _square(pictures: ArrayLike) -> _Array:
    grey = np.asarray(pictures, np.float64)
    if grey.ndim != 3 or grey.shape[1] != grey.shape[2] or not grey.shape[1]:
        raise InputError(f"pictures must be square, (samples, size, size), not of shape {grey.shape}")
    if not np.isfinite(grey).all():
        raise InputError("pictures hold NaN or infinity; fill them in first")
    return grey


def _ink(grey: _Array) -> NDArray[np.bool_]:
    """Pixels above half the maximum of their picture, and above zero."""
    return np.asarray(grey > np.maximum(grey.max(axis=(1, 2), keepdims=True), 0) / 2)


def _extent(occupied: NDArray[np.bool_]) -> NDArray[np.int64]:
    """From the first to the last occupied place, both counted; 0 where none is. `(samples, size)` -> `(samples,)`."""
    size = occupied.shape[1]
    length = size - occupied[:, ::-1].argmax(axis=1) - occupied.argmax(axis=1)
    return np.where(occupied.any(axis=1), length, 0)


def _second_moments(weights: _Array) -> tuple[_Array, _Array, _Array]:
    """μ20 + μ02, μ20 - μ02 and 2 μ11 about the centroid, x to the right and y upwards; each `(samples,)`."""
    size = weights.shape[1]
    x, y = np.arange(size)[None, None, :], -np.arange(size)[None, :, None]
    mass = np.maximum(weights.sum(axis=(1, 2), keepdims=True), np.finfo(np.float64).tiny)
    share = weights / mass
    x = x - (share * x).sum(axis=(1, 2), keepdims=True)
    y = y - (share * y).sum(axis=(1, 2), keepdims=True)
    horizontal, vertical = (share * x**2).sum((1, 2)), (share * y**2).sum((1, 2))
    return horizontal + vertical, horizontal - vertical, 2 * (share * x * y).sum((1, 2))


def _ratio(top: NDArray[np.generic], bottom: NDArray[np.generic]) -> _Array:
    """`top / bottom`, and 0 where `bottom` is 0."""
    over = np.asarray(bottom, np.float64)
    return np.divide(np.asarray(top, np.float64), over, out=np.zeros_like(over), where=over != 0)
