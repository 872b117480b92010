"""Training: one loop for one network or for a whole stack of them, each on its own fold of the same samples."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from torch import Tensor
from torch.nn import functional as F

from limbeck.devices import check_device
from limbeck.errors import InputError
from limbeck.multiview.loss import training_loss
from limbeck.multiview.network import MultiViewNetwork, Predictions, ViewScaler, ViewShape
from limbeck.multiview.recipe import Recipe
from limbeck.multiview.scaling import moments
from limbeck.multiview.tensors import TensorViews
from limbeck.multiview.views import Matrix, Views
from limbeck.nn import StackedLinear, StackedSparseLinear
from limbeck.training.guard import check_terms
from limbeck.training.selection import improves
from limbeck.training.settings import learning_rate
from limbeck.training.steps import make_optimizer

if TYPE_CHECKING:
    from limbeck.nn.row_adam import RowAdamW

# Rows a forward pass without gradients takes at once, so that memory does not grow with the number of samples.
PREDICTION_BATCH = 1024


@dataclass(frozen=True)
class Fold:
    """Which samples one model learns from, and which it is stopped and calibrated by (possibly none)."""

    training: NDArray[np.int64]
    validation: NDArray[np.int64]


@dataclass(frozen=True)
class Epoch:
    """What one model did in one epoch.

    Attributes:
        loss: mean training loss.
        ranked: share of anchors that had a positive in their batch; NaN without the ranked list loss.
        validation_accuracy: of the joint prediction, in [0, 1]; NaN without a validation split, and before the last
            epoch where it selects nothing.
        learning_rate: of the optimiser.
    """

    loss: float
    ranked: float
    validation_accuracy: float
    learning_rate: float


@dataclass
class Trained:
    """One trained model.

    Attributes:
        leave_one_out_temperature: one a view: like `temperature`, for the prediction without that view.
        network: with this model alone, in evaluation mode, at its best epoch.
        temperature: divides the joint logits so that probabilities are calibrated on the validation split; 1 without
            one.
        history: one entry per epoch.
        best_epoch: position in `history` of the epoch whose weights were kept.
        interrupted: whether Ctrl-C ended the training early.
    """

    network: MultiViewNetwork
    temperature: float = 1.0
    leave_one_out_temperature: list[float] = field(default_factory=list)
    history: list[Epoch] = field(default_factory=list)
    best_epoch: int = -1
    interrupted: bool = False

    @property
    def device(self) -> torch.device:
        return next(self.network.parameters()).device


EpochProgress = Callable[[int, Sequence[Epoch]], None]


@dataclass(frozen=True)
class EpochState:
    """A stack of models between two epochs.

    Attributes:
        epoch: epochs done; 0 before the first step.
        step: steps done.
        network: the models that still learn, and those that have just ended, in evaluation mode.
        models: which these are, in the order of the network: positions among the folds given to `train`.
        ended: of each, whether this was its last epoch.
    """

    epoch: int
    step: int
    network: MultiViewNetwork
    models: tuple[int, ...]
    ended: tuple[bool, ...]


Callback = Callable[[EpochState], None]


def train(
    views: Views,
    labels: NDArray[np.int64],
    folds: Sequence[Fold],
    recipe: Recipe,
    *,
    classes: int,
    seeds: Sequence[int],
    sample_weight: NDArray[np.float32] | None = None,
    device: str | torch.device = "cpu",
    select: bool = True,
    progress: EpochProgress | None = None,
    callback: Callback | None = None,
) -> list[Trained]:
    """Train one model per fold, all of them side by side in one batched program.

    What becomes of a model depends on its fold, its seed and the recipe, not on the models beside it. All models step
    together; one with fewer samples gets empty places at the end of an epoch, and one that stops early leaves the rest.

    Args:
        views: all samples of all folds.
        labels: (samples,) in [0, classes).
        folds: which samples each model uses.
        recipe: everything else that decides the result.
        classes: number of classes.
        seeds: one a fold.
        sample_weight: (samples,), default 1.
        device: where to train.
        select: whether a model stops, and keeps the weights of the epoch, by its validation split. Otherwise it learns
            for all epochs and keeps the last, and its validation split stays unseen but for the temperatures and the
            accuracy after the last epoch.
        progress: called after every epoch with its number and every model's `Epoch`.
        callback: called before the first step and after every epoch with the networks as they are then, which it must
            not change; of folds of differing length one group of equally many steps after the other.

    Raises:
        InputError: a fold has no training samples, or the device is not there.
        Diverged: the loss is infinite or NaN.
    """
    for fold in folds:
        if len(fold.training) == 0:
            raise InputError("there are no training samples")
    usable_device = check_device(device)
    # Models that step together must have the same number of steps an epoch.
    groups: dict[int, list[int]] = {}
    for model, fold in enumerate(folds):
        groups.setdefault(-(-len(fold.training) // recipe.batch_size), []).append(model)
    results: dict[int, Trained] = {}
    for members in groups.values():
        trained = _train_together(
            views,
            labels,
            [folds[model] for model in members],
            recipe,
            classes=classes,
            seeds=[seeds[model] for model in members],
            sample_weight=sample_weight,
            device=usable_device,
            select=select,
            progress=progress,
            callback=None if callback is None else _renumbered(callback, members),
        )
        results.update(zip(members, trained, strict=True))
        if trained[0].interrupted and len(results) < len(folds):
            raise KeyboardInterrupt  # the others never began
    return [results[model] for model in range(len(folds))]


def _renumbered(callback: Callback, members: Sequence[int]) -> Callback:
    """A callback of a group, which tells another of it with the positions that these models have among all."""
    return lambda moment: callback(replace(moment, models=tuple(members[model] for model in moment.models)))


def _train_together(
    views: Views,
    labels: NDArray[np.int64],
    folds: Sequence[Fold],
    recipe: Recipe,
    *,
    classes: int,
    seeds: Sequence[int],
    sample_weight: NDArray[np.float32] | None,
    device: torch.device,
    select: bool,
    progress: EpochProgress | None,
    callback: Callback | None,
) -> list[Trained]:
    used = [position for position, matrix in enumerate(views.matrices) if matrix is not None]
    shapes = view_shapes(views)
    network = MultiViewNetwork(shapes, classes, recipe, seeds=seeds, device=device)
    if recipe.scaling == "standard":
        for scaler, position in zip(network.scalers, used, strict=True):
            assert isinstance(scaler, ViewScaler)
            matrix = views.matrices[position]
            assert matrix is not None
            for model, fold in enumerate(folds):
                _fit_scaler(scaler, model, matrix, fold.training[views.present[position][fold.training]])
    data = TensorViews(views, device)
    loop = _Loop(network, data, torch.from_numpy(labels).to(device), folds, recipe, seeds, sample_weight, select)
    interrupted = False
    try:
        loop.run(progress, callback)
    except KeyboardInterrupt:
        if not loop.histories[0]:
            raise
        interrupted = True
    results = []
    for model, fold in enumerate(folds):
        single = MultiViewNetwork(shapes, classes, recipe, device=device)
        single.load_state_dict(loop.state(model))
        single.eval()
        trained = Trained(
            single, history=loop.histories[model], best_epoch=loop.best_epoch[model], interrupted=interrupted
        )
        _calibrate(trained, data, fold.validation, labels[fold.validation])
        results.append(trained)
    return results


def _calibrate(trained: Trained, data: TensorViews, samples: NDArray[np.int64], labels: NDArray[np.int64]) -> None:
    """Fit the temperatures on the validation split, where there is one."""
    trained.leave_one_out_temperature = [1.0] * len(trained.network.inputs)
    if len(samples) == 0:
        return
    batches = list(predict(trained.network, data, samples))
    trained.temperature = fit_temperature(gather(batches, "joint_logits"), labels)
    trained.leave_one_out_temperature = [
        fit_temperature(logits, labels) for logits in gather(batches, "leave_one_out_logits")
    ]


def view_shapes(views: Views) -> list[ViewShape]:
    """Width and kind of each view that some sample has."""
    return [ViewShape(m.shape[1], not isinstance(m, np.ndarray)) for m in views.matrices if m is not None]


@torch.no_grad()
def predict(network: MultiViewNetwork, data: TensorViews, samples: NDArray[np.int64]) -> Iterator[Predictions]:
    """Yield the predictions of every model for the same samples, a batch at a time."""
    network.eval()
    for start in range(0, len(samples), PREDICTION_BATCH):
        rows = torch.from_numpy(samples[start : start + PREDICTION_BATCH]).to(data.device)
        yield network(data.batch(rows.expand(network.models, -1)))


def gather(batches: Iterable[Predictions], name: str, model: int = 0) -> NDArray[np.float32]:
    """One field of what `predict` yields, for one model and all samples: ([views,] samples, features)."""
    return np.concatenate([getattr(batch, name)[model].cpu().numpy() for batch in batches], axis=-2)


def gather_mean(batches: Iterable[Predictions], name: str) -> NDArray[np.float32]:
    """The same, the mean over models."""
    return np.concatenate([getattr(batch, name).mean(dim=0).cpu().numpy() for batch in batches], axis=-2)


def fit_temperature(logits: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
    """The temperature in [0.05, 20] that minimises the cross-entropy (nats) of softmax(logits / temperature).

    Labels are smoothed by 1 / (samples + 2): where all of a few samples are right, plain labels would ask for
    certainty.

    Source: Guo et al. 2017, §4.2; Platt 1999, §2.2, for the smoothing.
    """
    # Called hundreds of times a fit, of few samples: in plain NumPy that is several times as fast as by the objective.
    scores = logits.astype(np.float64)
    scores -= scores.max(axis=1, keepdims=True)
    smoothing = 1 / (len(labels) + 2)
    target = (1 - smoothing) * scores[np.arange(len(labels)), labels].mean() + smoothing * scores.mean()

    def loss(log_temperature: float) -> float:
        sharpness = np.exp(-log_temperature)
        return float(np.log(np.exp(scores * sharpness).sum(axis=1)).mean() - sharpness * target)

    return float(np.exp(minimize_scalar(loss, bounds=np.log([0.05, 20.0]), method="bounded").x))


class _Loop:
    """The state of a training run: what is known of every model so far."""

    def __init__(
        self,
        network: MultiViewNetwork,
        data: TensorViews,
        labels: Tensor,
        folds: Sequence[Fold],
        recipe: Recipe,
        seeds: Sequence[int],
        sample_weight: NDArray[np.float32] | None,
        select: bool,
    ) -> None:
        self.select = select
        self.network, self.data, self.labels, self.recipe = network, data, labels, recipe
        device = data.device
        self.training = [torch.from_numpy(fold.training) for fold in folds]
        self.validation = [torch.from_numpy(fold.validation).to(device) for fold in folds]
        self.shuffles = [torch.Generator().manual_seed(seed) for seed in seeds]
        self.weight = None if sample_weight is None else torch.from_numpy(sample_weight).to(device)
        # Weights of sparse views have one of their own, which is told all that the other is.
        self.rows = _row_optimizer(network, recipe, device)
        self.optimizer = make_optimizer(
            "adamw",
            _parameter_groups(network, recipe.weight_decay, apart=self.rows is not None),
            device,
            learning_rate=recipe.learning_rate,
            betas=recipe.betas,
        )
        self.steps_per_epoch = -(-max(len(samples) for samples in self.training) // recipe.batch_size)
        models = len(folds)
        self.active = list(range(models))  # which models the network still holds, in its order
        self.histories: list[list[Epoch]] = [[] for _ in range(models)]
        self.snapshots: dict[int, dict[str, Tensor]] = {}
        self.best_epoch = [-1] * models
        self.best_accuracy: list[float | None] = [None] * models
        self.last_gain = [0] * models  # the epoch of the last strict improvement
        self.first_decay = min(recipe.milestones, default=0)
        self.stopped = [False] * models

    def run(self, progress: EpochProgress | None, callback: Callback | None) -> None:
        try:
            self._run(progress, callback)
        finally:
            if self.rows is not None:
                self.rows.release()

    def _run(self, progress: EpochProgress | None, callback: Callback | None) -> None:
        self._show(callback, 0)
        for epoch in range(self.recipe.epochs):
            rate = learning_rate(self.recipe, epoch * self.steps_per_epoch, self.steps_per_epoch)
            for group in self.optimizer.param_groups:
                group["lr"] = rate
            if self.rows is not None:
                self.rows.learning_rate = rate
            loss, ranked = self._train_epoch()
            deciding = self.select or epoch + 1 == self.recipe.epochs
            accuracy = self._validation_accuracies() if deciding else [float("nan")] * len(self.active)
            entries = [Epoch(*values, rate) for values in zip(loss, ranked, accuracy, strict=True)]
            for slot, entry in enumerate(entries):
                self._keep(slot, entry, epoch)
            if progress is not None:
                progress(epoch, entries)
            self._show(callback, epoch + 1)
            going = [slot for slot, model in enumerate(self.active) if not self.stopped[model]]
            if not going:
                break
            if len(going) < len(self.active):
                self._retire_all_but(going)

    def _show(self, callback: Callback | None, epoch: int) -> None:
        if callback is None:
            return
        ended = tuple(epoch == self.recipe.epochs or self.stopped[model] for model in self.active)
        step = epoch * self.steps_per_epoch
        callback(EpochState(epoch, step, self.network.eval(), tuple(self.active), ended))

    def state(self, model: int) -> dict[str, Tensor]:
        """The weights of a model at its best epoch, or as they are."""
        return self.snapshots.get(model) or self.network.model_state(self.active.index(model))

    def _retire_all_but(self, slots: list[int]) -> None:
        """Take the models that have stopped out of the network, so that they cost nothing any more."""
        self.network.keep_models(slots)
        if self.rows is not None:
            self.rows.keep_models(slots)
        for parameter, state in self.optimizer.state.items():
            for name, value in state.items():
                if value.ndim == parameter.ndim:  # a running moment, not the count of steps
                    state[name] = value[slots].contiguous()
        self.active = [self.active[slot] for slot in slots]
        self.training = [self.training[slot] for slot in slots]
        self.validation = [self.validation[slot] for slot in slots]
        self.shuffles = [self.shuffles[slot] for slot in slots]

    def _train_epoch(self) -> tuple[list[float], list[float]]:
        """One pass over every model's training split; mean loss and ranked share of each model."""
        self.network.train()
        losses, shares = [], []
        for samples, usable in self._batches():
            batch = self.data.batch(samples, usable)
            weight = None if self.weight is None else self.weight[samples]
            if usable is not None:
                weight = usable.float() if weight is None else weight * usable
            loss = training_loss(
                self.network(batch), self.labels[samples], self.recipe, present=batch.present, weight=weight
            )
            self.optimizer.zero_grad()
            loss.total.sum().backward()
            self.optimizer.step()
            if self.rows is not None:
                self.rows.step()
            losses.append(loss.total.detach())
            shares.append(loss.ranked)
        if self.rows is not None:
            self.rows.settle()
        loss_of_steps = torch.stack(losses)
        self._check(loss_of_steps)
        return loss_of_steps.mean(dim=0).tolist(), torch.stack(shares).mean(dim=0).tolist()

    def _check(self, losses: Tensor) -> None:
        """Stop where a loss (steps, models) is not finite; once an epoch, so that no step waits for the device."""
        bad = losses.isfinite().all(dim=1).logical_not().nonzero()
        if len(bad):
            first, taken = int(bad[0]), len(self.histories[self.active[0]]) * self.steps_per_epoch
            values = zip(self.active, losses[first].tolist(), strict=True)
            terms = {f"total of model {model}": value for model, value in values}
            remedy = "lower learning_rate or scale the views"
            check_terms(terms, self.network, None, step=taken + first + 1, remedy=remedy)

    def _batches(self) -> Iterator[tuple[Tensor, Tensor | None]]:
        """Yield each batch's samples (models, batch) and which places are not padding; None where none is.

        The last batch is padded to full size, so that a model draws the same dropout alone as in a stack.
        """
        orders = [
            samples[torch.randperm(len(samples), generator=generator)]
            for samples, generator in zip(self.training, self.shuffles, strict=True)
        ]
        size, device = self.recipe.batch_size, self.data.device
        order, valid = _pad(orders)
        room = (0, -order.shape[1] % size)
        order, valid = F.pad(order, room), F.pad(valid, room)
        for samples, usable in zip(order.split(size, dim=1), valid.split(size, dim=1), strict=True):
            yield samples.to(device), None if usable.all() else usable.to(device)

    @torch.no_grad()
    def _validation_accuracies(self) -> list[float]:
        """Accuracy of each model's joint prediction on its own validation split; NaN where it has none."""
        self.network.eval()
        lengths = [len(samples) for samples in self.validation]
        samples, valid = _pad(self.validation)
        hits = torch.zeros(self.network.models, device=self.data.device)
        for start in range(0, max(lengths), PREDICTION_BATCH):
            rows = samples[:, start : start + PREDICTION_BATCH]
            correct = self.network(self.data.batch(rows)).joint_logits.argmax(dim=-1) == self.labels[rows]
            hits += (correct & valid[:, start : start + PREDICTION_BATCH]).sum(dim=1)
        return [hit / length if length else float("nan") for hit, length in zip(hits.tolist(), lengths, strict=True)]

    def _keep(self, slot: int, entry: Epoch, epoch: int) -> None:
        """Record an epoch; remember its weights if it is the best so far. Ties go to the later epoch."""
        model = self.active[slot]
        self.histories[model].append(entry)
        if not self.select or np.isnan(entry.validation_accuracy):
            self.best_epoch[model] = epoch  # nothing to choose by: the last epoch it is
            return
        if improves(entry.validation_accuracy, self.best_accuracy[model], ties="latest"):
            if improves(entry.validation_accuracy, self.best_accuracy[model]):
                self.last_gain[model] = epoch
            self.best_accuracy[model] = entry.validation_accuracy
            self.best_epoch[model] = epoch
            self.snapshots[model] = self.network.model_state(slot)
        patience = self.recipe.patience
        if patience is not None and epoch - max(self.last_gain[model], self.first_decay) >= patience:
            self.stopped[model] = True


