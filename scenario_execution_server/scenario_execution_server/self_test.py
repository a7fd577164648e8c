# SPDX-License-Identifier: Apache-2.0
"""Before the server serves, it knocks at its own CURVE door as two strangers, who must both be refused."""

from __future__ import annotations

import socket
import time

import zmq
from zmq.utils.monitor import recv_monitor_message

from scenario_execution_keys.keypair import KeyPair, PublicKey
from scenario_execution_server.authenticator import Doorkeeper
from scenario_execution_server.errors import SelfTestFailed

ANSWER_WITHIN_S = 5.0  # a refusal takes milliseconds; the time is for a machine that is busy starting up
_MEND = "Nothing was served. Start it again; if that does not help, please report it with the output of: pip list"
_GREETING_BYTES = 64  # ZMTP 3 greeting: signature 10, version 2, mechanism 20, as-server 1, filler 31
_SIGNATURE_AND_VERSION = 12  # what the server must have heard before it tells its mechanism
_MECHANISM = slice(12, 32)
_NULL_GREETING = b"\xff" + bytes(7) + b"\x01\x7f" + b"\x03\x00" + b"NULL".ljust(20, b"\0") + bytes(32)
_NULL_READY = b"\x04\x19\x05READY" + b"\x0bSocket-Type\x00\x00\x00\x03REQ"
_REFUSED = 400  # ZAP status


def self_test(
    endpoint: str, server_public: PublicKey, doorkeeper: Doorkeeper, *, answer_within_s: float = ANSWER_WITHIN_S
) -> None:
    """Make sure that the door at `endpoint` keeps out a key nobody enrolled, and a peer without encryption.

    It needs no front: handshakes are made by libzmq's own thread and answered by the authenticator's.

    Args:
        endpoint: Where the door is bound, as libzmq writes it.
        server_public: The key it must show.
        doorkeeper: Its authenticator; the refusal is not logged as a stranger's.
        answer_within_s: How long either refusal may take.

    Raises:
        SelfTestFailed: If either comes in, or is turned away for another reason than the right one.
    """
    host, port = _reachable(endpoint)
    _knock_with_unknown_key(endpoint, host, port, server_public, doorkeeper, answer_within_s)
    _knock_without_curve(endpoint, host, port, answer_within_s)


def _reachable(endpoint: str) -> tuple[str, int]:
    host, _, port = endpoint.removeprefix("tcp://").rpartition(":")
    host = host.strip("[]")
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host), int(port)


def _knock_with_unknown_key(
    endpoint: str, host: str, port: int, server_public: PublicKey, doorkeeper: Doorkeeper, answer_within_s: float
) -> None:
    stranger = KeyPair.generate()
    seen = doorkeeper.expect_stranger(stranger.public.z85)
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    client = context.socket(zmq.DEALER)
    monitor = client.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED | _FAILURES)
    try:
        client.linger = 0
        client.setsockopt(zmq.IPV6, 1)
        client.curve_serverkey = server_public.z85.encode()
        client.curve_publickey = stranger.public.z85.encode()
        client.curve_secretkey = stranger.secret.reveal_z85().encode()
        client.connect(f"tcp://[{host}]:{port}" if ":" in host else f"tcp://{host}:{port}")
        what = "a client with a key that nobody enrolled"
        if not monitor.poll(int(answer_within_s * 1000)):
            raise _failed(endpoint, f"{what} was not answered within {answer_within_s:g} s")
        event = recv_monitor_message(monitor)
        if event["event"] == zmq.EVENT_HANDSHAKE_SUCCEEDED:
            raise _failed(endpoint, f"{what} was let in")
        if event["event"] != zmq.EVENT_HANDSHAKE_FAILED_AUTH or event["value"] != _REFUSED:
            raise _failed(endpoint, f"{what} was turned away, but not because of its key ({event['event']!r})")
        if not seen.wait(answer_within_s):
            raise _failed(endpoint, f"{what} was refused, but not by this server's authenticator")
    finally:
        client.disable_monitor()
        monitor.close(0)
        client.close(0)
        context.term()


_FAILURES = zmq.EVENT_HANDSHAKE_FAILED_AUTH | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL


def _knock_without_curve(endpoint: str, host: str, port: int, answer_within_s: float) -> None:
    """Speak ZMTP by hand: libzmq's own client would turn away from a CURVE server by itself and prove nothing."""
    what = "a client without encryption"
    deadline_s = time.monotonic() + answer_within_s
    try:
        with socket.create_connection((host, port), answer_within_s) as peer:
            peer.sendall(_NULL_GREETING[:_SIGNATURE_AND_VERSION])
            theirs = _read(peer, _GREETING_BYTES, deadline_s)
            mechanism = theirs[_MECHANISM].rstrip(b"\0")
            if mechanism != b"CURVE":
                raise _failed(endpoint, f"the server does not demand CURVE, it speaks {mechanism!r}")
            peer.sendall(_NULL_GREETING[_SIGNATURE_AND_VERSION:] + _NULL_READY)
            answer = _read(peer, 1, deadline_s)
    except (ConnectionResetError, BrokenPipeError):
        return  # as good as a close
    except TimeoutError:
        raise _failed(endpoint, f"{what} was not turned away within {answer_within_s:g} s") from None
    except OSError as error:
        raise _failed(endpoint, f"{what} could not knock: {error}") from error
    if answer:
        raise _failed(endpoint, f"{what} got an answer")


def _read(peer: socket.socket, length: int, deadline_s: float) -> bytes:
    """So many bytes, or fewer if the other side closes.

    Raises:
        TimeoutError: If neither happens in time.
    """
    data = b""
    while len(data) < length:
        left_s = deadline_s - time.monotonic()
        if left_s <= 0:
            raise TimeoutError
        peer.settimeout(left_s)
        more = peer.recv(length - len(data))
        if not more:
            break
        data += more
    return data


def _failed(endpoint: str, what: str) -> SelfTestFailed:
    return SelfTestFailed(f"the self-test of {endpoint} failed: {what}", _MEND, endpoint=endpoint)
