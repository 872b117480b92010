"""The training objective: every term against its parts, and what each objective holds."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from limbeck.nn import AdditiveHead
from limbeck.objectives import jensen_shannon_information, ranked_list_loss, released_2021_divergence
from limbeck.reid.network import BranchOutput, Outputs, ReidNetwork
from limbeck.reid.recipe import DataSettings, LossSettings, NetworkSettings, ReidRecipe, read_recipe
from limbeck.reid.supervised.loss import _far_apart, training_terms

ROWS, CLASSES = 6, 4
LABELS = torch.tensor([0, 0, 2, 2, 3, 3])


def view(seed: int) -> BranchOutput:
    rng = torch.Generator().manual_seed(seed)
    v, z = (torch.randn(ROWS, width, generator=rng, dtype=torch.float64).requires_grad_() for width in (7, 5))
    logits = [torch.randn(ROWS, CLASSES, generator=rng, dtype=torch.float64).requires_grad_() for _ in range(2)]
    return BranchOutput(v, logits[0], z, logits[1])


def outputs() -> Outputs:
    return Outputs((view(1), view(2)), (view(3), view(4)))


def kl(teacher: Tensor, student: Tensor) -> Tensor:
    p, q = teacher.softmax(1), student.softmax(1)
    return (p * (p / q).log()).sum(1).mean()


def terms(given: Outputs, **settings: Any) -> dict[str, Tensor]:
    return training_terms(given, LABELS, LossSettings(**settings))


def close(found: Tensor, expected: Tensor) -> bool:
    return abs(found.item() - expected.item()) < 1e-5


def test_terms_of_the_2021_objective() -> None:
    given = outputs()
    found = terms(given, consistency="vcd+vml", mutual_weight=8.0, distillation_weight=2.0, ranking_weight=3.0)
    assert list(found) == ["classification", "ranking", "mutual", "vsd", "vcd", "vml"]
    (v1, v2), (s1, s2) = given.specific, given.shared
    smoothed = [
        F.cross_entropy(logits, LABELS, label_smoothing=0.1)
        for branch in (v1, v2, s1, s2)
        for logits in (branch.observation_logits, branch.representation_logits)
        if logits is not None
    ]
    assert close(found["classification"], torch.stack(smoothed).sum() / 2)
    twice = LABELS.repeat(2)
    ranked = [
        ranked_list_loss(torch.cat([a, b]).float(), twice).loss
        for a, b in (
            (v1.observation, v2.observation),
            (v1.representation, v2.representation),
            (s1.observation, s2.observation),
            (s1.representation, s2.representation),
        )
    ]
    assert close(found["ranking"], 3 * torch.stack(ranked).sum())
    a, b = v1.observation_logits, v2.observation_logits
    assert close(found["mutual"], 8 * (kl(a, b) + kl(b, a)))
    expected = (kl(a, v1.representation_logits) + kl(b, v2.representation_logits)) / 2
    assert close(found["vsd"], 2 * expected)
    z1, z2 = s1.representation_logits, s2.representation_logits
    assert close(found["vcd"], 2 * (kl(s2.observation_logits, z1) + kl(s1.observation_logits, z2)))
    middle = ((z1.softmax(1) + z2.softmax(1)) / 2).log()
    assert close(found["vml"], kl(z1, middle) + kl(z2, middle))


RECIPES = Path(__file__).parents[3] / "recipes" / "reid"


@pytest.mark.parametrize("recipe", ["sysu-mv2d-3view", "regdb-mv2d-3view"])
def test_mv2d_of_the_published_recipe_is_equation_9_times_its_weight(recipe: str) -> None:
    settings = read_recipe(RECIPES / f"{recipe}.yaml").loss
    views = tuple(view(seed) for seed in (3, 4, 5))
    head = AdditiveHead(5, CLASSES, 3).double()
    joint = head(torch.stack([one.representation for one in views]))
    found = training_terms(Outputs((view(1), view(2)), views, joint), LABELS, settings)["mv2d"]
    # Equation 9 with nothing of limbeck: every prediction from the weights and the representations themselves.
    blocks = [head.blocks.weight[i] for i in range(3)]
    terms_of_views = [one.representation @ block for one, block in zip(views, blocks, strict=True)]
    everything = head.bias + terms_of_views[0] + terms_of_views[1] + terms_of_views[2]
    sufficiency = sum(kl(one.observation_logits, one.representation_logits) for one in views)
    others = [[j for j in range(3) if j != i] for i in range(3)]
    without = [head.bias + terms_of_views[j] + terms_of_views[k] for j, k in others]
    consistency = sum(kl(everything, one) for one in without)
    assert settings.distillation_weight == 2
    assert found.dtype == torch.float64
    assert abs(found.item() - 2 * (sufficiency + consistency).item()) < 1e-12
    mean = replace(settings, over_views="mean")
    found = training_terms(Outputs((view(1), view(2)), views, joint), LABELS, mean)["mv2d"]
    assert abs(found.item() - 2 * (sufficiency + consistency).item() / 3) < 1e-12


def test_teachers_learn_nothing_from_divergences() -> None:
    given = outputs()
    found = terms(given, consistency="vcd+vml")
    for name, teachers in (("vsd", given.specific), ("vcd", given.shared)):
        gradients = torch.autograd.grad(
            found[name], [teacher.observation_logits for teacher in teachers], allow_unused=True, retain_graph=True
        )
        assert gradients == (None, None)


def test_other_objectives_hold_other_terms() -> None:
    plain = {"classification", "ranking"}
    assert set(terms(outputs(), objective="none")) == plain
    assert set(terms(outputs(), objective="vd", vsd=False, consistency="none")) == plain
    assert set(terms(Outputs((), outputs().shared))) == plain | {"vcd", "vml"}
    assert set(terms(Outputs(outputs().specific, ()))) == plain | {"vsd"}


def test_released_arithmetic_is_what_was_released() -> None:
    given = outputs()
    found = terms(given, objective="released-2021", distillation_weight=1.0)
    assert set(found) == {"classification", "ranking", "vsd", "vcd"}  # the released code has no VML
    each = [released_2021_divergence(b.observation_logits, b.representation_logits) for b in given.specific]
    assert close(found["vsd"], torch.stack(each).mean())


def test_all_pairs_are_every_two_rows_of_a_person() -> None:
    given = outputs()
    found = terms(given, pairs="all", consistency="vcd+vml", distillation_weight=1.0)
    s1, s2 = given.shared
    pairs = [(i, j) for i in range(ROWS) for j in range(ROWS) if LABELS[i] == LABELS[j]]
    expected = [
        kl(s2.observation_logits[j : j + 1], s1.representation_logits[i : i + 1])
        + kl(s1.observation_logits[i : i + 1], s2.representation_logits[j : j + 1])
        for i, j in pairs
    ]
    assert close(found["vcd"], torch.stack(expected).mean())


def test_mv2d_asks_the_joint_head_too() -> None:
    given = outputs()
    head = AdditiveHead(5, CLASSES, 2).double()
    joint = head(torch.stack([view.representation for view in given.shared]))
    found = terms(given._replace(joint=joint), consistency="mv2d")
    assert set(found) == {"classification", "ranking", "vsd", "mv2d"}
    without = terms(given, objective="none")
    asked = F.cross_entropy(joint.joint, LABELS, label_smoothing=0.1)
    assert close(found["classification"] - without["classification"], asked)


def test_grey_routing_repeats_the_labels() -> None:
    twice = [BranchOutput(*(torch.cat([t, t]) for t in part[:4])) for part in (view(1), view(2))]
    found = training_terms(Outputs((twice[0], twice[1]), ()), LABELS, LossSettings(objective="none"))
    once = training_terms(Outputs((view(1), view(2)), ()), LABELS, LossSettings(objective="none"))
    assert close(found["classification"], once["classification"])


def test_the_critic_gains_what_z_loses() -> None:
    network_settings = NetworkSettings(encoder="small", weights="none", hidden=(8,), representation=5, head_hidden=None)
    loss = LossSettings(objective="cib", compression_weight=3.0)
    recipe = ReidRecipe(data=DataSettings(height=16, width=16), network=network_settings, loss=loss)
    network = ReidNetwork(recipe, CLASSES).eval()
    assert network.critics is not None
    wide = [torch.randn(ROWS, 192, requires_grad=True) for _ in range(2)]
    narrow = [torch.randn(ROWS, 5, requires_grad=True) for _ in range(2)]
    logits = torch.randn(ROWS, CLASSES)
    views = tuple(BranchOutput(v, logits, z, logits) for v, z in zip(wide, narrow, strict=True))
    critic = training_terms(Outputs((), views), LABELS, loss, network=network)["critic"]
    order = _far_apart(2 * ROWS)
    scores = network.critics["shared"](torch.cat(wide)[order], torch.cat(narrow)[order])
    information = jensen_shannon_information(*scores)
    assert close(critic, -information)
    (of_term,) = torch.autograd.grad(critic, narrow[0], retain_graph=True)
    (of_information,) = torch.autograd.grad(information, narrow[0], retain_graph=True)
    assert torch.allclose(of_term, 3.0 * of_information, atol=1e-6)  # descending the term lowers what is known of v
    weight = next(network.critics["shared"].parameters())
    (climbs,) = torch.autograd.grad(critic, weight)
    (rises,) = torch.autograd.grad(information, weight)
    assert torch.allclose(climbs, -rises, atol=1e-6)  # and raises it for the critic


@pytest.mark.parametrize("people", [8, 16])
@pytest.mark.parametrize("pictures", [2, 4])
@pytest.mark.parametrize("views", [1, 2, 3])
def test_neighbours_of_the_critics_order_are_strangers(people: int, pictures: int, views: int) -> None:
    order = _far_apart(people * pictures * views)
    assert sorted(order) == list(range(people * pictures * views))
    who = torch.arange(people).repeat_interleave(pictures).repeat(views)[order]
    assert not (who == who.roll(-1)).any()


def test_everything_that_is_trained_gets_a_gradient() -> None:
    """DDP waits for the gradient of every parameter."""
    for loss in (
        LossSettings(objective="cib"),
        LossSettings(objective="cib", supervise_observation=False),
        LossSettings(consistency="mv2d"),
        LossSettings(objective="none"),
        LossSettings(objective="released-2021"),
    ):
        for branches in (("shared",), ("visible", "infrared"), ("visible", "infrared", "shared")):
            network = ReidNetwork(
                ReidRecipe(
                    data=DataSettings(height=16, width=16),
                    network=NetworkSettings(
                        encoder="small",
                        weights="none",
                        branches=branches,
                        hidden=(8,),
                        representation=6,  # type: ignore[arg-type]
                    ),
                    loss=loss,
                ),
                CLASSES,
            )
            given = torch.rand(2, ROWS, 3, 16, 16, generator=torch.Generator().manual_seed(0))
            found = training_terms(network(given[0], given[1]), LABELS, loss, network=network)
            torch.stack(list(found.values())).sum().backward()
            silent = [name for name, p in network.named_parameters() if p.requires_grad and p.grad is None]
            assert not silent
