"""Bases of the commands: list, show, delete, and waiting."""

import argparse
import contextlib
import itertools
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from osc_lib import exceptions
from osc_lib.command import command

from karbor_like_client.osc import advice, columns, names, progress
from karbor_like_client.service import add_to
from karbor_like_client.v1.proxy import Proxy
from karbor_like_client.v1.work import Work


class Base(command.Command):
    """Base of all commands."""

    @property
    def client(self) -> Proxy:
        """The service."""
        return add_to(self.app.client_manager.sdk_connection)

    def run(self, parsed_args: argparse.Namespace) -> int:
        """Run the command, with advice in its errors."""
        with advice.given():
            return super().run(parsed_args)

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Return the parser of the arguments."""
        parser = super().get_parser(prog_name)
        self.add_arguments(parser)
        return parser

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add the arguments of this command."""

    def id_of(self, noun: str, text: str) -> str:
        """Return the id of the object with a name or an id, see :func:`names.resolve`."""
        return names.resolve(self.client, noun, text)


@dataclass(frozen=True)
class Filter:
    """An option of a list.

    :param flags: the last one is the preferred form
    :param query: the filter of the API
    :param help: what it selects
    :param noun: what the option names, if names or ids are accepted
    """

    flags: Sequence[str]
    query: str
    help: str
    noun: str | None = None

    @property
    def dest(self) -> str:
        """The attribute of the parsed arguments."""
        return self.query


def by(name: str, noun: str | None = None, *more: str) -> Filter:
    """Return the filter ``--<name>`` for the member *name*."""
    words = name.removesuffix("_id").replace("_", " ")
    which = "these" if words == "properties" else "this"
    flags = dict.fromkeys((f"--{name}", *more, f"--{name.replace('_', '-')}"))
    return Filter(tuple(flags), name, f"Show only those with {which} {words}" + (" (name or ID)" if noun else ""), noun)


class List(Base, command.Lister):
    """Base of lists."""

    #: The method of the service.
    method: ClassVar[str]
    #: Headers of columns: names of members, with capitals and spaces.
    headers: ClassVar[Sequence[str]]
    #: More headers with ``--long``.
    long: ClassVar[Sequence[str]] = ()
    formats: ClassVar[Mapping[str, columns.Format]] = {}
    filters: ClassVar[Sequence[Filter]] = ()
    #: Whether the list has pages.
    paged: ClassVar[bool] = True
    #: The option for one project, if an administrator can list the objects of all projects.
    project: ClassVar[Sequence[str]] = ("--project",)

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        for option in self.filters:
            parser.add_argument(*option.flags, dest=option.dest, metavar=f"<{option.query}>", help=option.help)
        if self.project:
            parser.add_argument("--all-projects", action="store_true", help="Include all projects (admin only)")
            parser.add_argument(
                *self.project, dest="project", metavar="<project>", help="Show only those of this project (admin only)"
            )
        if self.paged:
            parser.add_argument("--marker", metavar="<id>", help="The ID of the last entry of the previous page")
            parser.add_argument("--limit", type=_positive, metavar="<number>", help="Show at most so many entries")
            parser.add_argument(
                "--sort",
                metavar="<key>[:<direction>]",
                help="Sort by these keys, separated by commas; the direction is asc or desc",
            )
        if self.long:
            parser.add_argument("--long", action="store_true", help="Show more columns")

    def objects(self, args: argparse.Namespace, query: dict[str, Any]) -> Iterable[Any]:
        """Return the objects to list."""
        found: Iterable[Any] = getattr(self.client, self.method)(**query)
        return found

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Sequence[str], Iterable[Sequence[Any]]]:
        """List the objects."""
        headers = (*self.headers, *(self.long if self.long and parsed_args.long else ()))
        # All, because an error during the output would be without advice.
        entries = self.objects(parsed_args, self._query(parsed_args))
        found = list(itertools.islice(entries, parsed_args.limit if self.paged else None))
        return headers, [columns.row(each.raw(), headers, self.formats) for each in found]

    def _query(self, args: argparse.Namespace) -> dict[str, Any]:
        query = {
            option.query: self.id_of(option.noun, value) if option.noun else value
            for option in self.filters
            if (value := getattr(args, option.dest)) is not None
        }
        if self.project and (args.all_projects or args.project):
            query["all_projects"] = True
            if args.project:
                query["project_id"] = names.project(self.app.client_manager.sdk_connection, args.project)
        if self.paged:
            asked = {"marker": args.marker, "limit": args.limit, "sort": args.sort}
            query.update({name: value for name, value in asked.items() if value is not None})
        return query


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive number")
    return int(text)


