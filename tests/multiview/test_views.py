"""Reading views: every form they come in, what is missing, what is refused."""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from limbeck.errors import InputError
from limbeck.multiview.views import concatenate, is_matrix, matrix_width, read_views, select

RNG = np.random.default_rng(0)
LEFT = RNG.normal(size=(5, 2)).astype(np.float32)
RIGHT = RNG.normal(size=(5, 3)).astype(np.float32)
BOTH = np.hstack([LEFT, RIGHT])
FRAME = pd.DataFrame(BOTH, columns=["a", "b", "c", "d", "e"])
NAN = np.nan


def _dense(matrix: Any) -> np.ndarray:
    return matrix.toarray() if sp.issparse(matrix) else matrix


def _refused(given: Any, *parts: str, **options: Any) -> None:
    """`read_views` refuses in one line that holds `parts`."""
    with pytest.raises(InputError) as caught:
        read_views(given, **options)
    message = str(caught.value)
    assert "\n" not in message
    for part in parts:
        assert part in message


@pytest.mark.parametrize(
    ("given", "columns", "names"),
    [
        ([LEFT, RIGHT], None, ("view_0", "view_1")),
        ((LEFT, RIGHT), None, ("view_0", "view_1")),
        ([LEFT.tolist(), RIGHT.tolist()], None, ("view_0", "view_1")),
        ([sp.csr_array(LEFT), sp.coo_matrix(RIGHT)], None, ("view_0", "view_1")),
        ([pd.DataFrame(LEFT), RIGHT.astype(np.float64)], None, ("view_0", "view_1")),
        ({"left": LEFT, "right": sp.csc_array(RIGHT)}, None, ("left", "right")),
        (BOTH, (2, 3), ("view_0", "view_1")),
        (BOTH.tolist(), [2, 3], ("view_0", "view_1")),
        (BOTH, np.array([2, 3]), ("view_0", "view_1")),
        (sp.csr_array(BOTH), (2, 3), ("view_0", "view_1")),
        (sp.coo_array(BOTH), (2, 3), ("view_0", "view_1")),
        (FRAME, (2, 3), ("view_0", "view_1")),
        (BOTH, {"left": slice(0, 2), "right": slice(2, None)}, ("left", "right")),
        (sp.csr_array(BOTH), {"left": slice(0, 2), "right": [2, 3, 4]}, ("left", "right")),
        (FRAME, {"left": slice(0, 2), "right": [2, 3, 4]}, ("left", "right")),
        (FRAME, {"left": ["a", "b"], "right": pd.Index(["c", "d", "e"])}, ("left", "right")),
    ],
)
def test_every_form_gives_the_same_float32_matrices(given: Any, columns: Any, names: tuple[str, ...]) -> None:
    views = read_views(given, columns=columns)
    assert views.names == names
    assert views.samples == 5
    assert views.complete
    for matrix, expected in zip(views.matrices, (LEFT, RIGHT), strict=True):
        assert matrix is not None
        assert matrix.dtype == np.float32
        np.testing.assert_array_equal(_dense(matrix), expected)


@pytest.mark.parametrize("kind", ["csr", "csc", "coo", "lil", "dok", "dia", "bsr"])
def test_one_sparse_matrix_of_any_format_becomes_csr(kind: str) -> None:
    matrix = read_views(sp.csr_array(LEFT).asformat(kind)).matrices[0]
    assert isinstance(matrix, sp.csr_array)
    np.testing.assert_array_equal(matrix.toarray(), LEFT)


def test_columns_by_name_follow_the_given_order() -> None:
    views = read_views(FRAME, columns={"one": ["e", "a"], "two": ["b"]})
    np.testing.assert_array_equal(_dense(views.matrices[0]), BOTH[:, [4, 0]])


def test_one_matrix_without_columns_is_one_view() -> None:
    views = read_views(BOTH)
    assert views.names == ("view_0",)
    np.testing.assert_array_equal(_dense(views.matrices[0]), BOTH)


@pytest.mark.parametrize("make", [np.array, sp.csr_array, pd.DataFrame])
def test_a_row_of_nan_is_a_missing_view_and_becomes_zero(make: Callable[[Any], Any]) -> None:
    rows = LEFT.copy()
    rows[[1, 3]] = NAN
    views = read_views([make(rows), RIGHT])
    np.testing.assert_array_equal(views.present, [[True, False, True, False, True], [True] * 5])
    assert not views.complete
    np.testing.assert_array_equal(_dense(views.matrices[0])[[1, 3]], 0)
    np.testing.assert_array_equal(_dense(views.matrices[0])[[0, 2, 4]], LEFT[[0, 2, 4]])


