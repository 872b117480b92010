"""Deep metric learning: embeddings in which pictures of classes that nobody learned from find one another."""
