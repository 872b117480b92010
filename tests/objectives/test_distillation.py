"""VSD, VCD, VMD and MV2D against sums written out by hand, and the released 2021 arithmetic against its closed form."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from limbeck.objectives import (
    js_divergence,
    kl_divergence,
    mutual_learning,
    mv2d,
    released_2021_divergence,
    symmetric_kl,
    vcd,
    vmd,
    vsd,
)

VIEWS, BATCH, CLASSES = 3, 5, 4


def _logits(seed: int, *shape: int, scale: float = 2.0) -> Tensor:
    return scale * torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def _kl(teacher: Tensor, student: Tensor) -> float:
    """KL of one row of logits from another, from the definition."""
    p, q = ([math.exp(value) for value in row.tolist()] for row in (teacher, student))
    p, q = [value / math.fsum(p) for value in p], [value / math.fsum(q) for value in q]
    return math.fsum(a * math.log(a / b) for a, b in zip(p, q, strict=True))


def _multi_view(seed: int, *leading: int, views: int = VIEWS) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Logits from observations, from representations, from all together, and from all but one."""
    shapes = [(views, BATCH, CLASSES), (views, BATCH, CLASSES), (BATCH, CLASSES), (views, BATCH, CLASSES)]
    v, z, joint, left_out = (_logits(seed + i, *leading, *shape) for i, shape in enumerate(shapes))
    return v, z, joint, left_out


def _presence(seed: int, *shape: int) -> Tensor:
    """Random presence with, in order, a sample of all views, one of a single view, and one of none."""
    present = torch.rand(*shape, generator=torch.Generator().manual_seed(seed)) < 0.6
    present[..., :, 0] = True
    present[..., :, 1] = False
    present[..., 0, 1] = True
    present[..., :, 2] = False
    return present


def _per_view_gradient(teacher: Tensor, student: Tensor) -> Tensor:
    return student.softmax(-1) - teacher.softmax(-1)


# --- two predictions: VSD ----------------------------------------------------------------------------------------


def test_vsd_is_the_divergence_of_the_representation_from_the_observation() -> None:
    v, z = _logits(0, BATCH, CLASSES), _logits(1, BATCH, CLASSES)
    expected = torch.tensor([_kl(a, b) for a, b in zip(v, z, strict=True)], dtype=torch.float64)
    torch.testing.assert_close(vsd(v, z, reduction="none"), expected)
    torch.testing.assert_close(vsd(v, z), expected.mean())
    torch.testing.assert_close(vsd(v, z, temperature=3.0), vsd(v / 3, z / 3))


def test_vsd_teaches_the_student_alone_unless_told_otherwise() -> None:
    v, z = _logits(2, BATCH, CLASSES).requires_grad_(), _logits(3, BATCH, CLASSES).requires_grad_()
    vsd(v, z, reduction="sum").backward()
    assert v.grad is None
    torch.testing.assert_close(z.grad, _per_view_gradient(v.detach(), z.detach()))
    vsd(v, z, detach_teacher=False).backward()
    assert v.grad.abs().max() > 1e-3


# --- two views: VCD and VMD --------------------------------------------------------------------------------------


def test_vcd_equals_the_sums_of_both_equations() -> None:
    v1, v2, z1, z2 = (_logits(seed, BATCH, CLASSES) for seed in range(4, 8))
    rows = range(BATCH)
    eq18 = torch.tensor([_kl(v2[i], z1[i]) + _kl(v1[i], z2[i]) for i in rows], dtype=torch.float64)
    eq15 = torch.tensor([_kl(z2[i], z1[i]) + _kl(z1[i], z2[i]) for i in rows], dtype=torch.float64)
    torch.testing.assert_close(vcd(v1, v2, z1, z2, reduction="none"), eq18)
    torch.testing.assert_close(vcd(v1, v2, z1, z2), eq18.mean())
    torch.testing.assert_close(vcd(v1, v2, z1, z2, equation="2021-eq15", reduction="none"), eq15)
    assert (eq18 - eq15).abs().min() > 1e-3


