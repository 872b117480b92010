"""Re-identification learned from labels."""
