"""How pages show the parameters of plugins."""

import copy

from cloud import SERVER_ID, VOLUME_ID, Case
from django import forms
from django.urls import reverse

from karbor_like.plugins.neutron.network import RESTORE_SCHEMA as NETWORK_SCHEMA
from karbor_like.plugins.nova.server import RESTORE_SCHEMA as SERVER_SCHEMA
from karbor_like_dashboard.common import forms as common_forms
from karbor_like_dashboard.common import maps, parameters
from tests.fixtures.fake_catalogue import PROVIDER, SERVER, VOLUME

TITLE = '<b>"T"</b>'
ESCAPED = "&lt;b&gt;&quot;T&quot;&lt;/b&gt;"


class RowsTest(Case):
    def test_a_parameter_of_several_types_is_shown_once(self):
        given = {SERVER: {"name_prefix": "copy-", "power": "on"}, VOLUME: {"name_prefix": "copy-"}}
        known = {kind: {"properties": {"name_prefix": {"title": "Name Prefix"}}} for kind in (SERVER, VOLUME)}
        self.assertEqual(
            [("Name Prefix", "copy-", "Server, Volume"), ("Power", "on", "Server")], parameters.rows(given, known)
        )

    def test_parameters_of_one_resource_and_of_all_have_the_titles_of_their_types(self):
        known = {SERVER: {"properties": {"a": {"title": "A of servers"}, "b": {"title": "B"}}}, VOLUME: {}}
        given = {f"{SERVER}#{SERVER_ID}": {"a": 1}, "*": {"b": 2}, f"{VOLUME}#{VOLUME_ID}": {"b": 3}}
        self.assertEqual(["A of servers", "B", "B"], [title for title, _value, _kinds in parameters.rows(given, known)])

    def test_a_map_is_shown_as_it_is_entered(self):
        given = {SERVER: {"network_map": {"old-1": "new-1", "old-2": "new-2"}}}
        self.assertEqual([("Network map", "old-1 = new-1, old-2 = new-2", "Server")], parameters.rows(given, {}))

    def test_schemas_without_meaning_leave_the_names(self):
        for known in ({}, {VOLUME: None}, {VOLUME: {"properties": []}}, {VOLUME: {"properties": {"a_b": True}}}):
            with self.subTest(known=known):
                self.assertEqual([("A b", 1, "Volume")], parameters.rows({VOLUME: {"a_b": 1}}, known))


class PagesTest(Case):
    """Titles of a provider's plugins are on all pages, as text."""

    def setUp(self):
        super().setUp()
        provider = self.protection.providers[PROVIDER]
        provider["extended_info_schema"] = copy.deepcopy(provider["extended_info_schema"])
        for member, name in (("options", "retries"), ("restore", "restore_net_id"), ("verify", "level")):
            schema = provider["extended_info_schema"][f"{member}_schema"][VOLUME]["properties"][name]
            schema.update(title=TITLE, description=TITLE)

    def shown(self, name, *args, query=""):
        response = self.client.get(reverse(f"horizon:data_protection:{name}", args=args) + query)
        self.assertContains(response, ESCAPED)
        self.assertNotContains(response, TITLE)
        return response

    def test_the_page_of_the_provider(self):
        self.assertContains(self.shown("providers:detail", PROVIDER), "Backup mode")

    def test_a_plan(self):
        plan = self.plan(parameters={VOLUME: {"retries": 2, "backup_mode": "full"}})
        response = self.shown("plans:detail", plan["id"])
        self.assertContains(response, "<dt>Backup mode</dt>")
        self.assertNotContains(response, "<dt>retries</dt>")

    def test_a_restore(self):
        checkpoint = self.checkpoint(self.plan())
        of = {"provider_id": PROVIDER, "checkpoint_id": checkpoint["id"]}
        body = {**of, "parameters": {VOLUME: {"restore_net_id": "n"}}}
        restore = self.alice.post("/restores", {"restore": body})["restore"]
        self.shown("restores:detail", restore["id"])
        del self.protection.providers[PROVIDER]
        page = self.client.get(reverse("horizon:data_protection:restores:detail", args=[restore["id"]]))
        self.assertContains(page, "<dt>Restore net id</dt>")

    def test_forms(self):
        checkpoint = self.checkpoint(self.plan())
        self.shown("checkpoints:verify", PROVIDER, checkpoint["id"])
        # The script of Horizon makes HTML of the attribute.
        twice = ESCAPED.replace("&", "&amp;")
        self.assertContains(self.shown("plans:create"), f'data-dp_provider-{PROVIDER}="Volume: {twice}"')

    def test_the_pattern_in_a_help_text(self):
        field = common_forms.field_of("a", {"type": "string", "pattern": '^[^"<]*$'})
        self.assertEqual("Pattern: ^[^&quot;&lt;]*$", field.help_text)


class MapTest(Case):
    def test_pairs(self):
        for text, found in (
            ("", None),
            (" \r\n", None),
            ("a = b\r\n\r\n c d=e=f ", {"a": "b", "c d": "e=f"}),
        ):
            with self.subTest(text=text):
                self.assertEqual(found, maps.MapField(required=False).clean(text))

    def test_lines_that_are_wrong(self):
        for text, message in (
            ("a = b\nc", "Line 2 is not a pair"),
            ("= b", "Line 1 is not a pair"),
            ("a =", "Line 1 is not a pair"),
            ("a = b\n\na = c", "Line 3 has another value for a."),
        ):
            with self.subTest(text=text), self.assertRaisesRegex(forms.ValidationError, message):
                maps.MapField(required=False).clean(text)

    def test_all_maps_of_restores_have_fields(self):
        for schema, names in ((SERVER_SCHEMA, {"network_map", "volume_map"}), (NETWORK_SCHEMA, {"network_map"})):
            options = common_forms.Options("option", {SERVER: schema})
            found = {
                options.properties[key][1] for key, each in options.fields.items() if isinstance(each, maps.MapField)
            }
            self.assertEqual(names, found)

    def test_other_objects_have_no_field(self):
        for schema in (
            {"type": "object"},
            {"type": "object", "additionalProperties": {"type": "object"}},
            {"type": "object", "additionalProperties": {"type": "string"}, "properties": {"a": {"type": "string"}}},
        ):
            with self.subTest(schema=schema):
                self.assertIsNone(common_forms.field_of("a", schema))

    def test_a_default_is_shown_and_not_sent(self):
        schema = {"type": "object", "additionalProperties": {"type": "string"}, "default": {"a": "b"}}
        options = common_forms.Options("option", {VOLUME: {"properties": {"m": schema}}})
        (key, field), *_none = options.fields.items()
        shown = field.prepare_value(field.initial)
        self.assertEqual("a = b", shown)
        self.assertEqual({}, options.parameters({key: field.clean(shown)}))
