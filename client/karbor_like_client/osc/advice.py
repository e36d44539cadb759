"""Errors as a user of the commands sees them: what was wrong, and what to do."""

import contextlib
from collections.abc import Iterator

from keystoneauth1 import exceptions as keystone
from openstack import exceptions as sdk
from osc_lib import exceptions

from karbor_like_client import errors

_NO_ENDPOINT = (
    "the catalogue has no endpoint of data-protect in this region: check --os-region-name and --os-interface, or ask the "
    "operator whether the service is installed"
)
_OLDER = "the API of this cloud is older than this command: ask the operator to upgrade it"


@contextlib.contextmanager
def given() -> Iterator[None]:
    """Turn errors in the block into those of commands.

    :raises CommandError: the block raises an error of openstacksdk, or there is no endpoint
    """
    try:
        yield
    except (keystone.EndpointNotFound, sdk.ServiceDisabledException, sdk.ServiceDiscoveryException) as error:
        raise exceptions.CommandError(f"{_NO_ENDPOINT}; {error}") from error
    except errors.ApiError as error:
        raise exceptions.CommandError("; ".join(filter(None, (str(error), _advice(error))))) from error
    except sdk.SDKException as error:
        raise exceptions.CommandError(str(error)) from error


def _advice(error: errors.ApiError) -> str | None:
    if error.type == "route.not_found" or (error.status_code == 404 and error.type is None):
        return _OLDER
    if any(field.get("rule") == "additionalProperties" for field in error.fields):
        return f"or {_OLDER}"
    if error.status_code == 403:
        return "your roles do not allow this: ask an administrator, or use another --os-project-name or user"
    return None
