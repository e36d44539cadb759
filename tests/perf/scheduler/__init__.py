"""The operation engine's scheduler on a large table."""
