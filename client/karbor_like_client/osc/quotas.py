"""Commands about quotas of projects."""

import argparse
from collections.abc import Sequence
from typing import Any

from osc_lib import exceptions

from karbor_like_client.osc import base, columns, names

LIMITS = ("plans", "checkpoints", "triggers", "scheduled_operations", "restores", "verifications")
FORMATS = dict.fromkeys(LIMITS, columns.limits)


def add_limits(parser: argparse.ArgumentParser) -> None:
    """Add an option for each limit."""
    for name in LIMITS:
        limit = f"New limit of {name.replace('_', ' ')}; -1 for no limit"
        parser.add_argument(f"--{name.replace('_', '-')}", type=int, metavar=f"<{name}>", help=limit)


def limits(args: argparse.Namespace) -> dict[str, int]:
    """Return the limits to set.

    :raises CommandError: there are none
    """
    found = {name: value for name in LIMITS if (value := getattr(args, name)) is not None}
    if not found:
        raise exceptions.CommandError("nothing to change: use at least one option such as --plans")
    return found


class _OfProject(base.Show):
    formats = FORMATS

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument(
            "--tenant", "--project", dest="tenant", metavar="<project>", help="Name or ID of a project; default: yours"
        )

    def project(self, args: argparse.Namespace) -> str:
        """Return the id of the project."""
        connection = self.app.client_manager.sdk_connection
        return names.project(connection, args.tenant) if args.tenant else str(connection.session.get_project_id())


class ShowQuotas(_OfProject):
    """Show the quota of a project."""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--detail", action="store_true", help="Also show how much of each limit is in use")

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Sequence[str], Sequence[Any]]:
        """Show the quota."""
        project = self.project(parsed_args)
        client = self.client
        return self.shown(client.get_quota_use(project) if parsed_args.detail else client.get_quota(project))


class ShowDefaultQuotas(_OfProject):
    """Show the quota of projects without their own limits."""

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Sequence[str], Sequence[Any]]:
        """Show the defaults."""
        return self.shown(self.client.get_quota_defaults(self.project(parsed_args)))


class UpdateQuotas(base.Show):
    """Set limits of a project (admin only)."""

    formats = FORMATS

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("tenant", metavar="<project>", help="Name or ID of the project")
        add_limits(parser)

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Sequence[str], Sequence[Any]]:
        """Set the limits."""
        project = names.project(self.app.client_manager.sdk_connection, parsed_args.tenant)
        return self.shown(self.client.update_quota(project, **limits(parsed_args)))


class DeleteQuotas(base.ForEach):
    """Delete the limits of projects, so that the defaults apply (admin only)."""

    noun = "quota"
    argument = "project"
    named = False

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("ids", nargs="+", metavar="<project>", help="Names or IDs of projects")

    def act(self, args: argparse.Namespace, id_: str) -> None:
        self.client.delete_quota(names.project(self.app.client_manager.sdk_connection, id_))
