"""The commands that both clients run, for a comparison of what they print."""

from typing import Any

from tests.scenario.tenant import VOLUME

Commands = dict[str, list[str]]

_DAILY = "format=crontab,pattern=0 1 * * *"


def creating(volume: str) -> Commands:
    """Commands of our client that create the objects to read, with names and with what only our client has."""
    return {
        "plan": ["plan", "create", "compared", "files", f"{volume}={VOLUME}=data-1", "--description", "d"],
        "checkpoint": ["checkpoint", "create", "files", "compared", "--extra_info", "a=b", "--wait"],
        "trigger": ["trigger", "create", "compared", "time", f"{_DAILY},start_time=2031-01-01 00:00:00"],
        "operation": [
            *["scheduledoperation", "create", "compared", "retention_protect", "compared"],
            "plan_id=compared,provider_id=files,max_backups=1",
        ],
        "dry run": ["restore", "create", "files", "@checkpoint@", "--resource", "data-1", "--dry-run", "--wait"],
        "verification": ["verification", "create", "files", "@checkpoint@", "--wait"],
        "retention": ["scheduledoperation", "retention", "show", "compared"],
        "logs": ["operationlog", "list", "--plan", "compared", "--long"],
        "disable": ["scheduledoperation", "disable", "compared"],
    }


#: By the tenant. Nothing is in progress.
READING: Commands = {
    "plans": ["plan", "list", "--name", "compared"],
    "plans with others": ["plan", "list", "--status", "suspended", "--sort", "name:asc", "--limit", "1"],
    "plan shown": ["plan", "show", "compared"],
    "providers": ["provider", "list", "--name", "files"],
    "provider": ["provider", "show", "@provider@"],
    "types": ["protectable", "list"],
    "type": ["protectable", "show", VOLUME],
    "instances": ["protectable", "instance", "list", VOLUME, "--limit", "5"],
    "instance": ["protectable", "instance", "show", VOLUME, "@volume@"],
    "checkpoints": ["checkpoint", "list", "@provider@", "--plan_id", "@plan@"],
    "checkpoints of days": [
        "checkpoint",
        "list",
        "@provider@",
        "--start_date",
        "2020-01-01",
        "--end_date",
        "2020-01-02",
    ],
    "checkpoint shown": ["checkpoint", "show", "@provider@", "@checkpoint@"],
    "restores": ["restore", "list", "--status", "success", "--sort", "created_at:desc"],
    "restore": ["restore", "show", "@dry run@"],
    "verifications": ["verification", "list"],
    "verification shown": ["verification", "show", "@verification@"],
    "triggers": ["trigger", "list", "--name", "compared", "--type", "time"],
    "trigger shown": ["trigger", "show", "compared"],
    "operations": ["scheduledoperation", "list", "--trigger_id", "@trigger@"],
    "operation shown": ["scheduledoperation", "show", "compared"],
    "logs": ["operationlog", "list", "--sort", "created_at:asc"],
    "quota": ["quotas", "show"],
    "quota in use": ["quotas", "show", "--tenant", "@project@", "--detail"],
    "default quota": ["quotas", "default", "--tenant", "@project@"],
    "no such plan": ["plan", "show", "00000000-0000-4000-8000-00000000dead"],
    "no argument": ["plan", "show"],
}

#: By the tenant. Both clients create their own objects.
CHANGING: Commands = {
    "plan": [*["plan", "create", "changed", "@provider@", f"@volume@={VOLUME}=data-1"], "--parameters-json", "{}"],
    "parameters": [
        *["plan", "create", "other", "@provider@", f"@volume@={VOLUME}=data-1"],
        *["--parameters", f"resource_type={VOLUME},backup_name=x"],
    ],
    "plan updated": ["plan", "update", "@plan@", "--name", "renamed", "--description", "new", "--status", "started"],
    "checkpoint": ["checkpoint", "create", "@provider@", "@compared@"],
    "restore": ["restore", "create", "@provider@", "@taken@", "--parameters", f"resource_type={VOLUME},restore_name=r"],
    "verification": ["verification", "create", "@provider@", "@taken@"],
    "operation": [
        *["scheduledoperation", "create", "changed", "protect", "@trigger@"],
        "provider_id=@provider@,plan_id=@compared@",
    ],
    "trigger updated": ["trigger", "update", "@trigger@", "--name", "compared", "--properties", f"{_DAILY},window=900"],
    "plan in use": ["plan", "delete", "@compared@"],
    "operation deleted": ["scheduledoperation", "delete", "@operation@"],
    "plan deleted": ["plan", "delete", "@plan@", "@parameters@"],
    "no such checkpoint": ["checkpoint", "delete", "@provider@", "00000000-0000-4000-8000-00000000dead"],
    "no such state": ["checkpoint", "reset", "state", "@provider@", "00000000-0000-4000-8000-00000000dead"],
    "no such trigger": ["trigger", "delete", "00000000-0000-4000-8000-00000000dead"],
    "forbidden": ["service", "list"],
}

#: By an administrator.
ADMINISTERING: Commands = {
    "plans of all": ["plan", "list", "--all-projects", "--sort", "id:asc"],
    "plans of one": ["plan", "list", "--project", "@project@"],
    "checkpoints of one": ["checkpoint", "list", "@provider@", "--project_id", "@project@"],
    "logs of all": ["operationlog", "list", "--all-projects", "--sort", "created_at:asc"],
    "services": ["service", "list", "--binary", "karbor-operationengine"],
    "disabled": ["service", "disable", "@service@", "--reason", "new disks"],
    "enabled": ["service", "enable", "@service@"],
    "quota": ["quotas", "update", "@project@", "--plans", "60"],
    "class updated": ["quotaclass", "update", "gold", "--plans", "70"],
    "class": ["quotaclass", "show", "gold"],
}

#: Members that differ between two runs, because they are of another object or change with time.
VOLATILE = {
    *("id", "status", "reason", "progress", "resources_status", "resources_reason"),
    *("timestamp", "updated_at", "Updated_at", "start_time"),
}


def comparable(value: Any) -> Any:
    """Return an output without what differs between two runs."""
    if isinstance(value, list):
        return [comparable(each) for each in value]
    if isinstance(value, dict):
        return {name: None if name in VOLATILE else comparable(each) for name, each in value.items()}
    return value
