"""Contract suites of plugins that call OpenStack, against the sandbox cloud.

The fixtures in this module serve the suites: import them in a ``conftest.py``.
"""

import itertools
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
from keystoneauth1 import loading
from oslo_config import cfg

from karbor_like import exception
from karbor_like.bank import Bank
from karbor_like.clients.factory import ClientFactory, Clients
from karbor_like.clients.http import LimitedSession
from karbor_like.conf import opts
from karbor_like.context import RequestContext
from karbor_like.domain.operation import OperationType
from karbor_like.domain.resource import Resource
from karbor_like.plugins import loader
from karbor_like.plugins.cinder.volume_glance import VolumeGlanceProtection
from karbor_like.plugins.protectable import ProtectablePlugin
from karbor_like.plugins.protection import ProtectionPlugin
from karbor_like.sandbox.cloud import Sandbox
from karbor_like.testing import protectable, protection
from karbor_like.testing.host import Host, Operation
from karbor_like.testing.protection import Belongings, added

#: Bytes of the sandbox's GiB: tests run dozens of times over every volume.
SMALL_GIB = 1 << 20

#: Requests from one lost answer to the next in one operation.
LOST_ANSWERS_APART = 8

#: Paths of requests to Glance, Cinder and Trove.
ANY = "^/v2/|^/v3/[0-9a-f]{32}/|^/v1.0/[0-9a-f]{32}/"


class SmallVolumes(VolumeGlanceProtection):
    """The plugin for volumes, in a cloud with small volumes."""

    gib = SMALL_GIB


class Crash(BaseException):
    """The death of the process: handlers of exceptions must not run."""


class Line:
    """The network between this process and the cloud, without requests to the sandbox's own API."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        # The thread of the caller: the session sends in another one.
        self._send = LimitedSession.send
        self._local = threading.local()
        line = self

        def send(self: LimitedSession, request: Any, **kwargs: Any) -> requests.Response:
            return line._pass(lambda: line._send(self, request, **kwargs), request)

        monkeypatch.setattr(LimitedSession, "send", send)

    @contextmanager
    def crash(self, nth: int, *, answered: bool) -> Iterator[None]:
        """Let the process die at the *nth* request (from 1) of the block.

        :param answered: whether it dies after the answer instead of before the request
        """
        self._local.left, self._local.answered = nth, answered
        try:
            yield
        finally:
            self._local.left = None

    def _pass(self, send: Callable[[], requests.Response], request: Any) -> requests.Response:
        left = getattr(self._local, "left", None)
        if left is None or "/sandbox/" in request.url:
            return send()
        self._local.left = left - 1
        if left > 1:
            return send()
        if self._local.answered:
            send()
        raise Crash(f"{request.method} {request.url}")


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Sandbox]:
    """A cloud with small volumes."""
    with Sandbox(tmp_path / "cloud") as sandbox:
        sandbox.settings(job_delay=0.0, gib=SMALL_GIB)
        yield sandbox


@pytest.fixture
def factory(cloud: Sandbox) -> ClientFactory:
    """Clients of the cloud."""
    return ClientFactory(make_conf(cloud))


@pytest.fixture
def line(monkeypatch: pytest.MonkeyPatch) -> Line:
    """The network between the test and the cloud."""
    return Line(monkeypatch)


def make_conf(cloud: Sandbox) -> cfg.ConfigOpts:
    """Return the configuration of a service in *cloud*."""
    conf = cfg.ConfigOpts()
    conf([], project="karbor_like", default_config_files=[])
    opts.register(conf)
    conf.register_opts(loading.get_auth_plugin_conf_options("v3password"), group="service_auth")
    for name, value in {"auth_type": "v3password", **cloud.credentials("karbor")}.items():
        conf.set_override(name, value, "service_auth")
    return conf


def make_plugin(name: str) -> ProtectionPlugin:
    """Return a plugin without a configuration.

    :param name: of its entry point, or ``module:class``
    """
    conf = cfg.ConfigOpts()
    conf([], default_config_files=[])
    return loader.load_protection(name, conf, "test")


def context_of(cloud: Sandbox, user: str = "alice", project: str | None = None) -> RequestContext:
    """Return the context of a request with *user*'s token."""
    session = cloud.session(user, project)
    auth: Any = session.auth
    access = auth.get_access(session)
    return RequestContext(
        auth_token=access.auth_token,
        user_id=access.user_id,
        project_id=access.project_id,
        project_name=access.project_name,
        roles=access.role_names,
        is_admin="admin" in access.role_names,
        service_catalog=access.service_catalog.catalog,
    )


