"""Commands about checkpoints."""

import argparse
from collections.abc import Iterable, Sequence
from typing import Any

from karbor_like_client.osc import base, columns, texts

_FORMATS = {"protection_plan": columns.plan, "resource_graph": columns.text_of_text}


class ListCheckpoints(base.List):
    """List the checkpoints of a provider."""

    headers = ("Id", "Project id", "Status", "Protection plan", "Metadata", "Created at")
    long = ("Timestamp", "Logical bytes", "Stored bytes", "Reason")
    formats = _FORMATS
    filters = (
        base.by("plan_id", "plan", "--plan"),
        base.by("status"),
        base.Filter(
            ("--start_date", "--start-date"), "start_date", "Show those of this day and later (YYYY-MM-DD, UTC)"
        ),
        base.Filter(
            ("--end_date", "--end-date"), "end_date", "With --start-date: show those of this day and earlier (UTC)"
        ),
    )
    project = ("--project_id", "--project-id", "--project")

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        base.add_provider(parser)
        super().add_arguments(parser)

    def objects(self, args: argparse.Namespace, query: dict[str, Any]) -> Iterable[Any]:
        return self.client.checkpoints(self.id_of("provider", args.provider_id), **query)


class ShowCheckpoint(base.Show):
    """Show a checkpoint."""

    formats = _FORMATS

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        base.add_provider(parser)
        parser.add_argument("checkpoint_id", metavar="<checkpoint_id>", help="ID of the checkpoint")

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Sequence[str], Sequence[Any]]:
        """Show the checkpoint."""
        provider_id = self.id_of("provider", parsed_args.provider_id)
        return self.shown(self.client.get_checkpoint(provider_id, parsed_args.checkpoint_id))


class CreateCheckpoint(base.Waits, base.Show):
    """Protect a plan."""

    formats = _FORMATS

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        base.add_provider(parser)
        parser.add_argument("plan_id", metavar="<plan_id>", help="Name or ID of the plan")
        parser.add_argument(
            "--extra_info",
            "--extra-info",
            nargs="*",
            metavar="<key=value>",
            help="Stored with the checkpoint; skip_missing=true leaves out resources that do not exist",
        )
        self.add_wait(parser)

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Sequence[str], Sequence[Any]]:
        """Create the checkpoint."""
        more = texts.words(parsed_args.extra_info)
        checkpoint = self.client.create_checkpoint(
            self.id_of("provider", parsed_args.provider_id),
            plan_id=self.id_of("plan", parsed_args.plan_id),
            **({} if more is None else {"extra_info": more}),
        )
        if parsed_args.wait:
            checkpoint = self.wait(checkpoint, self.client.wait_for_checkpoint)
        return self.shown(checkpoint)


class DeleteCheckpoint(base.ForEach):
    """Delete checkpoints. One that is being created is cancelled, and gets the status error."""

    noun = argument = "checkpoint"
    named = False

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        base.add_provider(parser)
        super().add_arguments(parser)
        parser.add_argument("--wait", action="store_true", help="Wait until they are deleted")

    def act(self, args: argparse.Namespace, id_: str) -> None:
        provider_id = self.id_of("provider", args.provider_id)
        self.client.delete_checkpoint(provider_id, id_, ignore_missing=False)
        if args.wait:
            self.client.wait_for_deleted_checkpoint(self.client.get_checkpoint(provider_id, id_))


class ResetCheckpointState(base.ForEach):
    """Set the status of checkpoints, without changing their data."""

    noun = argument = "checkpoint"
    named = False
    verb = "reset"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        base.add_provider(parser)
        super().add_arguments(parser)
        parser.add_argument(
            "--available",
            action="store_const",
            dest="state",
            default="error",
            const="available",
            help="Set the status to available instead of error",
        )

    def act(self, args: argparse.Namespace, id_: str) -> None:
        self.client.reset_checkpoint_state(self.id_of("provider", args.provider_id), id_, args.state)
