"""Bounds on mutual information from a critic's scores, and critics trained to make them tight.

A critic T(x, y) scores a pair. Its best scores are those of the density ratio, log p(x, y) / p(x) p(y) (up to a
constant, or a function of x, for some bounds); what a worse critic misses, the bound misses.
"""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise
from typing import Literal, get_args

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.special import logsumexp, ndtri
from torch import Tensor, nn

from limbeck.errors import InputError
from limbeck.information.data_processing import checked, too_low
from limbeck.information.estimates import LEAST_WARNED, Bound, InformationEstimate, estimate_of
from limbeck.information.folds import assign_folds
from limbeck.information.inputs import label_codes, real_matrix, whole_number
from limbeck.nn.stacked import StackedLinear
from limbeck.objectives.bottleneck import jensen_shannon_information

CriticEstimator = Literal["nwj", "dv", "mine", "infonce", "js"]
BOUNDS: dict[CriticEstimator, Bound] = {
    "nwj": "lower",
    "dv": "neither",
    "mine": "neither",
    "infonce": "lower",
    "js": "lower",
}
"""The side on which the held-out figure stands in expectation."""

LEAST_SAMPLES = 40
"""A fold of fewer leaves too little to train, to stop and to evaluate on."""

_HIDDEN, _EMBEDDING, _RATE, _DECAY, _BATCH, _EPOCHS, _PATIENCE = 64, 32, 5e-3, 0.1, 128, 200, 8
_TEMPERATURES = (0.0, 0.1, 0.2, 0.35, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.4, 1.7, 2.0)
_OPTIMISM_TIMES, _LARGE_OPTIMISM, _FEW, _SAMPLES_A_RATIO = 1.5, 0.2, 10, 15
# What neighbours find in halves of the samples varies more than the figure, and is too low.
_REACH_BEYOND = 3
_INNER_SHARE, _LEAST_GAIN, _LARGEST_BLOCK, _KEPT_AVERAGE = 0.2, 1e-3, 1024, 0.9


def nwj(joint_scores: Tensor, product_scores: Tensor) -> Tensor:
    r"""The bound of Nguyen, Wainwright and Jordan, in nats.

    .. math:: I(x; y) \ge E_{p(x, y)}[T] - E_{p(x) p(y)}[e^T] + 1

    where T is the critic's score; tight for :math:`T = \log p(x, y) / p(x) p(y)`. (The paper's critic is T + 1.) On
    samples that T was not fitted to, its expectation is a lower bound at any number of samples. Its variance grows like
    :math:`e^I / n`: above a few nats one figure says little.

    Args:
        joint_scores: (..., pairs) of pairs drawn together, not empty.
        product_scores: (..., pairs) of pairs drawn apart, not empty.

    Returns:
        (...), infinite where the exponential overflows.

    Raises:
        ValueError: one of them is empty.

    Source: Nguyen et al. 2010; Poole et al. 2019, eq. 6; for T from the Jensen-Shannon objective, Poole et al. 2019,
    §2.

    Example:
        >>> nwj(torch.ones(3), torch.zeros(5)).item()
        1.0
    """
    return joint_scores.mean(dim=-1) - _log_mean_exp(joint_scores, product_scores).exp() + 1


def donsker_varadhan(joint_scores: Tensor, product_scores: Tensor) -> Tensor:
    r"""The figure of Donsker and Varadhan, in nats.

    .. math:: I(x; y) \ge E_{p(x, y)}[T] - \log E_{p(x) p(y)}[e^T]

    where T is the critic's score; tight for :math:`T = \log p(x, y) / p(x) p(y)` plus any constant, and never below
    `nwj` of the same scores. It is a bound for the true expectations alone: the logarithm of a sample mean is too low
    on average (Jensen), so that the figure of finitely many samples is too high, by about
    :math:`Var[e^T] / 2 n E[e^T]^2`, and is neither a lower nor an upper bound.

    Args:
        joint_scores: (..., pairs) of pairs drawn together, not empty.
        product_scores: (..., pairs) of pairs drawn apart, not empty.

    Returns:
        (...).

    Raises:
        ValueError: one of them is empty.

    Source: Donsker and Varadhan 1983; Belghazi et al. 2018, eq. 10.

    Example:
        >>> donsker_varadhan(torch.full((3,), 2.0), torch.ones(5)).item()
        1.0
    """
    return joint_scores.mean(dim=-1) - _log_mean_exp(joint_scores, product_scores)


