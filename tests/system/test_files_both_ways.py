# SPDX-License-Identifier: Apache-2.0
"""What an action on any machine writes is there for the next one on any other, as it would be on one disk.

Client and server are on one machine here; `files: "copy"` keeps them apart, and each endpoint has a session of its own.
"""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.support.servers import BRISK, CURVE, ServerProcess
from tests.system.conftest import Run, Serve
from tests.system.test_results_come_home import code, go, here, tree, whole


def over_unix(server: ServerProcess) -> str:
    return str(server.folder / "s")


def indented(text: str) -> str:
    return "".join(f"    {line}\n" for line in text.splitlines())


def test_a_remote_action_reads_what_a_local_one_has_written_and_the_other_way_round(
    server: ServerProcess, run: Run, tmp_path: Path
) -> None:
    out = go(
        run,
        tmp_path,
        code("", local=True, update="(out / 'sub').mkdir(); (out / 'sub' / 'log').write_text('here ')"),
        code(server.endpoint, update="f = (out / 'sub' / 'log').open('a'); f.write('there '); f.close()"),
        code("", local=True, update="f = (out / 'sub' / 'log').open('a'); f.write('here '); f.close()"),
        code(server.endpoint, update="f = (out / 'sub' / 'log').open('a'); f.write('there'); f.close()"),
    )
    assert tree(out) == ["sub", "sub/log"] and (out / "sub" / "log").read_text() == "here there here there"


def test_an_action_on_one_server_reads_what_one_on_another_has_written(
    server: ServerProcess, run: Run, tmp_path: Path
) -> None:
    out = go(
        run,
        tmp_path,
        code(server.endpoint, update="(out / 'map').write_text('a')"),
        code(over_unix(server), update="f = (out / 'map').open('a'); f.write('b'); f.close()"),
        code(server.endpoint, update="f = (out / 'map').open('a'); f.write('c'); f.close()"),
        code(over_unix(server), update="assert (out / 'map').read_text() == 'abc'"),
    )
    assert tree(out) == ["map"] and (out / "map").read_text() == "abc"


def test_what_is_renamed_or_deleted_on_one_side_is_so_on_the_other(
    server: ServerProcess, run: Run, tmp_path: Path
) -> None:
    names = "sorted(str(p.relative_to(out)) for p in out.rglob('*'))"
    out = go(
        run,
        tmp_path,
        code(server.endpoint, update="[(out / n).write_text(n) for n in ('theirs', 'kept')]"),
        code("", local=True, update="(out / 'd').mkdir(); (out / 'd' / 'f').write_text('f')"),
        code(server.endpoint, update=f"assert {names} == ['d', 'd/f', 'kept', 'theirs'], {names}"),
        code("", local=True, update="import shutil; shutil.rmtree(out / 'd'); (out / 'theirs').rename(out / 'n')"),
        code(server.endpoint, update=f"assert {names} == ['kept', 'n'], {names}; (out / 'n').unlink()"),
        code("", local=True, update="assert (out / 'kept').exists() and not (out / 'n').exists()"),
    )
    assert tree(out) == ["kept"]


def test_what_becomes_a_folder_or_a_file_on_one_side_does_so_on_the_other(
    server: ServerProcess, run: Run, tmp_path: Path
) -> None:
    change = "import shutil; (out / 'f').unlink(); (out / 'f').mkdir(); (out / 'f' / 'in').write_text('in');"
    change += " shutil.rmtree(out / 'd'); (out / 'd').write_text('d')"
    out = go(
        run,
        tmp_path,
        code(server.endpoint, update="(out / 'f').write_text('f'); (out / 'd').mkdir(); (out / 'd' / 'x').touch()"),
        code("", local=True, update=change),
        code(server.endpoint, update="assert (out / 'f' / 'in').read_text() + (out / 'd').read_text() == 'ind'"),
    )
    assert tree(out) == ["d", "f", "f/in"]


def test_what_is_not_taken_along_any_more_is_not_taken_away_from_the_server(
    server: ServerProcess, run: Run, tmp_path: Path
) -> None:
    (tmp_path / "client-1").mkdir()
    (tmp_path / "client-1" / "params").write_text("x" * 100_000)
    grow = "Path(self.kwargs['input_dir'], 'large').write_bytes(bytes(2_000_000))"
    shrink = "Path(self.kwargs['input_dir'], 'params').write_text('x' * 1_100_000)"
    look = "import os; assert os.path.getsize('params') == 100_000 and not os.path.exists('large')"
    text = whole(
        code(server.endpoint, update="open('params').close()"),
        code("", local=True, update=grow),
        code("", local=True, update=shrink),
        code(server.endpoint, update=look),
    ).replace('files: "copy"', 'files: "copy", upload_limit: "1M"')
    outcome = run(text, "-o", str(here(tmp_path)), whole=True)
    assert outcome.code == 0, outcome.output
    assert any(line.startswith("WARN") and "'large' (2.0 MB), 'params'" in line for line in outcome.said)


def test_what_lay_in_the_output_directory_before_the_run_is_not_taken_to_the_server(
    server: ServerProcess, run: Run, tmp_path: Path
) -> None:
    here(tmp_path).mkdir()
    (here(tmp_path) / "of-yesterday").write_text("large, and many")
    look = "assert [p.name for p in out.iterdir()] == ['new'], list(out.iterdir())"
    out = go(
        run, tmp_path, code("", local=True, update="(out / 'new').write_text('n')"), code(server.endpoint, update=look)
    )
    assert tree(out) == ["new", "of-yesterday"]


