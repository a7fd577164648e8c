# SPDX-License-Identifier: Apache-2.0
"""The path of a unix socket: never taken from a live server, never blocked by a dead one, open to nobody too early."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import zmq

from scenario_execution_server.errors import ListenError
from scenario_execution_server.socket_path import PATH_LIMIT_BYTES, SocketPath
from tests.support.doors import Site, open_site, unix

NOBODY_UID = 65534


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "door"


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that other users can enter, unlike pytest's own."""
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o755)
        yield Path(name)


def leftover(path: Path) -> None:
    """What a killed server leaves behind."""
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    path.with_name(path.name + ".lock").touch()


def connects(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as peer:
        return peer.connect_ex(str(path)) == 0


# -- mode --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", [0o600, 0o660, 0o666, 0o777, 0o700])
@pytest.mark.parametrize("umask", [0o022, 0o077, 0o000, 0o777])
def test_the_socket_has_exactly_the_mode_that_was_asked_for_whatever_the_umask(
    path: Path, mode: int, umask: int
) -> None:
    old = os.umask(umask)
    try:
        claimed = SocketPath.claim(path, mode)
        with claimed.binding() as endpoint, socket.socket(socket.AF_UNIX) as server:
            server.bind(endpoint.removeprefix("ipc://"))
            # Before anybody can connect: nobody listens yet, and no chmod comes after this.
            assert stat.S_IMODE(path.lstat().st_mode) == mode
        claimed.release()
        assert os.umask(umask) == umask
    finally:
        os.umask(old)


def test_the_door_has_mode_0600_unless_told_otherwise(tmp_path: Path) -> None:
    with unix(tmp_path):
        assert stat.S_IMODE((tmp_path / "door").lstat().st_mode) == 0o600


def test_a_file_system_that_keeps_no_modes_is_refused(path: Path) -> None:
    claimed = SocketPath.claim(path, 0o600)
    with pytest.raises(ListenError, match="has mode 0644 instead of 0600"):
        with claimed.binding() as endpoint, socket.socket(socket.AF_UNIX) as server:
            server.bind(endpoint.removeprefix("ipc://"))
            path.chmod(0o644)
    claimed.release()


CONNECT_AS = """
import os, socket, sys
os.setgid(int(sys.argv[2])); os.setuid(int(sys.argv[2]))
peer = socket.socket(socket.AF_UNIX)
sys.exit(peer.connect_ex(sys.argv[1]))
"""


def connect_as_nobody(path: Path) -> int:
    """0, or the number of the error."""
    command = [sys.executable, "-I", "-c", CONNECT_AS, str(path), str(NOBODY_UID)]
    return subprocess.run(command, timeout=30, check=False, cwd="/").returncode


def test_another_user_comes_in_only_if_the_mode_says_so_and_is_known_as_such(open_folder: Path, tmp_path: Path) -> None:
    if os.geteuid() != 0:  # only root can be another user; the mode itself is tested above for everybody
        return
    path = open_folder / "door"
    with open_site(tmp_path, socket=path):
        assert connect_as_nobody(path) == 13, "EACCES"
    with open_site(tmp_path, socket=path, socket_mode=0o666) as site:
        assert connect_as_nobody(path) == 0
        heard_as_nobody(site)


SPEAK_AS = """
import os, sys
from tests.support.zmtp import RawPeer, frame
os.setgid(int(sys.argv[2])); os.setuid(int(sys.argv[2]))
with RawPeer(sys.argv[1]) as peer:
    peer.ready(User_Id=b"0", Peer_Address=b"localhost:0:0:1")
    peer.send(frame(b"hello"))
    peer.read_frame()
"""


def heard_as_nobody(site: Site) -> None:
    assert isinstance(site.address, str)
    root = str(Path(__file__).parents[2])
    command = [sys.executable, "-c", SPEAK_AS, site.address, str(NOBODY_UID)]
    with subprocess.Popen(command, cwd="/", env={**os.environ, "PYTHONPATH": root}) as process:
        site.serve_until(lambda: site.heard or process.poll() is not None)
        assert process.wait(30) == 0
    assert [(peer.identity, peer.pid) for peer, _ in site.heard] == [(f"uid:{NOBODY_UID}", process.pid)]


# -- live, dead, and other things at the path --------------------------------------------------------------------------


def test_a_live_servers_socket_is_not_taken_and_goes_on_serving(tmp_path: Path) -> None:
    with unix(tmp_path) as site:
        with pytest.raises(ListenError, match="is held by another server that is running. Stop that one") as caught:
            with unix(tmp_path):
                pass
        assert caught.value.exit_code == 22
        with site.client() as client:
            site.ask(client)


def test_a_live_server_that_takes_no_lock_is_not_robbed_either(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
        other.listen(1)
        with pytest.raises(ListenError, match="is served by another program"):
            SocketPath.claim(path, 0o600)
        assert connects(path)


def test_a_live_server_with_a_full_backlog_is_live(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as busy:
        busy.bind(str(path))
        busy.listen(0)
        waiting = [socket.socket(socket.AF_UNIX) for _ in range(3)]
        for peer in waiting:
            peer.setblocking(False)
            peer.connect_ex(str(path))
        with pytest.raises(ListenError, match="is served by another program"):
            SocketPath.claim(path, 0o600)
        for peer in waiting:
            peer.close()


def test_libzmq_alone_would_take_a_live_servers_path(path: Path) -> None:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    first, second = context.socket(zmq.ROUTER), context.socket(zmq.ROUTER)
    first.bind(f"ipc://{path}")
    inode = path.lstat().st_ino
    second.bind(f"ipc://{path}")
    assert path.lstat().st_ino != inode
    first.close(0)
    second.close(0)
    context.term()


def test_a_dead_servers_socket_is_not_in_the_way(tmp_path: Path) -> None:
    leftover(tmp_path / "door")
    with unix(tmp_path) as site, site.client() as client:
        site.ask(client)


KILLED_SERVER = """
import os, signal, socket, sys
from pathlib import Path
from scenario_execution_server.socket_path import SocketPath
claimed = SocketPath.claim(Path(sys.argv[1]), 0o600)
with claimed.binding() as endpoint:
    server = socket.socket(socket.AF_UNIX)
    server.bind(endpoint.removeprefix("ipc://"))
server.listen(1)
print("serving", flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_the_path_of_a_killed_server_can_be_taken_at_once(path: Path) -> None:
    command = [sys.executable, "-c", KILLED_SERVER, str(path)]
    killed = subprocess.run(command, timeout=30, check=False, capture_output=True)
    assert (killed.returncode, killed.stdout) == (-9, b"serving\n")
    assert path.exists()
    SocketPath.claim(path, 0o600).release()


@pytest.mark.parametrize("what", ["file", "folder", "link to a socket", "dangling link", "fifo"])
def test_what_is_no_socket_is_left_alone(path: Path, what: str) -> None:
    target = path.with_name("target")
    leftover(target)
    {
        "file": lambda: path.write_text("precious"),
        "folder": lambda: path.mkdir(),
        "link to a socket": lambda: path.symlink_to(target),
        "dangling link": lambda: path.symlink_to("nowhere"),
        "fifo": lambda: os.mkfifo(path),
    }[what]()
    before = path.lstat()
    with pytest.raises(ListenError, match="would replace something that is no socket"):
        SocketPath.claim(path, 0o600)
    assert path.lstat() == before or path.lstat().st_ino == before.st_ino
    assert target.exists()


def test_a_lock_file_that_is_a_link_is_not_followed(path: Path) -> None:
    target = path.with_name("precious")
    path.with_name("door.lock").symlink_to(target)
    with pytest.raises(ListenError, match="cannot be locked"):
        SocketPath.claim(path, 0o600)
    assert not target.exists()


# -- the end -----------------------------------------------------------------------------------------------------------


def test_nothing_is_left_at_the_path_afterwards(tmp_path: Path) -> None:
    with unix(tmp_path):
        assert {"door", "door.lock"} <= set(os.listdir(tmp_path))
    assert os.listdir(tmp_path) == ["keys"]


def test_a_socket_that_somebody_else_put_there_meanwhile_is_not_removed(tmp_path: Path) -> None:
    path = tmp_path / "door"
    with unix(tmp_path):
        path.unlink()
        path.write_text("theirs")
    assert path.read_text() == "theirs"


def test_a_claim_that_was_given_up_can_be_taken_by_the_next_server(path: Path) -> None:
    first = SocketPath.claim(path, 0o600)
    with pytest.raises(ListenError):
        SocketPath.claim(path, 0o600)
    first.release()
    first.release()
    SocketPath.claim(path, 0o600).release()
    assert not path.with_name("door.lock").exists()


def test_a_lock_that_was_removed_by_its_holder_while_we_took_it_is_taken_anew(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The holder before us unlinks its lock file and lets go between our open and our lock: ours has no name then."""
    from scenario_execution_server import socket_path

    lock_path = path.with_name("door.lock")
    opened: list[int] = []
    real_open = os.open

    def open_and_lose(name: Path, *arguments: int) -> int:
        descriptor = real_open(name, *arguments)
        opened.append(descriptor)
        if len(opened) == 1:
            os.unlink(name)
        return descriptor

    monkeypatch.setattr(socket_path.os, "open", open_and_lose)
    claimed = SocketPath.claim(path, 0o600)
    monkeypatch.undo()
    assert len(opened) == 2
    assert lock_path.exists()
    claimed.release()


# -- paths that cannot be ----------------------------------------------------------------------------------------------


def test_a_path_of_just_the_allowed_length_works_and_one_more_is_refused_with_both_numbers(tmp_path: Path) -> None:
    def of_length(length: int) -> Path:
        return tmp_path / ("x" * (length - len(os.fsencode(tmp_path)) - 1))

    with open_site(tmp_path, socket=of_length(PATH_LIMIT_BYTES)) as site, site.client() as client:
        site.ask(client)
    with pytest.raises(ListenError, match="a path of 108 bytes, and the system allows 107"):
        SocketPath.claim(of_length(PATH_LIMIT_BYTES + 1), 0o600)


def test_the_length_is_counted_in_bytes(tmp_path: Path) -> None:
    with pytest.raises(ListenError, match="a path of"):
        SocketPath.claim(tmp_path / ("ä" * 50), 0o600)


def test_a_relative_path_is_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    claimed = SocketPath.claim(Path("door"), 0o600)
    assert claimed.path == tmp_path / "door"
    claimed.release()


@pytest.mark.parametrize("name", ["@abstract", "*"])
def test_what_libzmq_takes_for_something_special_is_a_plain_file_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with open_site(tmp_path, socket=Path(name)) as site:
        assert (tmp_path / name).is_socket()
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600
        with site.client() as client:
            site.ask(client)


def test_a_folder_that_does_not_exist_is_named_with_the_command_that_makes_it(tmp_path: Path) -> None:
    with pytest.raises(ListenError, match=f"mkdir -p {tmp_path / 'no'}"):
        SocketPath.claim(tmp_path / "no" / "door", 0o600)


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ListenError, match="no folder"):
        SocketPath.claim(tmp_path / "file" / "door", 0o600)


def test_a_folder_in_which_everybody_may_replace_the_socket_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "open"
    folder.mkdir()
    folder.chmod(0o777)
    with pytest.raises(ListenError, match=f"chmod o-w {folder}"):
        SocketPath.claim(folder / "door", 0o600)
    folder.chmod(0o1777)  # as /tmp: only the owner may replace
    SocketPath.claim(folder / "door", 0o600).release()
