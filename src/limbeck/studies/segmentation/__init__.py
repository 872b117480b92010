"""Segmentation of drawn streets: what pictures and cross-distillation bring, and to which classes."""
