"""Client of the operation engine. Calls are only about trusts: the engine finds due operations in the database."""

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
        """Ensure that the engine has a trust to act for the caller in the caller's project. Idempotent.

        :raises TrustRefused: Keystone refuses the trust
        """
        self._call(ctxt, "ensure_trust")

    def release_trust(self, ctxt: RequestContext, *, user_id: str, project_id: str) -> None:
        """Delete the trust of a user in a project if the user has no scheduled operation there. Idempotent."""
        self._call(ctxt, "release_trust", user_id=user_id, project_id=project_id)
