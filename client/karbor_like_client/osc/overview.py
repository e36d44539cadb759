"""The command about the totals of a project."""

import argparse
from collections.abc import Sequence
from typing import Any

from karbor_like_client.osc import base


class ShowOverview(base.Show):
    """Show the totals of your project: objects by status, success rates, sizes, next runs and failures."""

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Sequence[str], Sequence[Any]]:
        """Show the totals."""
        return self.shown(self.client.get_overview())