def test_vcd_teachers_get_no_gradient_unless_told_otherwise() -> None:
    v1, v2, z1, z2 = (_logits(seed, BATCH, CLASSES).requires_grad_() for seed in range(8, 12))
    vcd(v1, v2, z1, z2, reduction="sum").backward()
    assert v1.grad is None
    assert v2.grad is None
    torch.testing.assert_close(z1.grad, _per_view_gradient(v2.detach(), z1.detach()))
    torch.testing.assert_close(z2.grad, _per_view_gradient(v1.detach(), z2.detach()))
    vcd(v1, v2, z1, z2, detach_teacher=False).backward()
    assert min(v1.grad.abs().max(), v2.grad.abs().max()) > 1e-3


def test_vcd_of_2021_moves_each_representation_as_a_student_only() -> None:
    v1, v2, z1, z2 = (_logits(seed, BATCH, CLASSES).requires_grad_() for seed in range(12, 16))
    loss = vcd(v1, v2, z1, z2, equation="2021-eq15", reduction="sum")
    first, second, *unused = torch.autograd.grad(loss, (z1, z2, v1, v2), allow_unused=True)
    assert unused == [None, None]
    torch.testing.assert_close(first, _per_view_gradient(z2.detach(), z1.detach()))
    torch.testing.assert_close(second, _per_view_gradient(z1.detach(), z2.detach()))
    # Not detached, the sum of both directions is the symmetric divergence that VMD descends.
    loss = vcd(v1, v2, z1, z2, equation="2021-eq15", detach_teacher=False, reduction="sum")
    both = torch.autograd.grad(vmd(z1, z2, reduction="sum"), z1)[0]
    torch.testing.assert_close(torch.autograd.grad(loss, z1)[0], both)
    assert (both - first).abs().max() > 1e-3


@pytest.mark.parametrize(("divergence", "function"), [("symmetric-kl", symmetric_kl), ("js", js_divergence)])
def test_vmd_is_the_divergence_it_names_and_moves_both_views(divergence: str, function: Callable) -> None:
    z1, z2 = _logits(16, BATCH, CLASSES).requires_grad_(), _logits(17, BATCH, CLASSES).requires_grad_()
    for options in ({}, {"reduction": "none"}, {"temperature": 2.0}):
        torch.testing.assert_close(vmd(z1, z2, divergence=divergence, **options), function(z1, z2, **options))
    vmd(z1, z2, divergence=divergence).backward()
    assert min(z1.grad.abs().max(), z2.grad.abs().max()) > 1e-3


def test_vmd_is_the_symmetric_divergence_of_2022_by_default() -> None:
    z1, z2 = _logits(18, BATCH, CLASSES), _logits(19, BATCH, CLASSES)
    expected = sum(_kl(z1[i], z2[i]) + _kl(z2[i], z1[i]) for i in range(BATCH)) / BATCH
    assert vmd(z1, z2).item() == pytest.approx(expected)


# --- any number of views: MV2D -----------------------------------------------------------------------------------


def _naive_mv2d(
    tensors: tuple[Tensor, Tensor, Tensor, Tensor], present: Tensor, over_views: str, weights: tuple[float, float]
) -> Tensor:
    """Sample by sample, over the views that it has: eq. 9 or its mean."""
    v, z, joint, left_out = tensors
    totals = []
    for sample in range(BATCH):
        views = [view for view in range(len(v)) if present[view, sample]]
        sufficiency = [_kl(v[view, sample], z[view, sample]) for view in views]
        consistency = [_kl(joint[sample], left_out[view, sample]) for view in views] if len(views) > 1 else []
        total = 0.0
        for weight, terms in zip(weights, (sufficiency, consistency), strict=True):
            if terms:
                total += weight * math.fsum(terms) / (len(terms) if over_views == "mean" else 1)
        totals.append(total)
    return torch.tensor(totals, dtype=torch.float64)


