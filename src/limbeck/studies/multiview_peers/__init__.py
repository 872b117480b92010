"""limbeck's multi-view classifier beside what else a user would take: tuned alike, on the same folds."""
