"""Providers: a set of protection plugins and a bank, each configured by one file.

Every file is a configuration separate from that of the service. A file with a mistake is skipped, and a log line names the
file, the line and the mistake. The service and the other providers continue.
"""

import contextlib
import enum
import logging
import threading
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from oslo_config import cfg

from karbor_like import exception
from karbor_like.bank import Bank, open_bank
from karbor_like.clock import Clock
from karbor_like.domain.operation import OperationType
from karbor_like.domain.resource import PROJECT
from karbor_like.plugins import loader
from karbor_like.plugins.deployable import Deployable
from karbor_like.plugins.protection import ProtectionPlugin, ResourceOperation
from karbor_like.protection.registry import karbor_files, project_map, provider_file

LOG = logging.getLogger(__name__)


class Deployer(enum.StrEnum):
    """The means to create the servers and networks of a restore."""

    AUTO = "auto"
    HEAT = "heat"
    DIRECT = "direct"


GROUP: Final = "provider"
OPTS: Final = [
    cfg.StrOpt("id", required=True, help="UUID by which tenants name the provider. Never change it."),
    cfg.StrOpt("name", required=True, help="Name shown to tenants."),
    cfg.StrOpt("description", default="", help="What the provider is for, shown to tenants."),
    cfg.BoolOpt("enabled", default=False, help="Whether the provider is offered."),
    cfg.MultiStrOpt(
        "plugin",
        default=[],
        help="""
Protection plugins (entry points in karbor_like.protections), one per line. If two serve the same resource type, the later one
is used. noop serves only the types that no other plugin serves.
""",
    ),
    cfg.StrOpt("bank", required=True, help="Where checkpoints are kept (entry point in karbor_like.banks)."),
    cfg.StrOpt(
        "copy_to",
        help="""
UUID of the provider to which checkpoints are copied if a request for copies names none. It must have the same plugins for the
resources that are copied.
""",
    ),
    cfg.IntOpt(
        "max_operations",
        default=0,
        min=0,
        help="""
Operations with this provider that all protection services together run concurrently, without deletions. Those with other
providers overtake the further ones. 0 is unlimited. Set the same number for all services.
""",
    ),
    cfg.StrOpt(
        "deployer",
        default=Deployer.AUTO,
        choices=[
            (Deployer.AUTO, "heat if it can be used and restores everything that direct restores, otherwise direct"),
            (Deployer.HEAT, "one stack for each restore. A restore with a delegated token is refused"),
            (Deployer.DIRECT, "one request for each resource, without Heat"),
        ],
        help="What creates the servers and networks of a restore.",
    ),
    cfg.MultiStrOpt(
        project_map.OPTION,
        default=[],
        metavar="PROJECT: PROJECT",
        help="""
Whose checkpoints those of another site are here, one per line: the id of the project in the bank, a colon, and the id of the
project in this cloud. Several projects can only become one if one line names them all, separated by commas. Checkpoints of
projects without a line belong to the project of the same id.
""",
    ),
]

#: Types that the message of one refusal names.
_MAX_NAMED: Final = 10
_SCHEMAS: Final = ("options", "restore", "saved_info", "verify")


