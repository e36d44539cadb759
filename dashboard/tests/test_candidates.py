"""What the wizard of a restore offers for parameters."""

import json

import requests
from cloud import SERVER_ID, VOLUME_ID, Case
from django.contrib import messages
from django.urls import reverse

from karbor_like.db.checkpoints import CHECKPOINTS
from karbor_like.plugins.cinder import backup_schemas, snapshot_schemas, volume_glance
from karbor_like.plugins.neutron.network import RESTORE_SCHEMA as NETWORK_SCHEMA
from karbor_like.plugins.nova.server import RESTORE_SCHEMA as SERVER_SCHEMA
from karbor_like.plugins.trove.database import RESTORE_SCHEMA as DATABASE_SCHEMA
from karbor_like_dashboard import api
from karbor_like_dashboard.content.restores import candidates
from tests.fixtures.fake_catalogue import PROVIDER, SERVER, VOLUME

GRAPH = json.dumps(
    [{"0x0": [VOLUME, VOLUME_ID, "data", None], "0x1": [SERVER, SERVER_ID, "web", None]}, [["0x1", ["0x0"]]]]
)
FLAVORS = f"/v2/flavors?limit={api.MOST}"
TYPES = f"/v3/types?limit={api.MOST}"
NETWORKS = f"/v2.0/networks?limit={api.MOST}"
ZONES = {"availabilityZoneInfo": [{"zoneName": "az1", "zoneState": {"available": True}}]}
OTHERS = {
    FLAVORS: (200, {"flavors": [{"id": "7", "name": "<b>small</b>"}]}),
    "/v2/os-keypairs?": (200, {"keypairs": [{"keypair": {"name": "mine"}}]}),
    "/v2/os-availability-zone?": (200, ZONES),
    TYPES: (200, {"volume_types": [{"id": "t1", "name": "ssd"}]}),
    "/v3/os-availability-zone?": (200, ZONES),
    NETWORKS: (200, {"networks": [{"id": "n1", "name": "private"}, {"id": "n2", "name": ""}]}),
}


class CandidatesTest(Case):
    def setUp(self):
        super().setUp()
        self.others.update(OTHERS)
        schemas = {SERVER: SERVER_SCHEMA, VOLUME: volume_glance.RESTORE_SCHEMA}
        self.protection.providers[PROVIDER]["extended_info_schema"]["restore_schema"] = schemas
        checkpoint = self.checkpoint(self.plan())
        self.database.write(lambda session: CHECKPOINTS.update(session, checkpoint["id"], {"resource_graph": GRAPH}))
        page = reverse("horizon:data_protection:restores:create")
        self.page = f"{page}?provider={PROVIDER}&checkpoint={checkpoint['id']}"

    def offered(self, response):
        lists = response.context["candidates"]
        return {name.removeprefix("dp-existing-"): choices for name, choices in lists.items() if "OS-" not in name}

    def test_what_this_cloud_has_is_offered_with_one_request_for_each_list(self):
        response = self.client.get(self.page)
        zones = [("az1", "az1")]
        self.assertEqual(
            {
                "flavors": [("7", "<b>small</b>")],
                "key-pairs": [("mine", "mine")],
                "networks": [("n1", "private"), ("n2", "n2")],
                "server-zones": zones,
                "volume-types": [("t1", "ssd")],
                "volume-zones": zones,
            },
            self.offered(response),
        )
        self.assertEqual(sorted(OTHERS), sorted(self.asked))
        self.assertContains(response, '<option value="7">&lt;b&gt;small&lt;/b&gt;</option>')
        self.assertContains(response, 'list="dp-existing-flavors"', 2)
        self.assertEqual([], self.texts(response))

    def test_each_failure_is_a_message_and_a_service_is_asked_once_more_at_most(self):
        for answer in (
            requests.ConnectionError("refused"),
            requests.Timeout("slow"),
            (500, {}),
            (401, {}),
            (200, []),
            (200, b"<html>"),
            (200, {"flavors": [{}], "volume_types": None, "networks": "x", "keypairs": [1], "availabilityZoneInfo": 1}),
        ):
            with self.subTest(answer=answer):
                self.others = dict.fromkeys(OTHERS, answer)
                self.asked.clear()
                response = self.client.get(self.page)
                self.assertEqual(200, response.status_code)
                self.assertEqual({}, self.offered(response))
                self.assertEqual(3, len(self.texts(response)), self.texts(response))
                self.assertEqual(3, len(self.asked), "one for each service")

    def test_what_fails_does_not_hide_the_rest(self):
        self.others[FLAVORS] = (503, {})
        response = self.client.get(self.page)
        self.assertEqual({"networks", "volume-types", "volume-zones"}, self.offered(response).keys())
        self.assertIn("Unable to list the flavors to choose from", self.texts(response)[0])

    def test_a_service_that_the_catalogue_lacks(self):
        self.service_catalog = [each for each in self.service_catalog if each["type"] != "network"]
        self.log_in()
        response = self.client.get(self.page)
        self.assertNotIn("networks", self.offered(response))
        self.assertIn("not in the catalogue", self.texts(response)[0])

    def test_all_lists_together_have_a_limit(self):
        request = self.client.get(self.page).wsgi_request
        self.asked.clear()
        # The first request, for the flavors, takes all of the time.
        seconds = iter([0.0, 0.0, candidates.LIMIT])
        found = candidates.fetch(request, ["flavors", "volume-types"], clock=lambda: next(seconds))
        self.assertEqual(["flavors"], list(found))
        self.assertEqual([FLAVORS], self.asked)
        (message,) = messages.get_messages(request)
        self.assertIn("take too long", str(message))

    def test_another_cloud_is_not_asked(self):
        form = self.client.get(self.page).context["form"]
        self.asked.clear()
        there = {"request_key": form["request_key"].value(), "resources": form["resources"].value(), "where": "there"}
        response = self.client.post(self.page, there)
        self.assertEqual({}, self.offered(response))
        self.assertEqual([], self.asked)

    def test_all_parameters_that_name_something_of_the_cloud_have_candidates(self):
        for kind, schema in (
            (SERVER, SERVER_SCHEMA),
            ("OS::Neutron::Network", NETWORK_SCHEMA),
            ("OS::Trove::Instance", DATABASE_SCHEMA),
            *((VOLUME, each.RESTORE_SCHEMA) for each in (backup_schemas, snapshot_schemas, volume_glance)),
        ):
            for name in schema["properties"]:
                if any(part in name for part in ("flavor", "net_id", "network_id", "zone", "volume_type", "key_name")):
                    with self.subTest(kind=kind, name=name):
                        self.assertIsNotNone(candidates.of_parameter(kind, name))
