"""Variational distillation: sufficiency and consistency as divergences between predicted distributions.

Decisions that the papers leave open are arguments, the same in every function: the teacher is detached, the
temperature is 1, and terms are averaged over the batch. Where an equation sums over views, so does the function.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from limbeck.objectives.divergences import (
    Reduction,
    check_logits,
    check_temperature,
    js_divergence,
    kl_divergence,
    log_probabilities,
    reduce,
    symmetric_kl,
)
from limbeck.objectives.precision import full_precision

Arithmetic = Literal["paper", "released-2021"]


def vsd(
    observation_logits: Tensor,
    representation_logits: Tensor,
    *,
    detach_teacher: bool = True,
    temperature: float = 1.0,
    reduction: Reduction = "mean",
    arithmetic: Arithmetic = "paper",
) -> Tensor:
    r"""Variational self-distillation: the representation must predict what its observation predicts.

    .. math:: L_{VSD} = D_{KL}[P_v \| P_z]

    where :math:`P_v` is the softmax of `observation_logits` (the teacher) and :math:`P_z` that of
    `representation_logits` (the student), both over `temperature`.

    At zero both heads predict the same, and no more: two heads that give the label's frequencies agree while z has lost
    everything. z is as informative as v only where the predictions are the posteriors p(y | v) and p(y | z); then
    E[VSD] is I(v; y) - I(z; y). Train both heads by cross-entropy too.

    Args:
        observation_logits: (..., classes), predicted from the observation v.
        representation_logits: the same shape, predicted from the representation z.
        detach_teacher: no gradient flows into `observation_logits`, so that the teacher is not pulled down to the
            student. Ours: the papers do not say; the authors' code detaches.
        temperature: divides both logits, > 0.
        reduction: "mean" or "sum" over all leading dimensions, or "none" for shape (...).
        arithmetic: "paper" is the formula above. "released-2021" reproduces what the authors' code computes instead,
            see `released_2021_divergence`.

    Returns:
        The divergence in nats.

    Raises:
        ValueError: shapes differ, a dimension is empty, or an option is unknown.

    Source: Tian et al. 2021, eq. 8; Tian et al. 2022, eq. 13.

    Example:
        >>> logits = torch.tensor([[2.0, 0.0, -1.0]])
        >>> vsd(logits, logits).item(), round(vsd(logits, -logits).item(), 4)
        (0.0, 2.4703)
    """
    return _distil(
        observation_logits,
        representation_logits,
        names=("observation_logits", "representation_logits"),
        detach_teacher=detach_teacher,
        temperature=temperature,
        reduction=reduction,
        arithmetic=arithmetic,
    )


def vcd(
    first_observation_logits: Tensor,
    second_observation_logits: Tensor,
    first_representation_logits: Tensor,
    second_representation_logits: Tensor,
    *,
    equation: Literal["2022-eq18", "2021-eq15"] = "2022-eq18",
    detach_teacher: bool = True,
    temperature: float = 1.0,
    reduction: Reduction = "mean",
    arithmetic: Arithmetic = "paper",
) -> Tensor:
    r"""Variational cross-distillation: each view's representation must predict what the other's observation predicts.

    .. math:: L_{VCD} = D_{KL}[P_{v_2} \| P_{z_1}] + D_{KL}[P_{v_1} \| P_{z_2}] \qquad (2022, eq. 18)

    where :math:`P_{v_i}` and :math:`P_{z_i}` are the predictions from the observation and the representation of view
    :math:`i`. Equation 15 of 2021 prints :math:`D_{KL}[P_{z_2} \| P_{z_1}]` (and its mirror image) instead; it is
    offered as ``equation="2021-eq15"`` and then the observations are not used. The two views may show different
    pictures of one identity: rows are pairs.

    Args:
        first_observation_logits: (..., classes); the other three have the same shape.
        second_observation_logits: see above.
        first_representation_logits: see above.
        second_representation_logits: see above.
        equation: which of the two papers' equations.
        detach_teacher: no gradient flows into the first argument of each divergence.
        temperature: divides all logits, > 0.
        reduction: "mean" or "sum" over all leading dimensions, or "none" for shape (...).
        arithmetic: "paper" or "released-2021", see `released_2021_divergence`.

    Returns:
        The sum of both directions, in nats.

    Raises:
        ValueError: shapes differ, a dimension is empty, or an option is unknown.

    Source: Tian et al. 2022, eq. 18; Tian et al. 2021, eq. 15.

    Example:
        >>> v1, v2 = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]])
        >>> vcd(v1, v2, v2, v1).item()  # each representation already predicts what the other view predicts
        0.0
    """
    check_logits(
        first_observation_logits,
        second_observation_logits,
        first_representation_logits,
        second_representation_logits,
        names=(
            "first_observation_logits",
            "second_observation_logits",
            "first_representation_logits",
            "second_representation_logits",
        ),
    )
    students = full_precision(first_representation_logits), full_precision(second_representation_logits)
    if equation == "2022-eq18":
        teachers = second_observation_logits, first_observation_logits
    elif equation == "2021-eq15":
        teachers = students[1], students[0]
    else:
        raise ValueError(f"equation must be '2022-eq18' or '2021-eq15', not {equation!r}")
    towards_first, towards_second = (
        _distil(
            teacher,
            student,
            names=("teacher", "student"),
            detach_teacher=detach_teacher,
            temperature=temperature,
            reduction=reduction,
            arithmetic=arithmetic,
        )
        for teacher, student in zip(teachers, students, strict=True)
    )
    return towards_first + towards_second


def vmd(
    first_representation_logits: Tensor,
    second_representation_logits: Tensor,
    *,
    divergence: Literal["symmetric-kl", "js"] = "symmetric-kl",
    temperature: float = 1.0,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""Variational mutual distillation (2021: variational mutual learning): two views' representations must agree.

    .. math::
        L_{VMD} = D_{KL}[P_{z_1} \| P_{z_2}] + D_{KL}[P_{z_2} \| P_{z_1}], \qquad
        L_{VML} = D_{JS}[P_{z_1} \| P_{z_2}]

    where :math:`P_{z_i}` is the softmax of view :math:`i`'s logits over `temperature`. Both sides learn: neither is a
    teacher, so nothing is detached.

    Args:
        first_representation_logits: (..., classes).
        second_representation_logits: the same shape.
        divergence: "symmetric-kl" (2022) or "js" (2021).
        temperature: divides both logits, > 0.
        reduction: "mean" or "sum" over all leading dimensions, or "none" for shape (...).

    Returns:
        The divergence in nats.

    Raises:
        ValueError: shapes differ, a dimension is empty, or an option is unknown.

    Source: Tian et al. 2022, eq. 17; Tian et al. 2021, eq. 12.

    Example:
        >>> z1, z2 = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]])
        >>> round(vmd(z1, z2).item(), 4), round(vmd(z1, z2, divergence="js").item(), 4)
        (0.9242, 0.1109)
    """
    if divergence == "symmetric-kl":
        function = symmetric_kl
    elif divergence == "js":
        function = js_divergence
    else:
        raise ValueError(f"divergence must be 'symmetric-kl' or 'js', not {divergence!r}")
    return function(
        first_representation_logits, second_representation_logits, temperature=temperature, reduction=reduction
    )