class Subject(protection.Subject):
    """A resource of Alice in the sandbox."""

    def __init__(self, cloud: Sandbox, clients: Any) -> None:
        self.cloud = cloud
        self.cinder, self.glance = clients.cinder(), clients.glance()
        self.project_id = clients.project_id

    def belongings(self) -> Belongings:
        return {
            "volumes": {volume.id for volume in self.cinder.volumes.list()},
            "snapshots": {snapshot.id for snapshot in self.cinder.volume_snapshots.list()},
            "images": {image.id for image in self.glance.images.list(filters={"owner": self.project_id})},
        }


class ProtectableContract(protectable.ProtectableContract):
    """The contract of protectable plugins, with administrators and a cloud that does not answer."""

    @pytest.fixture
    def alice(self, factory: ClientFactory, cloud: Sandbox) -> Clients:
        return factory.for_context(context_of(cloud))

    @pytest.fixture
    def bob(self, factory: ClientFactory, cloud: Sandbox) -> Clients:
        return factory.for_context(context_of(cloud, "bob"))

    @pytest.fixture
    def admin(self, factory: ClientFactory, cloud: Sandbox) -> Clients:
        """An administrator, to whom the cloud shows the resources of all projects."""
        return factory.for_context(context_of(cloud, "admin"))

    def test_administrators_see_their_own_resources_only(
        self, plugin: ProtectablePlugin, admin: Clients, mine: Resource, theirs: Resource
    ) -> None:
        for foreign in (mine, theirs):
            assert foreign not in plugin.list(admin)
            with pytest.raises(exception.ResourceNotFound):
                plugin.show(admin, foreign.id)

    def test_children_of_many_take_as_many_requests_as_of_one(
        self, plugin: ProtectablePlugin, alice: Clients, cloud: Sandbox, mine: Resource
    ) -> None:
        plugin.children(alice, [Resource(kind, mine.id) for kind in plugin.parent_types])
        counts = []
        for many in (1, 20):
            cloud.forget_calls()
            plugin.children(alice, [Resource(kind, f"{n:032x}") for kind in plugin.parent_types for n in range(many)])
            counts.append(len(cloud.calls()))
        assert counts[0] == counts[1]

    def test_failing_cloud_is_not_an_empty_cloud(
        self, plugin: ProtectablePlugin, alice: Clients, cloud: Sandbox, mine: Resource
    ) -> None:
        plugin.list(alice)
        cloud.fault(kind="status", status=503, times=0)
        cloud.forget_calls()
        try:
            listed = plugin.list(alice)
        except exception.Unavailable:
            return
        assert listed == [mine], "no request was made"
        assert cloud.calls() == []


class CopyContract(protection.CopyContract):
    """The contract of copies, and that they make no request to the cloud."""

    def test_copy_calls_no_service(self, host: Host, elsewhere: Host, subject: Subject, checkpoint: str) -> None:
        subject.cloud.forget_calls()
        elsewhere.copy(host, subject.resource, checkpoint)
        assert subject.cloud.calls() == []


