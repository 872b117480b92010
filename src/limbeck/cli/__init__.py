"""The `limbeck` command: one verb per job, typed arguments, YAML recipes, one line for every mistake."""

from limbeck.cli.command import main

__all__ = ["main"]
