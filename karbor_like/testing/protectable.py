"""The contract suite of protectable plugins. The tests of a plugin inherit :class:`ProtectableContract`."""

from abc import ABC

import pytest

from karbor_like import exception
from karbor_like.clients.factory import Clients
from karbor_like.domain.resource import Resource
from karbor_like.plugins.protectable import API_VERSION, ProtectablePlugin

_PROJECT = "OS::Keystone::Project"


class ProtectableContract(ABC):  # noqa: B024 - pytest collects subclasses only; they provide fixtures
    """Lists, lookups and children, as each tenant may see them.

    A subclass provides the fixtures ``plugin``, ``alice`` and ``bob`` (clients of two tenants), ``mine`` (the only resource
    of Alice, protectable) and ``theirs`` (the same of Bob).
    """

    def test_types(self, plugin: ProtectablePlugin) -> None:
        assert plugin.api_version == API_VERSION
        assert plugin.resource_type
        assert isinstance(plugin.parent_types, frozenset)

    def test_own_resources_are_listed(
        self, plugin: ProtectablePlugin, alice: Clients, mine: Resource, theirs: Resource
    ) -> None:
        (listed,) = [resource for resource in plugin.list(alice) if resource == mine]
        assert listed.to_dict() == mine.to_dict()

    def test_show_agrees_with_list(self, plugin: ProtectablePlugin, alice: Clients, mine: Resource) -> None:
        assert plugin.show(alice, mine.id).to_dict() == mine.to_dict()

    def test_resources_of_other_tenants_do_not_exist(
        self, plugin: ProtectablePlugin, alice: Clients, theirs: Resource
    ) -> None:
        assert theirs not in plugin.list(alice)
        with pytest.raises(exception.ResourceNotFound):
            plugin.show(alice, theirs.id)

    @pytest.mark.parametrize(
        "resource_id", ["0c8f7e6d-0000-4000-8000-000000000000", "no-uuid", "", "..", "../volumes/detail", "a?b", "é"]
    )
    def test_unknown(self, plugin: ProtectablePlugin, alice: Clients, resource_id: str) -> None:
        with pytest.raises(exception.ResourceNotFound):
            plugin.show(alice, resource_id)

    def test_nothing_of_one_tenant_is_kept_for_the_next(
        self, plugin: ProtectablePlugin, alice: Clients, bob: Clients, mine: Resource, theirs: Resource
    ) -> None:
        assert mine in plugin.list(alice)
        assert mine not in plugin.list(bob)
        assert theirs in plugin.list(bob)
        assert theirs not in plugin.list(alice)

    def test_children_of_projects(
        self, plugin: ProtectablePlugin, alice: Clients, mine: Resource, theirs: Resource
    ) -> None:
        """The children of the calling project are its own; another project has none that the tenant sees."""
        own, foreign = Resource(_PROJECT, alice.project_id), Resource(_PROJECT, "0" * 32)
        if _PROJECT in plugin.parent_types:
            children = plugin.children(alice, [own, foreign])
            assert list(children[own]) == [mine]
            assert not children.get(foreign)

    def test_no_parents_have_no_children(self, plugin: ProtectablePlugin, alice: Clients, mine: Resource) -> None:
        assert not any(plugin.children(alice, []).values())

    def test_dependencies_are_those_of_the_given_resources(
        self, plugin: ProtectablePlugin, alice: Clients, mine: Resource
    ) -> None:
        assert not any(plugin.dependencies(alice, []).values())
        dependencies = plugin.dependencies(alice, [mine])
        assert set(dependencies) <= {mine}
        assert mine not in dependencies.get(mine, ())
