"""A cloud made of files, its protectable plugin and its protection plugin, for tests of flows.

The directory in the environment variable ``KARBOR_LIKE_TEST_CLOUD`` is the cloud. ``tree.json`` in it says which nodes
exist and which are their children. The content of a node is in the file ``content <node>``. Every hook appends to ``calls``
and reads its faults from ``faults.json``. The resources that hooks create are files in ``things``.
"""

import fcntl
import json
import os
import socket
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from karbor_like import exception
from karbor_like.domain.actions import Action, PlannedAction
from karbor_like.domain.operation import OperationType
from karbor_like.domain.quota import Quota
from karbor_like.domain.resource import Resource
from karbor_like.domain.template import Template
from karbor_like.plugins.deployable import Deployable
from karbor_like.plugins.protectable import ProtectablePlugin
from karbor_like.plugins.protection import (
    MAP_TO,
    MAP_TO_SCHEMA,
    HookContext,
    ProtectionPlugin,
    ResourceOperation,
    Schemas,
)
from karbor_like.plugins.toolkit.copying import SectionCopy

NODE = "Test::Node"
GROUP = "Test::Group"
VARIABLE = "KARBOR_LIKE_TEST_CLOUD"

HOOKS = ("prepare_begin", "prepare_finish", "main", "complete")


def _read_from_silence() -> None:
    """Read from a peer that never answers, without a time limit, until the connection is shut down."""
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()) as connection,
    ):
        assert connection.recv(1) == b""


def die() -> None:
    """End the process as ``kill -9`` does. Tests that run operations in their own process replace this."""
    os._exit(9)


class Cloud:
    """The directory."""

    def __init__(self, path: Path | None = None) -> None:
        self.path = path or Path(os.environ[VARIABLE])
        self.things = self.path / "things"
        self.things.mkdir(exist_ok=True)

    def plant(self, tree: Mapping[str, Sequence[str]]) -> None:
        """Nodes and their children; names that begin with ``g`` are groups."""
        (self.path / "tree.json").write_text(json.dumps(tree))

    def tree(self) -> dict[str, list[str]]:
        return json.loads((self.path / "tree.json").read_text())

    def need(self, **needs: Sequence[str]) -> None:
        """Nodes and their dependencies."""
        (self.path / "needs.json").write_text(json.dumps(needs))

    def needs(self) -> dict[str, list[str]]:
        path = self.path / "needs.json"
        return json.loads(path.read_text()) if path.exists() else {}

    def count(self, what: str, **numbers: Mapping[str, int]) -> None:
        """What nodes have ``needed``, or the ``quotas``."""
        (self.path / f"{what}.json").write_text(json.dumps(numbers))

    def numbers(self, what: str) -> dict[str, dict[str, int]]:
        path = self.path / f"{what}.json"
        return json.loads(path.read_text()) if path.exists() else {}

    def obstruct(self, **obstacles: str) -> None:
        """Nodes that cannot be protected, and why."""
        (self.path / "obstacles.json").write_text(json.dumps(obstacles))

    def obstacles(self) -> dict[str, str]:
        path = self.path / "obstacles.json"
        return json.loads(path.read_text()) if path.exists() else {}

    def content(self, name: str, data: bytes) -> None:
        """Put *data* into a node."""
        (self.path / f"content {name}").write_bytes(data)

    def fault(self, **faults: Any) -> None:
        """``{"main:b": "exit"}``: what happens in a hook of a node. See :meth:`meet`."""
        (self.path / "faults.json").write_text(json.dumps(faults))

    def calls(self) -> list[str]:
        """``kind:hook:node:when``, in order; when is ``begin`` or ``end``."""
        path = self.path / "calls"
        return path.read_text().split() if path.exists() else []

    def note(self, text: str) -> None:
        with (self.path / "calls").open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.write(text + "\n")

    def planned(self, where: str) -> str | None:
        """The fault planned for *where*."""
        path = self.path / "faults.json"
        return json.loads(path.read_text()).get(where) if path.exists() else None

    def meet(self, run: HookContext | None, where: str) -> None:
        """The fault planned for *where*: ``exit`` (once: the process dies), ``always exit``, ``fail``, ``bug``, ``long`` (an
        error with a long text), ``wait`` (until ``go`` exists), ``wait, fail``, ``wait forever``, ``silent`` (the peer never
        answers), ``vanish`` (the node no longer exists), ``obstacle`` (it cannot be protected), ``remark`` (the hook returns
        remarks), or ``steps`` (more steps).
        """
        fault = self.planned(where)
        marker = self.path / f"met {where}".replace(":", " ")
        while fault == "wait forever" or (fault in ("wait", "wait, fail") and not (self.path / "go").exists()):
            run.check()
            time.sleep(0.02)
        if fault == "silent":
            _read_from_silence()
            run.check()
        if fault == "vanish":
            self.plant({name: below for name, below in self.tree().items() if name != run.resource.id})
            raise exception.ResourceFailed(f"the cloud does not know {run.resource.id}")
        if fault == "obstacle":
            raise exception.ResourceNotProtectable(f"{run.resource.id} is busy with something else")
        if fault in ("fail", "wait, fail"):
            raise exception.ResourceFailed(f"the cloud says no to {where}")
        if fault == "long":
            raise exception.ResourceFailed("😀 " * 40000)
        if fault == "bug":
            raise KeyError(object())
        if fault == "exit" and not marker.exists():
            marker.touch()
            die()
        if fault == "always exit":
            die()


