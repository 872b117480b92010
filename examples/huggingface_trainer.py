"""A loss of limbeck inside the Trainer of Hugging Face transformers: embeddings of clustered points.

Needs `pip install 'transformers[torch]'`. Nothing is downloaded.
"""

from __future__ import annotations

import tempfile

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset
from transformers import Trainer, TrainingArguments

from limbeck.objectives.modules import RankedListLoss
from limbeck.retrieval import Features, LeaveOneOut, evaluate

CLASSES, FEATURES = 20, 32


class Points(Dataset[dict[str, Tensor]]):
    """Points around the centre of their class, behind as many columns of louder noise."""

    def __init__(self, size: int, seed: int) -> None:
        centres = torch.randn(CLASSES, FEATURES, generator=torch.Generator().manual_seed(0))
        generator = torch.Generator().manual_seed(seed)
        self.labels = torch.randint(CLASSES, (size,), generator=generator)
        noise = torch.randn(size, 2 * FEATURES, generator=generator)
        self.points = torch.cat([centres[self.labels] + noise[:, :FEATURES], 3 * noise[:, FEATURES:]], dim=1)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, position: int) -> dict[str, Tensor]:
        return {"points": self.points[position], "labels": self.labels[position]}


class Embedder(nn.Module):
    """A linear embedding that returns its loss, as the Trainer asks of a model."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(2 * FEATURES, 16)
        self.loss = RankedListLoss(margin=0.4, boundary=1.2)

    def forward(self, points: Tensor, labels: Tensor) -> dict[str, Tensor]:
        embeddings = self.layer(points)
        return {"loss": self.loss(embeddings, labels), "embeddings": embeddings}


def recall(model: Embedder, points: Points) -> float:
    """Recall@1 of points that nothing was learned from."""
    with torch.inference_mode():
        features = Features.from_arrays(model.layer(points.points), points.labels)
    return evaluate(features, LeaveOneOut())[0].cmc(1).mean


def main(steps: int = 100) -> float:
    """Train for some steps; return how much Recall@1 rises."""
    torch.manual_seed(0)
    model, unseen = Embedder(), Points(400, seed=2)
    before = recall(model, unseen)
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            output_dir=folder,
            max_steps=steps,
            per_device_train_batch_size=128,
            learning_rate=1e-2,
            report_to=[],
            save_strategy="no",
            disable_tqdm=True,
            use_cpu=True,
        )
        Trainer(model=model, args=arguments, train_dataset=Points(2000, seed=1)).train()
    return recall(model, unseen) - before


if __name__ == "__main__":
    print(f"Recall@1 rises by {100 * main():.1f} points")
