"""The deletion of a resource, for plugins that keep everything in the bank."""

from karbor_like.plugins.protection import HookContext, ResourceOperation


class SectionDelete(ResourceOperation):
    """Deletes the section in the bank, which holds everything."""

    def main(self, context: HookContext) -> None:
        context.report.step("deleting the objects in the bank")
        context.section.delete()
