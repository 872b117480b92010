"""The heads over several views against a linear layer on the concatenation, a loop over pairs and recomputation without
each view; the classification head and the neck against their definitions."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from limbeck.nn import AdditiveHead, BNNeck, ClassificationHead, PairwiseHead

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


# --- pairs of views ------------------------------------------------------------------------------------------------

RANK = 4
PRESENCES = pytest.mark.parametrize("missing", [False, True])


def _pairwise(*stack: int, views: int = VIEWS, rank: int = RANK) -> PairwiseHead:
    head = PairwiseHead(FEATURES, CLASSES, views, rank=rank, stack=stack).double()
    with torch.no_grad():
        for seed, parameter in enumerate(head.parameters()):
            parameter.copy_(0.5 * _normal(seed, *parameter.shape))
    return head


def _loop_over_pairs(head: PairwiseHead, representations: Tensor, kept: Tensor) -> Tensor:
    """Logits of one model from the kept (views, batch) views, pair by pair and class by class, as bilinear forms."""
    rows = []
    for sample in range(BATCH):
        logits = head.bias.clone()
        here = [view for view in range(len(representations)) if kept[view, sample]]
        for view in here:
            logits = logits + representations[view, sample] @ head.blocks.weight[view]
        for first in here:
            for second in (view for view in here if view > first):
                left, right = head.factors.weight[first], head.factors.weight[second]
                forms = [left @ torch.diag(weight) @ right.T for weight in head.interaction.weight.T]
                z_1, z_2 = representations[first, sample], representations[second, sample]
                logits = logits + torch.stack([z_1 @ form @ z_2 for form in forms])
        rows.append(logits)
    return torch.stack(rows)


def _some_present(views: int, *, missing: bool) -> Tensor:
    present = torch.ones(views, BATCH, dtype=torch.bool)
    if missing:
        present = torch.rand(views, BATCH, generator=torch.Generator().manual_seed(0)) < 0.6
        present[:, 0] = False
    return present


@PRESENCES
@pytest.mark.parametrize("views", [1, 2, 3, 5])
def test_pairwise_logits_equal_a_loop_over_pairs(missing: bool, views: int) -> None:
    head, z = _pairwise(views=views), _normal(5, views, BATCH, FEATURES).double()
    present = _some_present(views, missing=missing)
    prediction = head(z, present) if missing else head(z)
    torch.testing.assert_close(prediction.joint, _loop_over_pairs(head, z, present), rtol=1e-12, atol=1e-12)
    for view in range(views):
        others = present.clone()
        others[view] = False
        expected = _loop_over_pairs(head, z, others)
        torch.testing.assert_close(prediction.leave_one_out[view], expected, rtol=1e-12, atol=1e-12)
    if views > 1 and not missing:  # the pairs matter
        assert (prediction.joint - AdditiveHead.forward(_without_interaction(head), z).joint).abs().max() > 0.1


def _without_interaction(head: PairwiseHead) -> AdditiveHead:
    additive = AdditiveHead(FEATURES, CLASSES, head.views).double()
    own = additive.state_dict()
    additive.load_state_dict({name: value for name, value in head.state_dict().items() if name in own})
    return additive


@PRESENCES
def test_pairwise_gradients_equal_those_of_the_loop(missing: bool) -> None:
    head, present = _pairwise(views=3), _some_present(3, missing=missing)
    z = _normal(5, 3, BATCH, FEATURES).double().requires_grad_()
    weight = _normal(6, 4, BATCH, CLASSES).double()
    inputs = [z, *head.parameters()]
    joint, rest = head(z, present)
    found = torch.autograd.grad((weight * torch.cat([joint.unsqueeze(0), rest])).sum(), inputs)
    kept = [present, *(present & (torch.arange(3) != view).unsqueeze(1) for view in range(3))]
    looped = torch.stack([_loop_over_pairs(head, z, own) for own in kept])
    expected = torch.autograd.grad((weight * looped).sum(), inputs)
    for one, two in zip(found, expected, strict=True):
        torch.testing.assert_close(one, two, rtol=1e-11, atol=1e-11)
        assert one.abs().max() > 0.1


def test_pairwise_gradcheck() -> None:
    head, present = _pairwise(views=3, rank=2), _some_present(3, missing=True)
    z = _normal(5, 3, BATCH, FEATURES).double().requires_grad_()
    assert torch.autograd.gradcheck(lambda z, *_: tuple(head(z, present)), (z, *head.parameters()))


def test_a_pairwise_head_starts_as_the_additive_one() -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        head = PairwiseHead(FEATURES, CLASSES, VIEWS)
        torch.manual_seed(0)
        additive = AdditiveHead(FEATURES, CLASSES, VIEWS)
    z = _normal(5, VIEWS, BATCH, FEATURES)
    assert torch.equal(head.blocks.weight, additive.blocks.weight)
    assert torch.equal(head(z).joint, additive(z).joint)
    assert torch.equal(head(z).leave_one_out, additive(z).leave_one_out)
    # It can leave that point: the weights of the interaction have a gradient.
    head(z).joint.square().sum().backward()
    assert head.interaction.weight.grad.abs().max() > 0
    assert head.factors.weight.shape == (VIEWS, FEATURES, 32)


def test_pairwise_logits_do_not_depend_on_the_order_of_the_views() -> None:
    head, other, z = _pairwise(), _pairwise(), _normal(5, VIEWS, BATCH, FEATURES).double()
    order = torch.tensor([2, 0, 3, 1])
    with torch.no_grad():
        for layer in ("blocks", "factors"):
            getattr(other, layer).weight.copy_(getattr(head, layer).weight[order])
    torch.testing.assert_close(other(z[order]).joint, head(z).joint, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(other(z[order]).leave_one_out, head(z).leave_one_out[order], rtol=1e-12, atol=1e-12)


def test_a_pairwise_leave_one_out_prediction_gives_its_view_no_gradient() -> None:
    head, z = _pairwise(), _normal(8, VIEWS, BATCH, FEATURES).double().requires_grad_()
    head(z).leave_one_out[1].square().sum().backward()
    assert z.grad[1].abs().max() == 0
    assert min(z.grad[view].abs().max() for view in (0, 2, 3)) > 0.1


@pytest.mark.parametrize("size", [1e6, 1e20])
def test_a_large_view_leaves_no_rounding_in_pairs_without_it(size: float) -> None:
    head, z = _pairwise().float(), _normal(8, VIEWS, BATCH, FEATURES)
    expected = head(z).leave_one_out[1]
    z[1] *= size
    found = head(z).leave_one_out
    assert torch.equal(found[1], expected)
    assert found[0].abs().max() > 1e-2 * size


def test_views_absent_from_pairs_may_hold_nan() -> None:
    head, z = _pairwise(), _normal(7, VIEWS, BATCH, FEATURES).double()
    present = _some_present(VIEWS, missing=True)
    expected = head(z, present)
    z[~present] = torch.nan
    z.requires_grad_()
    found = head(z, present)
    assert torch.equal(found.joint, expected.joint)
    assert torch.equal(found.leave_one_out, expected.leave_one_out)
    assert torch.equal(found.leave_one_out[~present], found.joint.expand(VIEWS, -1, -1)[~present])
    (found.joint.sum() + found.leave_one_out.square().sum()).backward()
    for tensor in (z, *head.parameters()):
        assert tensor.grad.isfinite().all()
    assert z.grad[~present].abs().max() == 0


@STACKS
def test_a_stack_is_one_pairwise_head_for_each_position(stack: tuple[int, ...]) -> None:
    head, z = _pairwise(*stack), _normal(9, *stack, VIEWS, BATCH, FEATURES).double()
    present = torch.rand(*stack, VIEWS, BATCH, generator=torch.Generator().manual_seed(2)) < 0.7
    together = head(z, present)
    for index in np.ndindex(stack):
        alone = _pairwise()
        alone.load_state_dict({name: value[index] for name, value in head.state_dict().items()})
        expected = alone(z[index], present[index])
        torch.testing.assert_close(together.joint[index], expected.joint)
        torch.testing.assert_close(together.leave_one_out[index], expected.leave_one_out)


@pytest.mark.parametrize("kind", ["additive", "pairwise"])
def test_any_views_can_be_predicted_from_by_their_terms(kind: str) -> None:
    head, z = _pairwise(), _normal(5, VIEWS, BATCH, FEATURES).double()
    head = head if kind == "pairwise" else _without_interaction(head)
    terms = head.terms(z)
    for pattern in range(2**VIEWS):
        kept = torch.tensor([[bool(pattern >> view & 1)] * BATCH for view in range(VIEWS)])
        found = head.joint(torch.where(kept.unsqueeze(-1), terms, 0.0))
        torch.testing.assert_close(found, head(z, kept).joint, rtol=1e-12, atol=1e-12)
        if kind == "pairwise":
            torch.testing.assert_close(found, _loop_over_pairs(head, z, kept), rtol=1e-12, atol=1e-12)


def test_a_pairwise_head_keeps_nothing_of_the_size_of_all_pairs() -> None:
    """What autograd keeps grows with the views and not with their pairs."""

    def kept(views: int) -> int:
        head, sizes = PairwiseHead(1, 1, views, rank=64), []
        z = torch.zeros(views, 8, 1)

        def keep(tensor: Tensor) -> Tensor:
            sizes.append(tensor.numel())
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            head(z)
        return sum(sizes)

    assert kept(64) < 2.1 * kept(32)


def test_a_pairwise_head_of_no_rank_is_refused() -> None:
    with pytest.raises(ValueError, match="rank must be positive, not 0"):
        PairwiseHead(FEATURES, CLASSES, VIEWS, rank=0)


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
