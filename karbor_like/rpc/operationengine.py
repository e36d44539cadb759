"""The operation engine as the API sees it. What is due it finds in the database; calls are only about trusts."""

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
        """See that the engine may act for the caller in the caller's project when nobody is logged in.

        Raises NotAuthorized where Keystone refuses the trust.
        """
        self._call(ctxt, "ensure_trust")

    def release_trust(self, ctxt: RequestContext, *, user_id: str, project_id: str) -> None:
        """The user has one scheduled operation less in the project; after the last one the trust goes."""
        self._call(ctxt, "release_trust", user_id=user_id, project_id=project_id)
