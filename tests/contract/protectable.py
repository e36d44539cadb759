"""What every protectable plugin promises. One class of tests per plugin inherits this.

A subclass offers fixtures: ``plugin``; ``mine``, a resource of alice's that can be protected; ``theirs``, one of bob's.
"""

import pytest

from karbor_like import exception
from karbor_like.clients.factory import ClientFactory, Clients
from karbor_like.domain.resource import Resource
from karbor_like.plugins.protectable import API_VERSION, ProtectablePlugin
from karbor_like.sandbox.cloud import Sandbox
from tests.contract.plugins import running


class ProtectableContract:
    """Lists, single ones and children, each as the tenant who asks may see them."""

    @pytest.fixture
    def alice(self, factory: ClientFactory, cloud: Sandbox) -> Clients:
        return factory.for_context(running.context_of(cloud))

    @pytest.fixture
    def bob(self, factory: ClientFactory, cloud: Sandbox) -> Clients:
        return factory.for_context(running.context_of(cloud, "bob"))

    @pytest.fixture
    def admin(self, factory: ClientFactory, cloud: Sandbox) -> Clients:
        """An administrator, to whom the cloud shows everybody's resources."""
        return factory.for_context(running.context_of(cloud, "admin"))

    def test_types(self, plugin: ProtectablePlugin) -> None:
        assert plugin.api_version == API_VERSION
        assert plugin.resource_type
        assert isinstance(plugin.parent_types, frozenset)

    def test_own_ones_are_listed(
        self, plugin: ProtectablePlugin, alice: Clients, mine: Resource, theirs: Resource
    ) -> None:
        (found,) = [seen for seen in plugin.list(alice) if seen == mine]
        assert found.to_dict() == mine.to_dict()

    def test_show_says_what_the_list_says(self, plugin: ProtectablePlugin, alice: Clients, mine: Resource) -> None:
        assert plugin.show(alice, mine.id).to_dict() == mine.to_dict()

    def test_others_are_not_shown(
        self, plugin: ProtectablePlugin, alice: Clients, admin: Clients, mine: Resource, theirs: Resource
    ) -> None:
        for clients, foreign in ((alice, theirs), (admin, theirs), (admin, mine)):
            assert foreign not in plugin.list(clients)
            with pytest.raises(exception.ResourceNotFound):
                plugin.show(clients, foreign.id)

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

    def test_below_the_project(
        self, plugin: ProtectablePlugin, alice: Clients, mine: Resource, theirs: Resource
    ) -> None:
        """A project's children are its own; another project has none that the caller could see."""
        if "OS::Keystone::Project" not in plugin.parent_types:
            pytest.skip("hangs below no project")
        own = Resource("OS::Keystone::Project", alice.context.project_id)
        foreign = Resource("OS::Keystone::Project", "0" * 32)
        found = plugin.children(alice, [own, foreign])
        assert list(found[own]) == [mine]
        assert not found.get(foreign)

    def test_no_parents_no_children(self, plugin: ProtectablePlugin, alice: Clients, mine: Resource) -> None:
        assert not any(plugin.children(alice, []).values())

    def test_children_of_many_take_no_more_calls_than_of_one(
        self, plugin: ProtectablePlugin, alice: Clients, cloud: Sandbox, mine: Resource
    ) -> None:
        plugin.children(alice, [Resource(kind, mine.id) for kind in plugin.parent_types])
        counts = []
        for many in (1, 20):
            cloud.forget_calls()
            plugin.children(alice, [Resource(kind, f"{n:032x}") for kind in plugin.parent_types for n in range(many)])
            counts.append(len(cloud.calls()))
        assert counts[0] == counts[1]

    def test_cloud_that_does_not_answer_is_no_empty_cloud(
        self, plugin: ProtectablePlugin, alice: Clients, cloud: Sandbox, mine: Resource
    ) -> None:
        plugin.list(alice)
        cloud.fault(kind="status", status=503, times=0)
        cloud.forget_calls()
        try:
            listed = plugin.list(alice)
        except exception.Unavailable:
            return
        assert listed == [mine], "it asked nobody"
        assert cloud.calls() == []
