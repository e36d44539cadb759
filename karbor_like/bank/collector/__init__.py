"""The garbage collector of a bank, and the statistics of what a bank holds.

This public interface is not part of that of the bank, because most processes do not collect and should not load NumPy.
"""

from karbor_like.bank.collector.gc import Collector, GcReport
from karbor_like.bank.collector.stats import collect as collect_stats

__all__ = ["Collector", "GcReport", "collect_stats"]
