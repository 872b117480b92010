"""The objectives as modules: each holds the options of a function of `limbeck.objectives` and calls it.

`TripletLoss(margin=0.3)(embeddings, labels)` is `triplet_loss(embeddings, labels, margin=0.3)`. Options are those of
the function, keyword by keyword; tensors that differ from batch to batch (`references`, `usable`, `present`, ...) are
given to the call. The modules have no parameters: what is trained (proxies, a classifier's logits) is an argument of
the call too.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, ClassVar

from torch import Tensor, nn

from limbeck import objectives


class Objective(nn.Module):
    """A function of `limbeck.objectives` with its options, as a module.

    Attributes:
        function: that is called.
        options: what it is called with beside tensors, by name; those not given have the function's defaults.

    Raises:
        TypeError: an option is unknown or missing, or is a tensor that belongs in the call. Values are checked by the
            function, when it is called.

    Example:
        >>> import torch
        >>> loss = KLDivergence(temperature=2.0)
        >>> loss
        KLDivergence(temperature=2.0, reduction='mean')
        >>> loss(torch.zeros(4, 3), torch.zeros(4, 3)).item()
        0.0
    """

    function: ClassVar[Callable[..., Any]]
    __signature__: ClassVar[inspect.Signature]
    _buffers_of: ClassVar[tuple[str, ...]] = ()
    _of_calls: ClassVar[frozenset[str]] = frozenset()

    def __init_subclass__(cls, function: Callable[..., Any] | None = None, buffers: tuple[str, ...] = ()) -> None:
        """Take the options from a function.

        Args:
            function: None: a subclass of a subclass, with the same.
            buffers: tensors among its options that stay the same from call to call: buffers of the module.
        """
        super().__init_subclass__()
        if function is None:
            return
        cls.function, cls._buffers_of = staticmethod(function), buffers
        of_calls: list[inspect.Parameter] = []
        options: list[inspect.Parameter] = []
        for parameter in inspect.signature(function).parameters.values():
            tensor = "Tensor" in str(parameter.annotation) and parameter.name not in buffers
            (of_calls if tensor or parameter.kind is not parameter.KEYWORD_ONLY else options).append(parameter)
        cls._of_calls = frozenset(parameter.name for parameter in of_calls)
        # What `help` and `inspect.signature` show, and what the constructor is checked against.
        cls.__signature__ = inspect.Signature(options)
        shown = ", ".join(str(parameter).split(":")[0] for parameter in of_calls)
        summary = (function.__doc__ or "").partition("\n")[0]
        cls.__doc__ = (
            f"{summary}\n\nCalled with ({shown}). Formula, options, shapes and errors: "
            f"`limbeck.objectives.{function.__name__}`."
        )

    def __init__(self, **options: Any) -> None:
        super().__init__()
        name = type(self).__name__
        if not self._of_calls:
            raise TypeError("Objective has no function: use one of its subclasses")
        if early := sorted(self._of_calls.intersection(options)):
            raise TypeError(f"{name}: {', '.join(early)} belongs in the call, not in the constructor")
        try:
            bound = self.__signature__.bind(**options)
        except TypeError as error:
            known = ", ".join(self.__signature__.parameters)
            raise TypeError(f"{name}: {error}; its options are {known or 'none'}") from None
        bound.apply_defaults()
        self.options = {key: value for key, value in bound.arguments.items() if key not in self._buffers_of}
        for key in self._buffers_of:
            self.register_buffer(key, bound.arguments[key])

    def forward(self, *tensors: Tensor | None, **more: Tensor | None) -> Tensor:
        """The value of the function: its docstring says of which tensors."""
        value: Tensor = self._value(*tensors, **more)
        return value

    def extra_repr(self) -> str:
        return ", ".join(f"{key}={value!r}" for key, value in self.options.items())

    def _value(self, *tensors: Tensor | None, **more: Tensor | None) -> Any:
        constant = {key: getattr(self, key) for key in self._buffers_of}
        return type(self).function(*tensors, **constant, **self.options, **more)


# fmt: off
class CenterLoss(Objective, function=objectives.center_loss): ...
class ContrastiveContrast(Objective, function=objectives.contrastive_contrast): ...
class ContrastiveLoss(Objective, function=objectives.contrastive_loss): ...
class ContrastiveTightness(Objective, function=objectives.contrastive_tightness): ...
class CrossEntropy(Objective, function=objectives.cross_entropy): ...
class CrossPredictionAlignment(Objective, function=objectives.cross_prediction_alignment): ...
class Fairness(Objective, function=objectives.fairness): ...
class GaussianKLToPrior(Objective, function=objectives.gaussian_kl_to_prior): ...
class JSDivergence(Objective, function=objectives.js_divergence): ...
class JensenShannonInformation(Objective, function=objectives.jensen_shannon_information): ...
class KLDivergence(Objective, function=objectives.kl_divergence): ...
class KernelInformation(Objective, function=objectives.kernel_information): ...
class LaplacianPyramidL1(Objective, function=objectives.laplacian_pyramid_l1): ...
class LovaszSoftmax(Objective, function=objectives.lovasz_softmax): ...
class MV2D(Objective, function=objectives.mv2d): ...
class MeanNeighbourEntropy(Objective, function=objectives.mean_neighbour_entropy): ...
class MultiClassFocal(Objective, function=objectives.multi_class_focal, buffers=("alpha",)): ...
class MultiSimilarityContrast(Objective, function=objectives.multi_similarity_contrast): ...
class MultiSimilarityLoss(Objective, function=objectives.multi_similarity_loss): ...
class MultiSimilarityTightness(Objective, function=objectives.multi_similarity_tightness): ...
class MutualLearning(Objective, function=objectives.mutual_learning): ...
class NCA(Objective, function=objectives.nca): ...
class PairwiseCrossEntropy(Objective, function=objectives.pairwise_cross_entropy): ...
class PairwiseCrossEntropyContrast(Objective, function=objectives.pairwise_cross_entropy_contrast): ...
class PairwiseCrossEntropyTightness(Objective, function=objectives.pairwise_cross_entropy_tightness): ...
class PrototypeContrast(Objective, function=objectives.prototype_contrast): ...
class ProxyAnchor(Objective, function=objectives.proxy_anchor): ...
class ProxyNCA(Objective, function=objectives.proxy_nca): ...
class ReconstructionLoss(Objective, function=objectives.reconstruction_loss): ...
class Released2021Divergence(Objective, function=objectives.released_2021_divergence): ...
class SNCA(Objective, function=objectives.snca): ...
class SNCAContrast(Objective, function=objectives.snca_contrast): ...
class SNCATightness(Objective, function=objectives.snca_tightness): ...
class Sharpness(Objective, function=objectives.sharpness): ...
class SimplifiedPairwiseCrossEntropy(Objective, function=objectives.simplified_pairwise_cross_entropy): ...
class SupervisedContrastiveLoss(Objective, function=objectives.supervised_contrastive_loss): ...
class SymmetricKL(Objective, function=objectives.symmetric_kl): ...
class TripletLoss(Objective, function=objectives.triplet_loss): ...
class VCD(Objective, function=objectives.vcd): ...
class VMD(Objective, function=objectives.vmd): ...
class VSD(Objective, function=objectives.vsd): ...
class WeightDecayedCrossEntropyBound(Objective, function=objectives.weight_decayed_cross_entropy_bound): ...
# fmt: on


class RankedListLoss(Objective, function=objectives.ranked_list_loss):
    def forward(self, *tensors: Tensor | None, **more: Tensor | None) -> Tensor:
        """The loss alone, (...): `RankedList.loss`, without each anchor's and which anchors were valid."""
        loss: Tensor = self._value(*tensors, **more).loss
        return loss
