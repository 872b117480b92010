"""Figure 7 of Tian et al. 2021."""
