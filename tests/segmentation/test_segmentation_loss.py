"""The objective against loops over points in float64, and where there is little or nothing to learn from."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from limbeck.nn import AdditiveHead
from limbeck.objectives import lovasz_softmax
from limbeck.segmentation.loss import PointLogits, segmentation_terms
from limbeck.segmentation.recipe import LossSettings

POINTS, CLASSES = 9, 4
LABELS = torch.tensor([0, 3, -1, 1, 2, 2, -1, 0, 1])
SEEN = torch.tensor([1, 2, 4, 5, 8])


def logits(*, joint: bool = False, seed: int = 0) -> PointLogits:
    generator = torch.Generator().manual_seed(seed)

    def drawn(rows: int) -> Tensor:
        return torch.randn(rows, CLASSES, generator=generator, dtype=torch.float64).requires_grad_()

    of = PointLogits(drawn(POINTS), drawn(POINTS), drawn(len(SEEN)), drawn(len(SEEN)))
    if not joint:
        return of
    return of._replace(joint=drawn(POINTS), leave_one_out=torch.stack([drawn(POINTS), drawn(POINTS)]))


def probabilities(row: Tensor) -> list[float]:
    return [float(p) for p in torch.softmax(row.detach(), 0)]


def kl(teacher: Tensor, student: Tensor) -> float:
    return sum(p * math.log(p / q) for p, q in zip(probabilities(teacher), probabilities(student), strict=True))


def mean(values: list[float]) -> float:
    return sum(values) / len(values)


def test_supervised_terms_are_those_of_a_loop() -> None:
    of = logits()
    terms = segmentation_terms(of, LABELS, SEEN, LossSettings(distillation="none", focal=0.5, image_weight=0.25))
    known = [i for i in range(POINTS) if LABELS[i] >= 0]
    both = [j for j, i in enumerate(SEEN.tolist()) if LABELS[i] >= 0]
    for name, rows, places, labels, weight in (
        ("", of.lidar, known, LABELS, 1.0),
        (" z", of.lidar_z, known, LABELS, 1.0),
        (" camera", of.camera, both, LABELS[SEEN], 0.25),
        (" camera z", of.camera_z, both, LABELS[SEEN], 0.25),
    ):
        assert rows is not None
        right = [probabilities(rows[i])[int(labels[i])] for i in places]
        assert terms[f"cross-entropy{name}"].item() == pytest.approx(weight * mean([-math.log(p) for p in right]))
        focal = 0.5 * mean([-((1 - p) ** 2) * math.log(p) for p in right])
        assert terms[f"focal{name}"].item() == pytest.approx(weight * focal)
        expected = lovasz_softmax(rows[places], labels[places])
        assert terms[f"lovasz{name}"].item() == pytest.approx(weight * expected.item())
    assert len(terms) == 12


def test_vcd_is_eq_18_on_labelled_points_with_a_pixel() -> None:
    of = logits()
    terms = segmentation_terms(of, LABELS, SEEN, LossSettings(to_lidar=2.0, to_camera=0.5))
    assert of.camera is not None
    assert of.camera_z is not None
    places = [(j, i) for j, i in enumerate(SEEN.tolist()) if LABELS[i] >= 0]
    assert len(places) == 4
    to_lidar = mean([kl(of.camera[j], of.lidar_z[i]) for j, i in places])
    to_camera = mean([kl(of.lidar[i], of.camera_z[j]) for j, i in places])
    assert terms["vcd to lidar"].item() == pytest.approx(2 * to_lidar)
    assert terms["vcd to camera"].item() == pytest.approx(0.5 * to_camera)
    assert "vcd to camera" not in segmentation_terms(of, LABELS, SEEN, LossSettings(to_camera=0))


@pytest.mark.parametrize("detach", [True, False])
def test_the_teacher_learns_only_if_it_is_asked_to(detach: bool) -> None:
    of = logits()
    terms = segmentation_terms(of, LABELS, SEEN, LossSettings(detach_teacher=detach))
    (terms["vcd to lidar"] + terms["vcd to camera"]).backward()
    for teacher, student in ((of.camera, of.lidar_z), (of.lidar, of.camera_z)):
        assert teacher is not None
        assert student is not None
        assert student.grad is not None
        assert student.grad.abs().sum() > 0
        assert (teacher.grad is None) == detach


def test_mv2d_is_eq_9_with_a_view_where_there_is_a_pixel() -> None:
    of = logits(joint=True)
    terms = segmentation_terms(of, LABELS, SEEN, LossSettings(distillation="mv2d", to_lidar=3.0))
    assert of.camera is not None
    assert of.camera_z is not None
    assert of.joint is not None
    assert of.leave_one_out is not None
    total = []
    for i in range(POINTS):
        if LABELS[i] < 0:
            continue
        one = kl(of.lidar[i], of.lidar_z[i])
        if i in SEEN.tolist():
            j = SEEN.tolist().index(i)
            one += kl(of.camera[j], of.camera_z[j])
            one += sum(kl(of.joint[i], of.leave_one_out[view, i]) for view in range(2))
        total.append(one)
    assert terms["mv2d"].item() == pytest.approx(3 * mean(total))
    assert {name for name in terms if name.endswith(" joint")} == {
        "cross-entropy joint",
        "focal joint",
        "lovasz joint",
    }


def test_leaving_out_the_only_view_of_a_point_is_not_asked_for() -> None:
    head = AdditiveHead(3, CLASSES, 2).double()
    present = torch.tensor([[True, True], [True, False]])
    found = head(torch.randn(2, 2, 3, dtype=torch.float64), present)
    assert torch.equal(found.leave_one_out[1, 1], found.joint[1])


@pytest.mark.parametrize("distillation", ["none", "vcd", "mv2d"])
@pytest.mark.parametrize("case", ["no label", "no pixel", "one point", "no point"])
def test_where_there_is_nothing_terms_are_0_and_gradients_finite(distillation: str, case: str) -> None:
    of, labels, seen = logits(joint=distillation == "mv2d"), LABELS, SEEN
    if case == "no label":
        labels = torch.full_like(LABELS, -1)
    else:
        rows = {"no pixel": POINTS, "one point": 1, "no point": 0}[case]
        labels, seen = LABELS[:rows], SEEN[:0]
        of = PointLogits(
            of.lidar[:rows],
            of.lidar_z[:rows],
            of.camera[:0] if of.camera is not None else None,
            of.camera_z[:0] if of.camera_z is not None else None,
            None if of.joint is None else of.joint[:rows],
            None if of.leave_one_out is None else of.leave_one_out[:, :rows],
        )
    inputs = [part for part in of if part is not None]
    for part in inputs:
        part.retain_grad()
    terms = segmentation_terms(of, labels, seen, LossSettings(distillation=distillation))  # type: ignore[arg-type]
    total = torch.stack(list(terms.values())).sum()
    assert torch.isfinite(total)
    if case in ("no label", "no point"):
        assert float(total) == 0
    total.backward()
    for part in inputs:
        assert part.grad is not None  # several processes need every head in the graph
        assert torch.isfinite(part.grad).all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize("distillation", ["vcd", "mv2d"])
def test_large_logits_of_any_precision_are_finite(dtype: torch.dtype, distillation: str) -> None:
    of = logits(joint=True).each(lambda tensor: (1e4 * tensor.detach()).to(dtype))
    terms = segmentation_terms(of, LABELS, SEEN, LossSettings(distillation=distillation))  # type: ignore[arg-type]
    assert all(torch.isfinite(term) and term.dtype == torch.float32 for term in terms.values())


def test_rows_are_gathered_before_anything_is_averaged() -> None:
    of, settings = logits(), LossSettings()
    halves: list[tuple[PointLogits, Tensor, Tensor]] = []
    cut, seen_cut = 5, int((SEEN < 5).sum())
    for points, pixels, start in (
        (slice(0, cut), slice(0, seen_cut), 0),
        (slice(cut, None), slice(seen_cut, None), cut),
    ):
        assert of.camera is not None
        assert of.camera_z is not None
        part = PointLogits(of.lidar[points], of.lidar_z[points], of.camera[pixels], of.camera_z[pixels])
        halves.append((part, LABELS[points], SEEN[pixels] - start))
    kept: list[list[Tensor]] = [[], []]
    for number, (part, labels, seen) in enumerate(halves):
        segmentation_terms(part, labels, seen, settings, gather=lambda rows, n=number: kept[n].append(rows) or rows)
    assert len(kept[0]) == len(kept[1])
    replay = iter(zip(*kept, strict=True))
    gather: Callable[[Tensor], Tensor] = lambda _: torch.cat(list(next(replay)))  # noqa: E731
    part, labels, seen = halves[0]
    together = segmentation_terms(part, labels, seen, settings, gather=gather)
    alone = segmentation_terms(of, LABELS, SEEN, settings)
    assert together.keys() == alone.keys()
    for name, term in alone.items():
        torch.testing.assert_close(together[name], term)
