"""The embedded digits and their six families of features."""

import numpy as np
import pytest
from scipy import ndimage
from sklearn.decomposition import PCA

from limbeck.errors import InputError
from limbeck.multiview import digits as families
from limbeck.multiview.catalogue import CATALOGUE
from limbeck.multiview.data import load

FAMILIES = (
    families.pixels,
    families.fourier,
    families.zernike,
    families.karhunen_loeve,
    families.profiles,
    families.morphology,
)


def _pictures(samples: int = 20, size: int = 8) -> np.ndarray:
    return np.random.default_rng(0).uniform(0, 16, (samples, size, size))


def test_the_set_is_what_the_catalogue_says() -> None:
    data, entry = load("digits"), CATALOGUE["digits"]
    assert (data.name, data.samples, data.classes) == ("digits", entry.samples, entry.classes)
    assert {name: view.shape[1] for name, view in data.views.items()} == entry.views
    assert data.folds.shape == (5, 1797)
    assert [len(data.split(split)) for split in range(3)] == [1253, 359, 185]
    again = load("digits")
    for name in data.views:
        np.testing.assert_array_equal(data.views[name], again.views[name])


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("size", [1, 5, 8, 13])
def test_any_square_size_and_empty_pictures(family, size: int) -> None:
    features = family(np.concatenate([_pictures(4, size), np.zeros((1, size, size))]))
    assert features.shape[0] == 5
    assert np.isfinite(features).all()


@pytest.mark.parametrize("family", FAMILIES)
def test_other_shapes_and_nan_are_refused(family) -> None:
    with pytest.raises(InputError, match="square"):
        family(np.ones((3, 8, 7)))
    with pytest.raises(InputError, match="square"):
        family(np.ones((3, 64)))
    with pytest.raises(InputError, match="NaN"):
        family(np.full((3, 8, 8), np.nan))


@pytest.mark.parametrize("size", [7, 8])
def test_fourier_is_shift_invariant_and_complete(size: int) -> None:
    pictures = _pictures(size=size)
    features = families.fourier(pictures)
    np.testing.assert_allclose(families.fourier(np.roll(pictures, (2, 3), (1, 2))), features, atol=1e-9)
    # The distinct magnitudes of the full transform, each pair (u, v), (-u, -v) once.
    full = np.abs(np.fft.fft2(pictures[0])) / size
    expected = [full[u, v] for u in range(size) for v in range(size) if (u, v) <= ((-u) % size, (-v) % size)]
    np.testing.assert_allclose(np.sort(features[0]), np.sort(expected))


def test_zernike_by_definition_and_under_quarter_turns() -> None:
    pictures = _pictures()
    features = families.zernike(pictures)
    for turns in (1, 2, 3):
        np.testing.assert_allclose(families.zernike(np.rot90(pictures, turns, (1, 2))), features, atol=1e-9)
    # A_00 and A_20 = 3/π Σ f (2ρ² - 1) Δ, pixel by pixel.
    zero, two = 0.0, 0.0
    for row in range(8):
        for column in range(8):
            x, y = ((2 * place - 7) / 8 / np.sqrt(2) for place in (column, row))
            zero += pictures[0, row, column] / np.pi * (2 / 64)
            two += 3 / np.pi * pictures[0, row, column] * (2 * (x * x + y * y) - 1) * (2 / 64)
    assert features[0, 0] == pytest.approx(abs(zero))
    assert features[0, 2] == pytest.approx(abs(two))
    assert families.zernike(pictures, order=12).shape[1] == 49


def test_zernike_moments_of_a_known_function() -> None:
    """f = (√2 ρ)⁴ cos 4θ for √2 ρ ≤ 1 has A_44 = 5/π · 4 · π ∫ ρ⁹ dρ up to 1/√2 = 1/16, and none with m ≠ 4."""
    size = 301
    axis = (2 * np.arange(size) + 1 - size) / size
    radius, angle = np.hypot(axis[None], axis[:, None]), np.arctan2(-axis[:, None], axis[None])
    picture = np.where(radius <= 1, radius**4 * np.cos(4 * angle), 0)
    moments = families.zernike(picture[None], order=6)[0]
    names = [(n, m) for n in range(7) for m in range(n % 2, n + 1, 2)]
    assert moments[names.index((4, 4))] == pytest.approx(1 / 16, rel=5e-3)
    assert max(value for (_, m), value in zip(names, moments, strict=True) if m != 4) < 1e-3


def test_karhunen_loeve_is_pca_and_can_leave_test_pictures_out() -> None:
    pictures = _pictures(60)
    flat = pictures.reshape(60, -1)
    ours = families.karhunen_loeve(pictures, 5)
    np.testing.assert_allclose(np.abs(ours), np.abs(PCA(5, svd_solver="full").fit_transform(flat)), atol=1e-8)
    fixed = families.karhunen_loeve(pictures, 5, reference=pictures[:40])
    changed = pictures.copy()
    changed[40:] = 0
    np.testing.assert_array_equal(families.karhunen_loeve(changed, 5, reference=changed[:40])[:40], fixed[:40])
    with pytest.raises(InputError, match="same size"):
        families.karhunen_loeve(pictures, reference=np.ones((3, 5, 5)))


def test_profiles_of_a_drawn_picture() -> None:
    picture = np.zeros((1, 4, 4))
    picture[0, 1, 1:] = 8
    picture[0, 2, 2] = 8
    picture[0, 3, 0] = 1  # too faint to be ink
    rows, columns, left, right, top, bottom = families.profiles(picture)[0].reshape(6, 4).tolist()
    assert rows == [0, 24, 8, 1]
    assert columns == [1, 8, 16, 8]
    assert left == [4, 1, 2, 4]
    assert right == [4, 0, 1, 4]
    assert top == [4, 1, 1, 1]
    assert bottom == [4, 2, 1, 2]


def test_morphology_of_drawn_pictures() -> None:
    ring = np.zeros((9, 9))
    ring[1:6, 1:6] = 1
    ring[2:5, 2:5] = 0
    bar = np.zeros((9, 9))
    bar[4, 1:8] = 1
    slant = np.eye(9)[:, ::-1]
    ring_row, bar_row, slant_row, none = families.morphology(np.stack([ring, bar, slant, np.zeros((9, 9))]))
    area, euler, perimeter, box, extent, eccentricity, cosine, sine = ring_row
    assert (area, euler, perimeter) == (pytest.approx(16 / 81), 0, 32)
    assert (box, extent, eccentricity, cosine, sine) == (1, pytest.approx(16 / 25), 0, 0, 0)
    assert bar_row == pytest.approx([7 / 81, 1, 16, 1 / 7, 1, 1, 1, 0])
    assert slant_row == pytest.approx([9 / 81, 1, 36, 1, 1 / 9, 1, 0, 1])
    assert not none.any()


def test_euler_number_against_labelling() -> None:
    ink = np.random.default_rng(3).uniform(size=(40, 10, 10)) > 0.5
    ours = families.morphology(ink.astype(float))[:, 1]
    for picture, value in zip(ink, ours, strict=True):
        pieces = ndimage.label(picture, np.ones((3, 3)))[1]
        holes = ndimage.label(~np.pad(picture, 1))[1] - 1
        assert value == pieces - holes
