"""Table 5 of Tian et al. 2022."""
