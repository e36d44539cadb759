"""Commands about what can be protected."""

import argparse
from collections.abc import Iterable, Sequence
from typing import Any

from karbor_like_client.osc import base, columns, texts

_FORMATS = {"extra_info": columns.text, "dependent_resources": columns.text}


def _add_parameters(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--parameters", nargs="*", metavar="<key=value>", help="Parameters for the plugin of the type")


class ListProtectables(base.List):
    """List the types of resources that can be protected."""

    headers = ("Protectable type",)
    paged = False
    project = ()

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Sequence[str], Iterable[Sequence[Any]]]:
        """List the types."""
        return self.headers, [(found.name,) for found in self.client.protectables()]


class ShowProtectable(base.Show):
    """Show a type of resources, and the types of resources that are protected with them."""

    formats = {"dependent_types": columns.lines}

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("protectable_type", metavar="<protectable_type>", help="Type, such as OS::Nova::Server")

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Sequence[str], Sequence[Any]]:
        """Show the type."""
        return self.shown(self.client.get_protectable(parsed_args.protectable_type))


class ListInstances(base.List):
    """List your resources of a type."""

    headers = ("Id", "Type", "Name", "Dependent resources", "Extra info")
    long = ("Protected", "Last checkpoint")
    project = ()

    # A null is shown as JSON too.
    formats = _FORMATS

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("protectable_type", metavar="<protectable_type>", help="Type, such as OS::Nova::Server")
        parser.add_argument("--type", metavar="<type>", help="Ignored; the argument names the type")
        super().add_arguments(parser)
        _add_parameters(parser)
        parser.add_argument(
            "--protected",
            choices=("true", "false", "all"),
            help="true: show only those that are protected; false: only those that are not; all: both. With any of these, "
            "--long shows the last checkpoints",
        )

    def objects(self, args: argparse.Namespace, query: dict[str, Any]) -> Iterable[Any]:
        query = query | ({"protected": args.protected} if args.protected else {})
        return self.client.protectable_instances(args.protectable_type, texts.words(args.parameters), **query)


class ShowInstance(base.Show):
    """Show one of your resources, and what is protected with it."""

    formats = _FORMATS

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("protectable_type", metavar="<protectable_type>", help="Type, such as OS::Nova::Server")
        parser.add_argument("protectable_id", metavar="<protectable_id>", help="ID of the resource")
        _add_parameters(parser)

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Sequence[str], Sequence[Any]]:
        """Show the resource."""
        found = self.client.get_protectable_instance(
            parsed_args.protectable_type, parsed_args.protectable_id, texts.words(parsed_args.parameters)
        )
        return self.shown(found)
