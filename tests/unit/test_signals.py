"""No signal is missed."""

import signal
import subprocess
import sys

from tests.fixtures.processes import environment

_WAITING = """
import signal, sys, threading, time
from pathlib import Path
from karbor_like.signals import Signals

main = threading.main_thread()

def send():
    # When the main thread sleeps in the wait, it does not notice a signal that the kernel gives to this thread.
    status = Path(f"/proc/self/task/{main.native_id}/stat")
    def is_waiting():
        inside = sys._current_frames()[main.ident].f_code.co_filename.endswith("signals.py")
        return inside and status.read_text().split()[2] == "S"

    while not is_waiting():
        time.sleep(0.01)
    signal.pthread_kill(threading.get_ident(), signal.SIGTERM)

received = []
signals = Signals([signal.SIGTERM], received.append)
threading.Thread(target=send).start()
print(signals.wait(), received)
"""


def test_a_signal_that_another_thread_gets_ends_the_wait():
    found = subprocess.run(
        [sys.executable, "-c", _WAITING], capture_output=True, text=True, timeout=120, check=True, env=environment()
    )
    assert found.stdout == f"{int(signal.SIGTERM)} [{int(signal.SIGTERM)}]\n"