def mutual_learning(
    first_logits: Tensor,
    second_logits: Tensor,
    *,
    detach_teacher: bool = True,
    temperature: float = 1.0,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""Deep mutual learning: two networks that predict the same thing, each the other's teacher.

    .. math:: L_{DML} = D_{KL}[P_2 \| P_1] + D_{KL}[P_1 \| P_2]

    where :math:`P_i` is the softmax of network :math:`i`'s logits over `temperature`. In each term the first argument
    is the teacher. The value is that of `symmetric_kl`; with `detach_teacher` each network learns from its own term
    alone, so that its gradient with respect to its logits is (P_own - P_other) / temperature.

    Args:
        first_logits: (..., classes).
        second_logits: the same shape.
        detach_teacher: no gradient flows into the first argument of each divergence, as in the paper, where each
            network takes the other's prediction as given.
        temperature: divides both logits, > 0.
        reduction: "mean" or "sum" over all leading dimensions, or "none" for shape (...).

    Returns:
        The sum of both directions, in nats.

    Raises:
        ValueError: shapes differ, a dimension is empty, or an option is unknown.

    Source: Zhang et al. 2018, eq. 4-5; the L_DML of Tian et al. 2021, eq. 17.

    Example:
        >>> first, second = torch.tensor([[1.0, 0.0]], requires_grad=True), torch.tensor([[0.0, 1.0]])
        >>> loss = mutual_learning(first, second)
        >>> loss.backward()
        >>> round(loss.item(), 4), round(first.grad[0, 0].item(), 4)
        (0.9242, 0.4621)
    """
    check_logits(first_logits, second_logits, names=("first_logits", "second_logits"))
    first_logits, second_logits = full_precision(first_logits), full_precision(second_logits)
    first_teacher = first_logits.detach() if detach_teacher else first_logits
    second_teacher = second_logits.detach() if detach_teacher else second_logits
    towards_first = kl_divergence(second_teacher, first_logits, temperature=temperature, reduction=reduction)
    towards_second = kl_divergence(first_teacher, second_logits, temperature=temperature, reduction=reduction)
    return towards_first + towards_second


def mv2d(
    observation_logits: Tensor,
    representation_logits: Tensor,
    joint_logits: Tensor | None = None,
    leave_one_out_logits: Tensor | None = None,
    *,
    present: Tensor | None = None,
    sufficiency: float = 1.0,
    consistency: float = 1.0,
    over_views: Literal["sum", "mean"] = "sum",
    detach_teacher: bool = True,
    detach_joint: bool = True,
    temperature: float = 1.0,
    reduction: Reduction = "mean",
    arithmetic: Arithmetic = "paper",
) -> Tensor:
    r"""Multi-view variational distillation for any number n of views.

    .. math:: L_{MV^2D} = \sum_{i=1}^n D_{KL}[P_{v_i} \| P_{z_i}]
        + \sum_{i=1}^n D_{KL}[P_{z_{\{1..n\}}} \| P_{z_{\{1..n\} \setminus i}}]

    where :math:`P_{v_i}` and :math:`P_{z_i}` are the predictions from view :math:`i`'s observation and representation,
    :math:`P_{z_{\{1..n\}}}` the joint prediction from all representations and :math:`P_{z_{\{1..n\} \setminus i}}` the
    one from all but the :math:`i`-th. For n = 1 nothing can be left out and the second sum is absent: the result is
    `vsd`.

    The first sum asks for sufficiency. Of posteriors, term i of the second is I(y; z_i | the others), what view i alone
    knows. There are two ways to lower it: the others learn to predict it, or z_i forgets it. Term i reaches z_i only
    through the joint prediction. With ``detach_joint`` its gradient in z_i is therefore exactly 0: it teaches the other
    views, and nothing asks any view to forget. Without, the joint prediction is pulled to what the others predict,
    and z_i forgets too, against the cross-entropy of the joint head.

    Args:
        observation_logits: (..., views, batch, classes).
        representation_logits: the same shape.
        joint_logits: (..., batch, classes); needed for n > 1.
        leave_one_out_logits: (..., views, batch, classes), entry i predicted without view i; needed for n > 1. Both
            come from `limbeck.nn.AdditiveHead` in time linear in n.
        present: (..., views, batch), true where a sample has that view; default: everywhere. Absent views are left out
            of both sums, whatever their logits hold, NaN too; leaving out the only view of a sample is not asked for. A
            sample without any view counts 0.
        sufficiency: weight of the first sum.
        consistency: weight of the second sum.
        over_views: "sum" is the equation as printed; "mean" (ours) divides each sum by the number of its terms, so that
            a weight means the same for any n.
        detach_teacher: no gradient flows into `observation_logits`, the teacher of the first sum.
        detach_joint: no gradient flows into `joint_logits`, the teacher of the second sum.
        temperature: divides all logits, > 0.
        reduction: "mean" or "sum" over the remaining leading dimensions, or "none" for shape (..., batch).
        arithmetic: "paper" or "released-2021", see `released_2021_divergence`.

    Returns:
        The weighted sum, in nats.

    Raises:
        ValueError: shapes disagree, a dimension is empty, the joint logits are missing for n > 1, or an option is
            unknown.

    Source: Tian et al. 2022, Theorem 3 and eq. 9.

    Example:
        >>> v = torch.zeros(3, 4, 10)  # three views, four samples, ten classes
        >>> mv2d(v, v, v[0], v).item()
        0.0
    """
    check_logits(observation_logits, representation_logits, names=("observation_logits", "representation_logits"))
    if observation_logits.ndim < 3:
        raise ValueError(
            f"observation_logits must be (..., views, batch, classes), got shape {tuple(observation_logits.shape)}"
        )
    if over_views not in ("mean", "sum"):
        raise ValueError(f"over_views must be 'mean' or 'sum', not {over_views!r}")
    if present is not None and present.shape != observation_logits.shape[:-1]:
        raise ValueError(
            f"present has shape {tuple(present.shape)}, but the logits ask for {tuple(observation_logits.shape[:-1])}"
        )

    def over(teacher: Tensor, student: Tensor, counted: Tensor | None, *, detach: bool) -> Tensor:
        if counted is not None:
            # Before anything is computed: a NaN that is masked afterwards still makes its gradient NaN.
            teacher, student = (torch.where(counted.unsqueeze(-1), one, 0.0) for one in (teacher, student))
        terms = _distil(
            teacher,
            student,
            names=("teacher", "student"),
            detach_teacher=detach,
            temperature=temperature,
            reduction="none",
            arithmetic=arithmetic,
        )
        if counted is None:
            return terms.mean(dim=-2) if over_views == "mean" else terms.sum(dim=-2)
        total = torch.where(counted, terms, 0.0).sum(dim=-2)
        return total / counted.sum(dim=-2).clamp(min=1) if over_views == "mean" else total

    loss = sufficiency * over(observation_logits, representation_logits, present, detach=detach_teacher)
    if observation_logits.shape[-3] > 1:
        if joint_logits is None or leave_one_out_logits is None:
            raise ValueError("joint_logits and leave_one_out_logits are needed when there is more than one view")
        check_logits(observation_logits, leave_one_out_logits, names=("observation_logits", "leave_one_out_logits"))
        check_logits(observation_logits[..., 0, :, :], joint_logits, names=("observation_logits[view]", "joint_logits"))
        can_leave_out = None if present is None else present & (present.sum(dim=-2, keepdim=True) > 1)
        # In full precision before it is shared out, so that its gradient is summed in it too.
        teacher = full_precision(joint_logits).unsqueeze(-3).expand_as(leave_one_out_logits)
        loss = loss + consistency * over(teacher, leave_one_out_logits, can_leave_out, detach=detach_joint)
    return reduce(loss, reduction)


def released_2021_divergence(
    teacher_logits: Tensor,
    student_logits: Tensor,
    *,
    temperature: float = 1.0,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""What the code released with the 2021 paper computes where the paper writes a KL divergence. Not a divergence.

    .. math:: \frac1C \sum_c Q_c (\log Q_c - P_c) = \frac1C \left( -H(Q) - \langle Q, P \rangle \right)

    where :math:`P` is the softmax of `teacher_logits`, :math:`Q` that of `student_logits`, :math:`C` the number of
    classes and :math:`H` the entropy. The released call hands a softmax to a function that expects a log-softmax, swaps
    the arguments and averages over the classes too. Its minimiser is :math:`Q = softmax(P)`, nearly uniform, not
    :math:`Q = P`; the value can be negative. Kept for comparison only.

    Args, shapes and errors are those of `kl_divergence`.

    Source: public code of Tian et al. 2021, read as described; the arithmetic is restated here, not copied.

    Example:
        >>> agree = torch.tensor([[2.0, 0.0, -1.0]])
        >>> released_2021_divergence(agree, agree).item() < 0
        True
    """
    check_logits(teacher_logits, student_logits, names=("teacher_logits", "student_logits"))
    check_temperature(temperature)
    teacher = log_probabilities(teacher_logits, temperature).exp()
    student = log_probabilities(student_logits, temperature)
    return reduce((student.exp() * (student - teacher)).mean(dim=-1), reduction)


def _distil(
    teacher: Tensor,
    student: Tensor,
    *,
    names: tuple[str, str],
    detach_teacher: bool,
    temperature: float,
    reduction: Reduction,
    arithmetic: Arithmetic,
) -> Tensor:
    """One teacher-to-student term under the chosen arithmetic."""
    check_logits(teacher, student, names=names)
    if arithmetic == "paper":
        function = kl_divergence
    elif arithmetic == "released-2021":
        function = released_2021_divergence
    else:
        raise ValueError(f"arithmetic must be 'paper' or 'released-2021', not {arithmetic!r}")
    source = teacher.detach() if detach_teacher else teacher
    return function(source, student, temperature=temperature, reduction=reduction)
