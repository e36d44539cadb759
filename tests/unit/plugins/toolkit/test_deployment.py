"""The deployment of a template in a cloud in memory, interrupted and refused at every request."""

import dataclasses
import itertools
from collections.abc import Callable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any, ClassVar, cast

import pytest

from karbor_like import exception
from karbor_like.clients.waiter import Waiter
from karbor_like.clock import ManualClock
from karbor_like.domain.resource import Resource
from karbor_like.domain.template import Template
from karbor_like.plugins.deployable import Deployable
from karbor_like.plugins.protection import HookContext
from karbor_like.plugins.toolkit.deployment import Deployment
from karbor_like.testing.host import MemoryJournal, clients_without_cloud


class Died(BaseException):
    """The process was killed."""


class Cloud:
    """Things with names and properties. A server starts after it was polled twice."""

    def __init__(self) -> None:
        self.things: dict[str, dict[str, Any]] = {}
        self.requests: list[str] = []
        #: Called before and after each request that changes something, with the request.
        self.before: Callable[[str], None] = lambda request: None
        self.after: Callable[[str], None] = lambda request: None
        self.numbers = itertools.count(1)

    def request(self, what: str) -> "Cloud":
        self.before(what)
        self.requests.append(what)
        return self

    def create(self, kind: str, name: str, properties: Mapping[str, Any]) -> str:
        self.request(f"create {properties['name']}")
        cloud_id = f"id-{next(self.numbers)}"
        self.things[cloud_id] = {"kind": kind, "name": name, "properties": dict(properties), "asked": 0}
        self.after(f"create {properties['name']}")
        return cloud_id

    def names(self) -> list[str]:
        return sorted(thing["name"] for thing in self.things.values())


CLOUD = Cloud()


class Thing(Deployable):
    noun = "thing"
    ready = "ready"
    deletable = None
    polls: ClassVar[int] = 0

    def create(self, name: str, markers: Mapping[str, str]) -> str:
        return CLOUD.create(type(self).__name__, name, self.properties())

    def get(self, cloud_id: str) -> Any:
        if cloud_id not in CLOUD.things:
            raise exception.ResourceNotFound(cloud_id)
        thing = CLOUD.things[cloud_id]
        thing["asked"] += 1
        return SimpleNamespace(id=cloud_id, status="ready" if thing["asked"] > self.polls else "building")

    def find(self, name: str) -> Sequence[str]:
        return [cloud_id for cloud_id, thing in CLOUD.things.items() if thing["name"] == name]

    def delete(self, current: Any) -> None:
        used = [each for each in CLOUD.things.values() if current.id in str(each["properties"])]
        if used:
            raise exception.Conflict(f"{current.id} is in use")
        CLOUD.request(f"delete {CLOUD.things[current.id]['properties']['name']}")
        del CLOUD.things[current.id]

    def failure(self, current: Any) -> str | None:
        return None

    def complete(self, cloud_id: str) -> list[str]:
        final = self.properties()["name"]
        CLOUD.request(f"complete {final}")
        CLOUD.things[cloud_id]["name"] = final
        return ["it is red now"] if final == "port" else []


class Server(Thing):
    polls = 2


TYPES: Mapping[str, type[Deployable]] = {"Net": Thing, "Port": Thing, "Server": Server}


@pytest.fixture(autouse=True)
def cloud() -> Cloud:
    CLOUD.__init__()  # type: ignore[misc]
    return CLOUD


class Process:
    """A process that deploys: what survives of it are the cloud and the journals."""

    def __init__(self, template: Template, journals: dict[str, MemoryJournal] | None = None, **restored: str) -> None:
        self.journals = {} if journals is None else journals
        context = HookContext(
            operation_id="o",
            checkpoint_id="c",
            project_id="p",
            resource=Resource("OS::Nova::Server", "s"),
            children=(),
            parameters={},
            clients=clients_without_cloud("p"),
            section=cast(Any, None),
            bases=(),
            journal=cast(Any, None),
            report=cast(Any, None),
            waiter=Waiter(ManualClock(), interval=1, timeout=60, retries=2),
            restored={f"Volume#{key}": value for key, value in restored.items()},
            check=lambda: None,
        )
        self.deployment = Deployment(lambda: template, TYPES, context, self.journal)

    def journal(self, description: Resource) -> MemoryJournal:
        return self.journals.setdefault(description.key, MemoryJournal("o", description))

    def created(self) -> list[Resource]:
        """What the journals name, dependents first."""
        keys = [key for key, journal in self.journals.items() if journal.entries()]
        return [Resource(kind, name) for kind, _, name in (key.partition("#") for key in reversed(keys))]


def workload() -> Template:
    """Two servers on one network, described in no order."""
    template = Template()
    for name in ("web", "db"):
        disks = [Template.reference(f"Volume#{name}")]
        properties = {"name": name, "ports": [Template.reference("Port#1")], "disks": disks}
        template.add(name, "Server", properties, restores=f"Server#{name}")
    template.add("port", "Port", {"name": "port", "net": Template.reference("Net#1")}, restores="Port#1")
    template.add("net", "Net", {"name": "net"}, restores="Net#1")
    return template


def process(journals: dict[str, MemoryJournal] | None = None, template: Template | None = None) -> Process:
    return Process(template or workload(), journals, web="v-web", db="v-db")