def test_mv2d_of_one_view_is_vsd() -> None:
    v, z = _logits(20, 1, BATCH, CLASSES), _logits(21, 1, BATCH, CLASSES)
    for over_views in ("mean", "sum"):
        torch.testing.assert_close(mv2d(v, z, over_views=over_views), vsd(v[0], z[0]))
        torch.testing.assert_close(
            mv2d(v, z, over_views=over_views, reduction="none"), vsd(v[0], z[0], reduction="none")
        )


def test_mv2d_of_two_views_is_the_four_divergences() -> None:
    """For n = 2, leaving out one view leaves the other: the second sum is KL[P_12 || P_2] + KL[P_12 || P_1]."""
    v, z = _logits(22, 2, BATCH, CLASSES), _logits(23, 2, BATCH, CLASSES)
    joint, alone = _logits(24, BATCH, CLASSES), _logits(25, 2, BATCH, CLASSES)
    expected = vsd(v[0], z[0]) + vsd(v[1], z[1]) + kl_divergence(joint, alone[1]) + kl_divergence(joint, alone[0])
    left_out = alone.flip(0)  # entry i is the prediction without view i
    torch.testing.assert_close(mv2d(v, z, joint, left_out), expected)
    torch.testing.assert_close(mv2d(v, z, joint, left_out, over_views="mean"), expected / 2)


@pytest.mark.parametrize("views", [2, 3, 6])
@pytest.mark.parametrize("over_views", ["mean", "sum"])
@pytest.mark.parametrize("weights", [(1.0, 1.0), (0.5, 3.0)])
def test_mv2d_equals_a_loop_over_samples_and_present_views(
    views: int, over_views: str, weights: tuple[float, float]
) -> None:
    tensors, present = _multi_view(26, views=views), _presence(views, views, BATCH)
    options = {"over_views": over_views, "sufficiency": weights[0], "consistency": weights[1], "reduction": "none"}
    masked = mv2d(*tensors, present=present, **options)
    torch.testing.assert_close(masked, _naive_mv2d(tensors, present, over_views, weights))
    assert masked[2] == 0  # the sample without any view
    everywhere = torch.ones_like(present)
    torch.testing.assert_close(mv2d(*tensors, **options), _naive_mv2d(tensors, everywhere, over_views, weights))
    torch.testing.assert_close(mv2d(*tensors, present=everywhere, **options), mv2d(*tensors, **options))


def test_mv2d_asks_no_consistency_of_a_sample_with_a_single_view() -> None:
    v, z, joint, left_out = (tensor.requires_grad_() for tensor in _multi_view(30))
    present = _presence(0, VIEWS, BATCH)
    values = mv2d(v, z, joint, left_out, present=present, reduction="none")
    torch.testing.assert_close(values[1], vsd(v[0, 1], z[0, 1]))
    values.sum().backward()
    assert left_out.grad[:, 1].abs().max() == 0
    assert left_out.grad[:, 0].abs().min() > 0


def test_mv2d_gives_absent_views_no_say_and_no_gradient() -> None:
    v, z, joint, left_out = _multi_view(34)
    present = _presence(1, VIEWS, BATCH)
    value = mv2d(v, z, joint, left_out, present=present)
    absent = ~present
    for tensor in (v, z, left_out):
        tensor[absent] = 1e3 * _logits(38, int(absent.sum()), CLASSES)
    z.requires_grad_()
    left_out.requires_grad_()
    again = mv2d(v, z, joint, left_out, present=present)
    assert again.item() == value.item()
    again.backward()
    for tensor in (z, left_out):
        assert tensor.grad[absent].abs().max() == 0
        assert tensor.grad[present & (present.sum(0) > 1)].abs().max() > 0


