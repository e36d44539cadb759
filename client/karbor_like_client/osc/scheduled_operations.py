"""Commands about scheduled operations."""

import argparse
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

from osc_lib.command import command

from karbor_like_client.osc import base, columns, texts

_FORMATS = {"operation_definition": columns.text}
_ARGUMENT = "scheduledoperation"


class ListScheduledOperations(base.List):
    """List scheduled operations."""

    method = "scheduled_operations"
    headers = ("Id", "Name", "Operation Type", "Trigger Id", "Operation Definition")
    long = ("Enabled", "Disabled reason")
    formats = _FORMATS
    filters = (
        base.by("name"),
        base.by("operation_type"),
        base.by("trigger_id", "trigger", "--trigger"),
        base.by("operation_definition"),
    )


class ShowScheduledOperation(base.ShowById):
    """Show a scheduled operation."""

    noun = "scheduled_operation"
    argument = _ARGUMENT
    formats = _FORMATS


class CreateScheduledOperation(base.Show):
    """Create a scheduled operation. It acts as you."""

    formats = _FORMATS

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("name", metavar="<name>", help="Name of the scheduled operation")
        parser.add_argument("operation_type", metavar="<operation_type>", help="protect or retention_protect")
        parser.add_argument("trigger_id", metavar="<trigger>", help="Name or ID of the trigger")
        parser.add_argument(
            "operation_definition",
            metavar="<key=value,key=value>",
            help="plan_id and provider_id (names or IDs), and for retention_protect its rules: max_backups, "
            "retention_duration (days), hourly, daily, weekly, monthly, yearly (numbers of periods)",
        )
        parser.add_argument("--description", metavar="<description>", help="Description of the scheduled operation")

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Sequence[str], Sequence[Any]]:
        """Create the scheduled operation."""
        definition = texts.pairs(parsed_args.operation_definition, "operation_definition")
        for noun in ("plan", "provider"):
            if f"{noun}_id" in definition:
                definition[f"{noun}_id"] = self.id_of(noun, definition[f"{noun}_id"])
        more = {} if parsed_args.description is None else {"description": parsed_args.description}
        created = self.client.create_scheduled_operation(
            name=parsed_args.name,
            operation_type=parsed_args.operation_type,
            trigger_id=self.id_of("trigger", parsed_args.trigger_id),
            operation_definition=definition,
            **more,
        )
        return self.shown(created)


class DeleteScheduledOperation(base.ForEach):
    """Delete scheduled operations. Runs that have started continue."""

    noun = "scheduled_operation"
    argument = _ARGUMENT


class _Switch(base.ForEach):
    noun = "scheduled_operation"
    argument = _ARGUMENT
    enabled: ClassVar[bool]

    def act(self, args: argparse.Namespace, id_: str) -> None:
        self.client.update_scheduled_operation(id_, enabled=self.enabled)


class EnableScheduledOperation(_Switch):
    """Enable scheduled operations. Only their creators can."""

    verb = "enable"
    enabled = True


class DisableScheduledOperation(_Switch):
    """Disable scheduled operations: they do not run until they are enabled."""

    verb = "disable"
    enabled = False


class RunScheduledOperation(base.Show):
    """Run a scheduled operation at once and once. It acts as its creator."""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("id", metavar=f"<{_ARGUMENT}>", help="Name or ID of the scheduled operation")

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Sequence[str], Sequence[Any]]:
        """Start the run, and show it."""
        return self.shown(self.client.run_scheduled_operation(self.id_of("scheduled_operation", parsed_args.id)))


class ShowRetention(base.Base, command.Lister):
    """Show which checkpoints the rules of a scheduled operation would delete now, and why. Deletes nothing."""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("id", metavar=f"<{_ARGUMENT}>", help="Name or ID of the scheduled operation")

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Sequence[str], Iterable[Sequence[Any]]]:
        """Show what the rules would do."""
        headers = ("Id", "Timestamp", "Delete", "Reason")
        found = self.client.get_retention(self.id_of("scheduled_operation", parsed_args.id))
        return headers, [columns.row(each, headers, {}) for each in found["checkpoints"]]
