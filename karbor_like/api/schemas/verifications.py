from karbor_like.api.schemas import primitives as p
from karbor_like.api.schemas import restores

CREATE = p.wrapped(
    "verification",
    p.closed(
        {"provider_id": p.UUID, "checkpoint_id": p.UUID, "parameters": p.PARAMETERS}, ["provider_id", "checkpoint_id"]
    ),
)
LIST = p.listing("status", "provider_id", "checkpoint_id")

VERIFICATION = p.shown(restores.REQUEST)
SHOWN = p.answer("verification", VERIFICATION)
PAGE = p.page("verifications", VERIFICATION)