@pytest.mark.parametrize("arithmetic", ["paper", "released-2021"])
@pytest.mark.parametrize("masked", [False, True])
def test_mv2d_of_a_stack_is_that_of_each_model(arithmetic: str, masked: bool) -> None:
    stack = _multi_view(40, 2, 3)
    present = _presence(2, 2, 3, VIEWS, BATCH) if masked else None
    values = mv2d(*stack, present=present, arithmetic=arithmetic, reduction="none")
    assert values.shape == (2, 3, BATCH)
    for i in range(2):
        for j in range(3):
            alone = mv2d(
                *(tensor[i, j] for tensor in stack),
                present=None if present is None else present[i, j],
                arithmetic=arithmetic,
                reduction="none",
            )
            torch.testing.assert_close(values[i, j], alone)
    torch.testing.assert_close(mv2d(*stack, present=present, arithmetic=arithmetic), values.mean())
    torch.testing.assert_close(mv2d(*stack, present=present, arithmetic=arithmetic, reduction="sum"), values.sum())


def test_mv2d_does_not_depend_on_the_order_of_the_views() -> None:
    v, z, joint, left_out = _multi_view(44)
    order = torch.tensor([2, 0, 1])
    torch.testing.assert_close(mv2d(v[order], z[order], joint, left_out[order]), mv2d(v, z, joint, left_out))


def test_mv2d_teachers_get_no_gradient_unless_told_otherwise() -> None:
    v, z, joint, left_out = (tensor.requires_grad_() for tensor in _multi_view(48))
    mv2d(v, z, joint, left_out, over_views="sum", reduction="sum").backward()
    assert v.grad is None
    assert joint.grad is None
    torch.testing.assert_close(z.grad, _per_view_gradient(v.detach(), z.detach()))
    torch.testing.assert_close(left_out.grad, _per_view_gradient(joint.detach(), left_out.detach()))
    mv2d(v, z, joint, left_out, detach_teacher=False).backward()
    assert v.grad.abs().max() > 1e-3
    assert joint.grad is None
    v.grad = None
    mv2d(v, z, joint, left_out, detach_joint=False).backward()
    assert v.grad is None
    assert joint.grad.abs().max() > 1e-3


# --- what is refused ---------------------------------------------------------------------------------------------

TWO = (torch.zeros(BATCH, CLASSES),) * 2
FOUR = (torch.zeros(BATCH, CLASSES),) * 4
MANY = (
    torch.zeros(VIEWS, BATCH, CLASSES),
    torch.zeros(VIEWS, BATCH, CLASSES),
    torch.zeros(BATCH, CLASSES),
    torch.zeros(VIEWS, BATCH, CLASSES),
)


@pytest.mark.parametrize(
    ("function", "arguments", "option"),
    [
        (vsd, TWO, "arithmetic"),
        (vsd, TWO, "reduction"),
        (vcd, FOUR, "equation"),
        (vcd, FOUR, "arithmetic"),
        (vcd, FOUR, "reduction"),
        (vmd, TWO, "divergence"),
        (vmd, TWO, "reduction"),
        (mv2d, MANY, "over_views"),
        (mv2d, MANY, "arithmetic"),
        (mv2d, MANY, "reduction"),
        (released_2021_divergence, TWO, "reduction"),
    ],
)
def test_unknown_options_are_refused_by_name(function: Callable, arguments: tuple[Tensor, ...], option: str) -> None:
    with pytest.raises(ValueError, match=rf"{option} must be .*not 'nonsense'"):
        function(*arguments, **{option: "nonsense"})


@pytest.mark.parametrize(
    ("function", "arguments"),
    [(vsd, TWO), (vcd, FOUR), (vmd, TWO), (mv2d, MANY), (released_2021_divergence, TWO)],
)
def test_temperatures_that_are_not_positive_are_refused(function: Callable, arguments: tuple[Tensor, ...]) -> None:
    for temperature in (0.0, -2.0, math.nan):
        with pytest.raises(ValueError, match="temperature must be positive"):
            function(*arguments, temperature=temperature)


