# SPDX-License-Identifier: Apache-2.0
"""The same ticks between two network namespaces, over a way that is long and loses packets. Needs root and `ip`.

    sudo python -m benchmarks.emulated_link [--delay-ms 25] [--loss 0.02] [--actions 10] [--seconds 10]

Unlike the delay proxy on loopback, which forwards a stream, this forwards IP packets: TCP has to send again what is
lost. Two TUN devices are the ends of the way, one in each namespace; this process carries packets between them.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import json
import os
import random
import select
import struct
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks import bench, trees
from benchmarks.results import Aim, Result
from scenario_execution_remote.run import RUN

_SET_INTERFACE = 0x400454CA  # TUNSETIFF of linux/if_tun.h
_TUN_WITHOUT_HEADER = 0x0001 | 0x1000  # IFF_TUN | IFF_NO_PI: an IP packet a read, and nothing in front of it
_PACKET_BYTES = 65536
NEEDS = "It makes network namespaces and devices in them: it needs root who may do so, `ip` and /dev/net/tun."
_NEAR, _FAR = "10.213.77.1", "10.213.77.2"  # private addresses; only the two namespaces see them


@dataclass
class Direction:
    """Packets from one TUN device on their way to the other."""

    source: int
    target: int
    waiting: deque[tuple[float, bytes]]


class Way:
    """Carries packets, each after *delay_s* seconds, except a share of them that is lost."""

    def __init__(self, ends: tuple[int, int], delay_s: float, loss: float, seed: int = 1) -> None:
        one, other = ends
        self._directions = [Direction(one, other, deque()), Direction(other, one, deque())]
        self._delay_s, self._loss, self._random = delay_s, loss, random.Random(seed)
        self._stop_in, self._stop_out = os.pipe()
        self.carried = self.lost = 0
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self) -> None:
        os.write(self._stop_out, b"x")
        self._thread.join()

    def _run(self) -> None:
        poll = select.poll()
        for fd in (self._stop_in, *(direction.source for direction in self._directions)):
            poll.register(fd, select.POLLIN)
        while True:
            ready = {fd for fd, _ in poll.poll(self._wait_ms())}
            if self._stop_in in ready:
                return
            for direction in self._directions:
                if direction.source in ready:
                    self._take(direction)
                self._hand_over(direction)

    def _wait_ms(self) -> float | None:
        due = [direction.waiting[0][0] for direction in self._directions if direction.waiting]
        return max(0.0, (min(due) - time.monotonic()) * 1000) if due else None

    def _take(self, direction: Direction) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                packet = os.read(direction.source, _PACKET_BYTES)
                if self._random.random() < self._loss:
                    self.lost += 1
                else:
                    direction.waiting.append((time.monotonic() + self._delay_s, packet))

    def _hand_over(self, direction: Direction) -> None:
        now_s = time.monotonic()
        while direction.waiting and direction.waiting[0][0] <= now_s:
            with contextlib.suppress(OSError):  # the device's queue is full: lost, as on a real way
                os.write(direction.target, direction.waiting.popleft()[1])
                self.carried += 1


@contextlib.contextmanager
def namespaces(delay_s: float, loss: float) -> Iterator[tuple[str, str, Way]]:
    """Two namespaces with a way between them; both are deleted in the end."""
    names = (f"se-near-{os.getpid()}", f"se-far-{os.getpid()}")
    addresses = ((_NEAR, _FAR), (_FAR, _NEAR))
    with contextlib.ExitStack() as stack:
        ends: list[int] = []
        for name, (own, peer) in zip(names, addresses, strict=True):
            _ip("netns", "add", name)
            stack.callback(_ip, "netns", "delete", name)
            device = f"sebench{len(ends)}"
            end = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
            stack.callback(os.close, end)
            fcntl.ioctl(end, _SET_INTERFACE, struct.pack("16sH22x", device.encode(), _TUN_WITHOUT_HEADER))
            _ip("link", "set", device, "netns", name)
            _ip("-n", name, "address", "add", own, "peer", peer, "dev", device)
            _ip("-n", name, "link", "set", device, "up")
            _ip("-n", name, "link", "set", "lo", "up")
            ends.append(end)
        way = Way((ends[0], ends[1]), delay_s, loss)
        stack.callback(way.close)
        yield names[0], names[1], way


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


def is_possible() -> bool:
    """Whether namespaces and their devices can be made here: tried, as root in a container may be without the right."""
    try:
        with namespaces(0.0, 0.0):
            return True
    except (OSError, subprocess.CalledProcessError):
        return False


def emulated(here: bench.Place, is_quick: bool) -> Result:
    """Ten actions, 25 ms each way, and 2 % of all packets lost."""
    return measure(here, 25, 0.02, 10, 3 if is_quick else 10)


def measure(here: bench.Place, delay_ms: float, loss: float, actions: int, seconds: float) -> Result:
    """The server in one namespace, a client in the other."""
    with namespaces(delay_ms / 1000, loss) as (near, far, way):
        here.store.trust(_FAR, here.store.server_pair().public)
        prefix = ["ip", "netns", "exec", far]
        with bench.server(here, "--curve", "--host", _FAR, "--port", "0", prefix=prefix) as (endpoint, _):
            task = {"endpoint": endpoint, "actions": actions, "seconds": seconds}
            module = [sys.executable, "-m", "benchmarks.emulated_link", "--client", json.dumps(task)]
            command = ["ip", "netns", "exec", near, *module]
            done = subprocess.run(command, env=here.environment, check=True, capture_output=True, text=True)
        report = json.loads(done.stdout.splitlines()[-1])
    return Result(
        "emulated_link", f"{actions} actions, {delay_ms:g} ms each way, {loss:.0%} of all packets lost",
        ["what", "value"],
        [
            ["set-up, from no connection on, s", report["setup_s"]],
            ["ticks a second", report["rate"]],
            ["longest tick, ms", report["longest_ms"]],
            ["end until the tree knows, median ms", report["late_ms"]],
            ["end until the tree knows, worst ms", report["latest_ms"]],
            ["packets carried", way.carried],
            ["packets lost", way.lost],
        ],
        aims=[Aim(f"ticks a second, {delay_ms:g} ms away with {loss:.0%} of all packets lost", "10.0",
                  f"{report['rate']:.2f}", report["rate"] >= 9.9)],
    )  # fmt: skip


def _client(task: dict[str, object]) -> None:
    from benchmarks.ticks import PERIOD_S, lateness_ms, ticks_a_second

    remote = f'remote("{task["endpoint"]}", setup_timeout: 60s)'
    count, seconds = int(str(task["actions"])), float(str(task["seconds"]))
    tree, setup_s = trees.timed_build(trees.text("parallel", "bench_idle()", count, remote))
    taken_s: list[float] = []
    rate = ticks_a_second(tree, int(seconds / PERIOD_S), taken_s)
    RUN.end()
    ends = [f"bench_timed(duration: {1.5 + number * 0.137:.3f})" for number in range(15)]
    late_ms = trees.quietly(lambda: lateness_ms(trees.build(trees.text("parallel", ends, 15, remote))))
    RUN.end()
    print(json.dumps({
        "setup_s": setup_s, "rate": rate, "longest_ms": max(taken_s) * 1000,
        "late_ms": bench.median(late_ms), "latest_ms": max(late_ms),
    }))  # fmt: skip


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description="Ticks over an emulated link; needs root.")
    parser.add_argument("--delay-ms", type=float, default=25, help="each way")
    parser.add_argument("--loss", type=float, default=0.02, help="share of packets, 0 to 1")
    parser.add_argument("--actions", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--client", type=json.loads, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.client:
        _client(chosen.client)
        return 0
    if not is_possible():
        print(NEEDS, file=sys.stderr)
        return 1
    with bench.place() as here:
        trees.install_plugin(here.folder, here.environment)
        print(measure(here, chosen.delay_ms, chosen.loss, chosen.actions, chosen.seconds).as_text())
    return 0


if __name__ == "__main__":
    sys.exit(main())
