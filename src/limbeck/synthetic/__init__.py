"""Data that may be shared, drawn with all their factors."""
