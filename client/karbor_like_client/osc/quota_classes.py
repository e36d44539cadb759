"""Commands about quota classes."""

import argparse
from collections.abc import Sequence
from typing import Any

from karbor_like_client.osc import base, quotas


class ShowQuotaClass(base.Show):
    """Show the limits of a quota class."""

    formats = quotas.FORMATS

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("class_name", metavar="<class_name>", help="Name of the quota class")

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Sequence[str], Sequence[Any]]:
        """Show the limits."""
        return self.shown(self.client.get_quota_class(parsed_args.class_name))


class UpdateQuotaClass(base.Show):
    """Set limits of a quota class (admin only)."""

    formats = quotas.FORMATS

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("class_name", metavar="<class_name>", help="Name of the quota class")
        quotas.add_limits(parser)

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Sequence[str], Sequence[Any]]:
        """Set the limits."""
        return self.shown(self.client.update_quota_class(parsed_args.class_name, **quotas.limits(parsed_args)))