class Show(Base, command.ShowOne):
    """Base of commands that show one object."""

    formats: ClassVar[Mapping[str, columns.Format]] = {}

    def shown(self, found: Any) -> tuple[Sequence[str], Sequence[Any]]:
        """Return the output for an object."""
        return columns.shown(found.raw(), self.formats)


class ShowById(Show):
    """Base of commands that show the object with a name or an id."""

    noun: ClassVar[str]
    argument: ClassVar[str]
    #: Whether the objects have names.
    named: ClassVar[bool] = True

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        what = "Name or ID" if self.named else "ID"
        words = self.noun.replace("_", " ")
        parser.add_argument("id", metavar=f"<{self.argument}>", help=f"{what} of the {words}")

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Sequence[str], Sequence[Any]]:
        """Show the object."""
        id_ = self.id_of(self.noun, parsed_args.id) if self.named else parsed_args.id
        return self.shown(getattr(self.client, f"get_{self.noun}")(id_))


class Attempts:
    """Attempts to do the same with each of several objects. An error does not prevent the next attempt.

    :param verb: what is done, as in "failed to <verb>"
    """

    def __init__(self, log: logging.Logger, verb: str, noun: str) -> None:
        self._log = log
        self._verb = verb
        self._nouns = f"{noun.replace('_', ' ')}s"
        self._count = self._failed = 0

    @contextlib.contextmanager
    def one(self, text: str) -> Iterator[None]:
        """Log an error in the block, and end the block.

        :param text: name or id of the object
        """
        self._count += 1
        try:
            with advice.given():
                yield
        except exceptions.CommandError as error:
            self._failed += 1
            self._log.error("failed to %s %s: %s", self._verb, text, error)

    def conclude(self) -> None:
        """Raise CommandError if an attempt failed."""
        if self._failed:
            raise exceptions.CommandError(f"failed to {self._verb} {self._failed} of {self._count} {self._nouns}")


class ForEach(Base):
    """Base of commands that do something with each of several objects."""

    noun: ClassVar[str]
    argument: ClassVar[str]
    named: ClassVar[bool] = True
    #: What the command does, as in "failed to <verb>".
    verb: ClassVar[str] = "delete"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        what = "Names or IDs" if self.named else "IDs"
        words = self.noun.replace("_", " ")
        parser.add_argument("ids", nargs="+", metavar=f"<{self.argument}>", help=f"{what} of {words}s")

    def act(self, args: argparse.Namespace, id_: str) -> None:
        """Do it with one object."""
        getattr(self.client, f"{self.verb}_{self.noun}")(
            id_, **({"ignore_missing": False} if self.verb == "delete" else {})
        )

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Do it with each object, and continue after errors."""
        attempts = Attempts(self.log, self.verb, self.noun)
        for text in parsed_args.ids:
            with attempts.one(text):
                self.act(parsed_args, self.id_of(self.noun, text) if self.named else text)
        attempts.conclude()


class Waits(Base):
    """Adds ``--wait`` to a command that starts an operation."""

    def add_wait(self, parser: argparse.ArgumentParser) -> None:
        """Add the option."""
        parser.add_argument(
            "--wait", action="store_true", help="Wait until the operation has ended, and show its progress"
        )

    def wait(self, work: Work, wait: Callable[..., Any]) -> Any:
        """Wait for an operation, and show its progress.

        :param wait: a method ``wait_for_...`` of the service
        """
        title = f"{type(work).__name__.lower()} {work.id}"
        with progress.shown(title, self.app.stderr) as callback:
            return wait(work, progress=callback)


def add_parameters(parser: argparse.ArgumentParser, what: str) -> None:
    """Add the options for parameters of plugins, see :func:`texts.parameters`."""
    parser.add_argument("--parameters-json", metavar="<parameters>", help=f"Parameters of the {what} as JSON")
    parser.add_argument(
        "--parameters",
        action="append",
        default=[],
        metavar="resource_type=<type>[,resource_id=<id>,key=val,...]",
        help=f"Parameters of the {what} for a type of resources, or for one resource; the provider's schema has their "
        "names. Can be repeated",
    )


def add_provider(parser: argparse.ArgumentParser) -> None:
    """Add the argument that names a provider."""
    parser.add_argument("provider_id", metavar="<provider_id>", help="Name or ID of the provider")
