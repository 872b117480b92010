"""Table 4 of Tian et al. 2022 on procedural people."""
