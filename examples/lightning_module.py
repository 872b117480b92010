"""The re-identification network and its objective inside Lightning: nothing of limbeck's own training loop is used.

Needs `pip install 'lightning>=2.6.4'`. The pictures are procedural people, drawn into a temporary folder.
"""

from __future__ import annotations

import logging
import tempfile
import warnings
from pathlib import Path

import lightning
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from limbeck.images.augmentation import AugmentationSettings
from limbeck.images.cache import decoded_images
from limbeck.images.sampling import relabelled
from limbeck.reid.network import ReidNetwork
from limbeck.reid.recipe import DataSettings, LossSettings, NetworkSettings, ReidRecipe
from limbeck.reid.sets.sysu import load_sysu
from limbeck.reid.supervised.batches import Batch, Batches, cross_modal_sampler
from limbeck.reid.supervised.loss import training_terms
from limbeck.synthetic.people import PeopleSettings, make_people


class ReidModule(lightning.LightningModule):
    """Three branches, VSD on the specific ones, VCD and VMD on the shared one."""

    def __init__(self, recipe: ReidRecipe, classes: int) -> None:
        super().__init__()
        self.recipe = recipe
        self.network = ReidNetwork(recipe, classes)
        self.losses: list[float] = []

    def training_step(self, batch: Batch, _: int) -> Tensor:
        terms = training_terms(self.network(batch.visible, batch.infrared), batch.labels, self.recipe.loss)
        loss = torch.stack(list(terms.values())).sum()
        self.losses.append(float(loss.detach()))
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.AdamW(self.parameters(), lr=2e-3)


def main(steps: int = 40) -> float:
    """Train for some steps; return the share of the loss that is gone."""
    recipe = ReidRecipe(
        data=DataSettings(height=64, width=32, identities=4, pictures=2),
        network=NetworkSettings(
            encoder="small", weights="none", normalization="picture", hidden=(64,), representation=64
        ),
        loss=LossSettings(),
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "people"
        settings = PeopleSettings(
            train_identities=8, validation_identities=0, test_identities=1, difficulty="easy", absent=0.0
        )
        make_people(folder, settings)
        people = load_sysu(folder)
        decoded = decoded_images(people.root, people.path, Path(name) / "cache", size=(64, 32))
        training = people.split("train")
        identities, labels = relabelled(people.identity[training])
        sampler = cross_modal_sampler(labels, people.modality[training], identities=4, pictures=2)
        batches = Batches(decoded.images, sampler, decoded.rows[training], AugmentationSettings())
        module = ReidModule(recipe, len(identities))
        trainer = lightning.Trainer(
            max_steps=steps,
            accelerator="cpu",
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        trainer.fit(module, DataLoader(batches, batch_size=None, sampler=range(steps)))
    first, last = (sum(part) / len(part) for part in (module.losses[:5], module.losses[-5:]))
    return 1 - last / first


if __name__ == "__main__":
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.simplefilter("ignore")
    print(f"share of the loss that 40 steps removed: {100 * main():.0f} %")
