"""Optimal transport between two sets, and matchings made of it: pure functions on tensors."""

from limbeck.transport.assignment import Matching, hungarian_matching, nearest_neighbour_matching, plan_matching
from limbeck.transport.sinkhorn import (
    ConvergenceError,
    TransportPlan,
    partial_sinkhorn,
    sinkhorn,
    unbalanced_sinkhorn,
)

__all__ = [
    "ConvergenceError",
    "Matching",
    "TransportPlan",
    "hungarian_matching",
    "nearest_neighbour_matching",
    "partial_sinkhorn",
    "plan_matching",
    "sinkhorn",
    "unbalanced_sinkhorn",
]
