"""Visible-infrared person re-identification."""
