"""The command about the health of the service."""

import argparse
from collections.abc import Sequence
from typing import Any

from karbor_like_client.osc import base, columns


class ShowHealth(base.Show):
    """Show what works in the service, and what does not (admin only)."""

    formats = {"problems": columns.lines}

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Sequence[str], Sequence[Any]]:
        """Show the health."""
        return self.shown(self.client.get_health())