class CloudContract:
    """The further contract of plugins that leave the bytes in the cloud. Inherit it before :class:`ProtectionContract`."""

    def test_bank_alone_is_enough(self, host: Host, subject: Subject, checkpoint: str, before: Belongings) -> None:
        """It is not: the deletion of a checkpoint deletes the objects in the cloud."""
        host.perform(host.operation(OperationType.DELETE, subject.resource, checkpoint))
        assert added(subject.belongings(), before)

    @pytest.mark.parametrize("answered", [False, True], ids=["before", "after"])
    def test_delete_continues_after_a_crash_at_any_request(
        self, host: Host, subject: Subject, before: Belongings, line: Line, answered: bool
    ) -> None:
        for nth in itertools.count(1):
            checkpoint = host.protect(subject.resource).checkpoint_id
            operation = host.operation(OperationType.DELETE, subject.resource, checkpoint)
            crashed = crashes(host, line, operation, nth, answered)
            if crashed:
                host.perform(operation)
            assert subject.belongings() == before, f"after a crash at request {nth}"
            if not crashed:
                break

    def test_lost_answer_to_any_request_of_delete_is_harmless(
        self, host: Host, subject: Subject, before: Belongings
    ) -> None:
        for nth in range(1, LOST_ANSWERS_APART):
            checkpoint = host.protect(subject.resource).checkpoint_id
            how = {"kind": "cut", "where": "response", "nth": nth, "every": LOST_ANSWERS_APART, "times": 0}
            with Struck(subject.cloud, ANY, **how) as struck:
                host.perform(host.operation(OperationType.DELETE, subject.resource, checkpoint))
            assert subject.belongings() == before
            if not struck.once:
                break


