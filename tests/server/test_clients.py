# SPDX-License-Identifier: Apache-2.0
"""Who may come in follows the key store, whatever is wrong with it: real sockets, real keys."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from pathlib import Path

import pytest
import zmq

from scenario_execution_keys.errors import KeyAccessError, KeyExposedError
from scenario_execution_keys.keypair import KeyPair
from scenario_execution_server import clients as clients_module
from scenario_execution_server.errors import NotEnrolledError
from tests.support.doors import Site, curve
from tests.support.keys import CLIENT

OTHER = KeyPair.generate()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with curve(tmp_path) as opened:
        yield opened


def test_a_client_enrolled_meanwhile_comes_in(site: Site) -> None:
    site.store.enrol("other", OTHER.public)
    site.doors.refresh()
    with site.client(pair=OTHER) as client:
        assert site.ask(client).name == "other"


def test_a_revoked_client_is_refused_at_its_next_message_and_at_its_next_handshake(site: Site) -> None:
    with site.client() as client:
        peer = site.ask(client)
        assert site.doors.clients.permit(peer).actions == ["*"]
        site.store.revoke("friend")
        site.doors.refresh()
        with pytest.raises(NotEnrolledError):
            site.doors.clients.permit(peer)
        client.socket.send(b"still here")
        site.serve_until(lambda: site.refused)
        assert isinstance(site.refused[0], NotEnrolledError)
        assert len(site.heard) == 1
    with site.client() as again:
        assert again.event() == zmq.EVENT_HANDSHAKE_FAILED_AUTH


def test_a_damaged_entry_is_refused_by_name_and_the_others_count(site: Site) -> None:
    site.store.enrol("other", OTHER.public)
    (site.store.clients_folder / "friend.key").write_text("damaged")
    site.doors.refresh()
    (line,) = site.lines.about("does not count")
    assert line.startswith("ERROR an enrolled client does not count, its entry is refused client=friend why=")
    with site.client() as client:
        assert client.event() == zmq.EVENT_HANDSHAKE_FAILED_AUTH
    with site.client(pair=OTHER) as client:
        assert site.ask(client).name == "other"


def test_a_damaged_entry_is_logged_once_however_often_the_set_is_read(site: Site) -> None:
    (site.store.clients_folder / "odd.key").write_text("damaged")
    for number in range(3):
        site.store.enrol(f"other{number}", KeyPair.generate().public)
        site.doors.refresh()
    assert len(site.lines.about("client=odd")) == 1


def test_nobody_is_admitted_while_others_could_change_the_set(site: Site) -> None:
    with site.client() as client:
        site.ask(client)
        site.store.clients_folder.chmod(0o777)
        site.doors.refresh()
        client.socket.send(b"still here")
        site.serve_until(lambda: site.refused)
    (line,) = site.lines.about("nobody is admitted")
    assert "chmod 700" in line
    site.store.clients_folder.chmod(0o700)
    site.doors.refresh()
    with site.client() as client:
        site.ask(client)


def test_a_passing_shortage_of_descriptors_revokes_nobody_but_not_for_long(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    def too_many() -> None:
        raise KeyAccessError("cannot be read", "Look", path=Path("x")) from OSError(errno.EMFILE, "Too many open files")

    clock_s = [0.0]
    site.store.enrol("other", OTHER.public)
    monkeypatch.setattr(site.store, "authorised_clients", too_many)
    monkeypatch.setattr(clients_module.time, "monotonic", lambda: clock_s[0])
    site.doors.refresh()
    assert site.doors.doorkeeper.admission.knows(CLIENT.public.z85)
    clock_s[0] = 9.0
    site.doors.refresh()
    assert site.doors.doorkeeper.admission.knows(CLIENT.public.z85)
    clock_s[0] = 10.0
    site.doors.refresh()
    assert not site.doors.doorkeeper.admission.knows(CLIENT.public.z85)
    monkeypatch.undo()
    site.doors.refresh()
    assert site.doors.doorkeeper.admission.knows(OTHER.public.z85)


def test_any_other_trouble_with_the_set_admits_nobody_at_once(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    def exposed() -> None:
        raise KeyExposedError("is open", "Run: chmod", path=Path("x"), mode=0o777)

    site.store.enrol("other", OTHER.public)
    monkeypatch.setattr(site.store, "authorised_clients", exposed)
    site.doors.refresh()
    assert not site.doors.doorkeeper.admission.knows(CLIENT.public.z85)
