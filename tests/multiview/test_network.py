"""The stacked network: shapes, missing views, sparse input, seeds."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from limbeck.multiview.network import MultiViewNetwork, ViewScaler, ViewShape
from limbeck.multiview.recipe import Recipe
from limbeck.multiview.tensors import TensorViews
from limbeck.multiview.views import read_views

RECIPE = Recipe(encoder=(12, 8), representation=4)
RNG = np.random.default_rng(0)
MATRICES = [RNG.normal(size=(9, width)).astype(np.float32) for width in (5, 3, 6)]
SHAPES = [ViewShape(matrix.shape[1]) for matrix in MATRICES]
CPU = torch.device("cpu")
SAMPLES = torch.tensor([[0, 1, 2, 3], [5, 6, 7, 8]])


def _network(recipe: Recipe = RECIPE, shapes: list[ViewShape] = SHAPES, seeds: tuple[int, ...] = (0, 1)) -> Any:
    return MultiViewNetwork(shapes, 3, recipe, seeds=seeds).eval()


def test_predictions_have_a_place_for_every_model_view_and_sample() -> None:
    out = _network()(TensorViews(read_views(MATRICES), CPU).batch(SAMPLES))
    assert out.observations.shape == (2, 3, 4, 8)
    assert out.representations.shape == (2, 3, 4, 4)
    assert out.observation_logits.shape == out.representation_logits.shape == (2, 3, 4, 3)
    assert out.leave_one_out_logits.shape == (2, 3, 4, 3)
    assert out.joint_logits.shape == (2, 4, 3)
    assert out.distribution.mean.shape == out.distribution.log_variance.shape == (2, 3, 4, 4)


def test_without_a_bottleneck_the_observations_are_the_representations() -> None:
    out = _network(replace(RECIPE, objective="none", bottleneck=False))(
        TensorViews(read_views(MATRICES), CPU).batch(SAMPLES)
    )
    assert out.distribution is None
    assert out.representations is out.observations
    assert out.representation_logits is out.observation_logits


def test_a_pairwise_head_begins_where_the_additive_one_does() -> None:
    """The same seed gives the same weights, so that studies compare networks that start at one point."""
    batch = TensorViews(read_views(MATRICES), CPU).batch(SAMPLES)
    pairwise = _network(replace(RECIPE, joint_head="pairwise", interaction_rank=3))
    assert torch.equal(pairwise(batch).joint_logits, _network()(batch).joint_logits)
    assert pairwise.joint_head.factors.weight.shape == (2, 3, 4, 3)
    pairwise.keep_models([1])
    assert pairwise(TensorViews(read_views(MATRICES), CPU).batch(SAMPLES[1:])).joint_logits.shape == (1, 4, 3)


@pytest.mark.parametrize("head", ["additive", "pairwise"])
def test_a_missing_view_equals_leaving_it_out(head: Any) -> None:
    network = _network(replace(RECIPE, joint_head=head))
    for name, parameter in network.named_parameters():
        if "interaction" in name:
            torch.nn.init.constant_(parameter, 0.5)  # it starts at zero
    whole = network(TensorViews(read_views(MATRICES), CPU).batch(SAMPLES))
    lacking = [MATRICES[0], np.full_like(MATRICES[1], np.nan), MATRICES[2]]
    lacking[1][4] = 0  # one sample of no batch has it, so that the view stays known
    out = network(TensorViews(read_views(lacking), CPU).batch(SAMPLES))
    torch.testing.assert_close(out.joint_logits, whole.leave_one_out_logits[:, 1])


def test_a_sparse_view_gives_what_the_dense_one_gives() -> None:
    values = [np.where(np.abs(matrix) > 0.7, matrix, 0) for matrix in MATRICES]
    values[0][2] = 0  # an empty row
    dense, sparse = read_views(values), read_views([sp.csr_array(value) for value in values])
    network = _network(shapes=[ViewShape(shape.features, sparse=True) for shape in SHAPES])
    other = _network()
    other.load_state_dict(network.state_dict() | {k: v for k, v in other.state_dict().items() if "scaler" in k})
    torch.testing.assert_close(
        network(TensorViews(sparse, CPU).batch(SAMPLES)).joint_logits,
        other(TensorViews(dense, CPU).batch(SAMPLES)).joint_logits,
    )


def test_each_model_of_a_stack_computes_what_it_would_compute_alone() -> None:
    data = TensorViews(read_views(MATRICES), CPU)
    network = _network()
    together = network(data.batch(SAMPLES)).joint_logits
    for model in range(2):
        alone = _network(seeds=(7,))
        alone.load_state_dict(network.model_state(model))
        torch.testing.assert_close(alone(data.batch(SAMPLES[model : model + 1])).joint_logits[0], together[model])


def test_initial_weights_depend_on_the_own_seed_alone() -> None:
    first, second = _network(seeds=(3, 4)), _network(seeds=(9, 4))
    for one, two in zip(first.model_state(1).values(), second.model_state(1).values(), strict=True):
        assert torch.equal(one, two)
    assert not torch.equal(
        first.model_state(0)["joint_head.blocks.weight"], first.model_state(1)["joint_head.blocks.weight"]
    )


def test_the_state_of_one_model_is_a_copy() -> None:
    network = _network()
    state = network.model_state(0)
    before = state["joint_head.bias"].clone()
    with torch.no_grad():
        network.joint_head.bias.add_(1)
    assert torch.equal(state["joint_head.bias"], before)


@pytest.mark.parametrize("objective", ["mv2d", "cib"])
def test_inference_is_deterministic(objective: Any) -> None:
    network = _network(replace(RECIPE, objective=objective))
    batch = TensorViews(read_views(MATRICES), CPU).batch(SAMPLES)
    assert torch.equal(network(batch).joint_logits, network(batch).joint_logits)


def test_only_cib_and_stochastic_recipes_sample_in_training() -> None:
    batch = TensorViews(read_views(MATRICES), CPU).batch(SAMPLES)
    for changes, expected in (({}, False), ({"stochastic": True}, True), ({"objective": "cib"}, True)):
        network = _network(replace(RECIPE, dropout=0.0, **changes)).train()
        out = network(batch)
        assert (not torch.equal(out.representations, out.distribution.mean)) == expected


def test_the_scaler_standardises_and_clips() -> None:
    scaler = ViewScaler(ViewShape(2), 3.0, models=1)
    scaler.mean[0] = torch.tensor([1.0, 2.0])
    scaler.factor[0] = torch.tensor([2.0, 0.0])
    view = torch.tensor([[[2.0, 5.0], [100.0, 5.0], [-100.0, 5.0]]])
    assert scaler(view).tolist() == [[[2.0, 0.0], [3.0, 0.0], [-3.0, 0.0]]]
    assert view[0, 0].tolist() == [2.0, 5.0]


def test_a_clip_above_what_float32_holds_clips_nothing() -> None:
    scaler = ViewScaler(ViewShape(2), 1e308, models=1)
    assert scaler(torch.tensor([[[2.0, -3e38]]])).tolist() == torch.tensor([[[2.0, -3e38]]]).tolist()


def test_sparse_rows_are_scaled_by_their_own_models_factor() -> None:
    matrix = sp.csr_array(np.array([[1.0, 0.0, 2.0], [0.0, 0.0, 0.0], [0.0, 3.0, 0.0]], np.float32))
    rows = TensorViews(read_views([matrix]), CPU).batch(torch.tensor([[0, 1], [2, 0], [1, 1]])).views[0]
    scaler = ViewScaler(ViewShape(3, sparse=True), 100.0, models=3)
    scaler.factor[:, 0] = torch.tensor([1.0, 10.0, 7.0])
    assert scaler.scale_rows(rows).values.tolist() == [1.0, 2.0, 30.0, 10.0, 20.0]


def test_a_batch_marks_missing_views_and_padding() -> None:
    left = MATRICES[0].copy()
    left[1] = np.nan
    data = TensorViews(read_views([left, MATRICES[1]]), CPU)
    valid = torch.tensor([[True, True, True, False], [True] * 4])
    present = data.batch(SAMPLES, valid).present
    assert present is not None
    assert present.shape == (2, 2, 4)
    assert present[0].tolist() == [[True, False, True, False], [True, True, True, False]]
    assert present[1].all()
    assert TensorViews(read_views(MATRICES), CPU).batch(SAMPLES).present is None
