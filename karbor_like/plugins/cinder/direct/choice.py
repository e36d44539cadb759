"""The choice of a backend by the host of a volume, as the option ``backends`` states it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from karbor_like import exception
from karbor_like.clients.errors import translated
from karbor_like.plugins.cinder.direct import names
from karbor_like.plugins.cinder.direct.backend import Backend, StoredVolume
from karbor_like.plugins.protection import HookContext

_ANY = "*"


@dataclass(frozen=True)
class Rule:
    """One element of the option.

    :param pattern: of hosts, with the wildcards of shells
    """

    pattern: str
    backend: Backend

    def matches(self, host: str | None) -> bool:
        """Return whether the rule is for a host of Cinder, such as ``cinder@ceph#pool``, or for the part before ``#``."""
        if host is None:
            return self.pattern == _ANY
        return any(fnmatchcase(part, self.pattern) for part in (host, host.partition("#")[0]))


def parse(elements: Sequence[str], kinds: Mapping[str, type[Backend]], conf: Any) -> list[Rule]:
    """Return the rules in the option ``backends``: each is ``PATTERN:KIND`` or ``PATTERN:KIND=ARGUMENT``.

    Raises ConfigurationError.
    """
    rules = []
    for element in elements:
        head, equals, argument = element.partition("=")
        pattern, colon, kind = (part.strip() for part in head.rpartition(":"))
        if not colon or not pattern or kind not in kinds or equals and not argument.strip():
            raise exception.ConfigurationError(
                f"backends: {element!r} is not PATTERN:KIND or PATTERN:KIND=ARGUMENT; kinds are {', '.join(sorted(kinds))}"
            )
        rules.append(Rule(pattern, kinds[kind](conf, argument.strip())))
    return rules


def locate(context: HookContext, volume: Any) -> StoredVolume:
    """Return where a volume is.

    :param volume: as the tenant's own token shows it, which proves that the tenant may see it

    Only administrators see the host and, after a migration, the id in the storage. Raises NotAuthorized if the service user
    may not see the volume.
    """
    if context.service is None:
        return StoredVolume(volume.id, names.stored_id(volume), None, volume.size)
    service = context.service

    def show() -> Any:
        with translated(f"volume {volume.id}, as the service user sees it"):
            return service.cinder().volumes.get(volume.id)

    seen = context.waiter.call(show, check=context.check)
    return StoredVolume(seen.id, names.stored_id(seen), getattr(seen, "os-vol-host-attr:host", None), seen.size)


def find_rule(rules: Sequence[Rule], volume: StoredVolume) -> Rule | None:
    """Return the first rule for the host of *volume*, or None."""
    return next((rule for rule in rules if rule.matches(volume.host)), None)


def choose(context: HookContext, rules: Sequence[Rule], volume: StoredVolume) -> tuple[Backend | None, str]:
    """Return the backend of the first rule for the host of *volume*. If it cannot be used here, None and the reason."""
    rule = find_rule(rules, volume)
    if rule is not None:
        reason = rule.backend.obstacle(context, volume)
        return (None, f"the backend {rule.backend.kind}: {reason}") if reason else (rule.backend, "")
    if volume.host is None:
        return None, "the host of the volume is unknown, because no service user is configured"
    return None, f"no backend is configured for the host {volume.host}"
