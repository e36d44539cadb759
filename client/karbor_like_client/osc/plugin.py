"""The plugin of OpenStackClient.

It only adds the option for the version of the API. The commands are in the group ``openstack.extension``, which is loaded
after those of all plugins, so that they replace those of python-karborclient if it is installed as well.
"""

import argparse
import contextlib
import os
from typing import Any

from karbor_like_client.service import add_to

API_NAME = "data_protect"
API_VERSION_OPTION = "os_data_protect_api_version"
API_VERSIONS = ("1",)
DEFAULT_API_VERSION = "1"

_OPTION = "--os-data-protection-api-version"
_VARIABLE = "OS_DATA_PROTECTION_API_VERSION"


def make_client(instance: Any) -> Any:
    """Return the proxy of openstacksdk."""
    return add_to(instance.sdk_connection)


def build_option_parser(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """Add the option that scripts for python-karborclient may use. There is one version."""
    # python-karborclient may have added it.
    with contextlib.suppress(argparse.ArgumentError):
        parser.add_argument(
            _OPTION,
            metavar="<data-protection-api-version>",
            default=os.environ.get(_VARIABLE, DEFAULT_API_VERSION),
            choices=API_VERSIONS,
            help=f"Data protection API version, default={DEFAULT_API_VERSION} (Env: {_VARIABLE})",
        )
    return parser
