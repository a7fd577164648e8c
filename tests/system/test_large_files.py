# SPDX-License-Identifier: Apache-2.0
"""A file that is much larger than the memory which anybody takes for it.

The suite carries 128 MiB. For as much as it may be: SE_TEST_LARGE_MIB=2048 ./dev test tests/system/test_large_files.py
"""

from __future__ import annotations

import filecmp
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.servers import CURVE, Identity, ServerProcess
from tests.system.conftest import Serve, Start
from tests.system.test_files_by_hand import start_typing
from tests.system.test_results_come_home import code, here, whole

SIZE_MIB = int(os.environ.get("SE_TEST_LARGE_MIB", "128"))
MEMORY_LIMIT_MIB = 110  # of one process with the engine imported, which alone takes about 60


def peak_mib(pid: int) -> float:
    """The most memory that a process has had so far; 0 if it is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM:")), 0.0)


@contextmanager
def peaks_of(server: ServerProcess, client: int) -> Iterator[dict[str, float]]:
    """Watches the memory of a client, the front and its workers meanwhile."""
    peaks: dict[str, float] = {}
    is_over = threading.Event()

    def watch() -> None:
        while not is_over.wait(0.05):
            workers = [("worker", worker.pid) for worker in server.named("se-worker")]
            for name, pid in [("client", client), ("front", server.pid), *workers]:
                peaks[name] = max(peaks.get(name, 0.0), peak_mib(pid))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield peaks
    finally:
        is_over.set()
        watcher.join()


def check(peaks: dict[str, float]) -> None:
    assert set(peaks) == {"client", "front", "worker"}
    assert max(peaks.values()) < MEMORY_LIMIT_MIB, peaks
    print(f"{SIZE_MIB} MiB, peaks in MiB: {peaks}")


def test_a_large_file_comes_home_in_little_memory_on_both_sides(serve: Serve, start: Start, tmp_path: Path) -> None:
    server = serve(*CURVE)  # with the usual watchdog: a disk that is busy may hold a machine up for seconds
    parts = f"part = os.urandom(1 << 20); [f.write(part) for _ in range({SIZE_MIB})]"
    write = f"f = (out / 'big').open('wb'); {parts}; f.close()"
    action = code(server.endpoint, update=write).replace('"copy"', '"copy", heartbeat_failure_timeout: 10s')
    client = start(whole(action), "-o", str(here(tmp_path)), whole=True, fresh=True)
    with peaks_of(server, client.process.pid) as peaks:
        outcome = client.finish(60.0 + SIZE_MIB)
    assert outcome.code == 0, outcome.output
    assert (here(tmp_path) / "big").stat().st_size == SIZE_MIB << 20
    check(peaks)


def test_a_large_file_is_put_on_the_server_in_little_memory_on_both_sides(
    serve: Serve, owner: Identity, tmp_path: Path
) -> None:
    server = serve(*CURVE)
    source = tmp_path / "big"
    with source.open("wb") as file:
        for _ in range(SIZE_MIB):
            file.write(os.urandom(1 << 20))
    client = start_typing(owner, "put", server.endpoint, source)
    with peaks_of(server, client.pid) as peaks:
        output, complaints = client.communicate(timeout=60.0 + SIZE_MIB)
    assert client.returncode == 0, output + complaints
    assert filecmp.cmp(source, output.strip(), shallow=False)
    check(peaks)