class Nodes(ProtectablePlugin):
    """Finds nodes."""

    api_version = 1
    resource_type = NODE
    parent_types = frozenset({NODE, GROUP})

    def list(self, clients: Any, parameters: Mapping[str, Any] | None = None) -> Sequence[Resource]:
        return [self._resource(name) for name in Cloud().tree() if self._is_mine(name)]

    def show(self, clients: Any, resource_id: str, parameters: Mapping[str, Any] | None = None) -> Resource:
        if resource_id not in Cloud().tree():
            raise exception.ResourceNotFound(f"there is no {self.resource_type} {resource_id}")
        if resource_id in Cloud().obstacles():
            raise exception.ResourceNotProtectable(f"{resource_id}: {Cloud().obstacles()[resource_id]}")
        return self._resource(resource_id)

    def children(self, clients: Any, parents: Sequence[Resource]) -> Mapping[Resource, Sequence[Resource]]:
        tree = Cloud().tree()
        return {
            parent: [self._resource(child) for child in tree.get(parent.id, ()) if self._is_mine(child)]
            for parent in parents
        }

    def dependencies(self, clients: Any, resources: Sequence[Resource]) -> Mapping[Resource, Sequence[Resource]]:
        """A node whose file ``needs`` names others depends on those."""
        needs = Cloud().needs()
        return {node: [self._resource(other) for other in needs.get(node.id, ())] for node in resources}

    def _is_mine(self, name: str) -> bool:
        return name.startswith("g") == (self.resource_type == GROUP)

    def _resource(self, name: str) -> Resource:
        return Resource(self.resource_type, name, f"name of {name}", obstacle=Cloud().obstacles().get(name))


class Groups(Nodes):
    """Finds groups."""

    resource_type = GROUP
    parent_types = frozenset({GROUP})


class Scripted(ResourceOperation):
    """Does what the cloud's script says. ``main`` makes a thing and removes it; a restore's stays."""

    kind = OperationType.PROTECT

    def _hook(self, run: HookContext, hook: str) -> dict[str, Any] | None:
        cloud, where = Cloud(), f"{hook}:{run.resource.id}"
        cloud.note(f"{self.kind}:{where}:begin")
        run.report.step(f"step of {hook}")
        result = self._main(run, cloud) if hook == "main" else None
        if cloud.planned(where) == "remark":
            result = {**(result or {}), "remarks": [f"{where} is not as it was", "the moon has set"]}
        cloud.meet(run, where)
        if hook == "main" and self.kind is OperationType.PROTECT:
            remarks = self.release(run)
            result = {**(result or {}), "remarks": remarks} if remarks else result
        cloud.note(f"{self.kind}:{where}:end")
        return result

    def _main(self, run: HookContext, cloud: Cloud) -> dict[str, Any] | None:
        if self.kind is OperationType.DELETE:
            if (cloud.path / f"content {run.resource.id}").exists():
                run.section.delete()
            return None
        entry = run.journal.intend("thing", keep=self.kind is OperationType.RESTORE)
        (cloud.things / entry.name).touch()
        run.journal.made("thing", f"id-{entry.name}")
        if cloud.planned(f"main:{run.resource.id}") == "steps":
            for number in range(6):
                run.report.step(f"step {number} of main")
        run.report.progress(1, 2)
        run.report.progress(2, 2)
        if self.kind is OperationType.PROTECT:
            run.report.sizes(logical=100, new=60, stored=30)
            content = cloud.path / f"content {run.resource.id}"
            if content.exists():
                run.section.put("node", {"name": run.resource.name})
                run.section.write("data", [content.read_bytes()], bases=run.bases, check=run.check)
            cloud.note(f"parameters:{json.dumps(dict(run.parameters), separators=(',', ':'))}")
            return None
        if self.kind is OperationType.RESTORE and run.section.names() == ["data", "node"]:
            with run.section.read("data") as reader:
                (cloud.things / entry.name).write_bytes(b"".join(map(bytes, reader)))
        cloud.note(f"restored:{run.resource.id}:{','.join(sorted(run.restored.values()))}")
        return {"restored": {run.resource.key: f"new-{run.resource.id}"}}

    def release(self, run: HookContext) -> list[str]:
        cloud = Cloud()
        if cloud.planned(f"release:{run.resource.id}") == "fail":
            return [f"the thing of {run.resource.id} is stuck"]
        for entry in run.journal.entries():
            if not entry.keep:
                (cloud.things / entry.name).unlink(missing_ok=True)
                run.journal.gone(entry.role)
        return []

    def cleanup(self, run: HookContext) -> None:
        cloud = Cloud()
        cloud.note(f"{self.kind}:cleanup:{run.resource.id}")
        cloud.meet(run, f"cleanup:{run.resource.id}")
        for entry in run.journal.entries():
            (cloud.things / entry.name).unlink(missing_ok=True)
            run.journal.gone(entry.role)


