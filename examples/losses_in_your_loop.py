"""The objectives in a training loop of one's own: two views, one encoder each, and nothing else of limbeck."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from limbeck.nn import AdditiveHead, Bottleneck
from limbeck.objectives import mv2d


def main(steps: int = 200) -> float:
    """Train on two noisy views of a label; return the accuracy from the first view alone."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(4, (512,), generator=generator)
    codes = torch.randn(4, 2, 16, generator=generator)
    views = codes[labels] + torch.randn(512, 2, 16, generator=generator)  # (samples, views, features)

    encoders = nn.ModuleList(nn.Sequential(nn.Linear(16, 32), nn.ReLU()) for _ in range(2))
    bottlenecks = nn.ModuleList(Bottleneck(32, hidden=(), features=8) for _ in range(2))
    heads_v = nn.ModuleList(nn.Linear(32, 4) for _ in range(2))
    heads_z = nn.ModuleList(nn.Linear(8, 4) for _ in range(2))
    joint_head = AdditiveHead(8, 4, views=2)
    model = nn.ModuleList([encoders, bottlenecks, heads_v, heads_z, joint_head])
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)

    for _ in range(steps):
        v = [encoder(views[:, i]) for i, encoder in enumerate(encoders)]
        z = [bottleneck(v[i]) for i, bottleneck in enumerate(bottlenecks)]
        logits_v = torch.stack([head(v[i]) for i, head in enumerate(heads_v)])  # (views, batch, classes)
        logits_z = torch.stack([head(z[i]) for i, head in enumerate(heads_z)])
        prediction = joint_head(torch.stack(z))
        loss = F.cross_entropy(prediction.joint, labels)
        loss = loss + sum(F.cross_entropy(logits, labels) for logits in [*logits_v, *logits_z]) / 2
        loss = loss + 2 * mv2d(logits_v, logits_z, prediction.joint, prediction.leave_one_out)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    # Leaving out view 1 leaves the prediction from view 0.
    return float((prediction.leave_one_out[1].argmax(dim=-1) == labels).float().mean())


if __name__ == "__main__":
    print(f"accuracy from the first view alone: {100 * main():.1f} %")
