from karbor_like.api.schemas import primitives as p
from karbor_like.domain import states
from karbor_like.domain.actions import Action

_AUTH = {
    "type": ["object", "null"],
    "writeOnly": True,
    **{name: p.VALUES[name] for name in ("maxProperties", "propertyNames")},
    "additionalProperties": {**p.VALUES["additionalProperties"], "writeOnly": True},
    "description": "The credential for the target. It is encrypted on the message bus and never shown.",
}

_RESOURCES = {
    "type": ["array", "null"],
    "minItems": 1,
    "maxItems": p.MAX_ITEMS,
    "uniqueItems": True,
    "items": {"type": "string", "minLength": 3, "maxLength": 255},
    "description": "The resources of the checkpoint to restore, each as Type#id. Without it, all of them are restored.",
}

CREATE = p.wrapped(
    "restore",
    p.closed(
        {
            "provider_id": p.UUID,
            "checkpoint_id": p.UUID,
            "parameters": p.PARAMETERS,
            "restore_target": {"type": ["string", "null"], "maxLength": 255, "description": "A Keystone URL."},
            "restore_auth": _AUTH,
            "resources": _RESOURCES,
            "with_children": {
                "type": "boolean",
                "default": True,
                "description": "Whether the children of the resources in *resources* are restored as well.",
            },
            "dry_run": {
                "type": "boolean",
                "default": False,
                "description": "Create nothing: find out what the restore would do. The result is the member *plan*.",
            },
            "with_plan": {
                "type": "boolean",
                "default": False,
                "description": "Whether to make a plan that protects what is restored. Its id is *restored_plan_id*.",
            },
        },
        ["provider_id", "checkpoint_id", "parameters"],
    ),
)
LIST = p.listing("status", "provider_id", "checkpoint_id")

STATUS = {"type": "string", "enum": [states.IN_PROGRESS, states.SUCCESS, states.FAIL]}
WORDS = {"type": "object", "description": "By resource, as Type#id.", "additionalProperties": {"type": "string"}}

_ACTION = p.shown(
    {
        "action": {"type": "string", "enum": [action.value for action in Action]},
        "resource": {
            "type": "string",
            "description": "Type#id in the checkpoint, or of what a resource in it refers to.",
        },
        "name": p.NULLABLE_TEXT,
        "reason": {"type": "string"},
        "bytes": {"type": ["integer", "null"], "description": "Bytes to read from the bank."},
    }
)
_QUOTA = p.shown(
    {
        "resource": {
            "type": "string",
            "description": "Name of the quota, such as volumes, gigabytes, instances or port.",
        },
        "needed": {"type": "integer", "description": "How much of it the restore would use."},
        "free": {
            "type": ["integer", "null"],
            "description": "What the project may still use; null without a limit, and if the cloud does not show it.",
        },
        "limit": {
            "type": ["integer", "null"],
            "description": "The quota; -1 is no limit, null that the cloud does not show it.",
        },
    }
)
_PLAN = p.shown(
    {
        "actions": {"type": "array", "items": _ACTION},
        "bytes": {"type": "integer"},
        "quotas": {"type": "array", "items": _QUOTA, "description": "What the restore would need of quotas."},
        "template": {
            "type": ["object", "null"],
            "description": "The resources to create from a template, in the form of a Heat template, or null.",
        },
        "template_reason": {"type": "string", "description": "Why there is no template."},
        "deployer": {
            "type": ["string", "null"],
            "enum": ["heat", "direct", None],
            "description": "How the resources of the template would be created, or null without a template.",
        },
        "deployer_reason": {"type": "string", "description": "Why a provider that prefers Heat would not use it."},
    }
)
#: What the plans of earlier releases do not have.
_NEWER = ("quotas", "deployer", "deployer_reason")
PLAN = {
    "description": "What a dry run found; null for other restores, and until it has ended.",
    "anyOf": [
        {"type": "null"},
        {**_PLAN, "required": [name for name in _PLAN["required"] if name not in _NEWER]},
    ],
}

#: What restores and verifications show.
REQUEST = {
    "id": p.UUID,
    "project_id": {"type": "string"},
    "provider_id": p.UUID,
    "checkpoint_id": p.UUID,
    "parameters": p.PARAMETERS,
    "status": STATUS,
    "resources_status": WORDS,
    "resources_reason": WORDS,
    **p.WORK,
}
RESTORE = p.shown(
    {
        **REQUEST,
        "restore_target": p.NULLABLE_TEXT,
        "dry_run": {"type": "boolean"},
        "plan": PLAN,
        "restored_plan_id": {
            "type": ["string", "null"],
            "description": "The plan that the restore has made; null if it has made none, or none yet.",
        },
    }
)
SHOWN = p.answer("restore", RESTORE)
PAGE = p.page("restores", RESTORE)
