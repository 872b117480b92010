"""Losses of deep metric learning at equal effort: does cross-entropy win, and does a bottleneck add anything?"""
