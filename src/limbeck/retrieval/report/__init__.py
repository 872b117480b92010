"""A folder that shows an evaluation: figures, curves, every query, ranked pictures, a map of the representations."""

from limbeck.retrieval.report.page import write_report

__all__ = ["write_report"]
