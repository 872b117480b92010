r"""AdamW for layers of sparse rows: exact, at the cost of the columns that a batch holds.

A step of AdamW moves every weight, also those whose gradient is zero: the mean of their earlier gradients still pulls,
and they decay. What becomes of a weight over k steps without a gradient is known beforehand, so that it can wait until
its column is met again:

.. math:: w_{t+j} = (1 - \eta_{t+j} \lambda)\, w_{t+j-1} - \frac{\eta_{t+j}}{1 - \beta_1^{t+j}} \cdot
    \frac{\beta_1^j m_t}{\sqrt{\beta_2^j v_t / (1 - \beta_2^{t+j})} + \epsilon}, \quad j = 1 \dots k

and then :math:`m_{t+k} = \beta_1^k m_t`, :math:`v_{t+k} = \beta_2^k v_t`, where t is the step that moved the weight w
last, m and v are the running means of the gradient and of its square, :math:`\beta_1, \beta_2` their decays,
:math:`\eta_s` is the learning rate of step s, :math:`\lambda` the weight decay and :math:`\epsilon` a small number. The
fractions fall about like :math:`(\beta_1 / \sqrt{\beta_2})^j`; where that is below 1, those are left out that lie below
the rounding of the largest (unless the learning rate rises a millionfold in between).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.autograd.function import once_differentiable

from limbeck.jit import jit, jit_elementwise
from limbeck.nn.stacked import SparseRows, StackedSparseLinear

Reals = NDArray[np.floating[Any]]
Integers = NDArray[np.int64]

# Below so many numbers of weights a second thread costs more than it saves.
_WORTH_A_THREAD = 1 << 18


class RowAdamW:
    """AdamW of the weights of `StackedSparseLinear` layers on a CPU: that of torch but for rounding.

    As long as it is attached to the layers, a forward pass brings the rows of the columns in its batch up to date, a
    backward pass notes what their gradient is made of and leaves `weight.grad` alone, and `step` moves these rows only.
    All others lag behind until `settle`, which must be called before anything but a forward pass reads the weights.
    Biases are left to another optimiser.

    Args:
        layers: whose weights are trained; on the CPU, float32 or float64.
        betas: decays of the running means of gradients and of their squares, in [0, 1).
        weight_decay: decoupled.
        epsilon: added to the root of the mean square.

    Attributes:
        learning_rate: of the next step.
        steps: how many were taken.

    Raises:
        ValueError: a layer's weights are elsewhere or of another type.

    Source: Loshchilov and Hutter 2019, algorithm 2; the steps of a row without a gradient are put off.
    """

    def __init__(
        self,
        layers: Sequence[StackedSparseLinear],
        *,
        betas: tuple[float, float],
        weight_decay: float = 0.0,
        epsilon: float = 1e-8,
    ) -> None:
        for layer in layers:
            weight = layer.weight
            if weight.device.type != "cpu" or weight.dtype not in (torch.float32, torch.float64):
                raise ValueError(f"layers must be on the CPU, float32 or float64, not {weight.device}, {weight.dtype}")
        self.betas, self.weight_decay, self.epsilon = betas, weight_decay, epsilon
        self.learning_rate = 0.0
        self.steps = 0
        # Of step s: eta / (1 - beta_1^s), 1 / sqrt(1 - beta_2^s), 1 - eta lambda.
        self._course = np.zeros((1024, 3))
        self._layers = [_Layer(layer, self) for layer in layers]

    @cached_property
    def pool(self) -> ThreadPoolExecutor:
        """Threads for the compiled loops, which release the interpreter's lock."""
        return ThreadPoolExecutor(torch.get_num_threads())

    @property
    def rule(self) -> _Rule:
        """What the compiled loops have to know."""
        return _Rule(*self.betas, self.epsilon, self.weight_decay != 0, self.steps, self._course)

    def step(self) -> None:
        """Move the rows whose gradient the last backward pass has noted; to all others it is a step to catch up."""
        if self.steps + 1 == len(self._course):
            self._course = np.concatenate([self._course, np.zeros_like(self._course)])
        self.steps += 1
        beta1, beta2 = self.betas
        self._course[self.steps] = (
            self.learning_rate / (1 - beta1**self.steps),
            1 / math.sqrt(1 - beta2**self.steps),
            1 - self.learning_rate * self.weight_decay,
        )
        for layer in self._layers:
            layer.step()

    def zero_grad(self) -> None:
        """Forget what the last backward pass has noted."""
        for layer in self._layers:
            layer.gradient = None

    def settle(self) -> None:
        """Bring all rows up to date."""
        for layer in self._layers:
            layer.settle()

    def release(self) -> None:
        """Bring all rows up to date and leave the layers to themselves."""
        for layer in self._layers:
            layer.settle()
            layer.release()
        self._layers = []

    def keep_models(self, models: list[int]) -> None:
        """Drop the running means of all models but these, after `MultiViewNetwork.keep_models` dropped the weights."""
        for layer in self._layers:
            layer.keep_models(models)


