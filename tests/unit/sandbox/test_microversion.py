"""Interpretation of the headers of clients."""

import pytest
import webob

from karbor_like.sandbox import errors, faults, microversion, web


def call(**headers: str) -> web.Call:
    request = webob.Request.blank("/", headers={name.replace("_", "-"): value for name, value in headers.items()})
    return web.Call(request, "/", faults.Strikes(), lambda _: errors.ShortBody(""))


@pytest.mark.parametrize(
    ("header", "version"),
    [
        ("", (3, 0)),
        ("volume 3.43", (3, 43)),
        ("compute 2.1, volume 3.5", (3, 5)),
        ("compute 2.60", (3, 0)),
        ("volume 3.latest", (3, 71)),
        ("volume latest", (3, 71)),
    ],
)
def test_versions(header: str, version: tuple[int, int]) -> None:
    assert microversion.wanted(call(OpenStack_API_Version=header), "volume", "3.0", "3.71") == version


@pytest.mark.parametrize(("service", "name"), [("compute", "Nova"), ("shared-file-system", "Manila")])
def test_headers_of_single_services(service: str, name: str) -> None:
    wanted = call(**{f"X_OpenStack_{name}_API_Version": "2.60"})
    assert microversion.wanted(wanted, service, "2.1", "2.96") == (2, 60)


@pytest.mark.parametrize(("header", "status"), [("volume 3.72", 406), ("volume 2.0", 406), ("volume three", 400)])
def test_unsupported_versions_are_refused(header: str, status: int) -> None:
    with pytest.raises(errors.ApiError) as error:
        microversion.wanted(call(OpenStack_API_Version=header), "volume", "3.0", "3.71")
    assert error.value.status == status
