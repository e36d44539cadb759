"""Script: run ``openstack data protection`` commands in one process, and print their results as JSON.

The argument is a JSON object with ``commands``, pairs of a name and the words of a command, and ``ids``, objects by name.
In the words, ``@name@`` is replaced by the id of an object, or of what an earlier command with this name has created. A
result is the exit code, the output (JSON if the command has an output) and what was printed on standard error.
"""

import io
import json
import sys
from contextlib import redirect_stderr, redirect_stdout
from typing import Any

from openstackclient import shell

#: Commands without an output.
_SILENT = ("delete", "cancel", "reset state", "scheduledoperation disable")


def run(words: list[str]) -> dict[str, Any]:
    silent = any(f"{verb} " in " ".join(words) for verb in _SILENT)
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        try:
            code = shell.main(["data", "protection", *words, *([] if silent else ["-f", "json"])])
        except SystemExit as error:
            code = int(error.code or 0)
    text = out.getvalue()
    return {"code": code, "out": json.loads(text) if text and not silent else text, "err": err.getvalue()}


asked = json.loads(sys.argv[1])
ids = dict(asked["ids"])
results = {}
for name, words in asked["commands"]:
    for known, id_ in ids.items():
        words = [word.replace(f"@{known}@", str(id_)) for word in words]
    results[name] = run(words)
    if isinstance(results[name]["out"], dict):
        ids.setdefault(name, results[name]["out"].get("id"))
print(json.dumps(results))