class ProtectionContract(protection.ProtectionContract):
    """The contract of protection plugins, with crashes, refusals and lost answers at every request.

    A subclass provides the fixture ``subject``, a :class:`Subject`.
    """

    @pytest.fixture
    def clients(self, factory: ClientFactory, cloud: Sandbox) -> Clients:
        return factory.for_context(context_of(cloud))

    def test_restore_under_another_name(self, host: Host, subject: Subject, checkpoint: str) -> None:
        looks = subject.looks(subject.resource.id)
        restored = host.restore(subject.resource, checkpoint, restore_name="another")
        assert subject.looks(restored) == {**looks, "name": "another"}

    @pytest.mark.parametrize("level", ["quick", "full"])
    def test_verify_levels(self, host: Host, subject: Subject, checkpoint: str, level: str) -> None:
        host.perform(host.operation(OperationType.VERIFY, subject.resource, checkpoint, level=level))

    def test_bank_alone_is_enough(self, host: Host, subject: Subject, checkpoint: str, before: Belongings) -> None:
        """Verify and delete make no request to the cloud."""
        subject.cloud.forget_calls()
        for kind in (OperationType.VERIFY, OperationType.DELETE):
            host.perform(host.operation(kind, subject.resource, checkpoint))
        assert subject.cloud.calls() == []

    @pytest.mark.parametrize("answered", [False, True], ids=["before", "after"])
    def test_protect_continues_after_a_crash_at_any_request(
        self, host: Host, subject: Subject, line: Line, answered: bool
    ) -> None:
        digest = subject.digest(subject.resource.id)
        for nth in itertools.count(1):
            before = subject.belongings()
            operation = host.operation(OperationType.PROTECT, subject.resource)
            if not crashes(host, line, operation, nth, answered):
                break
            host.perform(operation)
            assert added(before, subject.belongings()) == self.results(operation), f"after a crash at request {nth}"
        restored = host.restore(subject.resource, operation.checkpoint_id)
        assert subject.digest(restored) == digest

    @pytest.mark.parametrize("answered", [False, True], ids=["before", "after"])
    def test_restore_continues_after_a_crash_at_any_request(
        self, host: Host, subject: Subject, checkpoint: str, line: Line, answered: bool
    ) -> None:
        digest, looks = subject.digest(subject.resource.id), subject.looks(subject.resource.id)
        for nth in itertools.count(1):
            before = subject.belongings()
            operation = host.operation(OperationType.RESTORE, subject.resource, checkpoint)
            if not crashes(host, line, operation, nth, answered):
                break
            restored = host.perform(operation)["restored"][subject.resource.key]
            assert added(before, subject.belongings()) == {restored}, f"after a crash at request {nth}"
            assert subject.digest(restored) == digest
            assert subject.looks(restored) == looks

    @pytest.mark.parametrize("kind", [OperationType.PROTECT, OperationType.RESTORE])
    def test_cleanup_after_a_crash_at_any_request(
        self, host: Host, subject: Subject, checkpoint: str, before: Belongings, line: Line, kind: OperationType
    ) -> None:
        for nth in itertools.count(1):
            operation = self.first(host, subject, kind, checkpoint)
            if not crashes(host, line, operation, nth, answered=True):
                break
            host.cleanup(operation)
            assert subject.belongings() == before, f"after a crash at request {nth}"
            host.cleanup(operation)

    @pytest.mark.parametrize("kind", [OperationType.PROTECT, OperationType.RESTORE])
    def test_refusal_of_any_request_leaves_nothing_incomplete(
        self, host: Host, subject: Subject, checkpoint: str, kind: OperationType
    ) -> None:
        """The operation fails and leaves nothing, or it succeeds. A restore then remarks on what could not be restored."""
        digest, looks = subject.digest(subject.resource.id), subject.looks(subject.resource.id)
        for nth in itertools.count(1):
            before = subject.belongings()
            result: dict[str, Any] = {}
            with Struck(subject.cloud, ANY, nth=nth, kind="status", status=403) as struck:
                operation = self.first(host, subject, kind, checkpoint)
                try:
                    result = host.perform(operation) or {}
                except exception.KarborLikeError:
                    assert struck.now()
            if not struck.once:
                break
            remains = self.results(operation, result)
            assert added(before, subject.belongings()) == remains, f"after a refusal of request {nth}"
            for new in result.get("restored", {}).values():
                assert subject.digest(new) == digest
                assert result["remarks"] or subject.looks(new) == looks

    @pytest.mark.parametrize("how", [{"kind": "status", "status": 503}, {"kind": "cut", "where": "response"}], ids=str)
    @pytest.mark.parametrize("kind", [OperationType.PROTECT, OperationType.RESTORE])
    def test_lost_answer_to_any_request_is_harmless(
        self, host: Host, subject: Subject, checkpoint: str, kind: OperationType, how: dict[str, Any]
    ) -> None:
        """A request without an answer is retried, and creates nothing twice."""
        # A retry follows each lost answer. So the answers of these operations to every request are lost once.
        for nth in range(1, LOST_ANSWERS_APART):
            before = subject.belongings()
            with Struck(subject.cloud, ANY, nth=nth, every=LOST_ANSWERS_APART, times=0, **how) as struck:
                operation = self.first(host, subject, kind, checkpoint)
                result = host.perform(operation)
            if not struck.once:
                break
            assert added(before, subject.belongings()) == self.results(operation, result)

    def test_expired_token_does_not_matter(self, host: Host, subject: Subject, cloud: Sandbox) -> None:
        cloud.expire_token(str(host.clients.context.auth_token))
        host.restore(subject.resource, host.protect(subject.resource).checkpoint_id)

    def test_foreign_resource(self, factory: ClientFactory, cloud: Sandbox, bank: Bank, subject: Subject) -> None:
        bob = Host(subject.plugin, factory.for_context(context_of(cloud, "bob")), bank)
        admin = Host(subject.plugin, factory.for_context(context_of(cloud, "admin")), bank)
        for host in (bob, admin):
            with pytest.raises(exception.ResourceNotFound):
                host.protect(subject.resource)


def crashes(host: Host, line: Line, operation: Operation, nth: int, answered: bool) -> bool:
    """Attempt *operation* until its *nth* request, see :meth:`Line.crash`. Return whether it made so many."""
    try:
        with line.crash(nth, answered=answered):
            host.attempt(operation)
    except Crash:
        return True
    return False


class Struck:
    """A context manager in which requests to Cinder and Glance fail. Afterwards ``once`` is whether any did."""

    def __init__(self, cloud: Sandbox, path: str, **fault: Any) -> None:
        self._cloud = cloud
        self._fault = {"path": path, **fault}
        self.once = False

    def __enter__(self) -> "Struck":
        self._cloud.fault(**self._fault)
        return self

    def now(self) -> bool:
        """Return whether a request failed."""
        return any(fault["struck"] for fault in self._cloud.faults())

    def __exit__(self, *exc_info: object) -> None:
        self.once = self.now()
        self._cloud.clear_faults()
