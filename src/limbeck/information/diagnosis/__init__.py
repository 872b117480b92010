"""What the representations of several views hold of a label: figures with intervals, a table, a page."""

from limbeck.information.diagnosis.measure import diagnose, diagnose_view_features
from limbeck.information.diagnosis.report import diagnosis_as_json, write_diagnosis
from limbeck.information.diagnosis.resampling import Interval
from limbeck.information.diagnosis.results import Agreement, CrossViewRetrieval, Diagnosis, ViewDiagnosis
from limbeck.information.diagnosis.table import format_diagnosis
from limbeck.information.diagnosis.view_features import ViewFeatures, load_view_features, save_view_features

__all__ = [
    "Agreement",
    "CrossViewRetrieval",
    "Diagnosis",
    "Interval",
    "ViewDiagnosis",
    "ViewFeatures",
    "diagnose",
    "diagnose_view_features",
    "diagnosis_as_json",
    "format_diagnosis",
    "load_view_features",
    "save_view_features",
    "write_diagnosis",
]