class Provider:
    """One provider, as configured by its file.

    :param conf: configuration of the file
    :param plugins: resource type -> the plugin that serves it
    """

    def __init__(self, conf: cfg.ConfigOpts, plugins: Mapping[str, ProtectionPlugin], path: Path, clock: Clock) -> None:
        self.id: str = str(uuid.UUID(conf.provider.id))
        self.name: str = conf.provider.name
        self.description: str = conf.provider.description
        self.copy_to: str | None = str(uuid.UUID(conf.provider.copy_to)) if conf.provider.copy_to else None
        self.deployer = Deployer(conf.provider.deployer)
        self.max_operations: int = conf.provider.max_operations
        #: Project in the bank -> project here, for those that have other ids here.
        self.project_map = project_map.parse(conf.provider.map_project)
        self.plugins = plugins
        self.path = path
        #: What differs from Karbor if the file was written for it.
        self.remarks = provider_file.karbor_remarks(path)
        self._conf = conf
        self._clock = clock
        self._lock = threading.Lock()
        self._bank: Bank | None = None

    @property
    def bank(self) -> Bank:
        """The bank of the provider, opened at the first use.

        :raises Unavailable: the bank cannot be opened now
        """
        with self._lock:
            if self._bank is None:
                self._bank = open_bank(self._conf, self._conf.provider.bank, self._clock)
            return self._bank

    def to_dict(self) -> dict[str, Any]:
        """Return the provider as the API shows it."""
        schemas = {
            f"{name}_schema": {kind: dict(getattr(plugin.schemas[kind], name)) for kind, plugin in self.plugins.items()}
            for name in _SCHEMAS
        }
        return {
            "id": self.id,
            "name": self.name,
            "description": self.description,
            "extended_info_schema": schemas,
        }

    def schemas(self, name: str) -> dict[str, Mapping[str, Any]]:
        """Return the schemas ``options``, ``restore``, ``saved_info`` or ``verify`` by resource type."""
        return {kind: getattr(plugin.schemas[kind], name) for kind, plugin in self.plugins.items()}

    @property
    def deployables(self) -> dict[str, type[Deployable]]:
        """What creates the resources of a restore's template, by their type there."""
        return {kind: each for plugin in self.plugins.values() for kind, each in plugin.deployables.items()}

    def operation(self, kind: OperationType, resource_type: str) -> ResourceOperation:
        """Return what a plugin does for an operation type and a resource type.

        :raises Unsupported: no plugin of this provider supports it
        """
        plugin = self.plugins.get(resource_type)
        operation = plugin.operation(kind, resource_type) if plugin else None
        if operation is None:
            raise self._unsupported(kind, [resource_type])
        return operation

    def check_types(self, kind: OperationType, resource_types: Iterable[str]) -> None:
        """Check that there is an operation for each type. A project needs none: it has no data of its own.

        :raises Unsupported: naming the types for which no plugin of this provider supports it
        """
        offered = self._offered(kind)
        missing = sorted(set(resource_types).difference(offered, (PROJECT,)))
        if missing:
            raise self._unsupported(kind, missing)

    def _offered(self, kind: OperationType) -> list[str]:
        return sorted(name for name, plugin in self.plugins.items() if plugin.operation(kind, name))

    def _unsupported(self, kind: OperationType, resource_types: Sequence[str]) -> exception.Unsupported:
        named = ", ".join(resource_types[:_MAX_NAMED]) + (", ..." if len(resource_types) > _MAX_NAMED else "")
        refusals = {self.plugins[name].refusals.get(kind) for name in resource_types if name in self.plugins}
        reasons = "".join(f" ({reason})" for reason in sorted(filter(None, refusals)))
        return exception.Unsupported(
            f"provider {self.name!r} ({self.id}) cannot {kind} resources of type {named}{reasons}; it can {kind} "
            f"{', '.join(self._offered(kind)) or 'none'}"
        )

    def hooks(self, kind: OperationType, resource_types: Iterable[str]) -> dict[str, list[str]]:
        """Return the hooks that run for each type.

        :raises Unsupported: no plugin of this provider supports one of the types
        """
        return {name: list(self.operation(kind, name).hooks()) for name in sorted(set(resource_types))}

    def close(self) -> None:
        """Close the connections to the bank."""
        with self._lock:
            if self._bank is not None:
                self._bank.close()
                self._bank = None


class Providers:
    """All enabled providers that could be loaded. A reload (SIGHUP) keeps those whose files did not change.

    :param conf: configuration of the service
    """

    def __init__(self, conf: cfg.ConfigOpts, clock: Clock) -> None:
        self._conf = conf
        self._clock = clock
        self._loaded: dict[str, Provider] = {}
        self._contents: dict[Path, bytes] = {}

    def load(self) -> None:
        """Read the directory of providers.

        A mistake in a file is only logged. Its provider is skipped at the first load, and kept unchanged at a reload.
        """
        found: dict[str, Provider] = {}
        contents: dict[Path, bytes] = {}
        before = {provider.path: provider for provider in self._loaded.values()}
        directory = provider_file.find_directory(self._conf)
        for path in sorted(directory.glob("*.conf")) if directory else []:
            try:
                contents[path] = path.read_bytes()
                known = before.get(path) if contents[path] == self._contents.get(path) else None
                provider = known or read(path, self._clock)
                if provider is not None:
                    _add(found, provider)
                    if provider is not known:
                        _log_remarks(provider)
            except (exception.ConfigurationError, OSError) as error:
                LOG.error("Provider %s: %s", "stays as it was" if path in before else "left out", error)
                contents.pop(path, None)
                if path in before:
                    found.setdefault(before[path].id, before[path])
        self._loaded, self._contents = found, contents
        LOG.info("Providers: %s", ", ".join(f"{p.name} ({p.id})" for p in found.values()) or "none")

    def list(self) -> list[Provider]:
        """Return all loaded providers, sorted by id."""
        return sorted(self._loaded.values(), key=lambda provider: provider.id)

    def get(self, provider_id: str) -> Provider:
        """Return a loaded provider.

        :raises ProviderNotFound: there is none with this id
        """
        try:
            return self._loaded[str(uuid.UUID(provider_id))]
        except (KeyError, ValueError):
            raise exception.ProviderNotFound(f"provider {provider_id} could not be found") from None

    def close(self) -> None:
        """Close the connections to all banks."""
        for provider in self._loaded.values():
            provider.close()


