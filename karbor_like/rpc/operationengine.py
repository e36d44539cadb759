"""Client of the operation engine. Engines find due triggers in the database, so the calls are only about trusts."""

from karbor_like.context import RequestContext
from karbor_like.rpc import client

TOPIC = "karbor_like_operationengine"
VERSION = "2.0"


class OperationEngineClient(client.Client):
    """Calls any of the running operation engines."""

    service = "operation engine"
    level = "operationengine"
    topic = TOPIC
    version = VERSION

    def make_trust(self, ctxt: RequestContext, *, scheduled_operation_id: str) -> None:
        """Create a trust by which the engine acts for the caller in the caller's project.

        It replaces the former trust of the scheduled operation, which must be the caller's.

        :raises TrustRefused: Keystone does not allow the caller's token to create the trust
        :raises ScheduledOperationNotFound: the scheduled operation was deleted
        """
        self._call(ctxt, "make_trust", scheduled_operation_id=scheduled_operation_id)

    def delete_trust(self, ctxt: RequestContext, *, trust_id: str) -> None:
        """Report that a trust was released (``db/trusts.py``). The engine deletes it unless it is used; otherwise later."""
        self._call(ctxt, "delete_trust", trust_id=trust_id)