def mine_surrogate(joint_scores: Tensor, product_scores: Tensor, log_average: Tensor) -> Tensor:
    r"""What MINE's training maximises in place of `donsker_varadhan`: its gradient, with a steadier denominator.

    .. math:: E_{p(x, y)}[T] - E_{p(x) p(y)}[e^T] / a

    where T is the critic's score and :math:`\log a`, `log_average`, is constant: the moving average over steps of
    :math:`E[e^T]`. With a equal to the batch's own mean the gradient is that of `donsker_varadhan`. The value itself
    estimates nothing.

    Args:
        joint_scores: (..., pairs) of pairs drawn together, not empty.
        product_scores: (..., pairs) of pairs drawn apart, not empty.
        log_average: (...).

    Raises:
        ValueError: one of the scores is empty.

    Source: Belghazi et al. 2018, §3.2.

    Example:
        >>> mine_surrogate(torch.ones(3), torch.zeros(5), torch.tensor(0.0)).item()
        0.0
    """
    return joint_scores.mean(dim=-1) - (_log_mean_exp(joint_scores, product_scores) - log_average).exp()


def info_nce(scores: Tensor) -> Tensor:
    r"""The contrastive bound, in nats: how well a sample is told from n - 1 others.

    .. math:: I(x; y) \ge \frac1n \sum_i \log \frac{e^{T_{ii}}}{\frac1n \sum_j e^{T_{ij}}} \le \log n

    where :math:`T_{ij}` scores the i-th x with the j-th y; tight as n grows for
    :math:`T = \log p(x | y)` plus any function of x, the row. A lower bound in expectation, of little variance, which
    cannot exceed :math:`\log n`.

    Args:
        scores: (..., n, n), positive pairs on the diagonal, not empty.

    Returns:
        (...).

    Raises:
        ValueError: the scores are not square, or empty.

    Source: van den Oord et al. 2018, eq. 4; Poole et al. 2019, eq. 10.

    Example:
        >>> round(info_nce(100 * torch.eye(8)).item(), 4)  # log 8
        2.0794
    """
    if scores.ndim < 2 or scores.shape[-1] != scores.shape[-2] or scores.shape[-1] == 0:
        raise ValueError(f"scores must be (..., n, n) and not empty, got {tuple(scores.shape)}")
    ratio = scores.diagonal(dim1=-2, dim2=-1) - torch.logsumexp(scores, dim=-1)
    return ratio.mean(dim=-1) + math.log(scores.shape[-1])


