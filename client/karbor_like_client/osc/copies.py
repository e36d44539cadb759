"""The command that copies checkpoints."""

import argparse
from collections.abc import Iterable, Sequence
from typing import Any

from osc_lib.command import command

from karbor_like_client import errors
from karbor_like_client.osc import base


class CopyCheckpoints(base.Waits, command.Lister):
    """Copy checkpoints of a plan to the bank of another provider."""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        base.add_provider(parser)
        parser.add_argument("plan_id", metavar="<plan_id>", help="Name or ID of the plan")
        parser.add_argument(
            "--target-provider",
            metavar="<provider>",
            help="Name or ID of the provider to copy to; default: the one that the operator has configured",
        )
        parser.add_argument(
            "--checkpoint",
            action="append",
            metavar="<checkpoint>",
            help="ID of a checkpoint to copy; default: all that were not copied there. Can be repeated",
        )
        self.add_wait(parser)

    def run(self, parsed_args: argparse.Namespace) -> int:
        """Run the command. Fails after the output if a checkpoint was not copied."""
        code = super().run(parsed_args)
        self._attempts.conclude()
        return code

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Sequence[str], Iterable[Sequence[Any]]]:
        """Copy the checkpoints."""
        attributes: dict[str, Any] = {"plan_id": self.id_of("plan", parsed_args.plan_id)}
        if parsed_args.target_provider:
            attributes["target_provider_id"] = self.id_of("provider", parsed_args.target_provider)
        if parsed_args.checkpoint:
            attributes["checkpoint_ids"] = parsed_args.checkpoint
        copy = self.client.create_copy(self.id_of("provider", parsed_args.provider_id), **attributes)
        attempts = self._attempts = base.Attempts(self.log, "copy", "checkpoint")
        rows = []
        for pair in copy.pairs or ():
            original, new_id, status = pair["checkpoint_protect_id"], pair["checkpoint_copy_id"], None
            with attempts.one(original):
                new = self.client.get_checkpoint(copy.target_provider_id, new_id)
                try:
                    status = (self.wait(new, self.client.wait_for_checkpoint) if parsed_args.wait else new).status
                except errors.OperationFailed as error:
                    status = error.resource.status
                    raise
            rows.append((original, new_id, copy.target_provider_id, status))
        return ("Checkpoint id", "Copy id", "Provider id", "Status"), rows
