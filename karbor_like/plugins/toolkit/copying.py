"""The copy of a resource, for plugins that keep everything in the bank.

Such a plugin offers :class:`SectionCopy` for ``OperationType.COPY``. A plugin that keeps data elsewhere must not: a copy of
the section would be incomplete.
"""

from collections.abc import Collection
from typing import Any

from karbor_like.bank import copy_section
from karbor_like.plugins.protection import HookContext, ResourceOperation


class SectionCopy(ResourceOperation):
    """Copies the section of the source. Makes no request to the cloud, where the resource may no longer exist."""

    def omitted(self, context: HookContext) -> Collection[str]:
        """Return the names of documents that the target may not have."""
        return ()

    def main(self, context: HookContext) -> dict[str, Any] | None:
        assert context.source is not None, "only a copy has a source"
        context.report.step("copying from the other bank")
        copied = copy_section(
            context.source,
            context.section,
            bases=context.bases,
            omit=self.omitted(context),
            progress=context.report.progress,
            check=context.check,
        ).values()
        context.report.sizes(
            logical=sum(stats.logical for stats in copied),
            new=sum(stats.new for stats in copied),
            stored=sum(stats.stored for stats in copied),
        )
        return None

    def cleanup(self, context: HookContext) -> None:
        # No checkpoint is based on a failed copy, which may have filled the bank.
        context.section.delete()
