"""Commands about the processes of the service, for administrators."""

import argparse
from collections.abc import Sequence
from typing import Any

from karbor_like_client.osc import base


class ListServices(base.List):
    """List the processes of the service (admin only)."""

    method = "services"
    headers = ("Id", "Binary", "Host", "Status", "State", "Updated_at", "Disabled Reason")
    long = ("State reason",)
    filters = (base.by("host"), base.by("binary"))
    paged = False
    project = ()


class EnableService(base.Show):
    """Let an operation engine start runs again (admin only)."""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("service_id", metavar="<service_id>", help="ID of the service")

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Sequence[str], Sequence[Any]]:
        """Enable the service."""
        return self.shown(self.client.enable_service(parsed_args.service_id))


class DisableService(base.Show):
    """Stop an operation engine from starting runs (admin only)."""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("service_id", metavar="<service_id>", help="ID of the service")
        parser.add_argument("--reason", metavar="<reason>", help="Why it is disabled")

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Sequence[str], Sequence[Any]]:
        """Disable the service."""
        return self.shown(self.client.disable_service(parsed_args.service_id, parsed_args.reason))
