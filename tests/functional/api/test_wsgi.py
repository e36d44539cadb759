"""``karbor_like.wsgi`` as another server would use it: imported first, configured by the environment, then asked."""

import json
import os
import subprocess
import sys
from pathlib import Path

from karbor_like import secret
from tests.fixtures import processes

_ASK = """
import json, webtest
from karbor_like.wsgi import application
client = webtest.TestApp(application)
print("answers:", json.dumps([client.get("/", status=300).json, client.get("/v1/x/plans", status=401).json]))
"""


def test_it_is_configured_by_the_environment(tmp_path):
    files = [tmp_path / "one.conf", tmp_path / "two.conf"]
    files[0].write_text(f"[DEFAULT]\ntransport_url = fake://\n[secret]\nkeys = {secret.new_key()}\n")
    files[1].write_text(
        f"[database]\nconnection = sqlite:///{tmp_path}/db\n[api]\npublic_url = http://outside.example.net\n"
        "[keystone_authtoken]\nwww_authenticate_uri = http://127.0.0.1:9/\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", _ASK],
        cwd=Path(__file__).parents[3],
        env=processes.environment(KARBOR_LIKE_CONFIG_FILES=os.pathsep.join(map(str, files))),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    versions, refused = json.loads(done.stdout.rpartition("answers:")[2])
    assert versions["versions"][0]["links"][0]["href"] == "http://outside.example.net/data-protect/v1/"
    assert refused["error"]["code"] == 401
