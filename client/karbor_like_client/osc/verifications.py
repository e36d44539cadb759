"""Commands about verifications."""

import argparse
from collections.abc import Sequence
from typing import Any

from karbor_like_client.osc import base, columns, texts

_FORMATS = dict.fromkeys(("parameters", "resources_status", "resources_reason"), columns.text)


class ListVerifications(base.List):
    """List verifications."""

    method = "verifications"
    headers = ("Id", "Project id", "Provider id", "Checkpoint id", "Parameters", "Status")
    long = ("Reason",)
    formats = _FORMATS
    filters = (base.by("status"),)


class ShowVerification(base.ShowById):
    """Show a verification."""

    noun = argument = "verification"
    named = False
    formats = _FORMATS


class CreateVerification(base.Waits, base.Show):
    """Verify a checkpoint against the checksums that were stored."""

    formats = _FORMATS

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        base.add_provider(parser)
        parser.add_argument("checkpoint_id", metavar="<checkpoint_id>", help="ID of the checkpoint")
        base.add_parameters(parser, "verification")
        self.add_wait(parser)

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Sequence[str], Sequence[Any]]:
        """Verify the checkpoint."""
        verification = self.client.create_verification(
            provider_id=self.id_of("provider", parsed_args.provider_id),
            checkpoint_id=parsed_args.checkpoint_id,
            parameters=texts.parameters(parsed_args.parameters, parsed_args.parameters_json),
        )
        if parsed_args.wait:
            verification = self.wait(verification, self.client.wait_for_verification)
        return self.shown(verification)


class CancelVerification(base.ForEach):
    """Cancel verifications in progress."""

    noun = argument = "verification"
    named = False
    verb = "cancel"
