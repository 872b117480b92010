"""The additive head against a linear layer on the concatenation and its leave-one-out logits against recomputation;
the classification head and the neck against their definitions."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from limbeck.nn import AdditiveHead, BNNeck, ClassificationHead

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
    assert z.grad[1].abs().max() == 0
    assert min(z.grad[view].abs().max() for view in (0, 2, 3)) > 0.1


@pytest.mark.parametrize("size", [1e6, 1e20])
def test_a_large_view_leaves_no_rounding_where_it_is_left_out(size: float) -> None:
    head, z = _head(), _normal(8, VIEWS, BATCH, FEATURES)
    expected = head(z).leave_one_out[1]
    z[1] *= size
    found = head(z).leave_one_out
    assert torch.equal(found[1], expected)
    assert found[0].abs().max() > 1e-2 * size


def test_absent_views_may_hold_nan() -> None:
    head, z = _head(), _normal(7, VIEWS, BATCH, FEATURES)
    present = torch.rand(VIEWS, BATCH, generator=torch.Generator().manual_seed(1)) < 0.5
    expected = head(z, present)
    z[~present] = torch.nan
    z.requires_grad_()
    found = head(z, present)
    assert torch.equal(found.joint, expected.joint)
    assert torch.equal(found.leave_one_out, expected.leave_one_out)
    (found.joint.sum() + found.leave_one_out.square().sum()).backward()
    for tensor in (z, *head.parameters()):
        assert tensor.grad.isfinite().all()
    assert z.grad[~present].abs().max() == 0


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


# --- one vector a sample -------------------------------------------------------------------------------------------


def test_classification_head_is_one_linear_layer() -> None:
    head, x = ClassificationHead(FEATURES, CLASSES), _normal(20, BATCH, FEATURES)
    torch.testing.assert_close(head(x), x @ head.classifier.weight.T + head.classifier.bias)
    assert list(head.state_dict()) == ["classifier.weight", "classifier.bias"]


def test_classification_head_with_a_hidden_layer_is_the_authors() -> None:
    """(512 + 1) 256 + 2 · 256 + (256 + 1) 395 = 131 328 + 512 + 101 515 = 233 355."""
    head = ClassificationHead(512, 395, hidden=256)
    assert sum(parameter.numel() for parameter in head.parameters()) == 233_355
    head = ClassificationHead(FEATURES, CLASSES, hidden=4, dropout=0.0).double()
    x = _normal(21, BATCH, FEATURES).double()
    first = head.hidden[0](x)
    first = (first - first.mean(0)) / (first.var(0, unbiased=False) + 1e-5).sqrt()
    first = torch.where(first > 0, first, 0.1 * first)
    torch.testing.assert_close(head(x), first @ head.classifier.weight.T + head.classifier.bias)


def test_classification_head_drops_out_in_training_only() -> None:
    head, x = ClassificationHead(FEATURES, CLASSES, hidden=64, dropout=0.5), _normal(22, BATCH, FEATURES)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        assert not torch.equal(head(x), head(x))
    head.eval()
    assert torch.equal(head(x), head(x))


@pytest.mark.parametrize("hidden", [None, 128])
def test_classification_head_starts_with_the_deviation_asked_for(hidden: int | None) -> None:
    head = ClassificationHead(256, 400, hidden=hidden, init_std=0.001)
    weight = head.classifier.weight
    assert abs(weight.std().item() / 0.001 - 1) < 5 / np.sqrt(2 * weight.numel())
    assert (head.classifier.bias == 0).all()


@pytest.mark.parametrize(
    ("arguments", "options", "match"),
    [
        ((0, 3), {}, "widths must be positive"),
        ((3, 0), {}, "widths must be positive"),
        ((3, 3), {"hidden": 0}, "widths must be positive"),
        ((3, 3), {"dropout": 1.0}, "dropout must be in"),
        ((3, 3), {"init_std": -1.0}, "init_std must not be negative"),
    ],
)
def test_classification_head_refuses_what_makes_no_layer(arguments, options, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        ClassificationHead(*arguments, **options)


def test_neck_normalises_and_never_shifts() -> None:
    neck, x = BNNeck(FEATURES), 3 + 2 * _normal(23, 64, FEATURES)
    optimizer = torch.optim.SGD([p for p in neck.parameters() if p.requires_grad], lr=0.1)
    target = _normal(24, 64, FEATURES) + 1
    for _ in range(5):
        loss = (neck(x) - target).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert (neck.bias == 0).all()
    assert not torch.equal(neck.weight, torch.ones(FEATURES))
    expected = neck.weight * (x - x.mean(0)) / (x.var(0, unbiased=False) + 1e-5).sqrt()
    torch.testing.assert_close(neck(x), expected)
    assert sum(p.numel() for p in neck.parameters() if p.requires_grad) == FEATURES
    assert list(neck.state_dict()) == list(nn.BatchNorm1d(FEATURES).state_dict())
