# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scenario_execution_remote.greeting import GREETING_BYTES, GREETING_PROBE, Tongue, is_complete, read_greeting
from tests.support.examples import thrifty


def zmtp(mechanism: bytes, signature: bytes = b"\xff" + bytes(7) + b"\x01\x7f", version: bytes = b"\x03\x00") -> bytes:
    return (signature + version + mechanism.ljust(20, b"\0") + b"\0").ljust(GREETING_BYTES, b"\0")


@pytest.mark.parametrize("mechanism", ["NULL", "PLAIN", "CURVE", "GSSAPI"])
def test_the_mechanism_is_read_from_a_zmtp_greeting(mechanism: str) -> None:
    greeting = read_greeting(zmtp(mechanism.encode()))
    assert (greeting.tongue, greeting.mechanism) == (Tongue.ZMTP, mechanism)


def test_the_minor_version_and_the_length_in_the_signature_do_not_matter() -> None:
    data = zmtp(b"CURVE", signature=b"\xff" + b"\x42" * 8 + b"\x7f", version=b"\x03\x09")
    assert read_greeting(data).mechanism == "CURVE"


@pytest.mark.parametrize("cut", [1, 9, 10, 11, 63])
def test_a_greeting_that_stops_halfway_is_unfinished_and_not_another_service(cut: int) -> None:
    data = zmtp(b"CURVE")[:cut]
    assert read_greeting(data).tongue is Tongue.UNFINISHED
    assert not is_complete(data)


def test_an_old_zeromq_is_known_by_its_version_alone() -> None:
    data = b"\xff" + bytes(7) + b"\x01\x7f\x01"
    assert is_complete(data)
    assert read_greeting(data).tongue is Tongue.OLD_ZMTP


def test_silence_is_silence() -> None:
    assert read_greeting(b"").tongue is Tongue.NOTHING
    assert not is_complete(b"")


@pytest.mark.parametrize(
    ("data", "service", "said"),
    [
        (b"SSH-2.0-OpenSSH_9.2\r\n", "an SSH server", "SSH-2.0-OpenSSH_9.2"),
        (b"HTTP/1.1 400 Bad Request\r\nServer: x", "a web server", "HTTP/1.1 400 Bad Request"),
        (b"<!DOCTYPE HTML>\n<html>", "a web server", "<!DOCTYPE HTML>"),
        (b"\x15\x03\x01\x00\x02\x02\x46", "a TLS server", "\\x15\\x03\\x01\\x00\\x02\\x02F"),
        (b"220 mail ESMTP\r\n", "a mail or FTP server", "220 mail ESMTP"),
        (b'-ERR "what?"\\\r\n', "another service", "-ERR \\x22what?\\x22\\x5c"),
        (
            b"\xff\xfb\x01\xff\xfb\x03\xff\xfd\x18\xff\xfd",
            "another service",
            "\\xff\\xfb\\x01\\xff\\xfb\\x03\\xff\\xfd\\x18\\xff\\xfd",
        ),
    ],
)
def test_another_service_is_named_and_quoted(data: bytes, service: str, said: str) -> None:
    greeting = read_greeting(data)
    assert (greeting.tongue, greeting.service, greeting.said) == (Tongue.OTHER, service, said)


def test_a_line_is_enough_to_know_another_service() -> None:
    assert is_complete(b"SSH-2.0-x\r\n")
    assert not is_complete(b"SSH-2.0-x")


def test_the_probe_is_the_beginning_of_a_greeting_and_no_more() -> None:
    assert len(GREETING_PROBE) == 11
    assert read_greeting(GREETING_PROBE).tongue is Tongue.UNFINISHED
    assert b"\n" not in GREETING_PROBE


@thrifty
@given(st.binary(max_size=GREETING_BYTES))
def test_no_bytes_of_a_peer_can_upset_or_flood_the_log(data: bytes) -> None:
    greeting = read_greeting(data)
    for text in (greeting.said, greeting.mechanism):
        assert text.isascii() and (text.isprintable() or not text)
        assert '"' not in text and len(text) < 60


@thrifty
@given(st.binary(max_size=GREETING_BYTES), st.binary(min_size=1, max_size=GREETING_BYTES))
def test_what_is_complete_stays_complete_when_more_arrives(data: bytes, more: bytes) -> None:
    if is_complete(data):
        assert is_complete(data + more)
        assert read_greeting(data).tongue is read_greeting(data + more).tongue
