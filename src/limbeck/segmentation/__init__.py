"""Semantic segmentation of LiDAR points, with or without cameras beside them."""