class AllHooks(Scripted):
    def prepare_begin(self, run: HookContext) -> dict[str, Any] | None:
        return self._hook(run, "prepare_begin")

    def prepare_finish(self, run: HookContext) -> dict[str, Any] | None:
        return self._hook(run, "prepare_finish")

    def main(self, run: HookContext) -> dict[str, Any] | None:
        return self._hook(run, "main")

    def complete(self, run: HookContext) -> dict[str, Any] | None:
        if self.kind is OperationType.RESTORE:
            Cloud().note(f"complete-restored:{run.resource.id}:{','.join(sorted(run.restored.values()))}")
        return self._hook(run, "complete")


class RestoreAll(AllHooks):
    kind = OperationType.RESTORE


class RestoreTopology(RestoreAll):
    """Plans, contributes a description that refers to the dependencies, and notes the template when it completes."""

    def plan(self, context: HookContext) -> Sequence[PlannedAction]:
        Cloud().note(f"restore:plan:{context.resource.id}")
        if context.mapping:
            Cloud().note(f"mapping:{json.dumps(dict(context.mapping), separators=(',', ':'))}")
        mapped = context.mapping.get(context.resource.key)
        if Cloud().planned(f"plan:{context.resource.id}") == "conflict":
            return [PlannedAction(Action.CONFLICT, context.resource.key, f"no room for {context.resource.id}")]
        return [PlannedAction(Action.MAP if mapped else Action.CREATE, context.resource.key, mapped or "")]

    def contribute(self, context: HookContext, template: Template) -> None:
        Cloud().note(f"restore:contribute:{context.resource.id}")
        links = [Template.reference(other.key) for other in context.dependencies]
        template.add(context.resource.id, "Node", {"links": links}, restores=context.resource.key)

    def complete(self, context: HookContext) -> dict[str, Any] | None:
        assert context.template is not None
        resources = context.template.resolve({**context.restored, **context.mapping})
        Cloud().note(f"template:{context.resource.id}:{json.dumps(resources, separators=(',', ':'))}")
        return super().complete(context)


class RestoreDeployed(RestoreTopology):
    """Leaves it to the host to create what the template describes."""

    def contribute(self, context: HookContext, template: Template) -> None:
        key, links = f"Deployed#{context.resource.id}", [f"Deployed#{other.id}" for other in context.dependencies]
        properties = {"name": context.resource.id, "links": [Template.reference(link) for link in links]}
        template.add(context.resource.id, "Deployed", properties, restores=key)

    def complete(self, context: HookContext) -> dict[str, Any] | None:
        Cloud().note(f"deployed:{context.resource.id}:{context.restored[f'Deployed#{context.resource.id}']}")
        return super().complete(context)


class DeployedNode(Deployable):
    """A file whose name begins with that of the node when it is complete."""

    noun = "deployed node"
    ready = "there"
    deletable = None

    def create(self, name: str, markers: Mapping[str, str]) -> str:
        node = self.properties()["name"]
        Cloud().meet(None, f"before deploy:{node}")
        (Cloud().things / name).write_text(json.dumps(self.properties()["links"]))
        Cloud().note(f"deploy:{node}")
        Cloud().meet(None, f"deploy:{node}")
        return name

    def get(self, cloud_id: str) -> Any:
        if not self._files(cloud_id):
            raise exception.ResourceNotFound(f"there is no {cloud_id}")
        return SimpleNamespace(id=cloud_id, status=self.ready)

    def find(self, name: str) -> Sequence[str]:
        return [name] if self._files(name) else []

    def delete(self, current: Any) -> None:
        Cloud().note(f"undeploy:{current.id}")
        for path in self._files(current.id):
            path.unlink()

    def failure(self, current: Any) -> str | None:
        return None

    def complete(self, cloud_id: str) -> list[str]:
        node = self.properties()["name"]
        Cloud().meet(None, f"finish:{node}")
        for path in self._files(cloud_id):
            path.rename(Cloud().things / f"{node} {cloud_id}")
        return [f"{node} is deployed"]

    @staticmethod
    def _files(cloud_id: str) -> list[Path]:
        return [path for path in Cloud().things.iterdir() if path.name.endswith(cloud_id)]


