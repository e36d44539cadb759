"""Benchmark of the limits on bytes per second: how accurate they are, and what they cost. No result makes it fail.

``python -m tests.perf.limits`` lets several threads pass pieces of 1 MiB through limits for some seconds each, and prints the
rate that was reached after the first burst. Then it prints the time of a call that need not wait.
"""

import argparse
import threading
import time

from karbor_like.clock import SystemClock
from karbor_like.rate import BURST_SECONDS, Rate

MIB = 1024 * 1024


def reached(limit: int, threads: int, seconds: float) -> tuple[float, float]:
    """Return the bytes per second that pass a limit, and the part of the slowest of *threads* in an equal share."""
    rate = Rate(lambda: limit, SystemClock())
    stop = threading.Event()
    passed = [0] * threads

    def run(number: int) -> None:
        while not stop.is_set():
            rate.take(MIB)
            passed[number] += MIB

    workers = [threading.Thread(target=run, args=(number,), daemon=True) for number in range(threads)]
    began = time.monotonic()
    for worker in workers:
        worker.start()
    time.sleep(seconds)
    total, took = sum(passed), time.monotonic() - began
    shares = min(passed) / (total / threads)
    stop.set()
    for worker in workers:
        worker.join()
    return (total - limit * BURST_SECONDS) / took, shares


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0)
    seconds = parser.parse_args().seconds
    print(f"{'limit MiB/s':>12} {'threads':>8} {'reached':>8} {'error':>7} {'least share':>12}")
    for limit in (10, 100, 1000):
        for threads in (1, 4, 32):
            found, share = reached(limit * MIB, threads, seconds)
            error = found / (limit * MIB) - 1
            print(f"{limit:>12} {threads:>8} {found / MIB:>8.1f} {error:>7.1%} {share:>12.0%}", flush=True)
    for name, limit in (("unlimited", 0), ("limited, not reached", 10**15)):
        rate = Rate(lambda limit=limit: limit, SystemClock())  # type: ignore[misc]
        began = time.perf_counter()
        for _ in range(100_000):
            rate.take(1)
        print(f"{name}: {(time.perf_counter() - began) * 10:.2f} us per call")


if __name__ == "__main__":
    main()
