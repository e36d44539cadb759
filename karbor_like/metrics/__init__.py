"""Metrics for Prometheus, and the health of a process.

:mod:`.families` declares every metric. What a process counts is kept there. :mod:`.figures` reads from the database what only
that knows, at most once per interval. :mod:`.exporter` serves both.
"""
