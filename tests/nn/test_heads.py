"""The additive head against a linear layer on the concatenation, and its leave-one-out logits against recomputation."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from limbeck.nn import AdditiveHead

VIEWS, BATCH, FEATURES, CLASSES = 4, 6, 5, 3
STACKS = pytest.mark.parametrize("stack", [(), (2,), (2, 3)])


def _normal(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def _head(*stack: int, views: int = VIEWS) -> AdditiveHead:
    head = AdditiveHead(FEATURES, CLASSES, views, stack=stack)
    with torch.no_grad():
        for seed, parameter in enumerate(head.parameters()):
            parameter.copy_(0.5 * _normal(seed, *parameter.shape))
    return head


def _recompute(head: AdditiveHead, representations: Tensor, kept: Tensor) -> Tensor:
    """Logits of one model from the kept (views, batch) terms alone, added one by one in float64."""
    rows = []
    for sample in range(BATCH):
        logits = head.bias.double()
        for view in range(len(representations)):
            if kept[view, sample]:
                logits = logits + representations[view, sample].double() @ head.blocks.weight[view].double()
        rows.append(logits)
    return torch.stack(rows)


@pytest.mark.parametrize("missing", [False, True])
@pytest.mark.parametrize("views", [1, 2, 4])
def test_leave_one_out_logits_equal_their_recomputation(missing: bool, views: int) -> None:
    head, z = _head(views=views), _normal(5, views, BATCH, FEATURES)
    present = torch.ones(views, BATCH, dtype=torch.bool)
    if missing:
        present = torch.rand(views, BATCH, generator=torch.Generator().manual_seed(0)) < 0.5
        present[:, 0] = False
    prediction = head(z, present) if missing else head(z)
    assert (prediction.joint.shape, prediction.leave_one_out.shape) == ((BATCH, CLASSES), (views, BATCH, CLASSES))
    torch.testing.assert_close(prediction.joint.double(), _recompute(head, z, present), rtol=0, atol=1e-6)
    for view in range(views):
        others = present.clone()
        others[view] = False
        expected = _recompute(head, z, others)
        torch.testing.assert_close(prediction.leave_one_out[view].double(), expected, rtol=0, atol=1e-6)


def test_joint_logits_are_those_of_one_linear_layer_on_the_concatenation() -> None:
    head, z = _head(), _normal(6, VIEWS, BATCH, FEATURES)
    whole = nn.Linear(VIEWS * FEATURES, CLASSES)
    with torch.no_grad():
        whole.weight.copy_(head.blocks.weight.flatten(0, 1).T)
        whole.bias.copy_(head.bias)
    torch.testing.assert_close(head(z).joint, whole(z.swapaxes(0, 1).flatten(1)))
    assert sum(p.numel() for p in head.parameters()) == sum(p.numel() for p in whole.parameters())


def test_absent_views_have_no_say_and_no_gradient() -> None:
    head, z = _head(), _normal(7, VIEWS, BATCH, FEATURES)
    present = torch.rand(VIEWS, BATCH, generator=torch.Generator().manual_seed(1)) < 0.5
    before = head(z, present)
    z[~present] = 1e6
    z.requires_grad_()
    after = head(z, present)
    assert torch.equal(after.joint, before.joint)
    assert torch.equal(after.leave_one_out, before.leave_one_out)
    # Leaving out what is not there changes nothing.
    assert torch.equal(after.leave_one_out[~present], after.joint.expand(VIEWS, -1, -1)[~present])
    (after.joint.sum() + after.leave_one_out.square().sum()).backward()
    assert z.grad[~present].abs().max() == 0
    assert z.grad[present].abs().min() > 0


def test_a_leave_one_out_prediction_gives_its_view_no_gradient() -> None:
    head, z = _head(), _normal(8, VIEWS, BATCH, FEATURES).requires_grad_()
    head(z).leave_one_out[1].square().sum().backward()
    assert z.grad[1].abs().max() < 1e-5
    assert min(z.grad[view].abs().max() for view in (0, 2, 3)) > 0.1


@STACKS
def test_a_stack_is_one_head_for_each_position(stack: tuple[int, ...]) -> None:
    head, z = _head(*stack), _normal(9, *stack, VIEWS, BATCH, FEATURES)
    present = torch.rand(*stack, VIEWS, BATCH, generator=torch.Generator().manual_seed(2)) < 0.7
    together = head(z, present)
    for index in np.ndindex(stack):
        alone = _head()
        with torch.no_grad():
            alone.blocks.weight.copy_(head.blocks.weight[index])
            alone.bias.copy_(head.bias[index])
        expected = alone(z[index], present[index])
        torch.testing.assert_close(together.joint[index], expected.joint)
        torch.testing.assert_close(together.leave_one_out[index], expected.leave_one_out)


@pytest.mark.parametrize("shape", [(BATCH, FEATURES), (VIEWS - 1, BATCH, FEATURES), (BATCH, VIEWS, FEATURES)])
def test_a_wrong_number_of_views_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"representations must be \(\.\.\., 4 views, batch, features\)"):
        _head()(torch.zeros(shape))
