"""Files of an embedded site: configuration, keys and providers, written into one directory.

Keys are generated once and kept. All other files are rewritten at each start, because the cloud's address may differ.
"""

import base64
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from karbor_like import secret

#: The ids of the providers are the same in every embedded site, so that examples can use them.
FILES_PROVIDER: Final = "a0000000-0000-4000-8000-000000000001"
SWIFT_PROVIDER: Final = "a0000000-0000-4000-8000-000000000002"

_MAIN = """\
[DEFAULT]
transport_url = fake://

[database]
connection = sqlite:///{directory}/karbor_like.sqlite

[secret]
keys = {secret_key}

[api]
host = 127.0.0.1
port = 0

[protection]
poll_interval = 1

[keystone_authtoken]
www_authenticate_uri = {auth_url}
auth_type = password
service_token_roles_required = true
service_token_roles = service
{account}

[service_auth]
auth_type = v3password
{account}
"""

_PROVIDER = """\
[provider]
id = {id}
name = {name}
description = {description}
plugin = volume-glance
plugin = image
plugin = share-snapshot
plugin = network
plugin = server
plugin = keypair
plugin = project
plugin = database
plugin = pod
bank = {bank}
enabled = true

[bank]
master_keys = first:{master_key}

{settings}
"""

_FILES = """\
[file_system_bank_plugin]
file_system_bank_path = {directory}/bank
"""

_SWIFT = """\
[swift_client]
swift_auth_url = {auth_url}
swift_user = {username}
swift_key = {password}
swift_tenant_name = {project_name}
"""

_ENVIRONMENT = """\
export OS_AUTH_URL={auth_url} OS_IDENTITY_API_VERSION=3
export OS_USERNAME=alice OS_PASSWORD=secret OS_PROJECT_NAME=alice
export OS_USER_DOMAIN_ID=default OS_PROJECT_DOMAIN_ID=default"""


def write(directory: Path, account: Mapping[str, Any]) -> Path:
    """Write the files.

    :param account: options of keystoneauth's password plugin for the service user
    :returns: path of the main configuration file
    """
    (directory / "bank").mkdir(mode=0o700, exist_ok=True)
    providers = directory / "providers.d"
    providers.mkdir(mode=0o700, exist_ok=True)
    values = {
        **account,
        "directory": directory,
        "account": "\n".join(f"{name} = {value}" for name, value in account.items()),
        "secret_key": _ensure_key(directory / "secret-key", secret.new_key),
        "master_key": _ensure_key(directory / "master-key", _new_master_key),
    }
    for name, bank, provider_id, settings, description in (
        ("files", "filesystem", FILES_PROVIDER, _FILES, "servers with volumes, images and networks into files"),
        ("swift", "swift", SWIFT_PROVIDER, _SWIFT, "servers with volumes, images and networks into Swift"),
    ):
        text = _PROVIDER.format(
            id=provider_id,
            name=name,
            bank=bank,
            description=description,
            master_key=values["master_key"],
            settings=settings.format(**values),
        )
        _write_private(providers / f"{name}.conf", text)
    path = directory / "karbor_like.conf"
    _write_private(path, _MAIN.format(**values))
    return path


def environment(auth_url: str) -> str:
    """Return the shell commands by which a tenant of the sandbox sets up the openstack command line."""
    return _ENVIRONMENT.format(auth_url=auth_url)


def _new_master_key() -> str:
    return base64.b64encode(secrets.token_bytes(32)).decode("ascii")


def _ensure_key(path: Path, make: Any) -> str:
    if not path.exists():
        _write_private(path, make())
    return path.read_text()


def _write_private(path: Path, text: str) -> None:
    path.touch(mode=0o600, exist_ok=True)
    path.write_text(text)
