"""The search for what operations created in the cloud and nothing owns any more.

The clean-up of an operation deletes what its journal names (:mod:`karbor_like.protection.orphans`). What no journal names
remains: the database was lost or restored from an old backup, or a process continued after it had lost its operation. Such
objects are found by their marks, see :mod:`karbor_like.plugins.toolkit.ownership`.
"""

from karbor_like.plugins.objects import Mark
from karbor_like.protection.reaper.reaper import (
    YOUNGEST,
    Finding,
    Reaper,
    Report,
    find_accessible,
    find_projects,
)
from karbor_like.protection.reaper.verdicts import Standing

__all__ = ["YOUNGEST", "Finding", "Mark", "Reaper", "Report", "Standing", "find_accessible", "find_projects"]