def _log_remarks(provider: Provider) -> None:
    for remark in provider.remarks:
        LOG.warning("Provider of Karbor: %s", remark)


def _add(found: dict[str, Provider], provider: Provider) -> None:
    twin = found.setdefault(provider.id, provider)
    if twin is not provider:
        mistake = f"[provider] id: {provider.id} is used by {twin.path}; ids must differ"
        raise exception.ConfigurationError(provider_file.located(provider.path, mistake))


def read(path: Path, clock: Clock, *, disabled: bool = False) -> Provider | None:
    """Read the provider of one file. Return None if it is not enabled.

    :param disabled: read it also if it is not enabled
    :raises ConfigurationError: the file has mistakes; names file and lines
    """
    conf = provider_file.parse(path, OPTS, GROUP)
    with provider_file.mistakes_of(path):
        is_wanted = conf.provider.enabled or disabled
    if not is_wanted:
        return None
    try:
        with provider_file.mistakes_of(path):
            provider = _open(conf, path, clock)
    except exception.ConfigurationError as error:
        # Misspelt options may be the cause.
        with _together_with(error):
            provider_file.check_options(path, conf, sections=False)
        raise
    provider_file.check_options(path, conf)
    return provider


def check(paths: Iterable[Path], clock: Clock, *, disabled: bool = False) -> tuple[list[Provider], list[str]]:
    """Read provider files as the service does.

    :param disabled: read also those that are not enabled
    :returns: the providers, which the caller closes, and the mistakes, which name files and lines
    """
    found: dict[str, Provider] = {}
    mistakes = []
    for path in paths:
        try:
            provider = read(path, clock, disabled=disabled)
            if provider is not None:
                _add(found, provider)
        except (exception.ConfigurationError, OSError) as error:
            mistakes.append(str(error))
    return list(found.values()), mistakes


@contextlib.contextmanager
def _together_with(first: exception.ConfigurationError) -> Iterator[None]:
    """Add the message of *first* to that of a ConfigurationError of the block, unless it is a part of it."""
    try:
        yield
    except exception.ConfigurationError as error:
        if first.message in error.message:
            raise
        raise exception.ConfigurationError(f"{error.message}; {first.message}") from error


def _open(conf: cfg.ConfigOpts, path: Path, clock: Clock) -> Provider:
    _check_ids(conf.provider.id, conf.provider.copy_to)
    if not conf.provider.plugin:
        raise exception.ConfigurationError("[provider] plugin is missing: name at least one plugin")
    provider = Provider(conf, _plugins(conf), path, clock)
    try:
        provider.bank  # noqa: B018 - registers the options of the bank, so that they are checked now
    except exception.ConfigurationError as error:
        if not error.message.startswith(f"bank {conf.provider.bank!r}: "):
            raise
        raise exception.ConfigurationError(f"[provider] bank = {conf.provider.bank} : {error.message}") from error
    except exception.Unavailable as error:
        LOG.warning("Provider %s: its bank is not available now and will be opened later: %s", path, error)
    return provider


def _check_ids(own: str, copy_to: str | None) -> None:
    for name, text in (("id", own), ("copy_to", copy_to)):
        try:
            uuid.UUID(text or own)
        except ValueError:
            raise exception.ConfigurationError(f"[provider] {name} = {text} is not a UUID") from None
    if copy_to and uuid.UUID(copy_to) == uuid.UUID(own):
        raise exception.ConfigurationError(f"[provider] copy_to = {copy_to} is the provider itself; name another one")


def _plugins(conf: cfg.ConfigOpts) -> dict[str, ProtectionPlugin]:
    """Load the plugins that a file names. Return the one that serves each resource type."""
    if not conf.provider.plugin:
        raise exception.ConfigurationError("[provider] plugin is missing: name at least one protection plugin")
    loaded = []
    for name in conf.provider.plugin:
        replacement = karbor_files.PLUGINS.get(name)
        used = replacement.plugin if replacement else name
        try:
            loaded.append(loader.load_protection(used, conf, conf.provider.name))
        except exception.ConfigurationError as error:
            raise exception.ConfigurationError(f"[provider] plugin = {name} : {error.message}") from error
    # A plugin that serves every type and stores nothing must not replace one that stores data.
    loaded.sort(key=lambda plugin: not plugin.is_fallback)
    return {kind: plugin for plugin in loaded for kind in plugin.schemas}
