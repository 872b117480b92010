"""Estimators of mutual information where the truth is known."""
