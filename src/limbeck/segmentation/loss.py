"""The training objective of segmentation: what each head predicts of a point, and what sensors teach one another."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from limbeck.objectives import cross_entropy, lovasz_softmax, multi_class_focal, mv2d, vsd
from limbeck.segmentation.recipe import LossSettings


class PointLogits(NamedTuple):
    """What heads predict of points.

    Attributes:
        lidar: of v of the LiDAR branch, (points, classes).
        lidar_z: of its z.
        camera: of v of the image branch, (seen, classes), of the points with a pixel; None without cameras.
        camera_z: of its z.
        joint: of both z, the camera's where there is one, (points, classes); None without a joint head.
        leave_one_out: (2, points, classes), without the LiDAR's and without the camera's.
    """

    lidar: Tensor
    lidar_z: Tensor
    camera: Tensor | None = None
    camera_z: Tensor | None = None
    joint: Tensor | None = None
    leave_one_out: Tensor | None = None

    def each(self, change: Callable[[Tensor], Tensor]) -> PointLogits:
        """The same with every tensor changed."""
        return PointLogits(*(None if tensor is None else change(tensor) for tensor in self))  # type: ignore[arg-type]


def segmentation_terms(
    logits: PointLogits,
    labels: Tensor,
    seen: Tensor,
    settings: LossSettings,
    *,
    gather: Callable[[Tensor], Tensor] = lambda rows: rows,
) -> dict[str, Tensor]:
    r"""The terms of the objective, each already weighted; their sum is minimised.

    .. math:: L = \sum_h w_h (a L_{CE}(h) + b L_{focal}(h) + c L_{Lov\acute{a}sz}(h)) + L_{divergence}

    over the heads h of v and z of both branches, on the points with a label; the image branch's, weighted by
    `image_weight`, on those that also have a pixel, and so the divergences, with view 1 the camera and 2 the LiDAR:

    .. math:: L_{VCD} = D_{KL}[P_{v_1} \| P_{z_2}] + D_{KL}[P_{v_2} \| P_{z_1}]

    or :math:`L_{MV2D}`, of the camera where there is one, with the heads of the joint prediction among the heads h.

    Args:
        logits: of a batch.
        labels: (points,) classes; -1: ignored.
        seen: (seen,) int64 positions of the points that have a pixel.
        settings: weights and options.
        gather: rows of this process -> rows of all, see `limbeck.training.gather_rows`.

    Returns:
        name -> scalar in nats (Lovász-softmax: shares of a union): "cross-entropy", "focal", "lovasz" of the LiDAR
        branch's v, the same with " z", " camera", " camera z" or " joint"; "vcd to lidar", "vcd to camera", "mv2d". A
        term of which there is no point is 0.

    Source: Tian et al. 2022, §5.3.2 and appendix B.2, which differ: the text has the cross-entropy, the appendix has
    not. What enters the divergences, their weight and whether the teacher learns are not said.
    """
    logits = logits.each(lambda tensor: tensor.float() if tensor.dtype.itemsize < 4 else tensor)
    known = labels >= 0
    both = known[seen]  # of the points with a pixel
    truth, truth_seen = gather(labels[known]), gather(labels[seen][both])
    heads = {
        "": (logits.lidar, known, truth, 1.0),
        " z": (logits.lidar_z, known, truth, 1.0),
        " camera": (logits.camera, both, truth_seen, settings.image_weight),
        " camera z": (logits.camera_z, both, truth_seen, settings.image_weight),
        " joint": (logits.joint, known, truth, 1.0),
    }
    terms: dict[str, Tensor] = {}
    kept: dict[str, Tensor] = {}
    for name, (predicted, chosen, classes, weight) in heads.items():
        if predicted is not None:
            kept[name] = gather(predicted[chosen])
            for loss, value in _supervised(kept[name], classes, settings).items():
                terms[f"{loss}{name}"] = weight * value
    if settings.distillation == "vcd":
        terms |= _cross_distillation(logits, kept, seen, both, settings, gather)
    elif settings.distillation == "mv2d":
        terms["mv2d"] = settings.to_lidar * _many_views(logits, kept, known, seen, settings, gather)
    return terms


def _supervised(logits: Tensor, labels: Tensor, settings: LossSettings) -> dict[str, Tensor]:
    wanted: dict[str, tuple[float, Callable[[], Tensor]]] = {
        "cross-entropy": (settings.cross_entropy, lambda: cross_entropy(logits, labels)),
        "focal": (settings.focal, lambda: multi_class_focal(logits, labels, gamma=settings.gamma)),
        "lovasz": (settings.lovasz, lambda: lovasz_softmax(logits, labels)),
    }
    nothing = logits.sum() * 0  # keeps every head in the graph, which several processes need
    return {name: weight * found() if len(labels) else nothing for name, (weight, found) in wanted.items() if weight}


def _cross_distillation(
    logits: PointLogits,
    kept: dict[str, Tensor],
    seen: Tensor,
    both: Tensor,
    settings: LossSettings,
    gather: Callable[[Tensor], Tensor],
) -> dict[str, Tensor]:
    of_v, of_z = (gather(tensor[seen][both]) for tensor in (logits.lidar, logits.lidar_z))
    found = {}
    for name, weight, teacher, student in (
        ("vcd to lidar", settings.to_lidar, kept[" camera"], of_z),
        ("vcd to camera", settings.to_camera, of_v, kept[" camera z"]),
    ):
        if weight:
            # One of eq. 18's two divergences; VSD's formula with another view's teacher.
            found[name] = (
                weight
                * vsd(
                    teacher,
                    student,
                    detach_teacher=settings.detach_teacher,
                    temperature=settings.temperature,
                )
                if len(teacher)
                else student.sum() * 0
            )
    return found


def _many_views(
    logits: PointLogits,
    kept: dict[str, Tensor],
    known: Tensor,
    seen: Tensor,
    settings: LossSettings,
    gather: Callable[[Tensor], Tensor],
) -> Tensor:
    assert logits.leave_one_out is not None
    there = torch.zeros_like(known)
    there[seen] = True
    present = gather(there[known])

    def everywhere(of_seen: Tensor | None) -> Tensor:
        """Logits of points with a pixel, in the rows of all points with a label."""
        assert of_seen is not None
        whole = logits.lidar.new_zeros(len(known), of_seen.shape[1]).index_copy(0, seen, of_seen)
        return gather(whole[known])

    if not len(present):
        return sum((rows.sum() * 0 for rows in kept.values()), logits.leave_one_out.sum() * 0)
    return mv2d(
        torch.stack([kept[""], everywhere(logits.camera)]),
        torch.stack([kept[" z"], everywhere(logits.camera_z)]),
        kept[" joint"],
        torch.stack([gather(part[known]) for part in logits.leave_one_out]),
        present=torch.stack([torch.ones_like(present), present]),
        detach_teacher=settings.detach_teacher,
        temperature=settings.temperature,
    )
