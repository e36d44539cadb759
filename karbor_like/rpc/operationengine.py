"""Client of the operation engine. Engines find due triggers in the database, so the calls are only about trusts."""

from karbor_like.context import RequestContext
from karbor_like.rpc import client

TOPIC = "karbor_like_operationengine"
VERSION = "1.0"


class OperationEngineClient(client.Client):
    """Calls any of the running operation engines."""

    service = "operation engine"
    topic = TOPIC
    version = VERSION

    def ensure_trust(self, ctxt: RequestContext) -> None:
        """Create a trust, unless there is one, with which the engine acts for the caller in the caller's project.

        :raises NotAuthorized: Keystone refuses the trust
        """
        self._call(ctxt, "ensure_trust")

    def release_trust(self, ctxt: RequestContext, *, user_id: str, project_id: str) -> None:
        """Report that a scheduled operation was deleted. The engine deletes the trust of the user after the last one."""
        self._call(ctxt, "release_trust", user_id=user_id, project_id=project_id)
