"""The flags that every training has beside its recipe."""

from __future__ import annotations

from jsonargparse import ArgumentParser


def add_training_arguments(parser: ArgumentParser) -> None:
    """Recipes, device and folder."""
    parser.add_argument(
        "--config", action="config", help="a YAML recipe, or several; later ones and flags after them override it"
    )
    parser.add_argument("--device", type=str, default="cpu", help="where to compute; with torchrun: cuda or cpu")
    parser.add_argument("--out", type=str, required=True, help="the run's folder; a training begun there goes on")