class VerifyMain(Scripted):
    kind = OperationType.VERIFY

    def main(self, run: HookContext) -> dict[str, Any] | None:
        if (Cloud().path / f"content {run.resource.id}").exists():
            run.section.verify("data", "full", check=run.check)
        Cloud().note(f"verify:{run.resource.id}")
        Cloud().meet(run, f"verify:{run.resource.id}")
        return None


class DeleteMain(Scripted):
    kind = OperationType.DELETE

    def main(self, run: HookContext) -> dict[str, Any] | None:
        return self._hook(run, "main")


class CopyMain(SectionCopy):
    def main(self, run: HookContext) -> None:
        Cloud().note(f"copy:{run.resource.id}:begin")
        Cloud().meet(run, f"copy:{run.resource.id}")
        super().main(run)
        Cloud().meet(run, f"copied:{run.resource.id}")
        Cloud().note(f"copy:{run.resource.id}:end")


class MainOnly(Scripted):
    def main(self, run: HookContext) -> dict[str, Any] | None:
        return self._hook(run, "main")


OPTIONS = {"type": "object", "properties": {"size": {"type": "integer"}, "restore_name": {"type": ["string", "null"]}}}
SCHEMAS = Schemas(OPTIONS, OPTIONS, {}, OPTIONS)


class NodeProtection(ProtectionPlugin):
    """Every hook."""

    api_version = 1
    schemas = {NODE: SCHEMAS}
    operations = {
        OperationType.PROTECT: AllHooks,
        OperationType.RESTORE: RestoreAll,
        OperationType.DELETE: DeleteMain,
        OperationType.VERIFY: VerifyMain,
        OperationType.COPY: CopyMain,
    }


class TopologyProtection(NodeProtection):
    """Every hook, and those of a restore."""

    schemas = {NODE: Schemas(OPTIONS, {**OPTIONS, "properties": {MAP_TO: MAP_TO_SCHEMA}}, {}, OPTIONS)}
    operations = {**NodeProtection.operations, OperationType.RESTORE: RestoreTopology}


class DeployedProtection(TopologyProtection):
    """Every hook, and resources that the host deploys."""

    operations = {**NodeProtection.operations, OperationType.RESTORE: RestoreDeployed}
    deployables = {"Deployed": DeployedNode}


class RestoreNetwork(RestoreTopology):
    """Leaves it to Heat to create a network."""

    def contribute(self, context: HookContext, template: Template) -> None:
        node = context.resource.id
        template.add(node, "OS::Neutron::Net", {"name": node}, restores=f"OS::Neutron::Net#{node}")

    def complete(self, context: HookContext) -> dict[str, Any] | None:
        Cloud().note(f"network:{context.restored[f'OS::Neutron::Net#{context.resource.id}']}")
        return super().complete(context)


class NetworkProtection(TopologyProtection):
    """Every hook, and networks that the host deploys."""

    operations = {**NodeProtection.operations, OperationType.RESTORE: RestoreNetwork}
    deployables = {"OS::Neutron::Net": DeployedNode}


class RestoreMeasured(RestoreDeployed):
    """Needs of quotas what the script says."""

    def needs(self, context: HookContext) -> Mapping[str, int]:
        return Cloud().numbers("needed").get(context.resource.id, {})


class MeasuredNode(DeployedNode):
    """Each uses up one of the quota ``nodes``."""

    def needs(self) -> Mapping[str, int]:
        return {"nodes": 1}


def read_quotas(clients: Any) -> Mapping[str, Quota]:
    """Return the quotas of the script."""
    quotas = Cloud().numbers("quotas")
    if not quotas:
        raise exception.NotAuthorized("the quotas are not for you")
    return {name: Quota(**numbers) for name, numbers in quotas.items()}


class MeasuredProtection(TopologyProtection):
    """Every hook, and quotas."""

    operations = {**NodeProtection.operations, OperationType.RESTORE: RestoreMeasured}
    deployables = {"Deployed": MeasuredNode}
    quotas = (read_quotas,)


class GroupProtection(ProtectionPlugin):
    """Only ``main``, so that order has to reach through it."""

    api_version = 1
    schemas = {GROUP: SCHEMAS}
    operations = {OperationType.PROTECT: MainOnly, OperationType.RESTORE: RestoreAll}
