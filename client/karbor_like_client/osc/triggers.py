"""Commands about triggers."""

import argparse
from collections.abc import Sequence
from typing import Any

from osc_lib import exceptions

from karbor_like_client.osc import base, texts

_PROPERTIES = "<key=value,key=value>"


def _properties(text: str) -> dict[str, Any]:
    found: dict[str, Any] = texts.pairs(text, "properties")
    window = found.get("window", "")
    return {**found, "window": int(window)} if window.isdecimal() else found


class ListTriggers(base.List):
    """List triggers."""

    method = "triggers"
    headers = ("Id", "Name", "Type", "Properties")
    filters = (base.by("name"), base.by("type"), base.by("properties"))


class ShowTrigger(base.ShowById):
    """Show a trigger."""

    noun = argument = "trigger"


class CreateTrigger(base.Show):
    """Create a trigger."""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("name", metavar="<name>", help="Name of the trigger")
        parser.add_argument("type", metavar="<type>", help="Type of the trigger: time, or another that is installed")
        parser.add_argument(
            "properties",
            metavar=_PROPERTIES,
            help="Properties of the trigger; time has format (crontab or calendar), pattern, timezone, window (seconds), "
            "start_time and end_time (YYYY-MM-DD HH:MM:SS, UTC)",
        )

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Sequence[str], Sequence[Any]]:
        """Create the trigger."""
        properties = _properties(parsed_args.properties)
        return self.shown(
            self.client.create_trigger(name=parsed_args.name, type=parsed_args.type, properties=properties)
        )


class UpdateTrigger(base.Show):
    """Change a trigger."""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("trigger_id", metavar="<trigger>", help="Name or ID of the trigger")
        parser.add_argument("--name", metavar="<name>", help="New name")
        parser.add_argument("--properties", metavar=_PROPERTIES, help="All properties of the trigger")

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Sequence[str], Sequence[Any]]:
        """Change the trigger."""
        changes: dict[str, Any] = {}
        if parsed_args.name is not None:
            changes["name"] = parsed_args.name
        if parsed_args.properties is not None:
            changes["properties"] = _properties(parsed_args.properties)
        if not changes:
            raise exceptions.CommandError("nothing to change: use --name or --properties")
        return self.shown(self.client.update_trigger(self.id_of("trigger", parsed_args.trigger_id), **changes))


class DeleteTrigger(base.ForEach):
    """Delete triggers that no scheduled operation uses."""

    noun = argument = "trigger"
