"""The multi-view classifier with scikit-learn manners."""

from __future__ import annotations

import dataclasses
import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from numbers import Integral, Real
from typing import Any, Literal, Self

import numpy as np
import scipy.sparse
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, TransformerMixin
from sklearn.exceptions import NotFittedError
from sklearn.utils import Tags, compute_class_weight
from sklearn.utils._set_output import _get_output_config
from sklearn.utils.validation import _check_feature_names_in

from limbeck.devices import check_device
from limbeck.errors import InputError
from limbeck.multiview import conformal, persistence
from limbeck.multiview.acquisition import expected_gain
from limbeck.multiview.answers import Answers, learn_answers, patterns
from limbeck.multiview.evaluation import ViewContribution, cross_entropy_nats, probabilities
from limbeck.multiview.frames import Name, Names, column_names, column_order
from limbeck.multiview.information import InformationCallback
from limbeck.multiview.kernel_path import KernelPath
from limbeck.multiview.linear_path import LinearPath
from limbeck.multiview.network import MultiViewNetwork, Predictions, ViewShape
from limbeck.multiview.progress import epoch_progress
from limbeck.multiview.recipe import QUICK, Objective, Recipe
from limbeck.multiview.samples import (
    Samples,
    check_lengths,
    default_folds,
    encode_labels,
    hold_out,
    inner_folds,
    read_labels,
    warn_of_constant_columns,
    without_untrained,
)
from limbeck.multiview.training import (
    Fold,
    Trained,
    gather,
    gather_mean,
    train,
    view_shapes,
)
from limbeck.multiview.views import (
    Matrix,
    ViewColumns,
    Views,
    concatenate,
    is_matrix,
    matrix_width,
    read_views,
    select,
)


@dataclasses.dataclass(frozen=True, eq=False)
class Encoded:
    """What a network makes of samples, view by view; without a bottleneck z is v.

    Attributes:
        names: of the views.
        observations: v, `(views, samples, features)`.
        representations: z, the mean where it is drawn from a Gaussian, `(views, samples, features)`.
        log_variances: of these Gaussians, the same shape; None where z is a function of v.
        present: `(views, samples)` which samples have which view; rows of others say nothing.
    """

    names: tuple[str, ...]
    observations: NDArray[np.float32]
    representations: NDArray[np.float32]
    log_variances: NDArray[np.float32] | None
    present: NDArray[np.bool_]