def critic_information(
    x: ArrayLike, y: ArrayLike, *, estimator: CriticEstimator = "infonce", folds: int = 5, seed: int = 0
) -> InformationEstimate:
    r"""Mutual information by a trained critic, on samples it was not trained on.

    The critic is separable, :math:`T(x, y) = f(x)^T g(y)` with two networks of two hidden layers (64 units each, the
    second bounded; 32 products): all pairs of a batch then cost one matrix product. Each column is replaced by its
    normal scores in training, which leaves the information of continuous columns alone and tames heavy tails.

    For every fold a critic is trained on four fifths of the other folds. The last fifth (at most 1024 samples) decides
    when to stop, by the figure that the critic is evaluated by, and then how sharp it is: scores are multiplied by the
    best of a few factors from 0, which says nothing, to 2, and for `nwj` and `js` moved by the constant that suits
    best. Then the fold is evaluated, with all its pairs. The critics of all folds train side by side. The figure is the
    mean over the samples.

    ============  =======================  ==================================  ================
    `estimator`   trained on               evaluated by                        expectation
    ============  =======================  ==================================  ================
    `nwj`         `nwj`                    `nwj`                               lower bound
    `js`          `jensen_shannon_         `nwj`, of the same scores           lower bound
                  information`
    `infonce`     `info_nce`               `info_nce` within blocks of a fold  lower bound
    `dv`          `donsker_varadhan`       `donsker_varadhan`                  neither
    `mine`        `mine_surrogate`         `donsker_varadhan`                  neither
    ============  =======================  ==================================  ================

    `infonce` came nearest on most truth tasks (docs/estimators.md), but cannot exceed the logarithm of its block (a
    fold, at most 1024 samples). The others can; their variance grows like :math:`e^I`. `dv` and `mine` are biased
    upwards at finitely many samples.

    The interval is that of the linearised figure (see `estimate_of`). Its upper end is moved up by one and a half times
    the optimism, which is what the same critics find more among the samples that they were trained on: with endless
    samples both would find the same, and more than in between where critics are stopped early. It also reaches as far
    as nearest neighbours find in a few columns that are computed from x and y (`limbeck.information.data_processing`),
    and three half-widths beyond. There are warnings

    * where the optimism is more than a fifth of the figure and beyond the half-width of the interval;
    * where e to the power of the figure is more than a fifteenth of the samples of a fold: too few pairs for the mean
      of so large a ratio, and `infonce` cannot exceed the logarithm of a fold;
    * where a label has fewer than ten samples a fold;
    * where what neighbours find is above the interval as it was without them.

    What a critic cannot learn, and neighbours do not find, none of these says.

    Args:
        x: `(samples, features)` finite real numbers.
        y: `(samples, features)` finite real numbers, or `(samples,)` labels: integers, booleans or strings.
        estimator: one of the table.
        folds: how many, from 2.
        seed: of folds, networks and batches; the same seed gives the same figure.

    Raises:
        InputError: a shape, type or value does not fit; labels are of one class; a fold would hold fewer than 40
            samples.

    Source: Poole et al. 2019, "On variational bounds of mutual information"; Belghazi et al. 2018 (MINE); Hjelm et al.
    2019 (the Jensen-Shannon objective). Cross-fitting and normal scores are ours.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> x = rng.normal(size=(400, 1))
        >>> y = x + 0.5 * rng.normal(size=(400, 1))  # 0.80 nats
        >>> 0.6 < critic_information(x, y).nats < 0.9
        True
    """
    if estimator not in get_args(CriticEstimator):
        raise InputError(f"estimator must be one of {', '.join(get_args(CriticEstimator))}, not {estimator!r}")
    whole_number(folds, "folds", least=2)
    whole_number(seed, "seed", least=0)
    first = real_matrix(x, "x").astype(np.float64)
    second, classes = _second_variable(y, len(first))
    if len(first) < LEAST_SAMPLES * folds:
        raise InputError(f"x must hold at least {LEAST_SAMPLES} samples a fold, not {len(first)} for {folds} folds")
    generator = np.random.default_rng(seed)
    fold = assign_folds(classes, None, folds, generator)
    with torch.inference_mode(False), torch.enable_grad():
        blocks, trained_on = _scores_by_folds(first, second, fold, estimator, generator)
    contributions = [_contributions(block, estimator) for block in blocks]
    found = estimate_of(
        np.concatenate(contributions),
        bound=BOUNDS[estimator],
        saturates=math.log(max(map(len, blocks))) if estimator == "infonce" else None,
        estimator=estimator,
    )
    rarest = int(np.bincount(classes).min()) if np.ndim(y) == 1 else len(first)
    warnings = [f"a label has {rarest} samples, too few for {folds} folds"] if rarest < _FEW * folds else []
    if math.exp(found.nats) * _SAMPLES_A_RATIO > max(map(len, blocks)):
        warnings.append(f"too much information to be measured with {max(map(len, blocks))} samples a fold")
    half, optimism = found.high - found.nats, max(trained_on - found.nats, 0.0)
    if optimism > max(half, _LARGE_OPTIMISM * abs(found.nats), LEAST_WARNED):
        warnings.append(
            f"too few samples for the critic: it finds {optimism:.2f} nats more among those that it was trained on"
        )
    high = found.high + _OPTIMISM_TIMES * optimism
    summary = checked(first, classes if np.ndim(y) == 1 else second, seed)
    if summary is not None:
        if summary.nats > high:
            warnings.append(too_low(summary))
        high = max(high, summary.nats + _REACH_BEYOND * half)
    return replace(found, high=high, warnings=tuple(warnings))


