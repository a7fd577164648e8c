# SPDX-License-Identifier: Apache-2.0
"""What remote actions write into their output folder comes home into the client's, between machines that share no disk.

Client and server are on one machine here; `files: "copy"` keeps them apart.
"""

from __future__ import annotations

import hashlib
import os
import signal
import stat
from pathlib import Path

import pytest

from tests.support.proxy import Proxy
from tests.support.servers import ServerProcess
from tests.support.waiting import wait_until
from tests.system.conftest import Run, Start

HEAD = "import osc.helpers\nimport osc.remote\nimport osc.probe\nimport osc.parity\n\nscenario test:\n    do serial:\n"


def quoted(text: str) -> str:
    """Python as a text of a scenario, which cannot have quotation marks of either kind in it."""
    return text.replace("\\", "\\x5c").replace("'", "\\x27").replace('"', "\\x22")


def code(endpoint: str, *, local: bool = False, **phases: str) -> str:
    """An action that does in each phase what the lines say, where `out` is its output folder."""
    lines = {phase: f"out = Path(self.kwargs['output_dir']); {text}" for phase, text in phases.items()}
    more = "".join(f', at_{phase}: "{quoted(text)}"' for phase, text in lines.items())
    line = f'        probe_code("", "a"{more})'
    return line + ("\n" if local else f' with:\n            remote("{endpoint}", files: "copy")\n')


def whole(*actions: str) -> str:
    return HEAD + "".join(actions)


def here(tmp_path: Path) -> Path:
    return tmp_path / "results"


def tree(folder: Path) -> list[str]:
    """Everything below, but for what the runner itself writes."""
    own = ("test.xml", "behaviors.jsonl", "ticks.csv")
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.name not in own)


def go(run: Run, tmp_path: Path, *actions: str, more: tuple[str, ...] = (), code: int = 0) -> Path:
    outcome = run(whole(*actions), "-o", str(here(tmp_path)), *more, whole=True)
    assert outcome.code == code, outcome.output
    return here(tmp_path)


def test_what_an_action_writes_is_home_before_the_next_one_begins(
    server: ServerProcess, run: Run, tmp_path: Path
) -> None:
    write = code(server.endpoint, update="(out / 'sub').mkdir(); (out / 'sub' / 'x.txt').write_text('hello')")
    look = code("", local=True, update="assert (out / 'sub' / 'x.txt').read_text() == 'hello'")
    out = go(run, tmp_path, write, look)
    assert tree(out) == ["sub", "sub/x.txt"]


def test_files_that_are_appended_to_renamed_and_deleted_end_as_they_would_locally(
    server: ServerProcess, run: Run, tmp_path: Path
) -> None:
    steps = [
        "[(out / n).write_text(n) for n in ('a', 'b', 'c')]",
        "(out / 'a').open('a').write('+')",
        "(out / 'b').rename(out / 'd')",
        "(out / 'c').unlink()",
        "assert (out / 'a').read_text() == 'a+'",
    ]
    out = go(run, tmp_path, *(code(server.endpoint, update=step) for step in steps))
    assert {name: (out / name).read_text() for name in tree(out)} == {"a": "a+", "d": "b"}


def test_what_is_written_while_the_actions_are_shut_down_is_home_before_post_run_commands_start(
    server: ServerProcess, run: Run, tmp_path: Path
) -> None:
    post = tmp_path / "post.sh"
    post.write_text('#!/bin/sh\ncat "$1"/late "$1"/early > "$1"/seen\n')
    post.chmod(0o755)
    action = code(
        server.endpoint,
        update="self.f = (out / 'early').open('w'); self.f.write('early'); self.f.flush()",
        shutdown="self.f.close(); (out / 'late').write_text('late ')",
    )
    out = go(run, tmp_path, action, more=("--post-run", str(post)))
    assert (out / "seen").read_text() == "late early"


def test_a_file_that_is_still_written_to_waits_until_it_is_closed(
    server: ServerProcess, run: Run, tmp_path: Path
) -> None:
    write = code(
        server.endpoint,
        update="self.f = (out / 'open').open('w'); self.f.write('half'); self.f.flush()",
        shutdown="self.f.write(' and half'); self.f.close()",
    )
    look = code("", local=True, update="assert not (out / 'open').exists()")
    assert (go(run, tmp_path, write, look) / "open").read_text() == "half and half"