@pytest.mark.parametrize("make", [np.array, sp.csr_array, pd.DataFrame])
def test_what_the_user_gave_is_never_written_to(make: Callable[[Any], Any]) -> None:
    rows = LEFT.copy()
    rows[1] = NAN
    given = make(rows)
    read_views([given, RIGHT])
    after = given.toarray() if sp.issparse(given) else np.asarray(given)
    np.testing.assert_array_equal(after, rows)


def test_missing_rows_survive_being_cut_out_of_one_sparse_matrix() -> None:
    rows = BOTH.copy()
    rows[2, :2] = NAN
    views = read_views(sp.csr_array(rows), columns=(2, 3))
    np.testing.assert_array_equal(views.present[:, 2], [False, True])
    assert views.present.sum() == 9


@pytest.mark.parametrize("make", [np.array, sp.csr_array])
def test_a_partly_nan_row_is_refused_by_view_and_row(make: Callable[[Any], Any]) -> None:
    rows = RIGHT.copy()
    rows[3, 1] = NAN
    _refused({"left": LEFT, "right": make(rows)}, "'right'", "NaN in row 3")


def test_a_stored_nan_beside_implicit_zeros_is_a_partly_nan_row() -> None:
    sparse = sp.csr_array(([NAN, 1.0], ([0, 1], [2, 3])), shape=(2, 5))
    _refused([sparse, np.ones((2, 2))], "'view_0'", "NaN in row 0")


@pytest.mark.parametrize("make", [np.array, sp.csr_array])
@pytest.mark.parametrize("value", [np.inf, -np.inf])
def test_infinity_is_refused_by_view_and_row(make: Callable[[Any], Any], value: float) -> None:
    rows = LEFT.copy()
    rows[4, 0] = value
    _refused([make(rows), RIGHT], "'view_0'", "infinity in row 4")


@pytest.mark.parametrize("make", [np.array, sp.csr_array])
def test_float64_beyond_float32_is_refused_as_infinity_without_a_warning(make: Callable[[Any], Any]) -> None:
    rows = LEFT.astype(np.float64)
    rows[2, 1] = 1e300
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _refused([make(rows)], "'view_0'", "infinity in row 2")


def test_a_sample_without_any_view_is_named() -> None:
    left, right = LEFT.copy(), RIGHT.copy()
    left[[2, 4]] = NAN
    right[[2, 4]] = NAN
    _refused([left, right], "sample 2 lacks every view", "2 such samples")


def test_lengths_that_differ_are_named() -> None:
    _refused({"left": LEFT, "right": RIGHT[:4]}, "'right' has 4 samples", "'left' has 5")


def test_a_name_unknown_when_fitting_is_refused() -> None:
    _refused({"left": LEFT, "middle": RIGHT}, "'middle'", "left, right", names=("left", "right"))


def test_a_name_left_out_of_a_dict_is_a_view_that_all_lack() -> None:
    views = read_views({"right": RIGHT}, names=("left", "right"))
    assert views.names == ("left", "right")
    assert views.matrices[0] is None
    np.testing.assert_array_equal(views.present, [[False] * 5, [True] * 5])


def test_a_dict_is_put_in_the_order_of_fitting() -> None:
    views = read_views({"right": RIGHT, "left": LEFT}, names=("left", "right"))
    np.testing.assert_array_equal(_dense(views.matrices[0]), LEFT)


def test_the_wrong_number_of_views_is_refused() -> None:
    _refused([LEFT, RIGHT, LEFT], "3 views", "2", names=("left", "right"))


@pytest.mark.parametrize("given", [[], {}, [None, None], {"left": None}])
def test_no_view_at_all_is_refused(given: Any) -> None:
    _refused(given, "no view")


