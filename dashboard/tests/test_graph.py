"""The drawn resources, and the table with the same facts."""

from xml.etree import ElementTree

from cloud import SERVER_ID, VOLUME_ID, Case
from django.template import loader
from django.urls import reverse

from karbor_like_dashboard.common import graph, trees
from tests.fixtures.fake_catalogue import SERVER, VOLUME


def shown(roots):
    """Return the context and the parsed template."""
    context = graph.context(roots)
    html = loader.render_to_string("karbor_like_dashboard/resources.html", context)
    return context, ElementTree.fromstring(f"<div>{html}</div>")  # noqa: S314 - our own text


def chain():
    """A project with two servers that share a volume."""
    volume = trees.Node("OS::Cinder::Volume", "v", "<b>data</b> & more", status="available")
    servers = [trees.Node("OS::Nova::Server", f"s{number}", f"web-{number}", [volume]) for number in range(2)]
    return [trees.Node("OS::Keystone::Project", "p", "alice", servers)]


class GraphTest(Case):
    def test_each_resource_is_drawn_once_right_of_what_uses_it(self):
        context, page = shown(chain())
        boxes = {box["node"].key: (int(box["x"]), int(box["y"])) for box in context["drawing"]["boxes"]}
        self.assertEqual(4, len(boxes))
        columns = sorted({x for x, _y in boxes.values()})
        self.assertEqual(3, len(columns))
        self.assertEqual(columns[2], boxes["OS::Cinder::Volume#v"][0])
        self.assertEqual(len(boxes), len(set(boxes.values())))
        self.assertEqual(4, len(page.findall(".//path")))

    def test_the_table_has_the_same_facts(self):
        _context, page = shown(chain())
        rows = [["".join(cell.itertext()) for cell in row] for row in page.findall(".//tbody/tr")]
        self.assertEqual(["<b>data</b> & more", "Volume", "v", "web-0, web-1", "Available", ""], rows[-1])
        self.assertEqual(4, len(rows))

    def test_a_reader_of_the_screen_is_told_what_it_is(self):
        _context, page = shown(chain())
        drawing = page.find(".//svg")
        self.assertEqual("img", drawing.get("role"))
        ids = {element.get("id") for element in drawing}
        self.assertLessEqual(set(drawing.get("aria-labelledby").split()), ids)
        self.assertIn("<b>data</b> & more, Volume, Available", [title.text for title in page.findall(".//title")])

    def test_the_colour_is_that_of_the_state(self):
        for status, tone in (
            ("available", "good"),
            ("error", "bad"),
            ("protecting", "active"),
            ("", "none"),
            ('"><script>', "none"),
        ):
            with self.subTest(status=status):
                context, _page = shown([trees.Node("T", "i", "n", status=status)])
                self.assertEqual(tone, context["drawing"]["boxes"][0]["tone"])

    def test_a_shared_resource_is_looked_at_once(self):
        lowest = trees.Node("T", "0", "n")
        for number in range(1, 40):
            # Two paths from each to the next: 2**39 in all.
            lowest = trees.Node("T", str(number), "n", [lowest, lowest])
        context, _page = shown([lowest])
        self.assertEqual(40, len({box["x"] for box in context["drawing"]["boxes"]}))
        self.assertEqual(39, len(context["drawing"]["lines"]))

    def test_a_resource_is_right_of_the_longest_path_to_it(self):
        shared = trees.Node("T", "shared", "n")
        context, _page = shown([trees.Node("T", "a", "n", [shared, trees.Node("T", "b", "n", [shared])])])
        places = {box["node"].id: int(box["x"]) for box in context["drawing"]["boxes"]}
        self.assertEqual(["a", "b", "shared"], sorted(places, key=places.__getitem__))
        self.assertEqual(2, len(context["drawing"]["lines"]), "the line from a to shared would cross b")
        self.assertEqual("n, n", context["rows"][1]["used_by"])

    def test_resources_that_use_each_other(self):
        first, second = trees.Node("T", "1", "n"), trees.Node("T", "2", "n")
        first.children, second.children = [second], [first]
        context, _page = shown([first])
        self.assertEqual(2, len(context["drawing"]["boxes"]))

    def test_many_resources_are_only_in_the_table(self):
        for count, is_drawn in ((graph.MOST_DRAWN, True), (graph.MOST_DRAWN + 1, False)):
            context, page = shown([trees.Node("T", str(number), "n") for number in range(count)])
            self.assertEqual(is_drawn, context["drawing"] is not None)
            self.assertEqual(is_drawn, page.find(".//svg") is not None)
            self.assertEqual(count, len(page.findall(".//tbody/tr")))

    def test_no_resources(self):
        context, _page = shown([])
        self.assertIsNone(context["drawing"])

    def test_a_plan_shows_what_its_resources_use(self):
        plan = self.plan(resources=[{"type": SERVER, "id": SERVER_ID, "name": "web"}])
        response = self.client.get(reverse("horizon:data_protection:plans:detail", args=[plan["id"]]))
        boxes = [box["node"].key for box in response.context["graph"]["drawing"]["boxes"]]
        self.assertEqual([f"{SERVER}#{SERVER_ID}", f"{VOLUME}#{VOLUME_ID}"], boxes)
        asked = [path for _method, path in self.requests if "/protectables/" in path]
        self.assertEqual(2, len(asked))
