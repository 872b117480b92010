"""Training without labels: clusters of each modality, matched by optimal transport, learned from as prototypes."""
