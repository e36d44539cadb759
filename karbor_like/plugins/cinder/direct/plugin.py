"""What the operations of ``volume-direct`` know of their plugin."""

import logging
from collections.abc import Mapping
from typing import Any, ClassVar

from oslo_config import cfg

from karbor_like import exception
from karbor_like.datapath import errors
from karbor_like.plugins.cinder.direct import choice, route
from karbor_like.plugins.cinder.direct.backend import Backend
from karbor_like.plugins.cinder.direct.marks import StorageMarks
from karbor_like.plugins.cinder.volume_data import VolumeDataPlugin
from karbor_like.plugins.protection import HookContext

LOG = logging.getLogger(__name__)


class NotDirect(errors.CannotOpen):
    """A volume cannot take the direct route, for a reason that tenants may know."""

    public = None


class DirectPlugin(VolumeDataPlugin):
    """A plugin with backends and a fallback."""

    #: The kinds of backends, by their names in the option ``backends``.
    kinds: ClassVar[Mapping[str, type[Backend]]] = {}

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        super().__init__(conf)
        self.rules = choice.parse(self.conf.backends, self.kinds, self.conf)

    def storage_marks(self, context: HookContext) -> StorageMarks:
        return StorageMarks(context, self.rules)

    def fall_back(self, context: HookContext, error: errors.CannotOpen) -> dict[str, Any]:
        """Return the record of the route through Glance. Raises CannotOpen if the operator does not want it.

        :param error: why the direct route cannot be taken
        """
        if self.conf.fallback != "glance":
            raise type(error)(
                f"{context.resource.key} cannot be reached where it is stored, and [{self.group}] fallback is"
                f" {self.conf.fallback!r}: {error.message}"
            ) from error
        LOG.warning("%s is copied through an image: %s", context.resource.key, error.message)
        return route.through_glance(exception.public_text(error))