class _Rule(NamedTuple):
    """Numbers of AdamW.

    Attributes:
        decays: whether there is a weight decay.
        now: steps taken.
        course: one row a step, see `RowAdamW`.
    """

    beta1: float
    beta2: float
    epsilon: float
    decays: bool
    now: int
    course: NDArray[np.float64]


class _Entries(NamedTuple):
    """The entries of a batch, column after column.

    Attributes:
        columns: `(columns,)` those that have entries: model * features + column.
        bounds: `(columns + 1,)` where the entries of each begin and end.
        rows: `(entries,)` the row of each: model * batch + row.
        values: `(entries,)` the entries.
    """

    columns: Integers
    bounds: Integers
    rows: Integers
    values: Reals


class _Table(NamedTuple):
    """Weights and running means of all models, each (models * features, out_features), in the memory of the tensors."""

    weight: Reals
    mean: Reals
    square: Reals


class _Layer:
    """The running means of one layer, and which step each row has come to.

    Attributes:
        gradient: entries of a batch and the gradient of the layer's output for it: their product is that of the weight.
    """

    def __init__(self, layer: StackedSparseLinear, optimizer: RowAdamW) -> None:
        self._layer, self._optimizer = layer, optimizer
        self._mean = torch.zeros_like(layer.weight, requires_grad=False)
        self._square = torch.zeros_like(self._mean)
        # 0: never had a gradient.
        self._last = np.zeros((layer.stack[0], layer.in_features), np.int64)
        self.gradient: tuple[_Entries, Tensor] | None = None
        layer.product = self.product

    def product(self, rows: SparseRows) -> Tensor:
        """The rows times the weights as they are after all steps, (models * batch, out_features)."""
        if rows.values.requires_grad:
            raise ValueError("values of sparse rows must not require a gradient: RowAdamW passes none on to them")
        models, features, _ = self._layer.weight.shape
        batch, values = len(rows.starts) // models, rows.values.to(self._layer.weight.dtype)
        entries = _Entries(
            *_by_column(rows.columns.numpy(), values.numpy(), rows.starts.numpy(), batch, features, models)
        )
        outputs: Tensor = _Product.apply(self._layer.weight, self, entries, len(rows.starts))  # type: ignore[no-untyped-call]
        return outputs

    def multiply(self, entries: _Entries, rows: int) -> Tensor:
        """Bring the columns of the entries up to date, and multiply."""
        outputs = torch.zeros(rows, self._layer.out_features, dtype=self._layer.weight.dtype)
        table, last, rule, array = self._table(), self._last.reshape(-1), self._optimizer.rule, outputs.numpy()
        self._come_to_now(
            entries.columns, lambda low, high: _settle_and_multiply(table, last, rule, entries, array, low, high)
        )
        return outputs

    def step(self) -> None:
        """Move the weights of the columns that the gradient has entries of."""
        if self.gradient is None:
            return
        entries, array = self.gradient[0], self.gradient[1].contiguous().numpy()
        table, rule = self._table(), self._optimizer.rule
        self.gradient = None
        self._come_to_now(entries.columns, lambda low, high: _step(table, rule, entries, array, low, high))

    def settle(self) -> None:
        """Bring all columns up to date."""
        table, last, rule = self._table(), self._last.reshape(-1), self._optimizer.rule
        late = np.flatnonzero((last < rule.now) & ((last > 0) | rule.decays))
        self._come_to_now(late, lambda low, high: _settle(table, last, rule, late, low, high))

    def release(self) -> None:
        self._layer.product = None

    def keep_models(self, models: list[int]) -> None:
        self._mean, self._square, self._last = self._mean[models], self._square[models], self._last[models]

    def _table(self) -> _Table:
        weight, mean, square = self._layer.weight.detach(), self._mean, self._square
        return _Table(weight.flatten(0, 1).numpy(), mean.flatten(0, 1).numpy(), square.flatten(0, 1).numpy())

    def _come_to_now(self, columns: Integers, work: Callable[[int, int], None]) -> None:
        """Call `work(low, high)`, which brings the columns to this step, in threads with outputs of their own.

        The result does not depend on how many there are.
        """
        width = self._layer.out_features
        threads = min(torch.get_num_threads(), 1 + len(columns) * width // _WORTH_A_THREAD, width)
        bounds = np.linspace(0, width, threads + 1).astype(int).tolist()
        # Ctrl-C is felt when a compiled loop has returned, or while others still run: what is under way is finished.
        started: list[Future[None]] = []
        try:
            if threads == 1:
                work(0, width)
            else:
                started += [self._optimizer.pool.submit(work, *part) for part in itertools.pairwise(bounds)]
                for part in started:
                    part.result()
        finally:
            wait(started)
            self._last.reshape(-1)[columns] = self._optimizer.steps


class _Product(torch.autograd.Function):
    """The product of a batch with a layer's weights, whose gradient is kept as a product too."""

    @staticmethod
    def forward(ctx: Any, _weight: Tensor, layer: _Layer, entries: _Entries, rows: int) -> Tensor:
        ctx.layer, ctx.entries = layer, entries
        return layer.multiply(entries, rows)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[None, None, None, None]:
        if ctx.layer.gradient is not None:
            raise RuntimeError("a layer of sparse rows under RowAdamW takes one backward pass a step")
        ctx.layer.gradient = (ctx.entries, gradient)
        return None, None, None, None


@jit
def _by_column(
    columns: Integers, values: Reals, starts: Integers, batch: int, features: int, models: int
) -> tuple[Integers, Integers, Integers, Reals]:
    """`_Entries` of `SparseRows`: a counting sort, in which those of one column stay in order."""
    count = np.zeros(models * features, np.int64)
    ends = np.append(starts[1:], len(columns))
    for row in range(len(starts)):
        shift = row // batch * features
        for entry in range(starts[row], ends[row]):
            count[shift + columns[entry]] += 1
    met = np.flatnonzero(count)
    bounds = np.zeros(len(met) + 1, np.int64)
    for place in range(len(met)):
        bounds[place + 1] = bounds[place] + count[met[place]]
        count[met[place]] = bounds[place]  # from here on: where the next entry of the column goes
    rows, sorted_values = np.empty(len(columns), np.int64), np.empty_like(values)
    for row in range(len(starts)):
        shift = row // batch * features
        for entry in range(starts[row], ends[row]):
            place = count[shift + columns[entry]]
            count[shift + columns[entry]] += 1
            rows[place], sorted_values[place] = row, values[entry]
    return met, bounds, rows, sorted_values


@jit_elementwise
def _settle_and_multiply(
    table: _Table, last: Integers, rule: _Rule, entries: _Entries, outputs: Reals, low: int, high: int
) -> None:
    """Bring the columns up to date and add their entries times their weights to the outputs from `low` to `high`."""
    root = np.empty(high - low, outputs.dtype)
    for place in range(len(entries.columns)):
        column = entries.columns[place]
        weight = table.weight[column, low:high]
        if last[column] < rule.now and (last[column] > 0 or rule.decays):
            mean, square = table.mean[column, low:high], table.square[column, low:high]
            _settle_row(weight, mean, square, root, last[column], rule)
        for entry in range(entries.bounds[place], entries.bounds[place + 1]):
            output, value = outputs[entries.rows[entry], low:high], entries.values[entry]
            for f in range(len(weight)):
                output[f] += value * weight[f]


@jit_elementwise
def _settle(table: _Table, last: Integers, rule: _Rule, columns: Integers, low: int, high: int) -> None:
    """Bring the columns up to date, outputs from `low` to `high`."""
    root = np.empty(high - low, table.weight.dtype)
    for column in columns:
        weight, mean = table.weight[column, low:high], table.mean[column, low:high]
        _settle_row(weight, mean, table.square[column, low:high], root, last[column], rule)


@jit_elementwise
def _settle_row(weight: Reals, mean: Reals, square: Reals, root: Reals, last: int, rule: _Rule) -> None:
    """Take the steps after `last` up to now, all without a gradient; `root` is room for as many numbers."""
    # Scalars of the weights' own type, or the loops would run in float64.
    real = weight.dtype.type
    rounding = np.finfo(weight.dtype).eps
    epsilon = real(rule.epsilon)
    falls = rule.beta1 * rule.beta1 < rule.beta2
    for f in range(len(root)):
        root[f] = np.sqrt(square[f])
    mean_factor, root_factor, largest = 1.0, 1.0, 0.0
    step = last
    while step < rule.now:
        mean_factor *= rule.beta1
        root_factor *= math.sqrt(rule.beta2)
        rate, scale = rule.course[step + 1, 0] * mean_factor, rule.course[step + 1, 1] * root_factor
        if falls:
            # rate / scale bounds the fraction, in units of mean / root.
            largest = max(largest, rate / scale)
            if mean_factor == 0 or rate / scale < rounding / 4 * largest:
                break
        step += 1
        factor, divisor, kept = real(rate), real(scale), real(rule.course[step, 2])
        for f in range(len(root)):
            weight[f] = weight[f] * kept - factor * mean[f] / (root[f] * divisor + epsilon)
    if rule.decays and step < rule.now:
        rest = 1.0
        for later in range(step + 1, rule.now + 1):
            rest *= rule.course[later, 2]
        for f in range(len(root)):
            weight[f] *= real(rest)
    # Numbers below the smallest normal one would slow all arithmetic with them down, and say nothing.
    tiny = np.finfo(weight.dtype).tiny / rounding
    mean_factor, square_factor = rule.beta1 ** (rule.now - last), rule.beta2 ** (rule.now - last)
    factor = real(mean_factor if mean_factor > tiny else 0.0)
    divisor = real(square_factor if square_factor > tiny else 0.0)
    for f in range(len(root)):
        mean[f] *= factor
        square[f] *= divisor


@jit_elementwise
def _step(table: _Table, rule: _Rule, entries: _Entries, gradient: Reals, low: int, high: int) -> None:
    """The step of now for columns that are up to date until then; the entries times `gradient` are their gradient."""
    real = gradient.dtype.type
    course = rule.course[rule.now]
    factor, divisor, kept, epsilon = real(course[0]), real(course[1]), real(course[2]), real(rule.epsilon)
    old, new, old_square, new_square = real(rule.beta1), real(1 - rule.beta1), real(rule.beta2), real(1 - rule.beta2)
    total = np.empty(high - low, gradient.dtype)
    for place in range(len(entries.columns)):
        total[:] = 0
        for entry in range(entries.bounds[place], entries.bounds[place + 1]):
            output, value = gradient[entries.rows[entry], low:high], entries.values[entry]
            for f in range(len(total)):
                total[f] += value * output[f]
        column = entries.columns[place]
        weight, mean, square = (
            table.weight[column, low:high],
            table.mean[column, low:high],
            table.square[column, low:high],
        )
        for f in range(len(total)):
            mean[f] = old * mean[f] + new * total[f]
            square[f] = old_square * square[f] + new_square * total[f] * total[f]
        for f in range(len(total)):
            weight[f] = weight[f] * kept - factor * mean[f] / (np.sqrt(square[f]) * divisor + epsilon)
