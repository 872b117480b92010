"""Table 7 and Figures 9 and 10 of Tian et al. 2022."""
