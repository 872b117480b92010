"""What the representations of several views hold of a label: figures with intervals, a table, a page."""

from limbeck.information.diagnosis.measure import diagnose, diagnose_sources
from limbeck.information.diagnosis.report import diagnosis_as_json, write_diagnosis
from limbeck.information.diagnosis.resampling import Interval
from limbeck.information.diagnosis.results import Agreement, CrossViewRetrieval, Diagnosis, ViewDiagnosis
from limbeck.information.diagnosis.table import format_diagnosis
from limbeck.information.diagnosis.view_features import Sources, load_sources, save_sources

__all__ = [
    "Agreement",
    "CrossViewRetrieval",
    "Diagnosis",
    "Interval",
    "Sources",
    "ViewDiagnosis",
    "diagnose",
    "diagnose_sources",
    "diagnosis_as_json",
    "format_diagnosis",
    "load_sources",
    "save_sources",
    "write_diagnosis",
]