@pytest.mark.parametrize(
    ("function", "arguments", "names"),
    [
        (vsd, TWO, ["observation_logits", "representation_logits"]),
        (
            vcd,
            FOUR,
            [
                "first_observation_logits",
                "second_observation_logits",
                "first_representation_logits",
                "second_representation_logits",
            ],
        ),
        (mv2d, MANY, ["observation_logits", "representation_logits", "joint_logits", "leave_one_out_logits"]),
        (released_2021_divergence, TWO, ["teacher_logits", "student_logits"]),
    ],
)
def test_a_wrong_or_empty_argument_is_refused_by_name(
    function: Callable, arguments: tuple[Tensor, ...], names: list[str]
) -> None:
    for index, name in enumerate(names):
        wrong, empty = list(arguments), list(arguments)
        wrong[index] = arguments[index][..., :-1]
        # A wrong first argument can only show against the second.
        with pytest.raises(ValueError, match=rf"{names[max(index, 1)]} has shape"):
            function(*wrong)
        empty[index] = arguments[index][..., :0, :]
        with pytest.raises(ValueError, match=rf"{name} is empty"):
            function(*empty)


def test_vmd_refuses_wrong_and_empty_logits() -> None:
    with pytest.raises(ValueError, match="has shape"):
        vmd(TWO[0], TWO[1][:, :-1])
    with pytest.raises(ValueError, match="is empty"):
        vmd(TWO[0][:0], TWO[1][:0])


def test_mv2d_refuses_logits_without_views_missing_logits_and_a_wrong_mask() -> None:
    v, z, joint, left_out = MANY
    with pytest.raises(ValueError, match=r"observation_logits must be \(\.\.\., views, batch, classes\)"):
        mv2d(v[0], z[0])
    for logits in ((), (joint,), (None, left_out)):
        with pytest.raises(ValueError, match="joint_logits and leave_one_out_logits are needed"):
            mv2d(v, z, *logits)
    with pytest.raises(ValueError, match=r"present has shape \(5, 3\)"):
        mv2d(v, z, joint, left_out, present=torch.ones(BATCH, VIEWS, dtype=torch.bool))


# --- gradients ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arithmetic", ["paper", "released-2021"])
def test_gradients_are_those_of_finite_differences(arithmetic: str) -> None:
    v, z, joint, left_out = (tensor.requires_grad_() for tensor in _multi_view(52))
    present = _presence(3, VIEWS, BATCH)
    options = {"detach_teacher": False, "arithmetic": arithmetic, "reduction": "none", "temperature": 1.5}
    check = torch.autograd.gradcheck
    assert check(lambda a, b: vsd(a, b, **options), (v[0], z[0]))
    assert check(lambda *four: vcd(*four, **options), (v[0], v[1], z[0], z[1]))
    assert check(lambda *four: vcd(*four, equation="2021-eq15", **options), (v[0], v[1], z[0], z[1]))
    both = {**options, "detach_joint": False}
    assert check(lambda *four: mv2d(*four, consistency=0.7, **both), (v, z, joint, left_out))
    assert check(lambda *four: mv2d(*four, present=present, over_views="mean", **both), (v, z, joint, left_out))
    options["detach_teacher"] = True
    assert check(lambda b: vsd(v[0], b, **options), (z[0],))
    assert check(lambda b, d: mv2d(v, b, joint, d, present=present, **options), (z, left_out))


@pytest.mark.parametrize("divergence", ["symmetric-kl", "js"])
def test_gradients_of_vmd_are_those_of_finite_differences(divergence: str) -> None:
    pair = _logits(56, BATCH, CLASSES).requires_grad_(), _logits(57, BATCH, CLASSES).requires_grad_()
    assert torch.autograd.gradcheck(lambda a, b: vmd(a, b, divergence=divergence, reduction="none"), pair)


# --- where descent ends ------------------------------------------------------------------------------------------


