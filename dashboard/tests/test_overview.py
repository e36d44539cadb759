"""The panel Overview."""

from cloud import SERVER_ID, VOLUME_ID, Case
from django.urls import reverse

from karbor_like.db.checkpoints import CHECKPOINTS
from karbor_like.domain.graph import Graph
from karbor_like.domain.resource import Resource
from tests.fixtures.fake_catalogue import SERVER, VOLUME

PAGE = "horizon:data_protection:overview:index"


class OverviewTest(Case):
    def shown(self):
        response = self.client.get(reverse(PAGE))
        self.assertEqual([], self.texts(response))
        return response

    def stored(self, *nodes):
        """Make an available checkpoint that contains resources."""
        checkpoint = self.checkpoint(self.plan())
        graph = Graph(nodes, {nodes[-1]: nodes[:-1]} if len(nodes) > 1 else {})
        values = {"resource_graph": graph.to_text(), "stored_bytes": 2048, "new_bytes": 1, "logical_bytes": 1}
        self.database.write(lambda session: CHECKPOINTS.update(session, checkpoint["id"], values))
        return checkpoint

    def counted(self, response):
        return [(each["protected"], each["total"], each["more"]) for each in response.context["counted"]]

    def test_nothing_is_protected_in_an_empty_project(self):
        response = self.shown()
        self.assertEqual([(0, 1, 0), (0, 1, 0)], self.counted(response))
        self.assertContains(response, "data-1")
        self.assertContains(response, "no operations")
        self.assertIsNone(response.context["growth"])

    def test_a_volume_is_protected_with_its_server(self):
        self.stored(Resource(VOLUME, VOLUME_ID, "data-1"), Resource(SERVER, SERVER_ID, "web"))
        response = self.shown()
        self.assertEqual([(1, 1, 0), (1, 1, 0)], self.counted(response))
        self.assertContains(response, "2.0\xa0KB")
        self.assertContains(response, "<polyline")

    def test_five_unprotected_resources_are_named_and_all_counted(self):
        self.protection.resources[VOLUME] = [
            {
                "type": VOLUME,
                "id": f"v{number}",
                "name": f"<i>{number}</i>",
                "extra_info": None,
                "dependent_resources": [],
            }
            for number in range(8)
        ]
        response = self.shown()
        self.assertEqual((0, 8, 3), self.counted(response)[1])
        self.assertContains(response, "and 3 more")
        self.assertNotContains(response, "<i>")

    def test_failures_and_next_runs(self):
        failed = self.checkpoint(self.plan(), "error")
        trigger = {"name": "t", "type": "time", "properties": {"format": "crontab", "pattern": "0 2 * * *"}}
        trigger_id = self.alice.post("/triggers", {"trigger_info": trigger})["trigger_info"]["id"]
        plan = self.plan()
        operation = {
            "name": "every night",
            "operation_type": "protect",
            "trigger_id": trigger_id,
            "operation_definition": {"plan_id": plan["id"], "provider_id": plan["provider_id"]},
        }
        self.alice.post("/scheduled_operations", {"scheduled_operation": operation})
        response = self.shown()
        self.assertContains(response, "2030-01-05 02:00:00 UTC")
        self.assertContains(response, "every night", count=5)
        self.assertContains(response, failed["id"])

    def test_the_number_of_requests_is_fixed(self):
        counts = []
        for _ in range(3):
            self.checkpoint(self.plan(), "error")
            self.requests.clear()
            self.shown()
            counts.append(list(self.requests))
        self.assertEqual([counts[0]] * 3, counts)
        self.assertEqual(5, len(counts[0]), counts[0])
