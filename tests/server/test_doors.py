# SPDX-License-Identifier: Apache-2.0
"""Who comes in through open doors, and as whom: real sockets, real keys."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import zmq

from scenario_execution_keys.keypair import KeyPair
from scenario_execution_server import doors as doors_module
from scenario_execution_server.errors import ListenError, SelfTestFailed
from scenario_execution_server.listener import MAX_MESSAGE_BYTES
from tests.support.doors import STRANGER, Site, curve, open_site, plain, unix
from tests.support.keys import CLIENT, SERVER
from tests.support.zmtp import CurveHandshake, RawPeer, frame, properties

OTHER = KeyPair.generate()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with curve(tmp_path) as opened:
        yield opened


# -- who is speaking ---------------------------------------------------------------------------------------------------


def test_an_enrolled_client_comes_in_and_is_known_by_its_key_and_name(site: Site) -> None:
    with site.client() as client:
        peer = site.ask(client)
    assert (peer.identity, peer.name, peer.address) == (f"key:{CLIENT.public.z85}", "friend", "127.0.0.1")


def test_a_stranger_does_not_come_in_and_the_log_says_how_to_enrol_it(site: Site) -> None:
    with site.client(pair=STRANGER) as client:
        assert client.event() == zmq.EVENT_HANDSHAKE_FAILED_AUTH
    site.doors.refresh()
    (line,) = site.lines.about("not enrolled")
    assert line.startswith("WARNING refused a client whose key is not enrolled")
    assert f"fingerprint={STRANGER.public.fingerprint} address=127.0.0.1" in line
    assert f"se-server enrol NAME {STRANGER.public.text}" in line
    assert STRANGER.public.z85 not in line


def test_the_server_refuses_nobody_because_of_its_own_self_test(site: Site) -> None:
    site.doors.refresh()
    assert site.lines.lines == []


def test_routing_id_and_metadata_of_a_client_change_nothing_about_who_it_is(site: Site) -> None:
    site.store.enrol("other", OTHER.public)

    def disguise(socket: zmq.Socket[bytes]) -> None:
        socket.routing_id = CLIENT.public.z85.encode()
        socket.setsockopt(zmq.METADATA, b"X-User-Id:" + CLIENT.public.z85.encode())
        with pytest.raises(zmq.ZMQError):  # libzmq's own client does not even try
            socket.setsockopt(zmq.METADATA, b"User-Id:" + CLIENT.public.z85.encode())

    site.doors.refresh()
    with site.client(pair=OTHER, prepare=disguise) as client:
        assert site.ask(client).identity == f"key:{OTHER.public.z85}"


def test_a_client_that_writes_another_user_id_into_its_handshake_is_still_itself(site: Site) -> None:
    site.store.enrol("other", OTHER.public)
    site.doors.refresh()
    handshake = CurveHandshake(SERVER.public, OTHER)
    forged = properties(
        Socket_Type=b"DEALER", User_Id=CLIENT.public.z85.encode(), Peer_Address=b"10.9.8.7", Identity=b"x"
    )
    with RawPeer(site.address) as peer:
        peer.greet(b"CURVE")
        peer.send(frame(handshake.hello(), command=True))
        handshake.take_welcome(peer.read_frame())
        peer.send(frame(handshake.initiate(forged), command=True))
        assert not peer.is_shut_out()
        peer.send(frame(handshake.message(b"hello")))
        site.serve_until(lambda: site.heard)
    assert [(peer.name, peer.address) for peer, _ in site.heard] == [("other", "127.0.0.1")]


@pytest.mark.parametrize("kind", ["plain", "unix"])
def test_without_keys_a_written_user_id_counts_nothing(tmp_path: Path, kind: str) -> None:
    with (plain if kind == "plain" else unix)(tmp_path) as site, RawPeer(site.address) as peer:
        peer.ready(User_Id=CLIENT.public.z85.encode(), Peer_Address=b"localhost:0:0:1")
        peer.send(frame(b"hello"))
        site.serve_until(lambda: site.heard)
        expected = "local-tcp" if kind == "plain" else f"uid:{os.geteuid()}"
        assert [peer.identity for peer, _ in site.heard] == [expected]


def test_a_client_that_claims_the_key_of_another_does_not_come_in(site: Site) -> None:
    handshake = CurveHandshake(SERVER.public, STRANGER, claimed=CLIENT.public)
    with RawPeer(site.address) as peer:
        peer.greet(b"CURVE")
        peer.send(frame(handshake.hello(), command=True))
        handshake.take_welcome(peer.read_frame())
        peer.send(frame(handshake.initiate(properties(Socket_Type=b"DEALER")), command=True))
        assert peer.is_shut_out()


def test_a_second_connection_cannot_take_over_the_routing_id_of_a_first(site: Site) -> None:
    site.store.enrol("other", OTHER.public)
    site.doors.refresh()

    def same(socket: zmq.Socket[bytes]) -> None:
        socket.routing_id = b"same"

    with site.client(prepare=same) as first:
        site.ask(first)
        with site.client(pair=OTHER, prepare=same) as second, site.client(pair=OTHER) as third:
            assert second.event() == zmq.EVENT_HANDSHAKE_SUCCEEDED
            second.socket.send(b"mine now")
            for _ in range(5):
                assert site.ask(first).name == "friend"
                assert site.ask(third).name == "other"
            assert b"mine now" not in [payload for _, payload in site.heard]
            assert not second.socket.poll(0)


def test_the_user_behind_a_unix_socket_is_the_one_the_kernel_names(tmp_path: Path) -> None:
    with unix(tmp_path) as site, site.client() as client:
        peer = site.ask(client)
    assert (peer.identity, peer.uid, peer.pid, peer.address) == (
        f"uid:{os.geteuid()}",
        os.geteuid(),
        os.getpid(),
        "unix",
    )


def test_a_plain_door_knows_its_peers_as_this_machine(tmp_path: Path) -> None:
    with plain(tmp_path) as site, site.client() as client:
        assert site.ask(client).identity == "local-tcp"


def test_all_interfaces_are_both_families_and_an_ipv4_client_keeps_its_address(tmp_path: Path) -> None:
    with open_site(tmp_path, curve=True, port=0) as site:
        with site.client() as client:
            assert site.ask(client).address == "127.0.0.1"
        port = site.doors.listeners[0].port
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Site, "endpoint", f"tcp://[::1]:{port}")
            with site.client() as client:
                assert site.ask(client).address == "::1"


def test_an_ipv6_loopback_door_serves_without_encryption(tmp_path: Path) -> None:
    with open_site(tmp_path, host="::1", port=0) as site, pytest.MonkeyPatch.context() as patch:
        patch.setattr(Site, "endpoint", site.doors.listeners[0].endpoint)
        with site.client() as client:
            assert site.ask(client).identity == "local-tcp"


def test_both_doors_serve_at_once_and_each_knows_its_own_peers(tmp_path: Path) -> None:
    with open_site(tmp_path, curve=True, host="127.0.0.1", port=0, socket=tmp_path / "door") as site:
        with site.client() as remote:
            assert site.ask(remote).name == "friend"
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Site, "endpoint", site.doors.listeners[1].endpoint)
            with site.client(server=None) as local:
                assert site.ask(local).uid == os.geteuid()
        assert [listener.description for listener in site.doors.listeners] == [
            f"tcp://127.0.0.1:{site.doors.listeners[0].port} (CURVE, server key {SERVER.public.fingerprint})",
            f"ipc://{tmp_path / 'door'} (mode 0600, uid {os.geteuid()})",
        ]


# -- limits and ends ---------------------------------------------------------------------------------------------------


def test_a_message_above_the_limit_ends_its_connection_and_nothing_else(site: Site) -> None:
    with site.client() as greedy, site.client() as good:
        site.ask(greedy)
        assert greedy.event() == zmq.EVENT_HANDSHAKE_SUCCEEDED
        greedy.socket.send(bytes(MAX_MESSAGE_BYTES + 1))
        assert greedy.event() == zmq.EVENT_DISCONNECTED
        site.ask(good)
        assert max(len(payload) for _, payload in site.heard) < 100


def test_a_reply_to_a_peer_that_is_gone_is_an_error_and_one_to_a_deaf_peer_does_not_wait(site: Site) -> None:
    socket = site.doors.listeners[0].socket
    with pytest.raises(zmq.ZMQError) as caught:
        socket.send_multipart([b"nobody", b"x"])
    assert caught.value.errno == zmq.EHOSTUNREACH
    with site.client(prepare=lambda socket: socket.setsockopt(zmq.RCVHWM, 1)) as deaf:
        deaf.socket.routing_id = b"unused"
        deaf.socket.send(b"hello")
        assert socket.poll(10_000)
        route = socket.recv_multipart()[0]
        with pytest.raises(zmq.Again):
            for _ in range(100_000):
                socket.send_multipart([route, bytes(100_000)])


def test_two_servers_cannot_have_one_port(site: Site, tmp_path: Path) -> None:
    port = site.doors.listeners[0].port
    with pytest.raises(ListenError, match=f"port {port} is in use") as caught:
        with open_site(tmp_path, curve=True, host="127.0.0.1", port=port):
            pass
    assert caught.value.exit_code == 22


def test_an_address_of_another_machine_cannot_be_listened_on(tmp_path: Path) -> None:
    with pytest.raises(ListenError, match=r"no interface of this machine has the address 192\.0\.2\.1"):
        with open_site(tmp_path, curve=True, host="192.0.2.1", port=0):
            pass


def test_nothing_stays_open_if_the_self_test_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise SelfTestFailed("it failed", "Nothing was served", endpoint="x")

    monkeypatch.setattr(doors_module, "self_test", fail)
    before = sorted(os.listdir("/proc/self/fd"))
    with pytest.raises(SelfTestFailed):
        with curve(tmp_path):
            pass
    assert sorted(os.listdir("/proc/self/fd")) == before