class MultiViewClassifier(ClassifierMixin, TransformerMixin, BaseEstimator):  # type: ignore[misc]
    r"""Classify samples that are described by any number of views, some of which may be missing.

    Each view has its own encoder and information bottleneck; one joint head predicts from all representations.
    Training minimises cross-entropy, the ranked list loss and multi-view variational distillation:

    .. math:: \sum_i D_{KL}[P_{v_i} \| P_{z_i}] + \sum_i D_{KL}[P_{z_{1..n}} \| P_{z_{1..n} \setminus i}]

    where :math:`P_{v_i}` and :math:`P_{z_i}` are the predictions from view i's observation and representation, and the
    last two from all representations and from all but the i-th: so every view learns to do without each other one.

    X is a list of matrices (None for a view that nobody has), a dict from view name to matrix, or one matrix whose
    columns `view_columns` cuts into views; a matrix is an array, a SciPy sparse matrix or a DataFrame, (samples,
    features). A row of NaN alone says that the sample lacks that view, at fit and at predict. With one matrix the
    estimator works in pipelines, `cross_val_score` and `GridSearchCV`.

    Columns of DataFrames are matched by name with those of `fit`: another order is mended, others are refused. Rows of
    a list or dict of DataFrames are matched by their index, and with those of y and of sample weights where these are
    Series: another order is mended, others are refused. Samples are then in the order of the first DataFrame of X, and
    so are the answers. Arrays are matched by position, and so is y where X is one matrix.

    Args:
        view_columns: for one matrix: widths of consecutive groups of columns, or a dict from view name to columns.
        objective: "mv2d", "released-2021", "cib" or "none"; see `Recipe` for this and the next thirty.
        bottleneck: whether encoders are followed by an information bottleneck.
        encoder: widths of each encoder's layers.
        bottleneck_hidden: widths of the bottleneck's hidden layers.
        representation: width of each view's representation.
        stochastic: sample the representation in training.
        joint_head: "additive", or "pairwise" with an interaction of every pair of views.
        interaction_rank: rank of that interaction.
        normalization: "batch" or "none".
        dropout: rate in the encoders.
        view_dropout: probability of hiding views from the joint prediction in training.
        view_dropout_sampling: "independent": each view with that probability; "one": exactly one.
        label_smoothing: in [0, 1).
        classification_weight: weight of the cross-entropies.
        ranking_weight: weight of the ranked list loss.
        distillation_weight: weight of the distillation terms.
        sufficiency_weight: times that, weight of the first sum below.
        consistency_weight: times that, weight of the second.
        over_views: "mean" or, as the equation is printed, "sum" of the distillation terms over the views.
        detach_teacher: whether the distillation leaves the observations' predictions alone.
        detach_joint: whether it leaves the joint prediction alone.
        compression_weight: weight of the Gaussian KL ("cib").
        epochs: at most so many passes over the training split.
        batch_size: samples a step.
        learning_rate: of Adam.
        betas: of Adam.
        weight_decay: decoupled.
        milestones: epochs after which the learning rate shrinks.
        decay: by this factor.
        patience: epochs without a new best validation accuracy before training stops; None: never.
        scaling: "standard" or "none".
        clip: bound of scaled features, in standard deviations.
        missing_cells: "refuse" empty cells in rows that have others, or "mean": fill them by the mean of the samples
            learned from.
        categories: "refuse" columns of texts, or "one-hot": a column of 0 and 1 for each category learned from.
        inner_folds: where nothing else is held out, so many networks learn, each from all but one of so many parts of
            the samples, and answer together. Each part is what calibrates: it was not seen by the network that is
            asked about it, nor by the kernel path's solution. No epoch is chosen: a network learns until `patience`
            epochs after the first milestone. None: 3 for up to 10,000 samples; for more, one network alone learns from
            nine tenths of each class, in less than half of the time, and the last tenth calibrates as a part does.
        validation_fraction: a number in [0, 1): one network alone learns from the other samples, and this share of each
            class stops it and calibrates. 0: train for all epochs, no calibration. None: inner folds. Ignored where
            `fit` is given a validation set, which then does the same.
        kernel_path: add the scores of `limbeck.multiview.kernel_path.KernelPath`, ridge regression on the weighted mean
            of one Gaussian kernel a view (and, where leaving one out is better, of one of all views together), to the
            networks' logits, with a weight that held-out samples settle. Without any there is none.
        linear_path: likewise the logits of `limbeck.multiview.linear_path.LinearPath`, logistic regression on all views
            side by side, once for each way to scale them. None: where a view is sparse.
        calibrate: scale the logits by one temperature, fitted on held-out samples. The paths need it.
        class_weight: None, "balanced" or a dict from class to weight.
        random_state: seed; the same seed on the same machine gives the same model. None: a fresh one every time.
        device: where to compute, e.g. "cpu" or "cuda".
        verbose: show a progress bar while fitting.

    Attributes:
        classes_: the labels, sorted.
        view_names_: names of the views, in order.
        view_shapes_: features of each view and whether it is sparse; 0 features for a view that nobody had.
        network_: the trained `MultiViewNetwork`: one model, or one for each inner fold.
        view_features_: names of each view's columns; None for a view that was no DataFrame.
        n_features_in_: columns of X where X is one matrix, else the features of all views together.
        imputed_cells_: view -> how many of its cells in `fit` were filled by a mean; not saved with the model.
        history_: one entry per epoch of the first network: loss, accuracy on samples held out of it (with inner folds,
            where it decides nothing, of the last epoch alone, else NaN), learning rate.
        best_epoch_: whose weights it has.
        temperature_: divides the networks' logits of samples that have all views.
        leave_one_out_temperature_: one a view: divides the logits of samples that lack that view. For samples that
            lack several, one is fitted when it is needed, on what is said of held-out samples by the same views; where
            there are none, it is the largest of theirs.
        kernel_path_: the kernel path; None without one.
        kernel_weight_: times its scores are added to the divided logits.
        leave_one_out_kernel_weight_: likewise, as the temperatures.
        class_offsets_: one a class, added to the sum of both; empty without any path. They are one number, which
            held-out samples settle, times the logarithm of the classes' shares: alike where all classes are as large.
        leave_one_out_class_offsets_: likewise, as the temperatures.
        sharpening_: the sum of all of these is multiplied by exp of this number times its entropy, as a share of the
            most that the classes can have: above 0 where unsure answers are too unsure. 0 without any path.
        leave_one_out_sharpening_: likewise, as the temperatures.
        linear_paths_: the linear paths; empty without any.
        linear_weights_: times their logits are added, one a path.
        leave_one_out_linear_weights_: likewise, as the temperatures.
        information_: measurements while fitting, see `information_epochs` of `fit`; not saved with the model.
        view_contributions_: what each view is worth on held-out samples; empty without any.
        recipe_: the resolved recipe.

    Example:
        >>> import numpy as np
        >>> from limbeck import MultiViewClassifier
        >>> rng = np.random.default_rng(0)
        >>> y = rng.integers(0, 2, 200)
        >>> sound, sight = y[:, None] + 0.3 * rng.normal(size=(200, 3)), -y[:, None] + 0.3 * rng.normal(size=(200, 4))
        >>> model = MultiViewClassifier(epochs=5, encoder=(16, 8)).fit([sound, sight], y)
        >>> bool(model.score([sound, None], y) > 0.9)  # the second view is missing: it still answers
        True
    """

    def __init__(
        self,
        *,
        view_columns: ViewColumns | None = None,
        objective: Objective = Recipe.objective,
        bottleneck: bool = Recipe.bottleneck,
        encoder: Sequence[int] = Recipe.encoder,
        bottleneck_hidden: Sequence[int] = Recipe.bottleneck_hidden,
        representation: int = Recipe.representation,
        stochastic: bool = Recipe.stochastic,
        joint_head: Literal["additive", "pairwise"] = Recipe.joint_head,
        interaction_rank: int = Recipe.interaction_rank,
        normalization: Literal["batch", "none"] = Recipe.normalization,
        dropout: float = Recipe.dropout,
        view_dropout: float = Recipe.view_dropout,
        view_dropout_sampling: Literal["independent", "one"] = Recipe.view_dropout_sampling,
        label_smoothing: float = Recipe.label_smoothing,
        classification_weight: float = Recipe.classification_weight,
        ranking_weight: float = Recipe.ranking_weight,
        distillation_weight: float = Recipe.distillation_weight,
        sufficiency_weight: float = Recipe.sufficiency_weight,
        consistency_weight: float = Recipe.consistency_weight,
        over_views: Literal["sum", "mean"] = Recipe.over_views,
        detach_teacher: bool = Recipe.detach_teacher,
        detach_joint: bool = Recipe.detach_joint,
        compression_weight: float = Recipe.compression_weight,
        epochs: int = QUICK.epochs,
        batch_size: int = QUICK.batch_size,
        learning_rate: float = Recipe.learning_rate,
        betas: tuple[float, float] = Recipe.betas,
        weight_decay: float = Recipe.weight_decay,
        milestones: Sequence[int] = QUICK.milestones,
        decay: float = QUICK.decay,
        patience: int | None = QUICK.patience,
        scaling: Literal["standard", "none"] = Recipe.scaling,
        clip: float = Recipe.clip,
        missing_cells: Literal["refuse", "mean"] = Recipe.missing_cells,
        categories: Literal["refuse", "one-hot"] = Recipe.categories,
        inner_folds: int | None = None,
        validation_fraction: float | None = None,
        kernel_path: bool = True,
        linear_path: bool | None = None,
        calibrate: bool = True,
        class_weight: Literal["balanced"] | dict[Any, float] | None = None,
        random_state: int | None = 0,
        device: str = "cpu",
        verbose: bool = False,
    ) -> None:
        self.view_columns = view_columns
        self.objective = objective
        self.bottleneck = bottleneck
        self.encoder = encoder
        self.bottleneck_hidden = bottleneck_hidden
        self.representation = representation
        self.stochastic = stochastic
        self.joint_head = joint_head
        self.interaction_rank = interaction_rank
        self.normalization = normalization
        self.dropout = dropout
        self.view_dropout = view_dropout
        self.view_dropout_sampling = view_dropout_sampling
        self.label_smoothing = label_smoothing
        self.classification_weight = classification_weight
        self.ranking_weight = ranking_weight
        self.distillation_weight = distillation_weight
        self.sufficiency_weight = sufficiency_weight
        self.consistency_weight = consistency_weight
        self.over_views = over_views
        self.detach_teacher = detach_teacher
        self.detach_joint = detach_joint
        self.compression_weight = compression_weight
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.betas = betas
        self.weight_decay = weight_decay
        self.milestones = milestones
        self.decay = decay
        self.patience = patience
        self.scaling = scaling
        self.clip = clip
        self.missing_cells = missing_cells
        self.categories = categories
        self.inner_folds = inner_folds
        self.validation_fraction = validation_fraction
        self.kernel_path = kernel_path
        self.linear_path = linear_path
        self.calibrate = calibrate
        self.class_weight = class_weight
        self.random_state = random_state
        self.device = device
        self.verbose = verbose

    @classmethod
    def from_recipe(cls, recipe: Recipe, **options: Any) -> Self:
        """A classifier with the values of `recipe`; `options` are the arguments that are not part of one."""
        return cls(**dataclasses.asdict(recipe), **options)

    def fit(
        self,
        X: Any,
        y: ArrayLike,
        *,
        validation: tuple[Any, ArrayLike] | None = None,
        sample_weight: ArrayLike | None = None,
        information_epochs: int = 0,
    ) -> Self:
        """Train.

        Args:
            X: views, see the class.
            y: (samples,) labels of any kind, one class a sample; several labels a sample, or measurements, are refused.
            validation: (X, y) to stop and calibrate by, instead of a share of the training samples.
            sample_weight: (samples,) non-negative weights.
            information_epochs: every so many epochs, and before the first step and after the last, measure the nats of
                the label that can be read from v and z of the validation samples (`information_`); 0: never. It takes
                time, and changes nothing of the model.

        Raises:
            InputError: bad views or labels (one line that names what and where), a bad option, or a diverging loss.
        """
        recipe, seed, device = self._recipe(), self._seed(), check_device(self.device)
        samples = self._samples(X, y, validation, sample_weight, seed)
        callback = _watcher(samples, information_epochs)
        warn_of_constant_columns(samples.views, samples.rows)
        if samples.inner and recipe.patience is not None:
            last = min(recipe.milestones, default=0) + recipe.patience
            recipe = dataclasses.replace(recipe, epochs=min(recipe.epochs, last))
        with epoch_progress(recipe.epochs, show=self.verbose) as progress:
            models = train(
                samples.views,
                samples.labels,
                samples.folds,
                recipe,
                classes=len(samples.classes),
                seeds=[seed + number for number in range(len(samples.folds))],
                sample_weight=samples.weights,
                device=device,
                select=not samples.inner,
                progress=progress,
                callback=callback,
            )
        self._adopt(models, samples.views, samples.classes, recipe)
        self._remember_columns(X, samples.views)
        self.imputed_cells_ = samples.views.gaps
        self.information_ = [] if callback is None else callback.curves[0].rows
        used = self._used()
        self._answers, self.view_contributions_ = learn_answers(
            self.network_,
            dataclasses.replace(samples, views=_of_used(samples.views, used)),
            kernel_path=self.kernel_path,
            linear_path=self.linear_path,
            calibrate=self.calibrate,
            seed=seed,
        )
        self._show_answers()
        trained = models[0]
        if trained.interrupted:
            warnings.warn(
                f"training was interrupted after {len(trained.history)} of {recipe.epochs} epochs; "
                "the best weights so far are kept",
                stacklevel=2,
            )
        return self

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Calibrated probabilities (samples, classes), columns ordered as `classes_`."""
        views = self._read(X)
        return probabilities(self._logits(views))

    def predict(self, X: Any) -> NDArray[Any]:
        """The most probable class of each sample."""
        probability = self.predict_proba(X)
        return np.asarray(np.take(self.classes_, probability.argmax(axis=1)))

    def predict_set(
        self,
        X: Any,
        coverage: float = 0.9,
        *,
        score: conformal.Score = "lac",
        models: conformal.Models = "one",
        class_conditional: bool = False,
        allow_empty: bool = True,
        randomised: bool = True,
        random_state: conformal.RandomState = None,
        calibration: tuple[Any, ArrayLike] | None = None,
    ) -> NDArray[np.bool_]:
        """Sets of classes that hold the label with probability `coverage`, also where views are missing.

        Conformal prediction: a class is in the set where its score is not above a quantile of the scores of held-out
        samples at their labels. With inner folds there are several models, each a network and the paths' solution
        without its part: a new sample's score by one of them, drawn at random, is compared with the samples that were
        held out of it (`limbeck.multiview.conformal.cross_conformal_sets`, which states what is guaranteed). With one
        network or `calibration` there is nothing to draw (`conformal_sets`).
        Samples with some views missing are compared with held-out samples that have the same views, with their other
        views hidden; one that lacks a view of these itself is not used for them. So the coverage holds for each pattern
        of missing views, where what is missing depends neither on the views nor on the label: missing completely at
        random, or by design. (Missing data augmentation, exact form: Zaffran, Dieuleveut, Josse and Romano 2023.)

        The held-out samples are those by which `fit` also fitted the temperatures, and one network chose the epoch, so
        that the coverage falls a little short of the stated one where they are few; `docs/multiview.md` has
        measurements. With `calibration`, samples that `fit` never saw, it is exact.

        Args:
            X: views, see the class.
            coverage: in [0, 1].
            score: "lac", the smallest sets in the mean, or "aps", larger ones, that cover easy and hard samples alike
                where the probabilities are right.
            models: of inner folds. "one", drawn for each sample: the coverage is the stated one, and asking again may
                give another set, which need not hold the class of `predict`. "each" in turn (CV+): nothing is drawn,
                sets cover more than stated where the models disagree, and what is proved is 2 c - 1. It takes fewer
                held-out samples: 9 for 0.9 in all, not of each model.
            class_conditional: the coverage holds in each class; needs held-out samples of each, at 0.9 nine (with
                "one" of each model).
            allow_empty: whether a set may be empty: no class conforms. False puts the class of `predict` there, and
                coverage can only rise.
            randomised: "aps" draws a random number a sample; without it sets are larger, and the surest samples are
                the first to get empty ones.
            random_state: of these draws: a seed, a generator, or None for a fresh seed. A seed repeats its numbers in
                every call: where samples come one by one, pass a generator.
            calibration: (X, y) to calibrate on, not used in `fit` in any way, instead of its held-out samples.

        Returns:
            (samples, classes), columns ordered as `classes_`.

        Raises:
            InputError: nothing was held out of training and no `calibration` given, or an argument is out of range.

        Warns:
            UserWarning: there are too few held-out samples with these views, so that every class is in the set.

        Example:
            >>> import numpy as np
            >>> rng = np.random.default_rng(0)
            >>> y = rng.integers(0, 3, 400)
            >>> left, right = np.eye(3)[y] + 0.4 * rng.normal(size=(2, 400, 3))
            >>> model = MultiViewClassifier(epochs=5, encoder=(16, 8), validation_fraction=0.5)
            >>> sets = model.fit([left[:300], right[:300]], y[:300]).predict_set([left[300:], None], coverage=0.9)
            >>> sets.shape, bool(0.8 < sets[np.arange(100), y[300:]].mean())
            ((100, 3), True)
            >>> unsure = sets.sum(axis=1) != 1  # leave these to somebody else
        """
        views = _of_used(self._read(X), self._used())
        given = None if calibration is None else self._read_labelled(calibration, "calibration")
        needed = given is not None or not allow_empty
        probability = probabilities(self._answers.logits(views)) if needed else np.empty((0, 0))
        sets = np.zeros((views.samples, len(self.classes_)), bool)
        generator = conformal.as_generator(random_state)
        for pattern, rows in patterns(views.present):
            if given is None:
                held_out, labels = self._answers.held_out_probabilities(pattern)
                folds = self._answers.held_out_folds(pattern)
                asked = self._answers.by_held_out_models(pattern, select(views, np.flatnonzero(rows)))
            else:
                held_out, labels = self._answers.probabilities_by(pattern, *given)
                folds, asked = np.zeros_like(labels), probability[np.newaxis, rows]
            sets[rows] = conformal.cross_conformal_sets(
                held_out,
                labels,
                folds,
                asked,
                coverage,
                models=models,
                score=score,
                class_conditional=class_conditional,
                randomised=randomised,
                random_state=generator,
            )
            groups = folds if models == "one" else np.zeros_like(folds)
            self._warn_of_full_sets(pattern, labels, groups, coverage, class_conditional)
        if not allow_empty:
            empty = ~sets.any(axis=1)
            sets[empty, probability[empty].argmax(axis=1)] = True
        return sets

    def abstain(self, X: Any, coverage: float = 0.9, **options: Any) -> NDArray[np.bool_]:
        """Which samples should not be answered: their set is not just the class of `predict`.

        Of all samples, at most the share 1 - `coverage` is then answered and wrong, under the conditions of
        `predict_set`; of the answered ones it may be more.

        Args:
            X: views, see the class.
            coverage: of the sets, in [0, 1].
            options: of `predict_set`; the same `random_state` gives its sets.

        Returns:
            (samples,) booleans.
        """
        return conformal.unsure(self.predict_set(X, coverage, **options), self.predict_proba(X))

    def transform(self, X: Any) -> NDArray[np.float32]:
        """Representations of all views side by side, (samples, views * representation).

        A missing view's block is zero: to the joint head, whose terms have no constants, that is a missing view.
        """
        views = self._read(X)
        representations = gather(self._predict(views), "representations")
        representations[~views.present[self._used()]] = 0
        table = np.moveaxis(representations, 0, 1).reshape(views.samples, -1)
        return table if is_matrix(X) else _with_labels(table, views.rows.labels, self)

    def get_feature_names_out(self, input_features: ArrayLike | None = None) -> NDArray[np.object_]:
        """Names of the columns of `transform`: that of the view, `_` and a number, view after view.

        With them `set_output(transform="pandas")` makes `transform` answer with a DataFrame, whose index is that of the
        samples where views are DataFrames.

        Args:
            input_features: ignored but for a check: where given, they must be the columns that X had in `fit`.

        Raises:
            ValueError: they are others.
        """
        self._check_fitted()
        if input_features is not None:
            _check_feature_names_in(self, input_features)
        width = self.recipe_.representation if self.recipe_.bottleneck else self.recipe_.encoder[-1]
        names = [f"{self.view_names_[view]}_{number}" for view in self._used() for number in range(width)]
        return np.array(names, dtype=object)

    def encode(self, X: Any) -> Encoded:
        """Observations and representations of every view, apart: what `limbeck.information.diagnose` takes."""
        views = self._read(X)
        batches = list(self._predict(views))
        distribution = batches[0].distribution if self.recipe_.objective == "cib" or self.recipe_.stochastic else None
        spread = None
        if distribution is not None:
            spread = np.concatenate(
                [batch.distribution.log_variance[0].cpu().numpy() for batch in batches if batch.distribution], axis=-2
            )
        return Encoded(
            names=tuple(views.names[position] for position in self._used()),
            observations=gather(batches, "observations"),
            representations=gather(batches, "representations"),
            log_variances=spread,
            present=views.present[self._used()],
        )

    def score(self, X: Any, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """Accuracy.

        Raises:
            InputError: a label was not there when fitting.
        """
        views = self._read(X)
        right = self._logits(views).argmax(axis=1) == encode_labels(y, self.classes_, views)
        weights = views.rows.align(sample_weight, "sample_weight")
        return float(np.average(right, weights=None if weights is None else np.asarray(weights)))

    def prepared_score(
        self, X: Any, y: ArrayLike, score: Literal["accuracy", "cross-entropy"]
    ) -> tuple[Views, Callable[[Views], float]]:
        """The views of X as they were read, and what scores such views by y: `permutation_importance` changes them.

        Args:
            X: views, see the class.
            y: (samples,) labels.
            score: "accuracy", or "cross-entropy": minus its mean, in nats.
        """
        views = self._read(X)
        labels = encode_labels(y, self.classes_, views)

        def scored(changed: Views) -> float:
            probability = probabilities(self._logits(changed))
            if score == "accuracy":
                return float((probability.argmax(axis=1) == labels).mean())
            return -cross_entropy_nats(probability, labels)

        return views, scored

    def view_contributions(self, X: Any, y: ArrayLike) -> list[ViewContribution]:
        """What each view is worth on these samples, which should not be the training samples.

        Returns:
            One `ViewContribution` a view, over the samples that have it: accuracy alone and without it, and the nats
            about the label that only it carries.

        Raises:
            InputError: a label was not there when fitting.
        """
        views = self._read(X)
        labels = encode_labels(y, self.classes_, views)
        return self._answers.contributions(_of_used(views, self._used()), labels)

    def expected_gain(self, X: Any) -> NDArray[np.float64]:
        """What each view that a sample lacks can be expected to tell of its class: which view to acquire next.

        I(y; z_i | views at hand) = E[H(p(y | at hand)) - H(p(y | at hand and i))], estimated from the terms that the
        held-out samples of `fit` add to the networks' joint prediction, weighted by how probable their class is for
        this sample: `limbeck.multiview.acquisition.expected_gain` states the formula and its premise, views independent
        given the class. The kernel path is not asked.

        Args:
            X: views, see the class; each sample has one at least.

        Returns:
            (samples, views) nats, columns ordered as `view_names_`; below 0 where the view is expected to mislead. NaN
            where the sample has the view, and for views of which no held-out sample knows anything.

        Raises:
            InputError: nothing was held out of training.

        Example:
            >>> import numpy as np
            >>> rng = np.random.default_rng(0)
            >>> y = rng.integers(0, 2, 300)
            >>> weak, strong = (factor * y[:, None] + rng.normal(size=(300, 2)) for factor in (1, 3))
            >>> X = {"weak": weak, "strong": strong, "noise": rng.normal(size=(300, 2))}
            >>> model = MultiViewClassifier(epochs=10, encoder=(16, 8), validation_fraction=0.3).fit(X, y)
            >>> gain = model.expected_gain({"weak": weak[:50]})
            >>> bool(np.isnan(gain[:, 0]).all()), model.view_names_[1 + gain[:, 1:].mean(axis=0).argmax()]
            (True, 'strong')
        """
        views = self._read(X)
        answers = self._answers
        held_out = answers.need_held_out("expected_gain")
        used, logits = self._used(), gather_mean(self._predict(views), "joint_logits")
        gains = np.full((views.samples, len(views.names)), np.nan)
        for pattern, rows in patterns(views.present[used]):
            for view in np.flatnonzero(~pattern):
                after = pattern.copy()
                after[view] = True
                known = held_out.present[view]
                gains[rows, used[view]] = expected_gain(
                    logits[rows],
                    held_out.networks.terms[view][known],
                    held_out.labels[known],
                    temperature=answers.network_temperature(pattern),
                    temperature_after=answers.network_temperature(after),
                )
        return gains

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the model to one safetensors file: the weights, and everything else as JSON in its header.

        The file appears at once or not at all: an older one stays intact if anything fails.
        """
        self._check_fitted()
        persistence.save(self, path)

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, device: str = "cpu") -> Self:
        """Read a model that `save` wrote. Nothing in the file is executed.

        Raises:
            InputError: the file is not there, damaged, or not such a model.
        """
        return persistence.load(cls, path, device=device)

    # -- scikit-learn's own protocol ---------------------------------------------------------------------------------

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "network_")

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.transformer_tags.preserves_dtype = []
        return tags

    _answers: Answers
    feature_names_in_: NDArray[Any]

    # -- inner workings ----------------------------------------------------------------------------------------------

    def _recipe(self) -> Recipe:
        return Recipe.from_dict({field.name: getattr(self, field.name) for field in dataclasses.fields(Recipe)})

    def _samples(
        self, X: Any, y: ArrayLike, validation: tuple[Any, ArrayLike] | None, sample_weight: ArrayLike | None, seed: int
    ) -> Samples:
        """The arguments of `fit`, checked, with the samples to be held out behind those to be learned from."""
        if y is None:
            raise InputError("requires y to be passed, but the target y is None")
        gaps = self.missing_cells == "mean"
        views = read_views(X, columns=self.view_columns, categories=self.categories == "one-hot", gaps=gaps)
        classes, labels = read_labels(views.rows.align(y, "y"))
        check_lengths(views, labels, classes)
        weights = self._weights(labels, classes, views.rows.align(sample_weight, "sample_weight"))
        inner = validation is None and self.validation_fraction is None
        if inner:
            asked = self.inner_folds
            folds = default_folds(labels, seed) if asked is None else inner_folds(labels, asked, seed)
        elif validation is None:
            folds = [hold_out(labels, self.validation_fraction or 0.0, seed)]
        else:
            if not (isinstance(validation, (tuple, list)) and len(validation) == 2):
                raise InputError("validation must be a pair (X, y)")
            held_out = read_views(
                _in_order(validation[0], _names_of_matrix(X)),
                columns=self.view_columns,
                names=views.names,
                fitted=views.columns,
                gaps=gaps,
            )
            held_labels = encode_labels(validation[1], classes, held_out)
            folds = [Fold(np.arange(len(labels)), len(labels) + np.arange(held_out.samples))]
            views = concatenate(views, held_out)
            labels = np.concatenate([labels, held_labels])
            weights = None if weights is None else np.append(weights, np.ones(held_out.samples, np.float32))
        samples = Samples(views, labels, classes, weights, folds, inner)
        return dataclasses.replace(samples, views=without_untrained(views, samples.rows))

    def _remember_columns(self, X: Any, views: Views) -> None:
        """How many columns X has, and their names, as scikit-learn wants to know them."""
        self.n_features_in_ = sum(shape.features for shape in view_shapes(views))
        self.view_features_ = views.columns
        if hasattr(self, "feature_names_in_"):  # of an earlier fit
            del self.feature_names_in_
        if is_matrix(X):
            self.n_features_in_ = matrix_width(X)
            names = _names_of_matrix(X)
            if names is not None:
                self.feature_names_in_ = np.array(names, dtype=object)

    def _adopt(self, models: Sequence[Trained], views: Views, classes: NDArray[Any], recipe: Recipe) -> None:
        self.classes_ = classes
        self.recipe_ = recipe
        self.network_ = models[0].network
        if len(models) > 1:
            networks = [model.network for model in models]
            self.network_ = MultiViewNetwork.side_by_side(networks, view_shapes(views), len(classes), recipe)
        self.history_ = models[0].history
        self.best_epoch_ = models[0].best_epoch
        self.view_names_ = views.names
        self.view_shapes_ = [
            ViewShape(0) if matrix is None else ViewShape(int(matrix.shape[1]), not isinstance(matrix, np.ndarray))
            for matrix in views.matrices
        ]

    def _show_answers(self) -> None:
        """What calibrates and weighs, under the names of public attributes."""
        paths, (first, *rest) = self._answers.paths, self._answers.mixes
        kernels = sum(isinstance(path, KernelPath) for path in paths)
        self.kernel_path_ = next((path for path in paths if isinstance(path, KernelPath)), None)
        self.linear_paths_ = [path for path in paths if isinstance(path, LinearPath)]
        self.temperature_, self.leave_one_out_temperature_ = first.temperature, [mix.temperature for mix in rest]
        self.kernel_weight_ = sum(first.weights[:kernels])
        self.leave_one_out_kernel_weight_ = [sum(mix.weights[:kernels]) for mix in rest]
        self.class_offsets_, self.leave_one_out_class_offsets_ = first.offsets, [mix.offsets for mix in rest]
        self.sharpening_, self.leave_one_out_sharpening_ = first.sharpening, [mix.sharpening for mix in rest]
        self.linear_weights_ = list(first.weights[kernels:])
        self.leave_one_out_linear_weights_ = [list(mix.weights[kernels:]) for mix in rest]

    def _check_fitted(self) -> None:
        if not self.__sklearn_is_fitted__():
            raise NotFittedError(f"This {type(self).__name__} instance is not fitted yet: call fit first")

    def _seed(self) -> int:
        """The seed: a number as it is, None as a fresh one."""
        given: Any = self.random_state
        if given is None:
            return int(np.random.default_rng().integers(2**31))
        if not isinstance(given, Integral) or not 0 <= int(given) < 2**63:
            raise InputError(f"random_state must be a whole number in [0, 2^63), or None, not {given!r}")
        return int(given)

    def _weights(
        self, labels: NDArray[np.int64], classes: NDArray[Any], sample_weight: ArrayLike | None
    ) -> NDArray[np.float32] | None:
        if sample_weight is None and self.class_weight is None:
            return None
        weights = np.ones(len(labels), np.float32)
        if sample_weight is not None:
            weights = np.asarray(sample_weight, np.float32)
            if weights.ndim == 0:
                weights = np.full(len(labels), weights)
            if weights.shape != labels.shape:
                raise InputError(f"sample_weight has shape {weights.shape}, but there are {len(labels)} samples")
            if not (np.isfinite(weights).all() and (weights >= 0).all() and weights.any()):
                raise InputError("sample_weight must be finite and not negative, and not every weight zero")
        if isinstance(self.class_weight, dict):
            unknown = [label for label in self.class_weight if label not in classes]
            if unknown:
                raise InputError(f"class_weight names {unknown[0]!r}, which is not among the labels")
            values: list[Any] = list(self.class_weight.values())
            if not all(isinstance(value, Real) and 0 <= float(value) < np.inf for value in values):
                raise InputError("class_weight must give every class a finite weight of at least 0")
        elif self.class_weight not in (None, "balanced"):
            raise InputError(f"class_weight must be None, 'balanced' or a dict, not {self.class_weight!r}")
        of_class = compute_class_weight(self.class_weight, classes=classes, y=classes[labels])
        return np.asarray(weights * of_class[labels], np.float32)

    def _read(self, X: Any) -> Views:
        """The views of X, checked against those that the model was fitted with."""
        self._check_fitted()
        if is_matrix(X):
            width = matrix_width(X)
            if width != self.n_features_in_:
                raise InputError(
                    f"X has {width} features, but {type(self).__name__} is expecting {self.n_features_in_} features "
                    "as input"
                )
            X = _in_order(X, getattr(self, "feature_names_in_", None))
        views = read_views(
            X,
            columns=self.view_columns,
            names=self.view_names_,
            fitted=self.view_features_,
            gaps=self.recipe_.missing_cells == "mean",
        )
        matrices = []
        for name, matrix, shape in zip(views.names, views.matrices, self.view_shapes_, strict=True):
            if matrix is not None and shape.features and matrix.shape[1] != shape.features:
                raise InputError(f"view {name!r} has {matrix.shape[1]} features, but had {shape.features} when fitting")
            if shape.sparse and name in views.gaps:
                raise InputError(f"view {name!r} has NaN in part of a row, but was sparse when fitting: impute it")
            matrices.append(_as_fitted(matrix, views.samples, shape))
        useless = ~views.present[self._used()].any(axis=0)
        if useless.any():
            raise InputError(
                f"sample {views.rows.name(np.flatnonzero(useless)[0])} has only views that no training sample had: "
                "nothing can be said of it"
            )
        return dataclasses.replace(views, matrices=tuple(matrices))

    def _used(self) -> list[int]:
        """Positions of the views that some training sample had."""
        return [position for position, shape in enumerate(self.view_shapes_) if shape.features]

    def _predict(self, views: Views) -> Iterator[Predictions]:
        return self._answers.predictions(_of_used(views, self._used()))

    def _logits(self, views: Views) -> NDArray[np.float64]:
        return self._answers.logits(_of_used(views, self._used()))

    def _read_labelled(self, given: Any, name: str) -> tuple[Views, NDArray[np.int64]]:
        """The views of a pair (X, y) that some training sample had, and its encoded labels."""
        if not (isinstance(given, (tuple, list)) and len(given) == 2):
            raise InputError(f"{name} must be a pair (X, y)")
        views = self._read(given[0])
        return _of_used(views, self._used()), encode_labels(given[1], self.classes_, views)

    def _warn_of_full_sets(
        self,
        pattern: NDArray[np.bool_],
        labels: NDArray[np.int64],
        groups: NDArray[np.int64],
        coverage: float,
        class_conditional: bool,
    ) -> None:
        """Say so where classes are in sets for want of held-out samples; each group of these is compared with apart."""
        needed = conformal.needed_samples(coverage)
        classes = len(self.classes_)
        of_groups = [np.bincount(labels[groups == group], minlength=classes) for group in np.unique(groups)]
        counts = np.array(of_groups or [np.zeros(classes, np.int64)])
        if not class_conditional:
            counts = counts.sum(axis=1, keepdims=True)
        apart, rarest = len(counts) > 1, int(counts.min(axis=0).argmin())
        fewest = int(counts[:, rarest].min())
        if needed is None or fewest >= needed:
            return
        names = [self.view_names_[position] for position, has in zip(self._used(), pattern, strict=True) if has]
        warnings.warn(
            (f"class {self.classes_[rarest]!r}" if class_conditional else "every class")
            + (" is in every set" if counts[:, rarest].max() < needed else " is in some sets")
            + f" of samples with the views {', '.join(names)}: a coverage of {coverage} takes {needed} held-out samples"
            + (" of each class" if class_conditional else "")
            + (" for each model" if apart else "")
            + f", and there are {fewest}"
            + ("; with models='each' those of all models count together" if apart else ""),
            stacklevel=3,
        )


