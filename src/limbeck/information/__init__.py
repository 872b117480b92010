"""What a representation holds: bounds on information that can be read from features, in nats."""

from limbeck.information.discretise import quantile_classes
from limbeck.information.probes import ReadableInformation, cross_fitted_information

__all__ = ["ReadableInformation", "cross_fitted_information", "quantile_classes"]
