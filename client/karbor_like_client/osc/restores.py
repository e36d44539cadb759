"""Commands about restores."""

import argparse
from collections.abc import Sequence
from typing import Any

from osc_lib import exceptions

from karbor_like_client.osc import base, columns, names, texts

_FORMATS = dict.fromkeys(("parameters", "resources_status", "resources_reason"), columns.text)


class ListRestores(base.List):
    """List restores."""

    method = "restores"
    headers = ("Id", "Project id", "Provider id", "Checkpoint id", "Restore target", "Parameters", "Status")
    long = ("Dry run", "Reason")
    formats = _FORMATS
    filters = (base.by("status"),)


class ShowRestore(base.ShowById):
    """Show a restore, or what a dry run found."""

    noun = argument = "restore"
    named = False
    formats = _FORMATS


class CreateRestore(base.Waits, base.Show):
    """Restore a checkpoint, or some of its resources, or find out what a restore would do."""

    formats = _FORMATS

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        base.add_provider(parser)
        parser.add_argument("checkpoint_id", metavar="<checkpoint_id>", help="ID of the checkpoint")
        parser.add_argument(
            "--restore_target", "--restore-target", metavar="<restore_target>", help="Keystone URL of another cloud"
        )
        parser.add_argument(
            "--restore_username", "--restore-username", metavar="<restore_username>", help="User of the other cloud"
        )
        parser.add_argument(
            "--restore_password",
            "--restore-password",
            type=texts.Secret,
            metavar="<restore_password>",
            help="Password of that user. With --debug, write --restore-password=<restore_password>, which is masked where "
            "the command line is shown",
        )
        base.add_parameters(parser, "restore")
        parser.add_argument(
            "--resource",
            action="append",
            metavar="<resource>",
            help="Restore only this resource: Type#id, or its ID or name in the checkpoint. Can be repeated",
        )
        parser.add_argument(
            "--no-children", action="store_true", help="Restore the resources of --resource without their children"
        )
        parser.add_argument(
            "--map",
            action="append",
            default=[],
            metavar="<resource>=<id>",
            help="Use an existing resource instead of restoring this one: Type#id, or its ID or name in the checkpoint. "
            "Can be repeated",
        )
        parser.add_argument("--dry-run", action="store_true", help="Create nothing, and find out what would be done")
        parser.add_argument("--with-plan", action="store_true", help="Make a plan that protects what is restored")
        self.add_wait(parser)

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Sequence[str], Sequence[Any]]:
        """Restore the checkpoint."""
        provider_id = self.id_of("provider", parsed_args.provider_id)
        attributes: dict[str, Any] = {
            "provider_id": provider_id,
            "checkpoint_id": parsed_args.checkpoint_id,
            "parameters": texts.parameters(parsed_args.parameters, parsed_args.parameters_json),
            **_target(parsed_args),
        }
        nodes = self._nodes(provider_id, parsed_args)
        if parsed_args.resource:
            attributes["resources"] = [names.resource_key(nodes, text) for text in parsed_args.resource]
            attributes["with_children"] = not parsed_args.no_children
        elif parsed_args.no_children:
            raise exceptions.CommandError("--no-children: name the resources to restore with --resource")
        for text in parsed_args.map:
            name, sign, target = text.rpartition("=")
            if not sign:
                raise exceptions.CommandError(f"--map: {text!r} is not of the form <resource>=<id>")
            attributes["parameters"].setdefault(names.resource_key(nodes, name), {})["map_to"] = target
        attributes.update({name: True for name in ("dry_run", "with_plan") if getattr(parsed_args, name)})
        restore = self.client.create_restore(**attributes)
        if parsed_args.wait:
            restore = self.wait(restore, self.client.wait_for_restore)
        return self.shown(restore)

    def _nodes(self, provider_id: str, args: argparse.Namespace) -> list[tuple[str, str, str]]:
        """Return the resources of the checkpoint if an argument may name one."""
        asked = [*(args.resource or ()), *(text.rpartition("=")[0] for text in args.map)]
        if all("#" in text for text in asked):
            return []
        return names.graph_nodes(self.client.get_checkpoint(provider_id, args.checkpoint_id).resource_graph)


def _target(args: argparse.Namespace) -> dict[str, Any]:
    """Return what names the other cloud."""
    if args.restore_target is None:
        return {}
    for name in ("restore_username", "restore_password"):
        if getattr(args, name) is None:
            raise exceptions.CommandError(f"--restore-target needs --{name.replace('_', '-')}")
    auth = {"type": "password", "username": args.restore_username, "password": str(args.restore_password)}
    return {"restore_target": args.restore_target, "restore_auth": auth}


class CancelRestore(base.ForEach):
    """Cancel restores in progress. What they created is deleted."""

    noun = argument = "restore"
    named = False
    verb = "cancel"
