"""The network: per view an encoder, a bottleneck and two heads; over all views one joint head."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from limbeck.multiview.recipe import Recipe
from limbeck.multiview.tensors import Batch
from limbeck.multiview.view_dropout import ViewDropout
from limbeck.nn import (
    AdditiveHead,
    Bottleneck,
    Gaussian,
    PairwiseHead,
    SparseRows,
    StackedBatchNorm,
    StackedDropout,
    StackedLinear,
    StackedSparseLinear,
)


@dataclass(frozen=True)
class ViewShape:
    """How wide a view is, and whether it is sparse."""

    features: int
    sparse: bool = False


@dataclass(frozen=True)
class Predictions:
    """Everything the objectives need, for one batch. Leading dimensions: models, views, batch.

    Attributes:
        observations: v, (models, views, batch, features).
        representations: z, the same; the observations themselves where there is no bottleneck.
        observation_logits: (models, views, batch, classes), from v alone.
        representation_logits: (models, views, batch, classes), from z alone.
        joint_logits: (models, batch, classes), from the representations of all present views.
        leave_one_out_logits: (models, views, batch, classes), from all present views but one.
        distribution: the Gaussian that z is drawn from, None where there is no bottleneck.
        dropped_joint_logits: (models, batch, classes), from the views that view dropout leaves; None where it is not at
            work.
    """

    observations: Tensor
    representations: Tensor
    observation_logits: Tensor
    representation_logits: Tensor
    joint_logits: Tensor
    leave_one_out_logits: Tensor
    distribution: Gaussian | None
    dropped_joint_logits: Tensor | None = None


class ViewScaler(nn.Module):
    """Scale the features of one view with numbers that were measured on each model's training split.

    Dense: (x - mean) * factor, clipped; with `fill` an empty cell becomes 0, the mean. Sparse: values * factor, with
    one factor per model, so that zeros stay zeros.

    Shapes: dense (models, batch, features), or `SparseRows` of all models one after the other.
    """

    mean: Tensor
    factor: Tensor

    def __init__(self, shape: ViewShape, clip: float, *, models: int, fill: bool = False) -> None:
        super().__init__()
        # No feature is above what float32 holds.
        self.clip, self.fill = (float(clip) if clip < torch.finfo(torch.float32).max else math.inf), fill
        width = 1 if shape.sparse else shape.features
        self.register_buffer("mean", torch.zeros(models, width))
        self.register_buffer("factor", torch.ones(models, width))

    def forward(self, view: Tensor) -> Tensor:
        offset = -self.mean * self.factor
        scaled = torch.addcmul(offset.unsqueeze(1), view, self.factor.unsqueeze(1)).clamp_(-self.clip, self.clip)
        return torch.nan_to_num_(scaled, nan=0.0) if self.fill else scaled

    def scale_rows(self, rows: SparseRows) -> SparseRows:
        models = len(self.factor)
        entries = torch.diff(
            rows.starts[:: len(rows.starts) // models], append=rows.starts.new_tensor([len(rows.values)])
        )
        values = rows.values * self.factor.flatten().repeat_interleave(entries)
        return rows._replace(values=values.clamp(-self.clip, self.clip))


class MultiViewNetwork(nn.Module):
    """`models` independent networks that are called together; see `Recipe` for what the parts are.

    Args:
        shapes: width and kind of each view.
        classes: number of classes.
        recipe: widths, dropout, normalisation.
        seeds: one integer per model; a model's initial weights and random draws depend on its own seed alone.
        device: where the parameters and the random draws live; "meta" inside that context: shapes alone.
    """

    def __init__(
        self,
        shapes: Sequence[ViewShape],
        classes: int,
        recipe: Recipe,
        *,
        seeds: Sequence[int] = (0,),
        device: torch.device | None = None,
    ) -> None:
        super().__init__()
        self.models = models = len(seeds)
        stack = (models, len(shapes))
        first, *following = recipe.encoder
        # A bias before batch normalisation has no gradient but rounding noise, which Adam would blow up to full steps.
        biased = recipe.normalization == "none"
        self.scalers = nn.ModuleList(
            ViewScaler(shape, recipe.clip, models=models, fill=recipe.missing_cells == "mean") for shape in shapes
        )
        self.inputs = nn.ModuleList(
            (StackedSparseLinear if shape.sparse else StackedLinear)(
                shape.features, first, stack=(models,), bias=biased
            )
            for shape in shapes
        )
        self.encoder = nn.ModuleList(
            StackedLinear(width, after, stack=stack, bias=biased)
            for width, after in zip(recipe.encoder, following, strict=False)
        )
        self.norms = nn.ModuleList(
            StackedBatchNorm(width, stack=stack) if recipe.normalization == "batch" else nn.Identity()
            for width in recipe.encoder
        )
        self.dropout = StackedDropout(recipe.dropout)
        width = recipe.encoder[-1]
        self.observation_head = StackedLinear(width, classes, stack=stack)
        self.bottleneck = None
        self.representation_head = None
        if recipe.bottleneck:
            self.bottleneck = Bottleneck(
                width,
                hidden=recipe.bottleneck_hidden,
                features=recipe.representation,
                stochastic=recipe.stochastic or recipe.objective == "cib",
                stack=stack,
            )
            width = recipe.representation
            self.representation_head = StackedLinear(width, classes, stack=stack)
        self.joint_head: AdditiveHead = (
            PairwiseHead(width, classes, len(shapes), rank=recipe.interaction_rank, stack=(models,))
            if recipe.joint_head == "pairwise"
            else AdditiveHead(width, classes, len(shapes), stack=(models,))
        )
        self.view_dropout = ViewDropout(recipe.view_dropout, recipe.view_dropout_sampling)
        if device is None or device.type != "meta":  # there is nothing to draw without memory
            self._seed(seeds, device or torch.device("cpu"))

    def _seed(self, seeds: Sequence[int], device: torch.device) -> None:
        initial = [torch.Generator().manual_seed(seed) for seed in seeds]
        for module in self.modules():
            if isinstance(module, StackedLinear):
                module.reset_parameters(initial)
        self.to(device)
        draws = [torch.Generator(device).manual_seed(seed) for seed in seeds]
        for module in self.modules():
            if isinstance(module, (StackedDropout, Bottleneck, ViewDropout)):
                module.generators = draws

    def _first_layer(self, batch: Batch) -> Tensor:
        """The encoders' first layer, the only one whose input width differs between views.

        Returns (models, views, batch, features).
        """
        outputs = []
        for scaler, layer, view in zip(self.scalers, self.inputs, batch.views, strict=True):
            assert isinstance(scaler, ViewScaler)
            if isinstance(view, SparseRows):
                assert isinstance(layer, StackedSparseLinear)
                outputs.append(layer.forward_rows(scaler.scale_rows(view)))
            else:
                outputs.append(layer(scaler(view)))
        return torch.stack(outputs, dim=1)

    def forward(self, batch: Batch) -> Predictions:
        hidden = self._first_layer(batch)
        for position, norm in enumerate(self.norms):
            if position:
                hidden = self.encoder[position - 1](hidden)
            hidden = norm(hidden, batch.present) if isinstance(norm, StackedBatchNorm) else norm(hidden)
            hidden = self.dropout(hidden.relu())
        observation_logits = self.observation_head(hidden)
        distribution, representations, representation_logits = None, hidden, observation_logits
        if self.bottleneck is not None and self.representation_head is not None:
            distribution = self.bottleneck.distribution(hidden)
            representations = self.bottleneck.sample(distribution)
            representation_logits = self.representation_head(representations)
        terms = self.joint_head.terms(representations, batch.present)
        prediction = self.joint_head.combine(terms, batch.present)
        dropped = None
        if self.view_dropout.active:
            present = terms.new_ones(terms.shape[:-1], dtype=torch.bool) if batch.present is None else batch.present
            dropped = self.joint_head.joint(torch.where(self.view_dropout(present).unsqueeze(-1), terms, 0.0))
        return Predictions(
            observations=hidden,
            representations=representations,
            observation_logits=observation_logits,
            representation_logits=representation_logits,
            joint_logits=prediction.joint,
            leave_one_out_logits=prediction.leave_one_out,
            distribution=distribution,
            dropped_joint_logits=dropped,
        )

    @classmethod
    def side_by_side(
        cls, networks: Sequence[MultiViewNetwork], shapes: Sequence[ViewShape], classes: int, recipe: Recipe
    ) -> MultiViewNetwork:
        """Networks of the same shapes, classes and recipe as one, in evaluation mode."""
        states = [network.state_dict() for network in networks]
        count = sum(network.models for network in networks)
        device = next(networks[0].parameters()).device
        joined = cls(shapes, classes, recipe, seeds=range(count), device=device)
        joined.load_state_dict({name: torch.cat([state[name] for state in states]) for name in states[0]})
        return joined.eval()

    def model_state(self, model: int) -> dict[str, Tensor]:
        """A copy of one model's parameters and buffers, shaped like the state of a network with that model alone."""
        return {name: tensor[model : model + 1].clone() for name, tensor in self.state_dict().items()}

    def keep_models(self, models: list[int]) -> None:
        """Drop all models but these, in place: parameters, buffers and generators."""
        self.models = len(models)
        for module in self.modules():
            for tensor in (*module.parameters(recurse=False), *module.buffers(recurse=False)):
                tensor.data = tensor.data[models].contiguous()
                tensor.grad = None
            if isinstance(module, (StackedDropout, Bottleneck, ViewDropout)) and module.generators is not None:
                module.generators = [module.generators[model] for model in models]
            if isinstance(module, StackedLinear):
                module.stack = (len(models), *module.stack[1:])