def test_what_a_local_action_changes_beside_the_scenario_is_there_for_the_next_remote_one(
    server: ServerProcess, run: Run, tmp_path: Path
) -> None:
    (tmp_path / "client-1").mkdir()
    (tmp_path / "client-1" / "params").write_text("before")
    write = "p = Path(self.kwargs['input_dir']); (p / 'params').write_text('after'); (p / 'more').write_text('m')"
    look = "assert [open(n).read() for n in ('params', 'more')] == ['after', 'm']"
    go(
        run,
        tmp_path,
        code(server.endpoint, update="assert open('params').read() == 'before'"),
        code("", local=True, update=write),
        code(server.endpoint, update=look),
    )


def test_what_is_changed_on_both_sides_is_kept_on_both_and_named(
    server: ServerProcess, run: Run, tmp_path: Path
) -> None:
    text = whole(
        code(server.endpoint, update="self.f = (out / 'x').open('w'); self.f.write('there'); self.f.flush()",
             shutdown="self.f.close()"),
        code("", local=True, update="(out / 'x').write_text('here')"),
        code(server.endpoint, update="assert (out / 'x').read_text() == 'there'"),
    )  # fmt: skip
    outcome = run(text, "-o", str(here(tmp_path)), whole=True)
    assert outcome.code == 0, outcome.output
    contents = {name: (here(tmp_path) / name).read_text() for name in tree(here(tmp_path))}
    assert sorted(contents.values()) == ["here", "there"] and contents["x"] == "here"
    assert any(line.startswith("WARN") and "'x'" in line and "both sides" in line for line in outcome.said)


def test_a_large_file_is_there_when_the_action_begins_however_long_it_takes(
    server: ServerProcess, run: Run, tmp_path: Path
) -> None:
    write = "import hashlib; d = os.urandom(40000000); (out / 'big').write_bytes(d);"
    write += " (out / 'sum').write_text(hashlib.sha256(d).hexdigest())"
    look = "import hashlib; s = hashlib.sha256((out / 'big').read_bytes()).hexdigest();"
    look += " assert s == (out / 'sum').read_text()"
    go(run, tmp_path, code("", local=True, update=write), code(server.endpoint, update=look))


def test_an_action_is_stopped_and_a_scenario_ends_while_a_large_file_is_on_its_way(
    serve: Serve, run: Run, tmp_path: Path
) -> None:
    server = serve(*CURVE, *BRISK, "--file-limits", "rate=1M")
    seen = tmp_path / "seen"
    running = code(
        server.endpoint,
        update="return Status.RUNNING",
        terminate=f"Path('{seen}').write_text(str((out / 'large').exists()))",
    )
    write = code("", local=True, update="(out / 'large').write_bytes(os.urandom(60_000_000))")
    begin = code(server.endpoint, update="(out / 'has-begun').touch()")
    look = "return Status.SUCCESS if seen.exists() else Status.RUNNING"
    look = code("", local=True, update=f"seen = Path('{seen}'); {look}")
    branches = [running, "        serial:\n" + indented(write + begin), "        wait elapsed(2s)\n"]
    text = whole("        one_of:\n" + indented("".join(branches)), look)
    began_s = time.monotonic()
    outcome = run(text, "-o", str(here(tmp_path)), whole=True)
    assert outcome.code == 0, outcome.output
    assert time.monotonic() - began_s < 30.0  # and not the minute that the file takes
    assert seen.read_text() == "False" and tree(here(tmp_path)) == ["large"]


def test_keys_do_not_travel_from_the_output_directory_either(server: ServerProcess, run: Run, tmp_path: Path) -> None:
    write = "[(out / n).write_text('s') for n in ('a.key_secret', 'plain')]"
    look = "assert [p.name for p in out.iterdir()] == ['plain'], list(out.iterdir())"
    go(run, tmp_path, code("", local=True, update=write), code(server.endpoint, update=look))


@pytest.mark.parametrize("output", [".", ".."])
def test_results_may_lie_beside_the_scenario_or_around_it(
    output: str, server: ServerProcess, run: Run, tmp_path: Path
) -> None:
    change = "Path(self.kwargs['input_dir'], 'params').write_text('after'); (out / 'x').write_text('here')"
    look = "assert [Path(p).read_text() for p in ('params', out / 'x')] == ['after', 'here'];"
    look += " (out / 'x').write_text('end')"
    text = whole(
        code(server.endpoint, update="assert Path('params').read_text() == 'before'; (out / 'x').write_text('there')"),
        code("", local=True, update=change),
        code(server.endpoint, update=look),
    )
    (tmp_path / "client-1").mkdir()
    (tmp_path / "client-1" / "params").write_text("before")
    outcome = run(text, "-o", output, whole=True)
    assert outcome.code == 0, outcome.output
    assert not [line for line in outcome.said if line.startswith("WARN")], outcome.output
    assert (tmp_path / "client-1" / output / "x").read_text() == "end"
    assert (tmp_path / "client-1" / "params").read_text() == "after"
    assert not list(tmp_path.rglob("*~*"))
