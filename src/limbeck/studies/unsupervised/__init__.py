"""Re-identification without labels on procedural people: what the matching, the alignment and VSD bring."""
