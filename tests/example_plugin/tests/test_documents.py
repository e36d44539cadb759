"""The contract suites, and what only documents have."""

import hashlib
import random
import uuid
from pathlib import Path
from typing import Any

import pytest
from example_documents.store import TYPE, Store
from oslo_config import cfg

from karbor_like.clients.factory import Clients
from karbor_like.domain.actions import Action, PlannedAction
from karbor_like.domain.operation import OperationType
from karbor_like.domain.resource import Resource
from karbor_like.plugins import loader
from karbor_like.plugins.protectable import ProtectablePlugin
from karbor_like.testing import protectable, protection
from karbor_like.testing.host import Host, clients_without_cloud

BYTES = random.Random(1).randbytes(3_000_000)
ALICE, BOB = "a" * 32, "b" * 32


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXAMPLE_DOCUMENTS", str(tmp_path))


@pytest.fixture
def clients() -> Clients:
    return clients_without_cloud(ALICE)


def create(project_id: str, title: str = "report", links: tuple[str, ...] = ()) -> Resource:
    document_id = str(uuid.uuid4())
    Store(project_id).put(document_id, title, links, [BYTES])
    return Resource(TYPE, document_id, title)


class TestDocumentProtectable(protectable.ProtectableContract):
    @pytest.fixture
    def plugin(self) -> ProtectablePlugin:
        return loader.protectables()[TYPE]

    @pytest.fixture
    def alice(self) -> Clients:
        return clients_without_cloud(ALICE)

    @pytest.fixture
    def bob(self) -> Clients:
        return clients_without_cloud(BOB)

    @pytest.fixture
    def mine(self) -> Resource:
        return create(ALICE)

    @pytest.fixture
    def theirs(self) -> Resource:
        return create(BOB)

    def test_links_are_dependencies(self, plugin: ProtectablePlugin, alice: Clients, mine: Resource) -> None:
        summary = create(ALICE, "summary", (mine.id,))
        assert plugin.dependencies(alice, [summary, mine]) == {summary: [mine], mine: []}


class DocumentSubject(protection.Subject):
    def __init__(self) -> None:
        conf = cfg.ConfigOpts()
        conf([], default_config_files=[])
        self.plugin = loader.load_protection("documents", conf, "test")
        self.store = Store(ALICE)
        self.resource = create(ALICE)

    def digest(self, resource_id: str) -> str:
        return hashlib.sha256(self.store.path(resource_id).read_bytes()).hexdigest()

    def looks(self, resource_id: str) -> dict[str, Any]:
        return self.store.describe(resource_id)

    def destroy(self) -> None:
        self.store.delete(self.resource.id)

    def belongings(self) -> protection.Belongings:
        return {"documents": set(self.store.ids())}


@pytest.fixture
def subject() -> DocumentSubject:
    return DocumentSubject()


class TestDocumentProtection(protection.CopyContract, protection.ProtectionContract):
    size = len(BYTES)

    def test_document_can_be_mapped(self, host: Host, subject: DocumentSubject, checkpoint: str) -> None:
        restore = host.operation(OperationType.RESTORE, subject.resource, checkpoint)
        restore.mapping = {subject.resource.key: subject.resource.id}
        assert [line.action for line in host.plan(restore)] == [Action.MAP]
        before = subject.belongings()
        assert host.perform(restore)["restored"] == {subject.resource.key: subject.resource.id}
        assert subject.belongings() == before

    def test_mapping_to_an_unknown_document_is_a_conflict(
        self, host: Host, subject: DocumentSubject, checkpoint: str
    ) -> None:
        restore = host.operation(OperationType.RESTORE, subject.resource, checkpoint)
        restore.mapping = {subject.resource.key: "lost"}
        expected = PlannedAction(Action.CONFLICT, subject.resource.key, "document lost does not exist")
        assert host.plan(restore) == [expected]

    def test_link_to_a_lost_document_is_a_conflict(self, host: Host, subject: DocumentSubject) -> None:
        summary = create(ALICE, "summary", (subject.resource.id,))
        checkpoint = host.protect(summary).checkpoint_id
        restore = host.operation(OperationType.RESTORE, summary, checkpoint)
        assert [line.action for line in host.plan(restore)] == [Action.CREATE, Action.REUSE]
        subject.destroy()
        assert [line.action for line in host.plan(restore)] == [Action.CREATE, Action.CONFLICT]
        restore.mapping = {subject.resource.key: summary.id}
        assert [line.action for line in host.plan(restore)] == [Action.CREATE]
        restored = host.perform(restore)["restored"][summary.key]
        assert subject.store.describe(restored) == {"title": "summary", "links": [summary.id]}