def _pad(parts: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Vectors of differing lengths as one matrix, padded with zeros, and which places are not padding."""
    padded = torch.nn.utils.rnn.pad_sequence(list(parts), batch_first=True)
    lengths = torch.tensor([len(part) for part in parts], device=padded.device)
    return padded, torch.arange(padded.shape[1], device=padded.device) < lengths.unsqueeze(1)


def _row_optimizer(network: MultiViewNetwork, recipe: Recipe, device: torch.device) -> RowAdamW | None:
    """What trains the weights of sparse views on a CPU; elsewhere a pass over all of them costs next to nothing."""
    layers = [layer for layer in network.inputs if isinstance(layer, StackedSparseLinear)]
    if not layers or device.type != "cpu":
        return None
    from limbeck.nn.row_adam import RowAdamW  # noqa: PLC0415 (dense views should not wait for its compiler)

    return RowAdamW(layers, betas=recipe.betas, weight_decay=recipe.weight_decay)


def _parameter_groups(network: MultiViewNetwork, weight_decay: float, *, apart: bool) -> list[dict[str, Any]]:
    """Weight matrices decay; biases and the scales of normalisation do not. Those of sparse views may be apart."""
    weights = {
        id(m.weight): isinstance(m, StackedSparseLinear) for m in network.modules() if isinstance(m, StackedLinear)
    }
    decayed = [p for p in network.parameters() if id(p) in weights and not (apart and weights[id(p)])]
    others = [p for p in network.parameters() if id(p) not in weights]
    return [{"params": decayed, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]


def _fit_scaler(scaler: ViewScaler, model: int, matrix: Matrix, samples: NDArray[np.int64]) -> None:
    """Measure mean and scale of one view on the training samples that have it."""
    if len(samples) == 0:
        return
    rows = matrix[samples]
    if isinstance(rows, np.ndarray):
        mean, deviation = moments(rows)
        # Rounding leaves a constant column with a tiny deviation; it must not be blown up to noise.
        constant = deviation <= 1e-6 * np.abs(mean)
        constant |= deviation < 1e-37  # its factor would not fit into float32
        factor = np.where(constant, 0.0, 1 / np.where(constant, 1.0, deviation))
    else:
        # One factor for the view, so that zeros stay zeros: the mean square of an entry becomes 1.
        mean = np.zeros(1)
        square = float((rows.data.astype(np.float64) ** 2).sum()) / max(rows.nnz, 1)
        factor = np.array([1 / np.sqrt(square) if square > 0 else 0.0])
    scaler.mean[model] = torch.from_numpy(mean)
    scaler.factor[model] = torch.from_numpy(factor)
