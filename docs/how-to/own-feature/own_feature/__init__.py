"""Features of our own; importing the package registers them."""

from own_feature import columns

__all__ = ["columns"]
