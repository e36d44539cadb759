"""The sandbox for the suites of plugins."""

from karbor_like.testing.sandbox import cloud, factory, line

__all__ = ["cloud", "factory", "line"]