def _descend(student: Tensor, loss: Callable[[Tensor], Tensor]) -> Tensor:
    """Minimise the loss over the student's logits by L-BFGS."""
    student = student.clone().requires_grad_()
    optimizer = torch.optim.LBFGS(
        [student], max_iter=300, tolerance_grad=1e-12, tolerance_change=1e-16, line_search_fn="strong_wolfe"
    )

    def closure() -> Tensor:
        optimizer.zero_grad()
        value = loss(student)
        value.backward()
        return value

    optimizer.step(closure)
    return student.detach()


@pytest.mark.parametrize("seed", range(5))
def test_descending_vsd_brings_the_divergence_to_zero(seed: int) -> None:
    teacher, start = _logits(60 + seed, 8, 6), _logits(70 + seed, 8, 6)
    assert kl_divergence(teacher, start, reduction="none").min() > 1e-2
    end = _descend(start, lambda student: vsd(teacher, student))
    assert kl_divergence(teacher, end, reduction="none").max() < 1e-6


@pytest.mark.parametrize("seed", range(3))
def test_descending_the_released_arithmetic_ends_at_the_softmax_of_the_prediction(seed: int) -> None:
    """Where the minimum lies.

    With R = softmax(P), so that P_c = log R_c + log sum_k exp P_k, the loss (1/C) sum_c Q_c (log Q_c - P_c) is
    (1/C) (KL[Q || R] - log sum_k exp P_k): least at Q = R, where the first part is 0.
    """
    teacher, start = _logits(80 + seed, 8, 6), _logits(90 + seed, 8, 6)
    predicted = teacher.softmax(-1)
    end = _descend(start, lambda student: vsd(teacher, student, arithmetic="released-2021"))
    torch.testing.assert_close(end.softmax(-1), predicted.softmax(-1), rtol=0, atol=1e-4)
    torch.testing.assert_close(
        released_2021_divergence(teacher, end), -predicted.logsumexp(-1).mean() / 6, rtol=0, atol=1e-8
    )


def test_the_released_arithmetic_drives_an_agreeing_student_away() -> None:
    """P = (.7, .2, .1) gives softmax(P) = (2.0138, 1.2214, 1.1052) / 4.3403 = (.4640, .2814, .2546).

    There KL(P || Q) = .7 log(.7 / .4640) + .2 log(.2 / .2814) + .1 log(.1 / .2546) = .1261, and the released value is
    -log(4.3403) / 3 = -.4893.
    """
    teacher = torch.tensor([[0.7, 0.2, 0.1]], dtype=torch.float64).log()
    assert kl_divergence(teacher, teacher).item() == 0
    end = _descend(teacher, lambda student: vsd(teacher, student, arithmetic="released-2021"))
    assert end.softmax(-1)[0].tolist() == pytest.approx([0.4640, 0.2814, 0.2546], abs=1e-4)
    assert kl_divergence(teacher, end).item() == pytest.approx(0.1261, abs=1e-4)
    assert released_2021_divergence(teacher, end).item() == pytest.approx(-0.4893, abs=1e-4)
    stays = _descend(teacher, lambda student: vsd(teacher, student))
    assert kl_divergence(teacher, stays).item() < 1e-12


@pytest.mark.parametrize(("classes", "largest"), [(10, 0.232), (20, 0.125), (102, 0.026), (395, 0.0069)])
def test_the_released_arithmetic_wants_a_nearly_uniform_student(classes: int, largest: float) -> None:
    """A certain teacher: softmax of a one-hot vector is e / (e + C - 1) at the true class."""
    teacher = torch.zeros(1, classes, dtype=torch.float64)
    teacher[0, 3] = 1e3
    end = _descend(_logits(100, 1, classes), lambda student: vsd(teacher, student, arithmetic="released-2021"))
    assert end.softmax(-1)[0, 3].item() == pytest.approx(largest, rel=5e-2)
    assert end.softmax(-1)[0, 3].item() == pytest.approx(math.e / (math.e + classes - 1), rel=1e-2)


