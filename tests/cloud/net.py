"""Network probes: free ports, open ports, and URLs that respond."""

import socket
import urllib.error
import urllib.request

HOST = "127.0.0.1"


def free_port() -> int:
    """Return a TCP port of the loopback interface that is not in use at the moment."""
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        return int(listener.getsockname()[1])


def port_open(port: int) -> bool:
    """Return whether a process accepts connections on a port of the loopback interface."""
    with socket.socket() as probe:
        probe.settimeout(2)
        return probe.connect_ex((HOST, port)) == 0


def answers(url: str) -> bool:
    """Return whether an HTTP server responds with a status below 500."""
    try:
        with urllib.request.urlopen(url, timeout=5):
            return True
    except urllib.error.HTTPError as error:
        return error.code < 500
    except OSError:
        return False
