"""Learn representations from several views of the same thing, and keep in them what predicts the label."""

from limbeck.multiview.classifier import MultiViewClassifier

__version__ = "0.1.0"

__all__ = ["MultiViewClassifier", "__version__"]
