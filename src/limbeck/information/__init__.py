"""What a representation holds: information that can be read from features, in nats, with intervals."""

from limbeck.information.calibration import calibration_error, equal_mass_calibration_error
from limbeck.information.curve import InformationCurve
from limbeck.information.diagnosis import Diagnosis, diagnose, write_diagnosis
from limbeck.information.discrete import JointDistribution
from limbeck.information.discretise import quantile_classes
from limbeck.information.probes import ReadableInformation, cross_fitted_information

__all__ = [
    "Diagnosis",
    "InformationCurve",
    "JointDistribution",
    "ReadableInformation",
    "calibration_error",
    "cross_fitted_information",
    "diagnose",
    "equal_mass_calibration_error",
    "quantile_classes",
    "write_diagnosis",
]