@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_the_released_arithmetic_is_that_of_the_misused_call(temperature: float) -> None:
    """`F.kl_div(input, target)` is target * (log target - input) and expects `input` in log space."""
    v, z = _logits(101, 9, 7), _logits(102, 9, 7)
    p, q = (v / temperature).softmax(-1), (z / temperature).softmax(-1)
    expected = F.kl_div(input=p, target=q, reduction="none")
    values = released_2021_divergence(v, z, temperature=temperature, reduction="none")
    torch.testing.assert_close(values, expected.mean(dim=-1))
    whole = released_2021_divergence(v, z, temperature=temperature)
    torch.testing.assert_close(whole, expected.mean())  # reduction="mean" averages over classes too
    torch.testing.assert_close(vsd(v, z, temperature=temperature, arithmetic="released-2021"), whole)


def test_the_released_arithmetic_reaches_every_term() -> None:
    tensors = v, z, joint, left_out = _multi_view(103)
    released = released_2021_divergence
    expected = sum(released(v[i], z[i]) + released(joint, left_out[i]) for i in range(VIEWS))
    torch.testing.assert_close(mv2d(*tensors, arithmetic="released-2021"), expected)
    torch.testing.assert_close(
        vcd(v[0], v[1], z[0], z[1], arithmetic="released-2021"), released(v[1], z[0]) + released(v[0], z[1])
    )


# --- mutual learning -----------------------------------------------------------------------------------------------


def test_mutual_learning_is_the_sum_of_both_directions() -> None:
    first, second = _logits(60, BATCH, CLASSES), _logits(61, BATCH, CLASSES)
    expected = torch.tensor([_kl(b, a) + _kl(a, b) for a, b in zip(first, second, strict=True)], dtype=torch.float64)
    torch.testing.assert_close(mutual_learning(first, second, reduction="none"), expected)
    torch.testing.assert_close(mutual_learning(first, second, reduction="sum"), expected.sum())
    torch.testing.assert_close(mutual_learning(first, second), symmetric_kl(first, second))
    torch.testing.assert_close(mutual_learning(second, first), mutual_learning(first, second))
    torch.testing.assert_close(mutual_learning(first, second, temperature=3.0), mutual_learning(first / 3, second / 3))
    assert mutual_learning(first, first).item() == 0


@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_in_mutual_learning_each_learns_from_its_own_term_alone(temperature: float) -> None:
    first, second = (_logits(seed, BATCH, CLASSES).requires_grad_() for seed in (62, 63))
    mutual_learning(first, second, temperature=temperature, reduction="sum").backward()
    p, q = ((logits.detach() / temperature).softmax(-1) for logits in (first, second))
    torch.testing.assert_close(first.grad, (p - q) / temperature)
    torch.testing.assert_close(second.grad, (q - p) / temperature)


def test_mutual_learning_with_gradients_into_the_teachers_is_the_symmetric_divergence() -> None:
    first, second = (_logits(seed, BATCH, CLASSES).requires_grad_() for seed in (64, 65))
    assert torch.autograd.gradcheck(lambda a, b: mutual_learning(a, b, detach_teacher=False), (first, second))
    given = torch.autograd.grad(mutual_learning(first, second, detach_teacher=False), (first, second))
    expected = torch.autograd.grad(symmetric_kl(first, second), (first, second))
    torch.testing.assert_close(given, expected)


def test_mutual_learning_is_finite_far_out_and_refuses_what_differs() -> None:
    far = torch.tensor([[1e4, -1e4]], requires_grad=True)
    loss = mutual_learning(far, -far.detach())
    loss.backward()
    assert loss.isfinite()
    assert far.grad.isfinite().all()
    with pytest.raises(ValueError, match="second_logits has shape"):
        mutual_learning(torch.zeros(2, 3), torch.zeros(2, 4))
    with pytest.raises(ValueError, match="first_logits is empty"):
        mutual_learning(torch.zeros(0, 3), torch.zeros(0, 3))
    with pytest.raises(ValueError, match="temperature must be positive"):
        mutual_learning(torch.zeros(2, 3), torch.zeros(2, 3), temperature=0.0)
