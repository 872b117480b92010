"""How hard the drawn people are: untrained baselines and a small network, for each level of difficulty.

`python -m benchmarks.people_difficulty [--levels easy standard hard] [--steps 2500] [--galleries 10] [--threads 1]`
prints rank-1 and mAP of the infrared pictures of unseen people against one random visible picture per person and camera
(the protocol sysu-all-single), mean ± standard deviation over random galleries. Nothing is selected on these people:
the last step counts.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from limbeck.retrieval import SYSU, Features, evaluate
from limbeck.synthetic.people import PeopleSettings, render
from limbeck.synthetic.people.layouts import shots
from limbeck.synthetic.people.make import scenario

_PEOPLE, _PICTURES = 8, 4  # a batch: people, and pictures of each in either modality
_HEIGHT, _WIDTH = 64, 32


@dataclass(frozen=True)
class Pictures:
    """Pictures `(n, 3, 64, 32)` in [0, 1], with who, where and how."""

    pixels: Tensor
    identities: NDArray[np.int64]
    cameras: NDArray[np.int64]
    infrared: NDArray[np.bool_]

    def of(self, chosen: NDArray[np.bool_]) -> Pictures:
        return Pictures(
            self.pixels[torch.from_numpy(chosen)], self.identities[chosen], self.cameras[chosen], self.infrared[chosen]
        )


def draw(settings: PeopleSettings) -> Pictures:
    """Every picture of the layout `sysu`, at half its height and width by the mean of 2 x 2 pixels."""
    taken = shots(settings, "sysu")
    pixels = np.empty((len(taken), 3, _HEIGHT, _WIDTH), np.float32)
    for place, shot in enumerate(taken):
        shown = scenario(settings, shot)
        full = render(shown.person, shown.camera, shown.picture, shot.modality, 2 * _HEIGHT, 2 * _WIDTH)
        pixels[place] = full.reshape(_HEIGHT, 2, _WIDTH, 2, 3).mean((1, 3)).transpose(2, 0, 1) / 255
    return Pictures(
        torch.from_numpy(pixels),
        np.array([shot.identity for shot in taken]),
        np.array([shot.camera for shot in taken]),
        np.array([shot.modality == "infrared" for shot in taken]),
    )


class _Block(nn.Module):
    def __init__(self, inside: int, outside: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(inside, outside, 3, stride, 1, bias=False)
        self.second = nn.Conv2d(outside, outside, 3, 1, 1, bias=False)
        self.norms = nn.ModuleList([nn.BatchNorm2d(outside) for _ in range(2)])
        self.aside = nn.Conv2d(inside, outside, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.norms[0](self.first(x)))
        return F.relu(self.aside(x) + self.norms[1](self.second(y)))


class SmallNet(nn.Module):
    """A residual network of a stem and three blocks on grey pictures, shared by both modalities.

    Four horizontal stripes are pooled into a vector, normalised by a batch norm, whose direction is the embedding.
    """

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU())
        self.blocks = nn.Sequential(_Block(16, 32, 2), _Block(32, 64, 2), _Block(64, 192, 2))
        self.reduce = nn.Linear(192 * 4, 256, bias=False)
        self.norm = nn.BatchNorm1d(256)
        self.head = nn.Linear(256, classes, bias=False)

    def embed(self, grey: Tensor) -> Tensor:
        """The normalised vectors, `(n, 256)`; grey pictures `(n, 1, 64, 32)` are standardised one by one."""
        deviation, mean = torch.std_mean(grey, (1, 2, 3), keepdim=True)
        x = ((grey - mean) / (deviation + 0.02)).to(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16):
            maps = self.blocks(self.stem(x))
            pooled = F.adaptive_avg_pool2d(maps, (4, 1)) + F.adaptive_max_pool2d(maps, (4, 1))
            reduced = self.reduce(pooled.flatten(1))
        features: Tensor = self.norm(reduced.float())
        return features

    def forward(self, grey: Tensor) -> tuple[Tensor, Tensor]:
        features = self.embed(grey)
        return features, self.head(features)


def train(pictures: Pictures, steps: int, seed: int = 0) -> SmallNet:
    """Cross-entropy with label smoothing plus weighted triplets of a cross-modal P x K batch."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    names, labels = np.unique(pictures.identities, return_inverse=True)
    cells = [
        [np.flatnonzero((labels == k) & (pictures.infrared == modality)) for modality in (False, True)]
        for k in range(len(names))
    ]
    net = SmallNet(len(names))
    net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimiser = torch.optim.AdamW(net.parameters(), lr=1.0, weight_decay=0.05)
    started = time.perf_counter()
    for step in range(steps):
        optimiser.param_groups[0]["lr"] = (
            2e-3 * min(1, step / 100 + 0.01) * 0.5 * (1 + math.cos(math.pi * step / steps))
        )
        people = rng.choice(len(names), _PEOPLE, replace=False)
        chosen = np.concatenate([rng.choice(cell, _PICTURES) for k in people for cell in cells[k]])
        grey = _augmented(pictures.pixels[torch.from_numpy(chosen)], pictures.infrared[chosen], rng)
        target = torch.from_numpy(labels[chosen])
        features, logits = net(grey)
        entropy, triplets = F.cross_entropy(logits, target, label_smoothing=0.1), _triplets(features, target)
        optimiser.zero_grad()
        (entropy + triplets).backward()
        optimiser.step()
        if step % 500 == 499:
            correct = (logits.argmax(1) == target).float().mean()
            print(
                f"    step {step + 1}: cross-entropy {entropy:.2f}, triplets {triplets:.2f}, correct {correct:.2f}, "
                f"{time.perf_counter() - started:.0f} s",
                file=sys.stderr,
                flush=True,
            )
    net.eval()
    return net