def _scores_by_folds(
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    fold: NDArray[np.int64],
    estimator: CriticEstimator,
    generator: np.random.Generator,
) -> tuple[list[NDArray[np.float64]], float]:
    """Score matrices (block, block), of which each sample is in one, by the critic of its fold.

    Also the mean figure of blocks of about the same size of the samples that each fold's critic was trained on.
    """
    folds = int(fold.max()) + 1
    train = [generator.permutation(np.flatnonzero(fold != number)) for number in range(folds)]
    first, second = ([_normal_scores(values[rows], values) for rows in train] for values in (x, y))
    stacked_x, stacked_y = (torch.from_numpy(np.stack(values)) for values in (first, second))
    # Folds differ by a sample at most, which the stack has no room for.
    rows = torch.from_numpy(np.stack([own[: min(map(len, train))] for own in train]))
    seeds = torch.Generator().manual_seed(int(generator.integers(2**62)))
    critic = _Critic(folds, (x.shape[1], y.shape[1]), seeds)
    validation = _train(critic, stacked_x, stacked_y, rows, estimator, seeds)
    blocks, trained_on = [], []
    for number in range(folds):

        def scores(block: NDArray[np.int64] | Tensor, own: int = number) -> Tensor:
            found: Tensor = critic(stacked_x[:, block], stacked_y[:, block])[own]
            return found.detach().double()

        factor, constant = _calibration(scores(validation[number]), estimator)
        held_out = np.flatnonzero(fold == number)
        for block in np.array_split(held_out, -(-len(held_out) // _LARGEST_BLOCK)):
            blocks.append((factor * scores(block) + constant).numpy())
        seen = rows[number, validation.shape[1] :]
        size = min(len(seen), len(blocks[-1]))
        trained_on += [
            float(_figure((factor * scores(block) + constant)[None], estimator))
            for block in seen[: size * (len(seen) // size)].split(size)
        ]
    return blocks, float(np.mean(trained_on))


class _Critic(nn.Module):
    """Separable critics side by side, one a fold. They begin silent: all scores are zero."""

    def __init__(self, folds: int, widths: tuple[int, int], generator: torch.Generator) -> None:
        super().__init__()
        self.x_layers, self.y_layers = (self._layers(folds, width, generator) for width in widths)
        for parameter in self.y_layers[-1].parameters():
            nn.init.zeros_(parameter)

    @staticmethod
    def _layers(folds: int, width: int, generator: torch.Generator) -> nn.Sequential:
        sizes = (width, _HIDDEN, _HIDDEN, _EMBEDDING)
        with torch.device("meta"):  # so that nothing is drawn from the global generator
            layers = [StackedLinear(*pair, stack=(folds,)) for pair in pairwise(sizes)]
        for layer in layers:
            layer.to_empty(device="cpu").reset_parameters([generator] * folds)
        return nn.Sequential(layers[0], nn.ReLU(), layers[1], nn.Tanh(), layers[2])

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """(folds, samples, width) of both to scores (folds, samples, samples)."""
        f, g = self.x_layers(x), self.y_layers(y)
        scores: Tensor = f @ g.mT / math.sqrt(_EMBEDDING)
        return scores


def _train(
    critic: _Critic, x: Tensor, y: Tensor, rows: Tensor, estimator: CriticEstimator, generator: torch.Generator
) -> Tensor:
    """Train every fold's critic on its rows (folds, train), and leave it as it was when its inner part scored best.

    Returns:
        The rows of the inner parts, (folds, inner).
    """
    folds, inner = len(rows), min(int(_INNER_SHARE * rows.shape[1]), _LARGEST_BLOCK)
    of_fold = torch.arange(folds)[:, None]
    validation, train = rows[:, :inner], rows[:, inner:]
    parameters = list(critic.parameters())
    optimiser = torch.optim.AdamW(parameters, lr=_RATE, weight_decay=_DECAY)
    best, waited = torch.full((folds,), -math.inf), torch.zeros(folds)
    kept = [parameter.detach().clone() for parameter in parameters]
    log_average: Tensor | None = None
    for _ in range(_EPOCHS):
        with torch.no_grad():
            reached = _figure(critic(x[of_fold, validation], y[of_fold, validation]), estimator)
        better = (reached > best + _LEAST_GAIN) & (waited < _PATIENCE)
        best = torch.where(better, reached, best)
        waited = torch.where(better | (waited >= _PATIENCE), waited * ~better, waited + 1)
        for own, parameter in zip(kept, parameters, strict=True):
            own[better] = parameter.detach()[better]
        if bool((waited >= _PATIENCE).all()):
            break
        shuffled = torch.stack([own[torch.randperm(train.shape[1], generator=generator)] for own in train])
        for batch in shuffled.chunk(-(-train.shape[1] // _BATCH), dim=1):
            scores = critic(x[of_fold, batch], y[of_fold, batch])
            if estimator == "mine":
                joint, product = _pairs(scores)
                now = _log_mean_exp(joint, product).detach()
                log_average = now if log_average is None else _moved(log_average, now)
                gain = mine_surrogate(joint, product, log_average).sum()
            elif estimator == "js":
                gain = folds * jensen_shannon_information(*_pairs(scores))
            else:
                gain = _figure(scores, estimator).sum()
            optimiser.zero_grad()
            (-gain).backward()
            optimiser.step()
    with torch.no_grad():
        for own, parameter in zip(kept, parameters, strict=True):
            parameter.copy_(own)
    return validation


def _calibration(scores: Tensor, estimator: CriticEstimator) -> tuple[float, float]:
    """The factor and the constant that suit the scores (inner, inner) of the inner part best."""
    sharper = torch.tensor(_TEMPERATURES, dtype=scores.dtype)[:, None, None] * scores
    # Of all constants that can be added, the best for `nwj` takes it to the figure of Donsker and Varadhan.
    best = int((info_nce(sharper) if estimator == "infonce" else donsker_varadhan(*_pairs(sharper))).argmax())
    shift = -float(_log_mean_exp(*_pairs(sharper[best : best + 1]))) if estimator in ("nwj", "js") else 0.0
    return _TEMPERATURES[best], shift


def _figure(scores: Tensor, estimator: CriticEstimator) -> Tensor:
    """What a critic is evaluated by, (folds,), of scores (folds, n, n)."""
    if estimator == "infonce":
        return info_nce(scores)
    return (donsker_varadhan if estimator in ("dv", "mine") else nwj)(*_pairs(scores))


def _pairs(scores: Tensor) -> tuple[Tensor, Tensor]:
    """Of (folds, n, n): the diagonal, (folds, n), and all else, (folds, n (n - 1))."""
    size = scores.shape[-1]
    # Without its first entry, the rest of a matrix in rows of n + 1 has the diagonal as its last column.
    apart = scores.flatten(1)[:, 1:].unflatten(1, (size - 1, size + 1))[..., :-1]
    return scores.diagonal(dim1=1, dim2=2), apart.flatten(1)


def _moved(log_average: Tensor, now: Tensor) -> Tensor:
    return torch.logaddexp(log_average + math.log(_KEPT_AVERAGE), now + math.log1p(-_KEPT_AVERAGE))


def _log_mean_exp(joint_scores: Tensor, product_scores: Tensor) -> Tensor:
    if joint_scores.numel() == 0 or product_scores.numel() == 0:
        raise ValueError("joint_scores and product_scores must not be empty")
    return torch.logsumexp(product_scores, dim=-1) - math.log(product_scores.shape[-1])


def _contributions(scores: NDArray[np.float64], estimator: CriticEstimator) -> NDArray[np.float64]:
    r"""The linearised figure of a block: one contribution per sample, whose mean is the figure.

    A sample enters with its own pair, and with all pairs that its x or its y has a part in: that part, less its mean,
    is taken off.
    """
    size, joint = len(scores), np.diag(scores)
    if estimator == "infonce":
        log_mean = logsumexp(scores, axis=1) - np.log(size)
        blamed = np.exp(scores - log_mean[:, None]).mean(axis=0)
        return np.asarray(joint - log_mean - (blamed - blamed.mean()))
    apart = np.where(np.eye(size, dtype=bool), -np.inf, scores)
    log_mean = logsumexp(apart) - np.log(size * (size - 1))
    relative = np.exp(apart - log_mean)  # of mean 1 over the pairs drawn apart
    part = (relative.sum(axis=0) + relative.sum(axis=1)) / (size - 1) - 2
    if estimator in ("dv", "mine"):
        return np.asarray(joint - log_mean - part)
    mean = np.exp(log_mean)
    return np.asarray(joint - mean * (1 + part) + 1)


def _normal_scores(train: NDArray[np.float64], values: NDArray[np.float64]) -> NDArray[np.float32]:
    """Columns of values as quantiles of the standard normal, at their mean ranks among those in training."""
    scores = np.empty(values.shape, dtype=np.float32)
    for column, ordered in enumerate(np.sort(train, axis=0).T):
        below, up_to = (np.searchsorted(ordered, values[:, column], side=side) for side in ("left", "right"))
        scores[:, column] = ndtri(((below + up_to) / 2 + 0.5) / (len(ordered) + 1))
    return scores


def _second_variable(y: ArrayLike, samples: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """The variable as a matrix, labels one-hot; and classes to deal folds by."""
    if np.ndim(y) == 1:
        codes = label_codes(y, "y", samples)[0]
        return np.eye(int(codes.max()) + 1)[codes], codes
    return real_matrix(y, "y", samples=samples).astype(np.float64), np.zeros(samples, dtype=np.int64)
