"""Every public objective in every precision, at large logits, under vmap and compilation, for one sample, with NaN
where nothing is there. The reference is the same function in float64, which the other tests hold to the equations."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import pytest
import torch
from torch import Tensor

from limbeck import objectives
from limbeck.objectives import (
    carried,
    center_loss,
    contrastive_contrast,
    contrastive_loss,
    contrastive_tightness,
    cross_entropy,
    cross_prediction_alignment,
    fairness,
    gaussian_kl_to_prior,
    js_divergence,
    kernel_information,
    kl_divergence,
    laplacian_pyramid,
    laplacian_pyramid_l1,
    lovasz_softmax,
    margin_logits,
    mean_neighbour_entropy,
    multi_class_focal,
    multi_similarity_contrast,
    multi_similarity_loss,
    multi_similarity_tightness,
    mutual_learning,
    mv2d,
    nca,
    pairwise_cross_entropy,
    pairwise_cross_entropy_contrast,
    pairwise_cross_entropy_tightness,
    prototype_contrast,
    prototype_logits,
    proxy_anchor,
    proxy_nca,
    ranked_list_loss,
    reconstruction_loss,
    released_2021_divergence,
    sharpness,
    simplified_pairwise_cross_entropy,
    snca,
    snca_contrast,
    snca_tightness,
    supervised_contrastive_loss,
    symmetric_kl,
    triplet_loss,
    vcd,
    vmd,
    vsd,
    weight_decayed_cross_entropy_bound,
)
from limbeck.objectives.bottleneck import jensen_shannon_information

BATCH, CLASSES, VIEWS = 6, 5, 3
DTYPES = [torch.float64, torch.float32, torch.bfloat16, torch.float16]


@dataclass(frozen=True)
class Case:
    """One objective as a function of floating-point tensors and of what stays as it is.

    Attributes:
        function: called with all tensors; the sum of what it returns is looked at.
        shapes: of the floating-point tensors for a batch of some size.
        labels: shape of the integers that follow them, if any.
        masked: the keyword of the mask of samples that are there, if the objective has one; its shape is that of the
            first tensor less the last dimension.
        largest: magnitude of the large input.
        sign: 1 where the value is never negative, in floating point either.
        least: the smallest batch.
    """

    function: Callable[..., Tensor]
    shapes: Callable[[int], list[tuple[int, ...]]]
    labels: Callable[[int], tuple[int, ...]] | None = None
    masked: str | None = None
    largest: float = 1e4
    sign: int = 0
    least: int = 1
    options: dict[str, object] = field(default_factory=dict)

    def tensors(self, seed: int, batch: int = BATCH, dtype: torch.dtype = torch.float64) -> list[Tensor]:
        generator = torch.Generator().manual_seed(seed)
        made = [torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype) for shape in self.shapes(batch)]
        if self.labels is not None:
            made.append(torch.arange(batch).expand(self.labels(batch)) % 3)
        return made

    def __call__(self, tensors: list[Tensor], **options: object) -> Tensor:
        found = self.function(*tensors, **self.options, **options)
        return torch.stack([part.sum() for part in found]).sum() if isinstance(found, list) else found


def _logits(count: int) -> Callable[[int], list[tuple[int, ...]]]:
    return lambda batch: [(batch, CLASSES)] * count


def _views(batch: int) -> list[tuple[int, ...]]:
    many = (VIEWS, batch, CLASSES)
    return [many, many, (batch, CLASSES), many]


def _ranked(embeddings: Tensor, labels: Tensor, **options: object) -> Tensor:
    return ranked_list_loss(embeddings, labels, **options).loss


def _carried(logits: Tensor, plan: Tensor) -> Tensor:
    return carried(logits, plan.abs()).sum()


def _aligned(own: Tensor, other: Tensor, plan: Tensor, **options: object) -> Tensor:
    return cross_prediction_alignment(own, other, plan.abs(), **options)


def _pointing(embeddings: Tensor, prototypes: Tensor) -> Tensor:
    return prototype_logits(embeddings, prototypes).square().sum()


def _embeddings(function: Callable[..., Tensor], **options: object) -> Case:
    """A loss of embeddings and labels."""
    sign = options.pop("sign", 0)
    return Case(function, _logits(1), lambda batch: (batch,), sign=sign, options=options)


def _referenced(function: Callable[..., Tensor], **options: object) -> Case:
    """The same with as many references as there are samples, of two of the three classes."""

    def called(embeddings: Tensor, references: Tensor, labels: Tensor) -> Tensor:
        return function(embeddings, labels, references=references, reference_labels=labels % 2, **options)

    return Case(called, _logits(2), lambda batch: (batch,))


def _labels_second(function: Callable[..., Tensor], **options: object) -> Callable[..., Tensor]:
    """A function of embeddings, labels and one more tensor, called with the labels last."""
    return lambda embeddings, other, labels: function(embeddings, labels, other, **options)


def _tightness(embeddings: Tensor, logits: Tensor, labels: Tensor) -> Tensor:
    """With the logits in a term of its own, as only their number of classes counts."""
    return pairwise_cross_entropy_tightness(embeddings, labels, logits) + 0 * logits.float().sum()


def _with_margin(embeddings: Tensor, proxies: Tensor, labels: Tensor, **options: object) -> Tensor:
    return cross_entropy(margin_logits(prototype_logits(embeddings, proxies, temperature=1), labels, **options), labels)


PROXIES = {"shapes": lambda batch: [(batch, CLASSES), (4, CLASSES)], "labels": lambda batch: (batch,)}
LOGITS = {"shapes": lambda batch: [(batch, CLASSES), (batch, 3)], "labels": lambda batch: (batch,)}

CASES = {
    "center_loss": _embeddings(center_loss, sign=1),
    "contrastive_contrast": _embeddings(contrastive_contrast, margin=3.0, sign=1),
    "contrastive_loss": _embeddings(contrastive_loss, margin=3.0, sign=1),
    "contrastive_tightness": _embeddings(contrastive_tightness, sign=1),
    # A plan is a table of masses, whatever the logits: its entries stay moderate.
    "carried": Case(_carried, lambda batch: [(batch, CLASSES), (CLASSES, 3)], largest=20),
    "cross_entropy": Case(cross_entropy, _logits(1), lambda batch: (batch,), options={"label_smoothing": 0.1}),
    "cross_prediction_alignment": Case(
        _aligned,
        lambda batch: [(batch, CLASSES), (batch, 3), (CLASSES, 3)],
        largest=20,
        options={"detach_teacher": False},
    ),
    "fairness": Case(fairness, _logits(1)),
    # exp(1e4) is beyond any precision: a log-variance of ±80 is the largest that float32 holds.
    "gaussian_kl_to_prior": Case(gaussian_kl_to_prior, _logits(2), largest=80, sign=1),
    "jensen_shannon_information": Case(jensen_shannon_information, lambda batch: [(batch,), (batch,)]),
    "js_divergence": Case(js_divergence, _logits(2), sign=1),
    "kl_divergence": Case(kl_divergence, _logits(2)),
    "kernel_information": _embeddings(kernel_information),
    "laplacian_pyramid": Case(partial(laplacian_pyramid, levels=2), lambda batch: [(batch, 1, 8, 6)]),
    "laplacian_pyramid_l1": Case(laplacian_pyramid_l1, lambda batch: [(batch, 1, 16, 12)] * 2, sign=1),
    "lovasz_softmax": _embeddings(lovasz_softmax, sign=1),
    "margin_logits": Case(_with_margin, **PROXIES),
    "mean_neighbour_entropy": Case(mean_neighbour_entropy, _logits(1), least=2),
    "multi_class_focal": _embeddings(multi_class_focal, sign=1),
    "multi_similarity_contrast": _embeddings(multi_similarity_contrast, sign=1),
    "multi_similarity_loss": _embeddings(multi_similarity_loss, sign=1),
    "multi_similarity_tightness": _embeddings(multi_similarity_tightness, sign=1),
    "mutual_learning": Case(mutual_learning, _logits(2), options={"detach_teacher": False}),
    "mv2d": Case(mv2d, _views, masked="present", options={"detach_teacher": False, "detach_joint": False}),
    "nca": _embeddings(nca, sign=1),
    "pairwise_cross_entropy": Case(_labels_second(pairwise_cross_entropy, coefficient=0.3), **LOGITS),
    "pairwise_cross_entropy_contrast": Case(_labels_second(pairwise_cross_entropy_contrast), **LOGITS),
    "pairwise_cross_entropy_tightness": Case(_tightness, **LOGITS),
    "prototype_contrast": Case(prototype_contrast, _logits(1), lambda batch: (batch,), sign=1),
    "prototype_logits": Case(_pointing, lambda batch: [(batch, CLASSES), (3, CLASSES)]),
    "proxy_anchor": Case(_labels_second(proxy_anchor), sign=1, **PROXIES),
    "proxy_nca": Case(_labels_second(proxy_nca), **PROXIES),
    "ranked_list_loss": Case(_ranked, _logits(1), lambda batch: (batch,), masked="usable", sign=1),
    "reconstruction_loss": Case(reconstruction_loss, lambda batch: [(batch, 1, 16, 12)] * 2, sign=1),
    "released_2021_divergence": Case(released_2021_divergence, _logits(2)),
    "sharpness": Case(sharpness, _logits(1)),
    "simplified_pairwise_cross_entropy": _embeddings(simplified_pairwise_cross_entropy, sign=1),
    "snca": _embeddings(snca, sign=1),
    "snca_contrast": _embeddings(snca_contrast),
    "snca_tightness": _embeddings(snca_tightness),
    "supervised_contrastive_loss": _embeddings(supervised_contrastive_loss),
    "symmetric_kl": Case(symmetric_kl, _logits(2), sign=1),
    "triplet_loss": _embeddings(triplet_loss, mining="semihard", sign=1),
    "vcd": Case(vcd, _logits(4), options={"detach_teacher": False}),
    "vmd": Case(vmd, _logits(2), sign=1),
    "vsd": Case(vsd, _logits(2), options={"detach_teacher": False}),
    "weight_decayed_cross_entropy_bound": Case(
        _labels_second(weight_decayed_cross_entropy_bound, weight_decay=0.3), **LOGITS
    ),
}
OBJECTIVES = set(CASES)
CASES |= {
    # Other options of some of them, and references in place of the batch.
    "lovasz_softmax, all": _embeddings(lovasz_softmax, classes="all", sign=1),
    "multi_class_focal, gamma 1/2": _embeddings(multi_class_focal, gamma=0.5, sign=1),
    "contrastive_loss, normalised": _embeddings(contrastive_loss, normalize=True, sign=1),
    "margin_logits, cosface": Case(partial(_with_margin, kind="cosface"), **PROXIES),
    "multi_similarity_loss, mined": _embeddings(multi_similarity_loss, mining=0.1, sign=1),
    "simplified_pairwise_cross_entropy, leave one out": _embeddings(
        simplified_pairwise_cross_entropy, leave_one_out=True
    ),
    "triplet_loss, all": _embeddings(triplet_loss, mining="all"),
    "triplet_loss, hard": _embeddings(triplet_loss, mining="hard", squared=False, sign=1),
} | {
    f"{function.__name__}, references": _referenced(function)
    for function in (
        center_loss,
        contrastive_loss,
        kernel_information,
        multi_similarity_loss,
        nca,
        simplified_pairwise_cross_entropy,
        snca,
        supervised_contrastive_loss,
        triplet_loss,
    )
}
EVERY = pytest.mark.parametrize("name", CASES)


def _gradients(case: Case, tensors: list[Tensor], **options: object) -> tuple[Tensor, list[Tensor]]:
    leaves = [tensor.detach().requires_grad_() if tensor.is_floating_point() else tensor for tensor in tensors]
    value = case(leaves, **options)
    return value, list(torch.autograd.grad(value, [leaf for leaf in leaves if leaf.is_floating_point()]))


def test_every_public_objective_is_here() -> None:
    # `identity_pairs` takes and gives positions, and how many depends on the labels: none of this applies to it.
    assert set(objectives.__all__) - {"RankedList", "identity_pairs"} == OBJECTIVES


def _assert_as_in_float64(case: Case, tensors: list[Tensor], dtype: torch.dtype) -> None:
    """Value and gradients are those of float64 from the same numbers, up to float32's rounding of the computation and
    the precision that the gradient is given back in."""
    value, gradients = _gradients(case, tensors)
    exact = [tensor.double() if tensor.is_floating_point() else tensor for tensor in tensors]
    expected, expected_gradients = _gradients(case, exact)
    fine = 1e-12 if dtype == torch.float64 else 2e-5
    assert value.dtype == torch.promote_types(dtype, torch.float32)
    torch.testing.assert_close(value.double(), expected, rtol=fine, atol=fine)
    if case.sign:
        assert value >= 0
    coarse = max(fine, torch.finfo(dtype).eps)
    for gradient, wanted in zip(gradients, expected_gradients, strict=True):
        assert gradient.dtype == dtype
        scale = max(1.0, wanted.abs().max().item())
        torch.testing.assert_close(gradient.double(), wanted, rtol=coarse, atol=fine * scale)


@EVERY
@pytest.mark.parametrize("dtype", DTYPES)
def test_value_and_gradient_are_those_of_float64(name: str, dtype: torch.dtype) -> None:
    for seed in range(5):
        _assert_as_in_float64(CASES[name], CASES[name].tensors(seed, dtype=dtype), dtype)


@EVERY
@pytest.mark.parametrize("dtype", DTYPES)
def test_large_input_is_as_in_float64(name: str, dtype: torch.dtype) -> None:
    case = CASES[name]
    for seed in range(5):
        tensors = case.tensors(seed)
        largest = max(tensor.abs().max().item() for tensor in tensors if tensor.is_floating_point())
        scaled = [t * (case.largest / largest) if t.is_floating_point() else t for t in tensors]
        given = [t.to(dtype) if t.is_floating_point() else t for t in scaled]
        exact = [t.double() if t.is_floating_point() else t for t in given]
        value, gradients = _gradients(case, given)
        expected, expected_gradients = _gradients(case, exact)
        assert value.isfinite()
        rounding = 1e-10 if dtype == torch.float64 else 1e-3
        assert value.item() == pytest.approx(expected.item(), rel=rounding, abs=rounding)
        for gradient, wanted in zip(gradients, expected_gradients, strict=True):
            if dtype != torch.float16 or wanted.abs().max() < torch.finfo(dtype).max:
                size = max(1.0, wanted.abs().max().item())
                close = max(rounding, torch.finfo(dtype).eps) * size
                torch.testing.assert_close(gradient.double(), wanted, rtol=1e-2, atol=close)


@EVERY
def test_vmap_is_a_loop(name: str) -> None:
    case = CASES[name]
    batches = [case.tensors(seed) for seed in range(3)]
    stacked = [torch.stack(column) for column in zip(*batches, strict=True)]
    found = torch.vmap(lambda *tensors: case(list(tensors)))(*stacked)
    torch.testing.assert_close(found, torch.stack([case(batch) for batch in batches]))
    if case.masked:
        masks = torch.stack([_mask(case, batch) for batch in batches])
        found = torch.vmap(lambda mask, *tensors: case(list(tensors), **{case.masked: mask}))(masks, *stacked)
        expected = [case(batch, **{case.masked: mask}) for batch, mask in zip(batches, masks, strict=True)]
        torch.testing.assert_close(found, torch.stack(expected))


@EVERY
@pytest.mark.slow
def test_compiles_into_one_graph(name: str) -> None:
    case = CASES[name]
    torch._dynamo.reset()
    compiled = torch.compile(lambda *tensors: case(list(tensors)), fullgraph=True, backend="aot_eager")
    for seed in range(2):
        tensors = [t.requires_grad_() if t.is_floating_point() else t for t in case.tensors(seed)]
        found = compiled(*tensors)
        expected, expected_gradients = _gradients(case, tensors)
        torch.testing.assert_close(found, expected)
        gradients = torch.autograd.grad(found, [t for t in tensors if t.is_floating_point()])
        torch.testing.assert_close(list(gradients), expected_gradients)


@EVERY
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_a_batch_of_one(name: str, dtype: torch.dtype) -> None:
    case = CASES[name]
    _assert_as_in_float64(case, case.tensors(3, batch=case.least, dtype=dtype), dtype)
    torch.vmap(lambda *tensors: case(list(tensors)))(*(t.unsqueeze(0) for t in case.tensors(3, batch=case.least)))


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.masked])
@pytest.mark.parametrize("dtype", DTYPES)
def test_nan_where_nothing_is_there(name: str, dtype: torch.dtype) -> None:
    """The value is that of any other content, gradients are finite, and 0 for what is not there."""
    case = CASES[name]
    tensors = case.tensors(4, dtype=dtype)
    mask = _mask(case, tensors)
    options = {case.masked: mask}
    expected, expected_gradients = _gradients(case, tensors, **options)
    per_row = [t for t in tensors if t.is_floating_point() and t.shape[:-1] == mask.shape]
    for tensor in per_row:
        tensor[~mask] = torch.nan
    found, gradients = _gradients(case, tensors, **options)
    assert found.item() == expected.item()
    for gradient, wanted in zip(gradients, expected_gradients, strict=True):
        torch.testing.assert_close(gradient, wanted)
        if gradient.shape[:-1] == mask.shape:
            assert gradient[~mask].abs().max() == 0


def _mask(case: Case, tensors: list[Tensor]) -> Tensor:
    mask = torch.rand(tensors[0].shape[:-1], generator=torch.Generator().manual_seed(1)) < 0.6
    mask[..., 0] = False
    mask[..., 1] = True
    assert 0 < mask.sum() < mask.numel()
    return mask


@pytest.mark.parametrize("name", ["js_divergence", "symmetric_kl", "vmd"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_predictions_that_nearly_agree(name: str, dtype: torch.dtype) -> None:
    """Divergences are of the size of the squared difference there; differences of logarithms leave nothing of them."""
    generator = torch.Generator().manual_seed(0)
    function = CASES[name].function
    for apart in (1e-1, 1e-2, 1e-3):
        first = torch.randn(200, CLASSES, generator=generator).to(dtype)
        second = (first.double() + apart * torch.randn(200, CLASSES, generator=generator)).to(dtype)
        values = function(first, second, reduction="none")
        expected = function(first.double(), second.double(), reduction="none")
        assert (values >= 0).all()
        tight = 1e-9 if dtype == torch.float64 else 3e-6 / apart
        torch.testing.assert_close(values.double(), expected, rtol=tight, atol=1e-12)


def test_js_reaches_log_2_and_not_more_than_rounding_beyond() -> None:
    for dtype in DTYPES:
        first = torch.randn(1000, CLASSES, generator=torch.Generator().manual_seed(0)).to(dtype) * 100
        values = js_divergence(first, -first, reduction="none")
        assert values.max() <= torch.log(torch.tensor(2.0, dtype=torch.float64)) + 8 * torch.finfo(values.dtype).eps
        assert values.min() > 0.6


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_a_ranked_list_near_collapse_in_half_precision(dtype: torch.dtype) -> None:
    """Points that differ in the last places of half precision: the gradient is float64's of the same numbers."""
    generator = torch.Generator().manual_seed(0)
    points = (1 + 0.02 * torch.randn(12, 16, generator=generator)).to(dtype)
    labels = torch.arange(12) % 4
    for normalize in (True, False):
        given = points.detach().requires_grad_()
        exact = points.double().requires_grad_()
        found = ranked_list_loss(given, labels, normalize=normalize).loss
        expected = ranked_list_loss(exact, labels, normalize=normalize).loss
        found.backward()
        expected.backward()
        assert found.item() == pytest.approx(expected.item(), rel=1e-5)
        error = (given.grad.double() - exact.grad).norm() / exact.grad.norm()
        assert error < 2 * torch.finfo(dtype).eps


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("scale", [1e-30, 1e-25, 1e20, 1e30])
def test_a_ranked_list_of_any_magnitude(dtype: torch.dtype, scale: float) -> None:
    points, labels = CASES["ranked_list_loss"].tensors(0, batch=12)
    plain, scaled = (given.to(dtype).detach().clone().requires_grad_() for given in (points, points * scale))
    expected, found = ranked_list_loss(plain, labels).loss, ranked_list_loss(scaled, labels).loss
    torch.testing.assert_close(found, expected)
    (expected * scale).backward()
    (found * scale).backward()
    close = 1e-5 if dtype == torch.float32 else 1e-12
    torch.testing.assert_close(scaled.grad * scale, plain.grad, rtol=close, atol=close * scale)
    # Not normalised, distances have the units of the embeddings: so do margin and boundary.
    units = ranked_list_loss(points.to(dtype), labels, normalize=False)
    same = ranked_list_loss(
        (points * scale).to(dtype),
        labels,
        normalize=False,
        margin=0.4 * scale,
        boundary=1.2 * scale,
        temperature=10 / scale,
    )
    torch.testing.assert_close(same.loss / scale, units.loss)


def test_a_ranked_list_under_autocast_is_of_full_precision() -> None:
    points, labels = CASES["ranked_list_loss"].tensors(0, batch=12, dtype=torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = ranked_list_loss(points, labels).loss
    assert torch.equal(found, ranked_list_loss(points, labels).loss)
