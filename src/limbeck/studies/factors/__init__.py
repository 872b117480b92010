"""What a representation keeps of the factors behind pictures."""
