"""The plan of a restore that cannot succeed: what a plugin refuses becomes conflicts."""

from collections.abc import Callable, Sequence

from karbor_like import exception
from karbor_like.domain.actions import Action, PlannedAction
from karbor_like.plugins.protection import HookContext


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
