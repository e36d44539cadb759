"""The restore of a pod: a new pod with the restored Cinder volumes, in the namespace of the project."""

import uuid
from collections.abc import Mapping, Sequence
from typing import Any, Final

from karbor_like import exception
from karbor_like.clients.errors import translated
from karbor_like.domain import resource
from karbor_like.domain.actions import Action, PlannedAction
from karbor_like.plugins.cinder.objects import Volumes
from karbor_like.plugins.kubernetes import description, objects, stored
from karbor_like.plugins.kubernetes.objects import NAME, Pods
from karbor_like.plugins.kubernetes.reading import Pod, Values, object_in, read
from karbor_like.plugins.protection import HookContext, ResourceOperation
from karbor_like.plugins.toolkit import cleanup, cloud_objects, ownership, planning
from karbor_like.plugins.toolkit.details import Details

#: Role of the restored pod.
POD: Final = "pod"


class Restore(ResourceOperation):
    """Creates a pod like the original. It is the last step, because its volumes must be complete."""

    def plan(self, context: HookContext) -> Sequence[PlannedAction]:
        def obstacles() -> list[str]:
            described = stored.pod(context)
            stored.environment(context)
            reasons = [_taken(context)]
            restored = {child.id for child in context.children if child.type == resource.VOLUME}
            for volume in described["volumes"]:
                if volume["volume_id"] not in restored or _key(volume) in context.mapping:
                    reasons.append(_unusable(context, _new_id(context, volume)))
            return [reason for reason in reasons if reason]

        return planning.plan(context, obstacles, PlannedAction(Action.CREATE, context.resource.key))

    def complete(self, context: HookContext) -> dict[str, Any]:
        described, variables = stored.pod(context), stored.environment(context)
        pods, name = Pods(context.clients), _name(context)
        volumes = [{**volume, "volume_id": _new_id(context, volume)} for volume in described["volumes"]]

        def create(entry: str, markers: Mapping[str, str]) -> str:
            for volume in volumes:
                if reason := _unusable(context, volume["volume_id"]):
                    raise exception.Conflict(reason)
            wanted = description.manifest(described, variables, name, {**markers, NAME: entry}, volumes)
            with translated(f"creating pod {name}"):
                return objects.identity(read(pods.client, pods.client.create_pod(wanted)))

        context.report.step("creating the pod")
        cloud_id = cloud_objects.ensure(context, pods, POD, create, keep=True)
        context.report.step("waiting for the pod to run")
        cloud_objects.wait(context, pods, cloud_id)
        details = Details(context, f"pod {name}")
        details.set("annotations", lambda: pods.client.annotate_pod(name, dict.fromkeys((*ownership.ALL, NAME))))
        inline = [
            f"volume {volume['name']} of the restored pod is the Cinder volume itself: claim {volume['claim']} and its"
            " persistent volume are not restored"
            for volume in volumes
            if volume["claim"]
        ]
        return {"restored": {context.resource.key: name}, "remarks": [*inline, *details.finish(pods, cloud_id)]}

    def cleanup(self, context: HookContext) -> None:
        cleanup.remove_all(context, {POD: Pods(context.clients)})


def _name(context: HookContext) -> str:
    """Return the name of the restored pod, which Kubernetes cannot change. It is the same for each attempt."""
    unique = uuid.uuid5(uuid.UUID(context.operation_id), context.resource.key)
    return str(context.parameters.get("restore_name") or f"karbor-restored-pod-{unique}")


def _key(volume: Values) -> str:
    return f"{resource.VOLUME}#{volume['volume_id']}"


def _new_id(context: HookContext, volume: Values) -> str:
    """Return the id of the volume that the request maps to, of the restored one, or of the original."""
    return context.mapping.get(_key(volume)) or context.restored.get(_key(volume)) or str(volume["volume_id"])


def _unusable(context: HookContext, volume_id: str) -> str:
    """Return why a pod cannot have a volume, or an empty text.

    Kubernetes attaches volumes with an account of its own, so it does not know which ones belong to the project.
    """
    volumes = Volumes(context.clients)
    try:
        found = context.waiter.call(lambda: volumes.get(volume_id), check=context.check)
    except (exception.ResourceNotFound, exception.NotAuthorized, exception.ResourceFailed):
        found = None
    if found is None or getattr(found, "os-vol-tenant-attr:tenant_id", None) != context.clients.project_id:
        return f"volume {volume_id} does not exist in the project: restore it as well, or map it to another one"
    if found.status != volumes.ready:
        return f"volume {volume_id} is {found.status!r}, and must be available: restore it as well, or map it to another one"
    return ""


def _taken(context: HookContext) -> str:
    """Return why the pod cannot have its name, or an empty text."""
    client, name = Pods(context.clients).client, _name(context)

    def find() -> Pod | None:
        try:
            with translated(f"pod {name}"):
                return read(client, client.pod(name))
        except exception.NotFound:
            return None

    found = context.waiter.call(find, check=context.check)
    if found is None or _is_ours(context, found):
        return ""
    return f"the namespace has a pod {name} already: choose another name with the parameter 'restore_name'"


def _is_ours(context: HookContext, pod: Pod) -> bool:
    """Return whether an earlier attempt created a pod, which loses its annotations when it runs."""
    entry = context.journal.peek(POD)
    annotations = object_in(pod.metadata, "annotations")
    return annotations.get(ownership.OPERATION) == context.operation_id or (
        entry is not None and entry.cloud_id == objects.identity(pod)
    )
