import pytest

from karbor_like import exception
from karbor_like.api.controllers import base, routing
from karbor_like.api.expose import expose


class CloudObjects(base.Controller):
    @expose(policy="x")
    def show(self, thing_id: str) -> None:
        """Show."""

    def hidden(self) -> None:
        """For administrators."""


def test_literal_and_variable_segments():
    router = routing.Router(
        [
            routing.Route("GET", "/things/new", CloudObjects, "show"),
            routing.Route("GET", "/things/{thing_id}", CloudObjects, "show"),
            routing.Route("GET", "/things/{thing_id}/parts/{part}", CloudObjects, "show"),
        ]
    )
    assert router.find("GET", ["things", "new"])[1] == {}
    assert router.find("GET", ["things", "7"])[1] == {"thing_id": "7"}
    assert router.find("GET", ["things", "7", "parts", "a b"])[1] == {"thing_id": "7", "part": "a b"}
    for method, path in (("POST", ["things", "7"]), ("GET", ["things"]), ("GET", ["x", "7"]), ("GET", [])):
        assert router.find(method, path) is None


def test_only_what_is_exposed_is_routed():
    with pytest.raises(exception.ConfigurationError, match="hidden"):
        routing.Router([routing.Route("GET", "/things", CloudObjects, "hidden")])
