"""A strategy of our own; importing the package registers it."""

from own_strategy import rule

__all__ = ["rule"]
