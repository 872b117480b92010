"""What of multi-view variational distillation helps, and how much."""
