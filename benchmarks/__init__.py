"""Speed and memory, as ratios measured within one run. `python -m benchmarks` runs all and prints tables."""