def test_references_decide_the_order_and_become_ids(cloud: Cloud) -> None:
    deployment = process().deployment
    deployment.deploy()
    created = [request.removeprefix("create ") for request in cloud.requests]
    assert created[:2] == ["net", "port"]
    assert sorted(created[2:]) == ["db", "web"]
    ids = deployment.ids
    assert set(ids) == {"Net#1", "Port#1", "Server#web", "Server#db"}
    assert cloud.things[ids["Port#1"]]["properties"]["net"] == ids["Net#1"]
    assert cloud.things[ids["Server#web"]]["properties"] == {
        "name": "web",
        "ports": [ids["Port#1"]],
        "disks": ["v-web"],
    }


def test_servers_start_in_parallel(cloud: Cloud) -> None:
    asked = []
    cloud.before = lambda request: asked.append((request, [each["asked"] for each in cloud.things.values()]))
    process().deployment.deploy()
    last, counts = asked[-1]
    assert last.startswith("create ")
    assert 0 in counts  # the other server was not waited for
    assert all(each["asked"] > Server.polls for each in cloud.things.values() if each["kind"] == "Server")


def test_objects_get_their_names_at_the_end(cloud: Cloud) -> None:
    deployment = process().deployment
    deployment.deploy()
    assert all(name.startswith("karbor-like-o-") for name in cloud.names())
    assert deployment.complete(["net", "port"]) == ["it is red now"]
    assert deployment.complete(["web", "db"]) == []
    assert cloud.names() == ["db", "net", "port", "web"]


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("request_", ["create net", "create port", "create web", "create db"])
def test_another_process_continues(cloud: Cloud, moment: str, request_: str) -> None:
    first = process()

    def die(request: str) -> None:
        if request == request_:
            raise Died

    setattr(cloud, moment, die)
    with pytest.raises(Died):
        first.deployment.deploy()
    setattr(cloud, moment, lambda request: None)
    second = process(first.journals)
    second.deployment.deploy()
    second.deployment.complete(["net", "port", "web", "db"])
    assert cloud.names() == ["db", "net", "port", "web"]


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("request_", ["create net", "create port", "create web", "create db"])
def test_removal_leaves_nothing(cloud: Cloud, moment: str, request_: str) -> None:
    first = process()

    def refuse(request: str) -> None:
        if request == request_:
            raise exception.ResourceFailed("refused")

    setattr(cloud, moment, refuse)
    with pytest.raises(exception.ResourceFailed, match=rf"^\w+ {request_.removeprefix('create ')}: refused$"):
        first.deployment.deploy()
    second = process(first.journals)
    for _ in range(2):
        second.deployment.remove(first.created())
    assert cloud.things == {}
    assert first.created() == []


def test_removal_after_completion(cloud: Cloud) -> None:
    first = process()
    first.deployment.deploy()
    first.deployment.complete(["net", "port", "web", "db"])
    # A removal works while the bank is unreachable: nothing needs the template.
    second = process(first.journals)
    second.deployment = dataclasses.replace(
        second.deployment, template=lambda: pytest.fail("the template is not needed")
    )
    second.deployment.remove(first.created())
    assert cloud.things == {}
    assert [request.removeprefix("delete ") for request in cloud.requests[-2:]] == ["port", "net"]


def test_what_cannot_be_deleted_is_named_and_the_rest_deleted(cloud: Cloud) -> None:
    first = process()
    first.deployment.deploy()
    cloud.things["id-99"] = {
        "kind": "Thing",
        "name": "x",
        "asked": 0,
        "properties": {"net": first.deployment.ids["Net#1"]},
    }
    with pytest.raises(exception.ResourceFailed, match=r"^Net#net: .*id-1 is in use"):
        first.deployment.remove(first.created())
    assert list(cloud.things) == [process(first.journals).deployment.ids["Net#1"], "id-99"]


def test_lost_answer_creates_nothing_twice(cloud: Cloud) -> None:
    lost = iter([True])

    def lose(request: str) -> None:
        if next(lost, False):
            raise exception.Unavailable("no answer")

    cloud.after = lose
    process().deployment.deploy()
    assert len(cloud.things) == 4


def test_description_that_its_contributor_creates_is_left_alone(cloud: Cloud) -> None:
    template = Template()
    template.add("note", "Note", {"text": "x"}, restores="Note#1")
    deployment = process(template=template).deployment
    deployment.deploy()
    assert deployment.complete(["note"]) == []
    assert deployment.ids == {}
    template.add("net", "Net", {"name": "net", "note": Template.reference("Note#1")})
    with pytest.raises(exception.Unsupported, match="net needs note, of a type that no plugin of the provider creates"):
        process(template=template).deployment.deploy()
    assert cloud.requests == []


@pytest.mark.parametrize(
    ("original", "after", "message"),
    [
        ("Net#b", "a", "need each other: "),
        ("Net#b", "missing", "does not have: missing"),
        ("Net#9", "a", "not restored: Net#9"),
    ],
)
def test_references_without_meaning(cloud: Cloud, original: str, after: str, message: str) -> None:
    template = Template()
    template.add("a", "Net", {"name": "a", "peer": Template.reference(original)})
    template.add("b", "Net", {"name": "b"}, restores="Net#b", after=[after])
    with pytest.raises(exception.Conflict, match=message):
        process(template=template).deployment.deploy()
    assert cloud.requests == []


def test_values_of_tenants_are_no_references(cloud: Cloud) -> None:
    template = Template()
    metadata = {"get_resource": "net", "ref": "Net#1"}
    template.add("net", "Net", {"name": "net", "metadata": [{key: value} for key, value in metadata.items()]})
    process(template=template).deployment.deploy()
    (thing,) = cloud.things.values()
    assert thing["properties"]["metadata"] == [{"get_resource": "net"}, {"ref": "Net#1"}]
