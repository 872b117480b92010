"""Learn representations from several views of the same thing, and keep in them what predicts the label."""

import logging
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from limbeck.multiview.classifier import MultiViewClassifier

__version__ = "0.1.0"

__all__ = ["MultiViewClassifier", "__version__"]

logging.getLogger(__name__).addHandler(logging.NullHandler())  # a library shows nothing unless it is asked to


def __getattr__(name: str) -> Any:
    """Import the classifier, and torch with it, when it is first asked for: help should not wait for them."""
    if name == "MultiViewClassifier":
        from limbeck.multiview.classifier import MultiViewClassifier  # noqa: PLC0415

        return MultiViewClassifier
    raise AttributeError(f"module 'limbeck' has no attribute {name!r}")