def _augmented(x: Tensor, infrared: NDArray[np.bool_], rng: np.random.Generator) -> Tensor:
    """Grey, of random channel weights where visible; a random tone curve; shift, mirror, erasing. `(n, 1, 64, 32)`."""
    mixed = np.where(rng.random((len(x), 1)) < 0.5, rng.dirichlet([2, 2, 2], len(x)), rng.normal(0, 0.6, (len(x), 3)))
    mixed[infrared] = 1 / 3
    grey = (x * torch.from_numpy(mixed).float()[:, :, None, None]).sum(1, keepdim=True)
    waves, bend, phase = (torch.from_numpy(rng.uniform(0, most, (len(x), 1, 1, 1))).float() for most in (9, 0.3, 6.3))
    grey = grey + bend * torch.sin(waves * grey + phase)
    padded = F.pad(grey, (3, 3, 4, 4), mode="replicate")
    out = torch.empty_like(grey)
    for place in range(len(x)):
        top, left = rng.integers(9), rng.integers(7)
        out[place] = padded[place, :, top : top + _HEIGHT, left : left + _WIDTH]
        if rng.random() < 0.5:
            out[place] = out[place].flip(-1)
        if rng.random() < 0.3:
            tall, wide = rng.integers(6, 20), rng.integers(5, 14)
            row, column = rng.integers(_HEIGHT - tall), rng.integers(_WIDTH - wide)
            out[place, :, row : row + tall, column : column + wide] = float(rng.random())
    return out


def _triplets(features: Tensor, labels: Tensor) -> Tensor:
    """The weighted regularised triplet loss of AGW (Ye et al. 2021), on unit vectors at a scale of 8."""
    unit = F.normalize(features)
    distances = 8 * (2 - 2 * unit @ unit.T).clamp_min(1e-6).sqrt()
    same = labels[:, None] == labels[None, :]
    far = (distances.masked_fill(~same, -1e4).softmax(1) * distances).sum(1)
    near = ((-distances).masked_fill(same, -1e4).softmax(1) * distances).sum(1)
    return F.softplus(far - near).mean()


def embed(net: SmallNet, pictures: Pictures) -> NDArray[np.float32]:
    """The mean of a picture's and its mirror image's embedding, of length 1."""
    with torch.no_grad():
        parts = [net.embed(x) + net.embed(x.flip(-1)) for x in pictures.pixels.mean(1, keepdim=True).split(256)]
    return np.asarray(F.normalize(torch.cat(parts)).numpy(), np.float32)


def raw(pictures: Pictures) -> NDArray[np.float32]:
    """Grey pixels, standardised in every picture: an untrained baseline."""
    grey = pictures.pixels.mean(1).flatten(1)
    grey = (grey - grey.mean(1, keepdim=True)) / grey.std(1, keepdim=True)
    return np.asarray(F.normalize(grey).numpy(), np.float32)


def histograms(pictures: Pictures) -> NDArray[np.float32]:
    """Square roots of colour histograms (8 bins a channel) of six stripes: an untrained baseline."""
    bins = (pictures.pixels.numpy() * 7.999).astype(np.int64)
    rows = [
        np.bincount(bins[place, channel, stripe].ravel(), minlength=8)
        for place in range(len(bins))
        for stripe in np.array_split(np.arange(_HEIGHT), 6)
        for channel in range(3)
    ]
    flat = np.sqrt(np.stack(rows)).reshape(len(bins), -1)
    return np.asarray(flat / np.linalg.norm(flat, axis=1, keepdims=True), np.float32)


def score(features: NDArray[np.float32], pictures: Pictures, galleries: int) -> str:
    """Rank-1 and mAP in per cent under SYSU-MM01's single-shot all-search."""
    given = Features.from_arrays(
        features, pictures.identities, camera=pictures.cameras, modality=pictures.infrared.astype(np.int8)
    )
    (found,) = evaluate(given, SYSU(count=galleries))
    pairs = (("rank-1", found.cmc(1)), ("mAP", found.mean_average_precision))
    return ", ".join(f"{name} {100 * one.mean:5.1f} ± {100 * one.deviation:3.1f}" for name, one in pairs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--levels", nargs="+", default=["easy", "standard", "hard"])
    parser.add_argument("--steps", type=int, default=2500)
    parser.add_argument("--galleries", type=int, default=10)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0, help="of the people and of the training")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    for level in arguments.levels:
        start = time.perf_counter()
        settings = PeopleSettings(seed=arguments.seed, difficulty=level)
        pictures = draw(settings)
        drawn = time.perf_counter()
        parts = {name: pictures.of(np.isin(pictures.identities, ids)) for name, ids in settings.splits().items()}
        test = parts["test"]
        net = train(parts["train"], arguments.steps, arguments.seed)
        print(
            f"{level}: {len(pictures.identities)} pictures drawn in {drawn - start:.0f} s, "
            f"trained in {time.perf_counter() - drawn:.0f} s, chance rank-1 {100 / len(np.unique(test.identities)):.1f}"
        )
        for name, features in (
            ("colour histograms", histograms(test)),
            ("raw pixels", raw(test)),
            ("small network", embed(net, test)),
        ):
            print(f"  {name:18} {score(features, test, arguments.galleries)}", flush=True)
        known = parts["train"].of(parts["train"].identities <= settings.test_identities)
        print(f"  {'(training people)':18} {score(embed(net, known), known, arguments.galleries)}", flush=True)


if __name__ == "__main__":
    main()
