"""The three-branch network: a visible, an infrared and a shared branch, each encoder, bottleneck and heads."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from limbeck.images.decoding import LUMA
from limbeck.modalities import VISIBLE
from limbeck.nn import (
    AdditiveHead,
    BNNeck,
    Bottleneck,
    ClassificationHead,
    Gaussian,
    JointPrediction,
    PairCritic,
    PictureNormalization,
    UNet,
    load_weights,
    make_encoder,
    make_pooling,
)
from limbeck.reid.recipe import PeopleRecipe


class BranchOutput(NamedTuple):
    """What a branch says of pictures.

    Attributes:
        observation: v, (pictures, features), behind the neck's batch normalisation.
        observation_logits: (pictures, classes).
        representation: z, (pictures, representation); None without a bottleneck.
        representation_logits: (pictures, classes); None without a bottleneck.
        distribution: the Gaussian that z comes from; None where it is not one.
    """

    observation: Tensor
    observation_logits: Tensor
    representation: Tensor | None = None
    representation_logits: Tensor | None = None
    distribution: Gaussian | None = None

    def each(self, change: Callable[[Tensor], Tensor]) -> BranchOutput:
        """The same with every tensor changed."""

        def changed(tensor: Tensor | None) -> Tensor | None:
            return None if tensor is None else change(tensor)

        moments = self.distribution
        return BranchOutput(
            change(self.observation),
            change(self.observation_logits),
            changed(self.representation),
            changed(self.representation_logits),
            None if moments is None else Gaussian(change(moments.mean), change(moments.log_variance)),
        )


class Outputs(NamedTuple):
    """What the network says of a batch of visible and infrared pictures of the same people.

    Row i of every entry shows the same person. With the routing "modality" the entries of the first modality are of
    visible pictures and those of the second of infrared ones; with "grey" all entries are of all pictures, the first
    in colour and the second in grey.

    Attributes:
        specific: of the visible and of the infrared branch; empty without them.
        shared: of the shared branch, a view each (two, or three with the uniform one); empty without it.
        joint: the joint prediction of the shared branch's representations and its leave-one-out forms, where "mv2d"
            asks for it.
        reconstructed: what the U-Net made of all pictures, (pictures, 1, height, width), and their grey; None without.
    """

    specific: tuple[BranchOutput, ...]
    shared: tuple[BranchOutput, ...]
    joint: JointPrediction | None = None
    reconstructed: tuple[Tensor, Tensor] | None = None

    def each(self, change: Callable[[Tensor], Tensor]) -> Outputs:
        """The same with every tensor changed; `change` is given all of them with the samples first."""
        joint, made = self.joint, self.reconstructed
        if joint is not None:  # views come before samples there
            apart = change(joint.leave_one_out.transpose(0, 1)).transpose(0, 1)
            joint = JointPrediction(change(joint.joint), apart)
        return Outputs(
            tuple(view.each(change) for view in self.specific),
            tuple(view.each(change) for view in self.shared),
            joint,
            None if made is None else (change(made[0]), change(made[1])),
        )


class Branch(nn.Module):
    """An encoder, its bottleneck, and a head on each of v and z.

    Args:
        recipe: how it is built.
        classes: identities to tell apart; 0: none, there are no heads and logits are (batch, 0).

    Shapes: pictures (batch, 3, height, width), normalised.
    """

    def __init__(self, recipe: PeopleRecipe, classes: int) -> None:
        super().__init__()
        settings = recipe.network
        self.encoder = make_encoder(settings.encoder, last_stride=settings.last_stride)
        self.pooling, width = make_pooling(settings.pooling, self.encoder.features)
        self.neck = BNNeck(width)
        asked = recipe.asked
        self.observation_head: ClassificationHead | None = None
        if classes:
            self.observation_head = ClassificationHead(width, classes, init_std=0.001)
            # A head that nothing is asked of is not trained, so that several processes need not wait for its gradient.
            self.observation_head.requires_grad_(asked.observation)
        self.features = width
        self.bottleneck: Bottleneck | None = None
        self.gaussian = settings.gaussian
        if settings.bottleneck:
            self.bottleneck = Bottleneck(
                width,
                hidden=settings.hidden,
                features=settings.representation,
                stochastic=asked.sampled,
                normalization=settings.bottleneck_normalization,
                gaussian=settings.gaussian,
            )
            self.representation_head: ClassificationHead | None = None
            if classes:
                self.representation_head = ClassificationHead(
                    settings.representation, classes, hidden=settings.head_hidden, dropout=settings.dropout
                )

    def forward(self, pictures: Tensor) -> BranchOutput:
        observation = self.neck(self.pooling(self.encoder(pictures)))
        logits = _predicted(self.observation_head, observation)
        if self.bottleneck is None:
            return BranchOutput(observation, logits)
        distribution = self.bottleneck.distribution(observation) if self.gaussian else None
        z = self.bottleneck(observation) if distribution is None else self.bottleneck.sample(distribution)
        return BranchOutput(observation, logits, z, _predicted(self.representation_head, z), distribution)


def _predicted(head: ClassificationHead | None, vectors: Tensor) -> Tensor:
    # Not len(): a program that is traced would hold it for a constant.
    logits: Tensor = vectors.new_zeros(vectors.shape[0], 0) if head is None else head(vectors)
    return logits


class ReidNetwork(nn.Module):
    """The branches that the recipe names, and what its objective needs beside them.

    Args:
        recipe: how it is built.
        classes: identities to tell apart, where the recipe asks for heads.

    Shapes: pictures (batch, 3, height, width) of red, green, blue in [0, 1]; grey ones have three equal channels.

    Source: Tian et al. 2021, §3.3 and Fig. 3; Tian et al. 2022, §5.1.2, Fig. 5 and B.1.
    """

    luma: Tensor

    def __init__(self, recipe: PeopleRecipe, classes: int) -> None:
        super().__init__()
        classes = classes if recipe.asked.heads else 0
        self.routing = recipe.network.routing
        self.normalization = PictureNormalization(recipe.network.normalization)
        self.branches = nn.ModuleDict({name: Branch(recipe, classes) for name in recipe.network.branches})
        self.register_buffer("luma", torch.tensor(LUMA).view(3, 1, 1), persistent=False)
        self.uniform = UNet(3, 1, recipe.network.uniform_widths) if recipe.network.uniform else None
        views = 3 if recipe.network.uniform else 2
        width = recipe.network.representation
        self.joint_head: AdditiveHead | None = None
        if recipe.asked.joint and "shared" in self.branches:
            self.joint_head = AdditiveHead(width, classes, views)
        self.critics: nn.ModuleDict | None = None
        if recipe.asked.critics:
            hidden = recipe.network.critic_hidden
            self.critics = nn.ModuleDict(
                {
                    name: PairCritic(cast(Branch, branch).features, width, hidden=hidden, normalization="batch")
                    for name, branch in self.branches.items()
                }
            )

    def forward(self, visible: Tensor, infrared: Tensor) -> Outputs:
        """What the network says of a batch; row i of both shows the same person."""
        if self.routing == "grey":
            everything = torch.cat([visible, infrared])
            first, second = everything, self.grey(everything).expand_as(everything)
        else:
            first, second = visible, infrared
        views = [self.normalization(first), self.normalization(second)]
        specific: tuple[BranchOutput, ...] = ()
        if "visible" in self.branches:
            specific = self._run("visible", views[0]), self._run("infrared", views[1])
        if "shared" not in self.branches:
            return Outputs(specific, ())
        reconstructed = None
        if self.uniform is not None:
            everything = torch.cat([first, second])
            made = self.uniform(everything)
            reconstructed = made, self.grey(everything)
            # The third view of a pair is made of its visible or of its infrared picture, in turn.
            of_visible, of_infrared = made.detach().chunk(2)
            turn = (torch.arange(len(first), device=first.device) % 2 == 0).view(-1, 1, 1, 1)
            uniform = torch.where(turn, of_visible, of_infrared).to(first.dtype).expand_as(first)
            views.append(self.normalization(uniform))
        # One pass for all views, so that batch normalisation sees them together.
        shared = _split(self._run("shared", torch.cat(views)), len(views))
        joint = None
        if self.joint_head is not None:
            joint = self.joint_head(torch.stack([_known(view.representation) for view in shared]))
        return Outputs(specific, shared, joint, reconstructed)

    def embed(self, pictures: Tensor, modality: int) -> dict[str, Tensor]:
        """Representations of pictures of one modality, in evaluation mode.

        Args:
            pictures: (batch, 3, height, width) in [0, 1].
            modality: 0 visible, 1 infrared.

        Returns:
            name -> (batch, features), each row of length 1: "v specific" and "z specific" of the modality's own branch,
            "v shared", "z shared", and "v uniform", "z uniform" of the shared branch on the uniform view. With the
            routing "grey": "visible", "infrared", "shared" and "shared grey" in place of these words.
        """
        sources: dict[str, BranchOutput] = {}
        seen = self.normalization(pictures)
        if self.routing == "grey":
            grey = self.normalization(self.grey(pictures).expand_as(pictures))
            if "visible" in self.branches:
                sources |= {"visible": self._run("visible", seen), "infrared": self._run("infrared", grey)}
            if "shared" in self.branches:
                sources |= {"shared": self._run("shared", seen), "shared grey": self._run("shared", grey)}
        else:
            if "visible" in self.branches:
                sources["specific"] = self._run("visible" if modality == VISIBLE else "infrared", seen)
            if "shared" in self.branches:
                sources["shared"] = self._run("shared", seen)
                if self.uniform is not None:
                    made = self.uniform(pictures).expand_as(pictures)
                    sources["uniform"] = self._run("shared", self.normalization(made))
        named = {f"v {name}": output.observation for name, output in sources.items()}
        named |= {
            f"z {name}": output.representation for name, output in sources.items() if output.representation is not None
        }
        return {name: F.normalize(vectors.float(), dim=1) for name, vectors in named.items()}

    def grey(self, pictures: Tensor) -> Tensor:
        """(batch, 1, height, width): the luminance of pictures."""
        return (pictures * self.luma).sum(dim=1, keepdim=True)

    def _run(self, branch: str, normalised: Tensor) -> BranchOutput:
        output: BranchOutput = self.branches[branch](normalised.contiguous(memory_format=torch.channels_last))
        return output


def initial_network(recipe: PeopleRecipe, classes: int, *, resuming: bool = False) -> tuple[ReidNetwork, list[str]]:
    """The network as its training begins, by the recipe's seed, and a line for each encoder: the weights it has.

    Args:
        recipe: how it is built, where its encoders start.
        classes: identities to tell apart.
        resuming: its weights come out of a checkpoint, so that the encoders' need not be there any more; no lines.

    Raises:
        InputError: the encoders' weights cannot be read or do not fit.
    """
    torch.manual_seed(recipe.training.seed)
    network = ReidNetwork(recipe, classes)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if resuming:
        return network, []
    weights = recipe.network.weights
    return network, [
        f"{name} encoder: {load_weights(cast(Branch, branch).encoder, weights)}"
        for name, branch in network.branches.items()
    ]


def _split(output: BranchOutput, views: int) -> tuple[BranchOutput, ...]:
    """A branch's output for each of the views that went through it together."""

    def parts(tensor: Tensor | None) -> list[Tensor | None]:
        return [None] * views if tensor is None else list(tensor.chunk(views))

    distribution = output.distribution
    moments = (None, None) if distribution is None else tuple(distribution)
    columns = [parts(tensor) for tensor in (*output[:4], *moments)]
    return tuple(
        BranchOutput(
            _known(v),
            _known(v_logits),
            z,
            z_logits,
            None if mean is None else Gaussian(mean, _known(log_variance)),
        )
        for v, v_logits, z, z_logits, mean, log_variance in zip(*columns, strict=True)
    )


def _known(tensor: Tensor | None) -> Tensor:
    assert tensor is not None
    return tensor
