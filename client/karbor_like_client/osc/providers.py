"""Commands about providers."""

from karbor_like_client.osc import base, columns


class ListProviders(base.List):
    """List providers."""

    method = "providers"
    headers = ("Id", "Name", "Description")
    filters = (base.by("name"), base.by("description"))
    project = ()


class ShowProvider(base.ShowById):
    """Show a provider with the schemas of its options."""

    noun = argument = "provider"
    formats = {"extended_info_schema": columns.text}
