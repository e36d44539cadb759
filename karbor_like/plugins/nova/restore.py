"""The restore of a server: an image of its root disk, and the server in the template of the restore."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from karbor_like import exception
from karbor_like.domain.actions import Action, PlannedAction
from karbor_like.domain.template import Template
from karbor_like.plugins.glance.image import IMAGE
from karbor_like.plugins.glance.objects import Images
from karbor_like.plugins.nova import decisions, objects, root_disk, stored
from karbor_like.plugins.nova.contribution import Contribution, name_of
from karbor_like.plugins.nova.objects import Servers
from karbor_like.plugins.protection import HookContext, ResourceOperation
from karbor_like.plugins.toolkit import cleanup
from karbor_like.plugins.toolkit.details import Details


class Restore(ResourceOperation):
    """Creates a server like the original, with restored volumes and ports."""

    plugin: Any

    def plan(self, context: HookContext) -> Sequence[PlannedAction]:
        key = context.resource.key
        try:
            document = stored.find_document(context)
            if document is None:
                return [PlannedAction(Action.SKIP, key, stored.NOT_DESCRIBED)]
            reasons = list(Contribution(context, document).conflicts())
        except (exception.ResourceFailed, exception.NotFound) as error:
            reasons = [(key, exception.public_text(error))]
        if reasons:
            return [PlannedAction(Action.CONFLICT, original, reason) for original, reason in reasons]
        return [PlannedAction(Action.CREATE, key)]

    def prepare_begin(self, context: HookContext) -> None:
        # The main hook begins after those of the volumes. The sum of all bytes would be unknown until then.
        document = stored.find_document(context)
        context.report.progress(0, document["image"]["size"] if document and "image" in document else 0)

    def main(self, context: HookContext) -> dict[str, Any]:
        document = stored.find_document(context)
        if document is None:
            return {"remarks": [stored.NOT_DESCRIBED]}
        Contribution(context, document).decide()
        if not document["server"]["image"]:
            return {}
        timeout = self.plugin.timeout(context, document["image"]["size"])
        return {"remarks": root_disk.upload(context, document, name_of(context, document), timeout)}

    def contribute(self, context: HookContext, template: Template) -> None:
        document = stored.find_document(context)
        if document is None:
            return
        if context.is_dry_run:
            context = decisions.draft(context)
            Contribution(context, document).decide()
        Contribution(context, document).add(template)

    def complete(self, context: HookContext) -> dict[str, Any]:
        document = stored.find_document(context)
        if document is None:
            return {"remarks": [stored.NOT_DESCRIBED]}
        new_id = context.restored.get(context.resource.key)
        if new_id is None:
            raise exception.ResourceFailed(f"{context.resource.key}: nothing has created the server of the template")
        remarks = Contribution(context, document).remarks()
        if document["server"]["image"]:
            remarks += root_disk.finish(context, document, name_of(context, document))
        remarks += _set_state(context, new_id, document["server"])
        return {"restored": {context.resource.key: new_id}, "remarks": remarks}

    def cleanup(self, context: HookContext) -> None:
        decisions.forget(context)
        cleanup.remove_all(context, {IMAGE: Images(context.clients)})


def _set_state(context: HookContext, server_id: str, server: Mapping[str, Any]) -> list[str]:
    """Stop, pause or suspend the restored server as the original was, and lock it. Idempotent. Return remarks."""
    nova, details = context.clients.nova().servers, Details(context, f"server {server_id}")
    actions: Mapping[str, Callable[[str], object]] = {
        "SHUTOFF": nova.stop,
        "PAUSED": nova.pause,
        "SUSPENDED": nova.suspend,
    }
    remarks, wanted = [], server["status"]
    if context.parameters.get("power") == "on":
        wanted = Servers.ready
    if wanted in actions:
        context.report.step("restoring the power state")
        details.set("power state", lambda: _reach(context, server_id, wanted, actions[wanted]))
    elif wanted != Servers.ready:
        remarks.append(f"the original was in state {wanted!r}; the restored server runs")
    if server["locked"]:
        details.set("lock", lambda: nova.lock(server_id))
    return [*remarks, *details.finish(Servers(context.clients), server_id)]


def _reach(context: HookContext, server_id: str, wanted: str, action: Callable[[str], object]) -> None:
    def get() -> Any:
        return objects.fetch_server(context.clients, server_id)

    current = get()
    if current.status == Servers.ready and not objects.task_of(current):
        action(server_id)
    context.waiter.until(
        f"server {server_id} to become {wanted}", get, done=lambda seen: seen.status == wanted, check=context.check
    )