def test_mode_bits_and_times_are_kept_and_holes_stay_holes(server: ServerProcess, run: Run, tmp_path: Path) -> None:
    action = code(
        server.endpoint,
        update="p = out / 'p'; p.write_text('x'); p.chmod(0o4751); os.utime(p, ns=(1, 1234567890123456789));"
        " f = (out / 'sparse').open('wb'); f.seek(300 << 20); f.write(b'end'); f.truncate(400 << 20); f.close()",
    )
    out = go(run, tmp_path, action)
    found = (out / "p").stat()
    assert stat.S_IMODE(found.st_mode) == 0o751  # and not set-uid
    assert found.st_mtime_ns == 1234567890123456789
    sparse = (out / "sparse").stat()
    assert sparse.st_size == 400 << 20 and sparse.st_blocks * 512 < 1 << 20
    with (out / "sparse").open("rb") as file:
        file.seek(300 << 20)
        assert file.read(4) == b"end\0"


def test_ten_thousand_small_files_come_home(server: ServerProcess, run: Run, tmp_path: Path) -> None:
    write = code(server.endpoint, update="[(out / str(i)).write_text(str(i)) for i in range(10000)]")
    out = go(run, tmp_path, write)
    assert sum((out / str(i)).read_text() == str(i) for i in range(10000)) == 10000


def test_what_two_servers_write_under_one_name_is_kept_under_two(
    server: ServerProcess, run: Run, tmp_path: Path
) -> None:
    write = "(out / 'x').write_text('{}'); (out / 'same').write_text('same')"  # at the end, when neither can see it
    over_tcp = code(server.endpoint, update="pass", shutdown=write.format("tcp"))
    over_unix = code(str(server.folder / "s"), update="pass", shutdown=write.format("unix"))
    out = go(run, tmp_path, over_tcp, over_unix)
    names = tree(out)
    assert names[:2] == ["same", "x"] and len(names) == 3 and names[2].startswith("x~")
    assert sorted((out / name).read_text() for name in names) == ["same", "tcp", "unix"]


def test_results_of_an_earlier_run_are_overwritten_as_they_would_be_locally(
    server: ServerProcess, run: Run, tmp_path: Path
) -> None:
    here(tmp_path).mkdir()
    (here(tmp_path) / "x").write_text("old")
    out = go(run, tmp_path, code(server.endpoint, update="(out / 'x').write_text('new')"))
    assert {name: (out / name).read_text() for name in tree(out)} == {"x": "new"}


def test_on_one_disk_nothing_is_carried_and_no_marker_stays(server: ServerProcess, run: Run, tmp_path: Path) -> None:
    action = code(server.endpoint, update="(out / 'place').write_text(str(out))").replace(', files: "copy"', "")
    out = go(run, tmp_path, action)
    assert (out / "place").read_text() == str(out)
    assert tree(out) == ["place"]


def test_names_and_links_that_would_leave_the_folder_stay_on_the_server_and_are_named(
    server: ServerProcess, run: Run, tmp_path: Path
) -> None:
    action = code(
        server.endpoint,
        update="(out / ('a' + chr(10) + 'b')).write_text('x'); os.symlink('/etc/passwd', out / 'absolute');"
        " os.symlink('../outside', out / 'up'); os.mkfifo(out / 'pipe'); os.symlink('good', out / 'link');"
        " (out / 'good').write_text('g'); open(os.fsencode(out) + bytes([47, 255]), 'w').write('f')",
    )
    outcome = run(whole(action), "-o", str(here(tmp_path)), whole=True)
    assert outcome.code == 0, outcome.output
    assert tree(here(tmp_path)) == ["good", "link", os.fsdecode(b"\xff")]
    assert os.readlink(here(tmp_path) / "link") == "good"
    for name in (r"'a\nb'", "'absolute'", "'up'", "'pipe'"):
        assert any(line.startswith("WARN") and name in line for line in outcome.said), outcome.output


def test_names_that_are_odd_and_yet_names_come_home_as_they_are(
    server: ServerProcess, run: Run, tmp_path: Path
) -> None:
    names = [b"x" * 255, "ü".encode() * 127, b"\xff\xfe", b"case", b"CASE", b"-rf", b"~", b" b ", b"a\\b", b"%s"]
    hexed = [name.hex() for name in names]
    write = f"[open(os.fsencode(out) + b'/' + bytes.fromhex(n), 'w').write(n) for n in {hexed}]"
    out = go(run, tmp_path, code(server.endpoint, update=write))
    found = {name: (out / os.fsdecode(name)).read_text() for name in os.listdir(os.fsencode(out)) if name in names}
    assert found == dict(zip(names, hexed, strict=True))


