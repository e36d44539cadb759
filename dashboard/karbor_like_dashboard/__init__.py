"""Panels of Horizon for data protection."""
