"""Commands about plans."""

import argparse
from collections.abc import Sequence
from typing import Any

from osc_lib import exceptions

from karbor_like_client import errors
from karbor_like_client.osc import base, columns, texts

_FORMATS = {"resources": columns.text, "parameters": columns.text}


class ListPlans(base.List):
    """List plans."""

    method = "plans"
    headers = ("Id", "Name", "Description", "Provider id", "Status")
    filters = (base.by("name"), base.by("description"), base.by("status"))


class ShowPlan(base.ShowById):
    """Show a plan."""

    noun = argument = "plan"
    formats = _FORMATS


class CreatePlan(base.Show):
    """Create a plan."""

    formats = _FORMATS

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("name", metavar="<name>", help="Name of the plan")
        base.add_provider(parser)
        parser.add_argument(
            "resources",
            metavar="<id=type=name=extra_info,id=type=name=extra_info>",
            help="The resources to protect; extra_info is optional JSON",
        )
        base.add_parameters(parser, "plan")
        parser.add_argument("--description", metavar="<description>", help="Description of the plan")

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Sequence[str], Sequence[Any]]:
        """Check that the resources exist, and create the plan."""
        resources = texts.resources(parsed_args.resources)
        for resource in resources:
            try:
                self.client.get_protectable_instance(resource["type"], resource["id"])
            except errors.NotFound as error:
                raise exceptions.CommandError(
                    f"there is no {resource['type']} {resource['id']}: 'openstack data protection protectable instance "
                    f"list {resource['type']}' shows what can be protected; {error}"
                ) from error
        plan = self.client.create_plan(
            name=parsed_args.name,
            description=parsed_args.description,
            provider_id=self.id_of("provider", parsed_args.provider_id),
            resources=resources,
            parameters=texts.parameters(parsed_args.parameters, parsed_args.parameters_json),
        )
        return self.shown(plan)


class UpdatePlan(base.Show):
    """Change, start or suspend a plan."""

    formats = _FORMATS

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("plan_id", metavar="<plan>", help="Name or ID of the plan")
        parser.add_argument("--name", metavar="<name>", help="New name")
        parser.add_argument("--description", metavar="<description>", help="New description")
        parser.add_argument("--resources", metavar="<id=type=name,id=type=name>", help="The resources to protect")
        parser.add_argument("--status", metavar="<suspended|started>", help="New status")

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Sequence[str], Sequence[Any]]:
        """Change the plan."""
        changes = {name: getattr(parsed_args, name) for name in ("name", "description", "status")}
        if parsed_args.resources is not None:
            changes["resources"] = texts.resources(parsed_args.resources)
        changes = {name: value for name, value in changes.items() if value is not None}
        if not changes:
            raise exceptions.CommandError("nothing to change: use --name, --description, --resources or --status")
        return self.shown(self.client.update_plan(self.id_of("plan", parsed_args.plan_id), **changes))


class DeletePlan(base.ForEach):
    """Delete plans. Their checkpoints stay."""

    noun = argument = "plan"
