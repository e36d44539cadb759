"""Routes without a token: the list of versions, and the OpenAPI document of version 1."""

import json

import webob
import webob.dec
from oslo_config import cfg

from karbor_like.api import openapi, paging

DOCUMENT_PATH = "/v1/openapi.json"


@webob.dec.wsgify
def _document(incoming: webob.Request) -> webob.Response:
    return _json(200, openapi.document())


def document() -> webob.dec.wsgify:
    """Return the application that serves the OpenAPI document at ``DOCUMENT_PATH``."""
    return _document


def versions(conf: cfg.ConfigOpts) -> webob.dec.wsgify:
    """Return the application for every method and path outside of version 1."""

    @webob.dec.wsgify
    def answer(incoming: webob.Request) -> webob.Response:
        # Old documentation promises this constant path, independent of the mount point of the API. It exists if that is the
        # mount point, as in DevStack.
        root = paging.root_url(incoming, conf.api.public_url).removesuffix("/data-protect")
        href = f"{root}/data-protect/v1/"
        version = {"id": "v1.0", "status": "CURRENT", "links": [{"rel": "self", "href": href}]}
        return _json(300, {"versions": [version]})

    return answer


def _json(status: int, value: object) -> webob.Response:
    response = webob.Response(status=status, content_type="application/json", charset=None)
    response.body = json.dumps(value).encode()
    return response
