"""The plan of a restore that cannot succeed: what a plugin refuses becomes conflicts."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from karbor_like import exception
from karbor_like.domain.actions import Action, PlannedAction
from karbor_like.plugins.protection import HookContext

#: Restore parameter of every plugin that would replace what the target lacks by something else, with a remark.
STRICT: Final = "strict"
STRICT_PROPERTIES: Final[Mapping[str, Any]] = {
    STRICT: {
        "type": "boolean",
        "title": "Strict",
        "description": "Whether a restore fails, instead of continuing with a remark, if it differs from the original.",
        "default": False,
    },
}


def is_strict(context: HookContext) -> bool:
    """Return whether what would be a remark on a replacement must be a conflict."""
    return bool(context.parameters.get(STRICT))


def plan(context: HookContext, obstacles: Callable[[], Sequence[str]], otherwise: PlannedAction) -> list[PlannedAction]:
    """Return a conflict for each reason why the resource cannot be restored, or only *otherwise* if there is none.

    :param obstacles: returns the reasons. It may raise ResourceFailed and ResourceNotFound, whose texts are reasons too.
        Other errors, such as that the bank cannot be read, are no refusal
    """
    try:
        reasons = obstacles()
    except (exception.ResourceFailed, exception.ResourceNotFound) as error:
        reasons = [exception.public_text(error)]
    conflicts = [PlannedAction(Action.CONFLICT, context.resource.key, reason) for reason in reasons]
    return conflicts or [otherwise]