def _watcher(samples: Samples, every: Any) -> InformationCallback | None:
    """What measures information every so many epochs; None for 0."""
    if isinstance(every, bool) or not isinstance(every, Integral) or every < 0:
        raise InputError(f"information_epochs must be a whole number from 0, not {every!r}")
    if not every:
        return None
    if not len(samples.held_out):
        raise InputError("information_epochs must be 0 where there are no validation samples to measure on")
    return InformationCallback(
        samples.views,
        samples.labels,
        [fold.validation for fold in samples.folds],
        due=lambda epoch: epoch % every == 0,
    )


def _names_of_matrix(X: Any) -> Names | None:
    """Names of the columns of X where it is one DataFrame."""
    return column_names(X) if is_matrix(X) else None


def _with_labels(table: NDArray[np.float32], labels: Any, estimator: BaseEstimator) -> Any:
    """The table as a DataFrame that knows the labels of its rows, where `set_output` will make one of it."""
    if labels is None or _get_output_config("transform", estimator)["dense"] != "pandas":
        return table
    import pandas as pd  # noqa: PLC0415 - there, or nobody could have asked

    return pd.DataFrame(table, index=labels)


def _in_order(X: Any, fitted: Sequence[Name] | None) -> Any:
    """X with its columns in the order of fitting, where it is one DataFrame as it was then."""
    given = _names_of_matrix(X)
    if given is None or fitted is None:
        return X
    order = column_order(given, tuple(fitted), "X")
    if order is None:
        return X
    return X.iloc[:, order] if hasattr(X, "iloc") else X[:, order.tolist()]


def _of_used(views: Views, used: Sequence[int]) -> Views:
    """The views that some training sample had."""
    return Views(
        tuple(views.names[position] for position in used),
        tuple(views.matrices[position] for position in used),
        views.present[list(used)],
    )


def _as_fitted(matrix: Matrix | None, samples: int, shape: ViewShape) -> Matrix | None:
    """A matrix of the kind that the network was fitted with; zeros for a view that is missing now."""
    if not shape.features:
        return None
    if matrix is None:
        empty = scipy.sparse.csr_array if shape.sparse else np.zeros
        return empty((samples, shape.features), dtype=np.float32)
    if shape.sparse:
        return scipy.sparse.csr_array(matrix)
    return matrix if isinstance(matrix, np.ndarray) else matrix.toarray()
