"""Health of a container: whether the API answers if the container runs it, or else whether the container runs.

The other services end their process when it hangs, so that their container ends, too. The API is asked for its versions, not
for ``/healthcheck``: a restart of the API does not help if the database is unreachable or no protection service runs.
"""

import http.client
import os
import sys
from pathlib import Path
from urllib import error, request

#: Where the API is asked. Set it in the container if ``[api] port`` differs.
URL = os.environ.get("KARBOR_LIKE_HEALTH_URL", "http://127.0.0.1:8799/")
#: The main process, or the ``init`` of the container with the command that it runs.
COMMAND = Path("/proc/1/cmdline")


def main(command: Path = COMMAND, url: str = URL) -> int:
    """Return the exit code: 0 if the container is healthy, otherwise 1."""
    if not any(word.endswith(b"karbor-like-api") for word in command.read_bytes().split(b"\0")):
        return 0
    try:
        with request.urlopen(url, timeout=8):  # noqa: S310 - the operator's own URL
            return 0
    except error.HTTPError as refusal:
        # The list of versions has the status 300.
        return 0 if refusal.code < 500 else 1
    except (OSError, http.client.HTTPException) as problem:
        print(f"{url}: {problem}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
