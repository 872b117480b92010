"""The modules are the functions: same options, same values, same gradients, nothing else."""

from __future__ import annotations

import copy
import inspect
import pickle
from typing import Any

import pytest
import torch
from torch import Tensor

from limbeck import objectives
from limbeck.objectives import modules
from limbeck.objectives.modules import Objective

KINDS = {
    kind.__name__: kind for kind in vars(modules).values() if isinstance(kind, type) and issubclass(kind, Objective)
}
del KINDS["Objective"]
# What is not a loss: it makes arguments of one, or its result is no tensor.
NO_LOSSES = {"RankedList", "carried", "identity_pairs", "laplacian_pyramid", "margin_logits", "prototype_logits"}

# Another value than the default of every option that there is.
OTHER: dict[str, Any] = {
    "arithmetic": "released-2021",
    "balance": 0.3,
    "boundary": 1.3,
    "classes": "all",
    "coefficient": 0.7,
    "consistency": 0.5,
    "detach_joint": False,
    "detach_teacher": False,
    "divergence": "js",
    "equation": "2021-eq15",
    "form": "batch",
    "gamma": 1.0,
    "label_smoothing": 0.1,
    "leave_one_out": True,
    "levels": 2,
    "margin": 0.3,
    "negative_scale": 20.0,
    "offset": 0.4,
    "over_pixels": "sum",
    "over_views": "mean",
    "positive_scale": 3.0,
    "reduction": "sum",
    "scale": 2.0,
    "squared": False,
    "sufficiency": 0.5,
    "temperature": 0.7,
    "weight": 2.0,
    "weight_decay": 0.01,
}


def arguments(function: Any) -> dict[str, Tensor]:
    """A batch of what a function's tensors are called."""
    torch.manual_seed(0)
    made: dict[str, Tensor] = {}
    several = function is objectives.mv2d
    for name, parameter in inspect.signature(function).parameters.items():
        if "Tensor" not in str(parameter.annotation):
            continue
        if name in ("labels", "reference_labels"):
            made[name] = torch.tensor([0, 0, 1, 1, 2, 2])
        elif name in ("usable", "present"):
            made[name] = torch.rand(*(3, 6) if several else (6,)) < 0.9
        elif name in ("images", "reconstructions"):
            made[name] = torch.rand(6, 3, 8, 8)
        elif name == "plan":
            made[name] = torch.rand(5, 5)
        elif name == "alpha":
            made[name] = torch.rand(5)
        elif name == "proxies":
            made[name] = torch.randn(3, 5)
        elif several and name != "joint_logits":
            made[name] = torch.randn(3, 6, 5)
        else:
            made[name] = torch.randn(6, 5)
    return made


def options_of(kind: type[Objective]) -> dict[str, Any]:
    """Another value than the default of every option of a module, tensors left out."""
    found: dict[str, Any] = {}
    for name, parameter in inspect.signature(kind).parameters.items():
        if "Tensor" in str(parameter.annotation):
            continue
        if name == "normalize":
            found[name] = not parameter.default
        elif name == "mining":
            found[name] = "hard" if kind is modules.TripletLoss else 0.1
        else:
            found[name] = OTHER[name]
    return found


def value(result: Any) -> Tensor:
    return result.loss if isinstance(result, objectives.RankedList) else result


def test_every_loss_has_a_module() -> None:
    called = [kind.function.__name__ for kind in KINDS.values()]
    assert sorted(called) == sorted(set(objectives.__all__) - NO_LOSSES)
    assert all(kind.__name__.lower() == kind.function.__name__.replace("_", "") for kind in KINDS.values())


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("defaults", [True, False])
def test_a_module_is_its_function(name: str, defaults: bool) -> None:
    kind = KINDS[name]
    function = kind.function
    tensors = arguments(function)
    needed = [one.name for one in inspect.signature(kind).parameters.values() if one.default is one.empty]
    options = {key: other for key, other in options_of(kind).items() if not defaults or key in needed}
    constant = {key: tensors.pop(key) for key in ("alpha",) if key in tensors}
    if defaults:  # what need not be there is not
        required = inspect.signature(function).parameters
        tensors = {key: one for key, one in tensors.items() if required[key].default is inspect.Parameter.empty}
        if function is objectives.mv2d:
            tensors |= {key: arguments(function)[key] for key in ("joint_logits", "leave_one_out_logits")}
    if options.get("leave_one_out"):  # which is for pairs inside the batch
        tensors = {key: one for key, one in tensors.items() if not key.startswith("reference")}
    module = kind(**options, **constant)
    leaves = [tensor.requires_grad_() for tensor in tensors.values() if tensor.is_floating_point()]
    found, expected = module(**tensors), value(function(**tensors, **options, **constant))
    assert torch.equal(found, expected)
    gradients = [torch.autograd.grad(one.sum(), leaves, allow_unused=True) for one in (found, expected)]
    for own, other in zip(*gradients, strict=True):
        assert (own is None) == (other is None)
        assert own is None or torch.equal(own, other)
    assert list(module.parameters()) == []
    again = pickle.loads(pickle.dumps(module))  # noqa: S301
    assert torch.equal(again(**tensors), expected)
    assert torch.equal(copy.deepcopy(module)(**tensors), expected)
    assert repr(module).startswith(f"{name}(")


def test_what_is_wrong_is_said_when_a_module_is_made() -> None:
    with pytest.raises(TypeError, match="TripletLoss: got an unexpected keyword argument 'marign'; its options are m"):
        modules.TripletLoss(marign=0.3)
    with pytest.raises(TypeError, match="TripletLoss: references belongs in the call"):
        modules.TripletLoss(references=torch.zeros(2, 3))
    with pytest.raises(TypeError, match=r"WeightDecayedCrossEntropyBound: missing a required.*weight_decay"):
        modules.WeightDecayedCrossEntropyBound()
    with pytest.raises(TypeError, match=r"Sharpness: .*its options are none"):
        modules.Sharpness(temperature=1.0)
    with pytest.raises(TypeError, match="use one of its subclasses"):
        Objective()


def test_class_weights_are_a_buffer_and_move_with_the_module() -> None:
    module = modules.MultiClassFocal(alpha=torch.ones(5)).double()
    assert module.state_dict()["alpha"].dtype == torch.float64


def test_ranked_list_loss_is_a_plain_scalar() -> None:
    embeddings = torch.randn(6, 5, requires_grad=True)
    loss = modules.RankedListLoss(margin=0.3)(embeddings, torch.tensor([0, 0, 1, 1, 2, 2]))
    loss.backward()
    assert loss.ndim == 0
    assert embeddings.grad is not None


def test_signature_and_help_say_the_options() -> None:
    assert list(inspect.signature(modules.VSD).parameters) == [
        "detach_teacher",
        "temperature",
        "reduction",
        "arithmetic",
    ]
    assert "Called with (observation_logits, representation_logits)" in (modules.VSD.__doc__ or "")