@pytest.mark.parametrize(
    ("given", "part"),
    [
        (np.ones(5), "(5,)"),
        ([np.ones(5), RIGHT], "'view_0'"),
        (np.ones((2, 2, 2)), "(2, 2, 2)"),
        (np.ones((0, 3)), "0 sample"),
        (np.ones((3, 0)), "0 feature"),
        (sp.csr_array((3, 0)), "0 feature"),
        (LEFT.astype(complex), "omplex"),
        (sp.csr_array(LEFT.astype(complex)), "omplex"),
        (np.array([["a", "b"]]), "'view_0' does not hold numbers"),
        (np.array([[{}, 1]], dtype=object), "'view_0' does not hold numbers"),
        (pd.DataFrame({"a": ["x", "y"]}), "'view_0' does not hold numbers"),
        (None, "shape ()"),
        (3.0, "shape ()"),
    ],
)
def test_what_is_no_matrix_of_numbers_is_refused(given: Any, part: str) -> None:
    _refused(given, part)


@pytest.mark.parametrize("given", [[[1.0, 2.0], [3.0]], [LEFT, [[1.0, 2.0], [3.0]]], [[[1.0, 2.0], [3.0]], LEFT]])
def test_ragged_rows_are_refused(given: Any) -> None:
    _refused(given)


@pytest.mark.parametrize(
    ("columns", "part"),
    [
        ((2, 2), "add up to 4, but X has 5"),
        ((5, 0), "add up to 5"),
        ((), "add up to 0"),
        ({"left": [0, 9]}, "view_columns['left']"),
        ({"left": slice(7, 9)}, "'left'"),
        ({"left": ["a"]}, "view_columns['left']"),
    ],
)
def test_columns_that_do_not_fit_are_refused(columns: Any, part: str) -> None:
    _refused(BOTH, part, columns=columns)


@pytest.mark.parametrize("columns", [{"left": ["a", "z"]}, {"left": slice("a", "b")}])
def test_frame_columns_that_do_not_fit_are_refused(columns: Any) -> None:
    _refused(FRAME, "view_columns['left']", columns=columns)


@pytest.mark.parametrize("given", [[LEFT, RIGHT], {"left": LEFT}])
def test_columns_cut_one_matrix_only(given: Any) -> None:
    _refused(given, "view_columns", columns=(2, 3))


def test_select_takes_rows_of_matrices_and_mask() -> None:
    rows = LEFT.copy()
    rows[3] = NAN
    views = select(read_views([rows, sp.csr_array(RIGHT), None]), np.array([3, 0]))
    np.testing.assert_array_equal(views.present, [[False, True], [True, True], [False, False]])
    np.testing.assert_array_equal(_dense(views.matrices[1]), RIGHT[[3, 0]])
    assert views.matrices[2] is None


@pytest.mark.parametrize("make", [np.array, sp.csr_array])
def test_concatenate_fills_a_view_that_one_side_lacks(make: Callable[[Any], Any]) -> None:
    first, second = read_views([make(LEFT), make(RIGHT)]), read_views([None, make(RIGHT)])
    both = concatenate(first, second)
    assert both.samples == 10
    np.testing.assert_array_equal(both.present, [[True] * 5 + [False] * 5, [True] * 10])
    np.testing.assert_array_equal(_dense(both.matrices[0]), np.vstack([LEFT, np.zeros_like(LEFT)]))
    np.testing.assert_array_equal(_dense(both.matrices[1]), np.vstack([RIGHT, RIGHT]))
    assert sp.issparse(both.matrices[0]) == (make is sp.csr_array)


def test_concatenate_mixes_sparse_and_dense() -> None:
    both = concatenate(read_views([sp.csr_array(LEFT)]), read_views([LEFT]))
    assert sp.issparse(both.matrices[0])
    np.testing.assert_array_equal(_dense(both.matrices[0]), np.vstack([LEFT, LEFT]))


def test_concatenate_refuses_other_widths_and_names_the_view() -> None:
    with pytest.raises(InputError, match="'view_0' has 2 features in one part and 3"):
        concatenate(read_views([LEFT]), read_views([RIGHT]))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (BOTH, True),
        (BOTH.tolist(), True),
        (sp.csr_array(BOTH), True),
        (sp.dok_array(BOTH), True),
        (FRAME, True),
        ([LEFT, RIGHT], False),
        ([LEFT, None], False),
        ([sp.csr_array(LEFT)], False),
        ({"left": LEFT}, False),
    ],
)
def test_is_matrix_tells_one_matrix_from_views(given: Any, expected: bool) -> None:
    assert is_matrix(given) is expected


def test_matrix_width_counts_columns_of_any_kind() -> None:
    assert [matrix_width(given) for given in (BOTH, BOTH.tolist(), sp.csr_array(BOTH), FRAME)] == [5] * 4
    with pytest.raises(InputError, match="Reshape your data"):
        matrix_width(np.ones(3))
