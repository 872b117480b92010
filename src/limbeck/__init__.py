"""Learn representations from several views of the same thing, and keep in them what predicts the label."""

import importlib
import logging
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from limbeck.multiview.classifier import MultiViewClassifier

__version__ = "0.1.0"

__all__ = ["MultiViewClassifier", "__version__"]

# Imported when they are first asked for, as attributes too: help should not wait for torch.
_PACKAGES = frozenset(
    {
        "images",
        "information",
        "metric",
        "multiview",
        "nn",
        "objectives",
        "registry",
        "reid",
        "reporting",
        "retrieval",
        "segmentation",
        "studies",
        "synthetic",
        "training",
        "transport",
    }
)

logging.getLogger(__name__).addHandler(logging.NullHandler())  # a library shows nothing unless it is asked to


def __getattr__(name: str) -> Any:
    if name == "MultiViewClassifier":
        from limbeck.multiview.classifier import MultiViewClassifier  # noqa: PLC0415

        return MultiViewClassifier
    if name in _PACKAGES:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module 'limbeck' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*__all__, *_PACKAGES, *(name for name in globals() if name.startswith("__"))})
