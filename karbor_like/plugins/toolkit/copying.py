"""The copy of a resource, for every plugin whose checkpoints are whole in the bank.

Such a plugin names :class:`SectionCopy` for ``Kind.COPY``. One that keeps something elsewhere must not: a copy of what is in
the bank would not be one.
"""

from karbor_like.bank import copy_section
from karbor_like.plugins.protection import HookContext, ResourceOperation


class SectionCopy(ResourceOperation):
    """All that the source's bank has of the resource, as it stands. Asks no cloud, so it needs nothing of the resource."""

    def main(self, run: HookContext) -> None:
        assert run.source is not None, "only a copy has a source"
        run.report.step("copying from the other bank")
        copied = copy_section(
            run.source, run.section, bases=run.bases, progress=run.report.progress, check=run.check
        ).values()
        run.report.sizes(
            logical=sum(stats.logical for stats in copied),
            new=sum(stats.new for stats in copied),
            stored=sum(stats.stored for stats in copied),
        )

    def cleanup(self, run: HookContext) -> None:
        # Nobody builds on a copy that failed, and the bank may be full because of it.
        run.section.delete()