def test_a_folder_of_the_clients_that_is_a_link_is_not_written_through(
    server: ServerProcess, run: Run, tmp_path: Path
) -> None:
    here(tmp_path).mkdir()
    (tmp_path / "elsewhere").mkdir()
    (here(tmp_path) / "sub").symlink_to(tmp_path / "elsewhere")
    action = code(server.endpoint, update="(out / 'sub').mkdir(); (out / 'sub' / 'x').write_text('x')")
    outcome = run(whole(action), "-o", str(here(tmp_path)), whole=True)
    assert list((tmp_path / "elsewhere").iterdir()) == []
    assert any("sub/x" in line and line.startswith("ERROR") for line in outcome.said), outcome.output


def test_the_clients_output_directory_in_any_argument_or_value_means_the_one_that_stands_for_it(
    server: ServerProcess, run: Run, tmp_path: Path
) -> None:
    place = here(tmp_path)
    there = f' with:\n            remote("{server.endpoint}", files: "copy")\n'
    text = whole(
        f'        probe_values("{place}/given", text: "{place}", words: ["{place}/in/a/list"])' + there,
        f'        run_process("touch {place}/made")' + there,
        f'        heard: run_process("echo said {place} --to={place}/made {place}ward")' + there,
        '        process_log_check("heard", ["said"])' + there,
    )
    outcome = run(text, "-o", str(place), whole=True)
    assert outcome.code == 0, outcome.output
    assert tree(place) == ["given", "made"]
    assert f"INFO said {place} --to={place}/made {place}ward" in outcome.said
    given = (place / "given").read_text()
    assert given.count(f"root{place}") == given.count(str(place)) == 2
    assert "session-" not in outcome.output


BIG = "f = (out / 'big').open('wb'); [f.write(os.urandom(1 << 20)) for _ in range(64)]; f.close()"


@pytest.mark.parametrize("part", ["client", "worker"])
def test_a_transfer_that_is_killed_leaves_nothing_half_written_under_its_name(
    part: str, server: ServerProcess, start: Start, tmp_path: Path
) -> None:
    action = code(server.endpoint, update=BIG)
    client = start(whole(action), "-o", str(here(tmp_path)), whole=True)
    wait_until(lambda: server.named("se-worker"), 30.0)
    worker = server.named("se-worker")[0].pid  # to be known before: looking takes as long as the file does
    wait_until(lambda: list(here(tmp_path).glob(".scenario-remote-*")), 30.0)
    if part == "client":
        client.signal(signal.SIGKILL)
        client.finish()
    else:
        os.kill(worker, signal.SIGKILL)
        outcome = client.finish()
        assert outcome.code == 1
        (line,) = [line for line in outcome.said if "did not come home" in line]
        assert "'big'" in line and line.endswith(f"run: se-remote ls {server.endpoint}")
        assert list(here(tmp_path).glob(".scenario-remote-*")) == []
    assert not (here(tmp_path) / "big").exists()
    server.wait_idle(30.0)


def test_a_transfer_goes_on_where_a_broken_connection_left_it(
    server: ServerProcess, start: Start, tmp_path: Path
) -> None:
    with Proxy(server.port) as proxy:
        action = code(
            proxy.endpoint,
            update=BIG
            + "; import hashlib; (out / 'sum').write_text(hashlib.sha256((out / 'big').read_bytes()).hexdigest())",
        ).replace('"copy"', '"copy", heartbeat_failure_timeout: 10s')
        client = start(whole(action), "-o", str(here(tmp_path)), whole=True)
        wait_until(lambda: list(here(tmp_path).glob(".scenario-remote-*")), 30.0)
        for _ in range(3):
            before = proxy.connection_count
            proxy.cut()
            proxy.restore()
            wait_until(lambda before=before: proxy.connection_count > before)
        outcome = client.finish()
    assert outcome.code == 0, outcome.output
    assert hashlib.sha256((here(tmp_path) / "big").read_bytes()).hexdigest() == (here(tmp_path) / "sum").read_text()
