# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scenario_execution_keys.trust import is_loopback, scopes_for
from scenario_execution_remote.endpoint import DEFAULT_PORT, UNIX_PATH_LIMIT_BYTES, Endpoint
from scenario_execution_remote.errors import EndpointError, RemoteError
from tests.support.examples import thrifty

READ_AS = {
    "robot": "robot:7613",
    "robot:1": "robot:1",
    "Robot.Local:65535": "robot.local:65535",
    "my_container-1": "my_container-1:7613",
    "xn--rbt-1na.example": "xn--rbt-1na.example:7613",
    "127.0.0.1": "127.0.0.1:7613",
    "127.0.0.1:7614": "127.0.0.1:7614",
    "[::1]:7614": "[::1]:7614",
    "[::1]": "[::1]:7613",
    "::1": "[::1]:7613",
    "2001:DB8:0::7": "[2001:db8::7]:7613",
    "fe80::1%eth0": "[fe80::1%eth0]:7613",
    "[fe80::1%wlan0]:9": "[fe80::1%wlan0]:9",
    "::ffff:192.0.2.1": "192.0.2.1:7613",
    "tcp://robot": "robot:7613",
    "TCP://robot:9": "robot:9",
    "tcp://[::1]:9": "[::1]:9",
    "/run/se.sock": "/run/se.sock",
    "ipc:///run/se.sock": "/run/se.sock",
    "//run//./se.sock": "/run/se.sock",
    "/run/a/../se.sock": "/run/a/../se.sock",
    "/tmp/my robot/se.sock": "/tmp/my robot/se.sock",
    "/tmp/grün.sock": "/tmp/grün.sock",
    "/" + "s" * (UNIX_PATH_LIMIT_BYTES - 1): "/" + "s" * (UNIX_PATH_LIMIT_BYTES - 1),
}

REFUSED_AS = {
    "": "is empty",
    " robot": "white space",
    "robot\n": "white space",
    "ro bot": "space",
    "robot\x00": "control character",
    "ro\x1bbot:1": "control character",
    "/tmp/\x07bell": "control character",
    "ro\u2028bot": "control character",
    "*": "wildcard",
    "*:7613": "wildcard",
    "tcp://*:7613": "wildcard",
    "0.0.0.0": "every interface",
    "[::ffff:0:0]": "every interface",
    "::": "every interface",
    "[::]:7613": "every interface",
    "robot:*": "wildcard",
    "robot:": "without a port",
    "[::1]:": "without a port",
    ":7613": "no host",
    "tcp://": "no host",
    "tcp://:7613": "no host",
    "robot:0": "1 to 65535",
    "robot:65536": "1 to 65535",
    "robot:007613": "1 to 65535",
    "robot:-1": "1 to 65535",
    "robot:+7613": "1 to 65535",
    "robot:0x1dbd": "1 to 65535",
    "robot:٧٦١٣": "1 to 65535",
    "robot:7613x": "1 to 65535",
    "robot:1e3": "1 to 65535",
    "7613": "no IPv4 address",
    "127.1": "no IPv4 address",
    "256.0.0.1": "no IPv4 address",
    "127.0.0.1.5": "no IPv4 address",
    "0x7f000001": "no IPv4 address",
    "1:2:3": "IPv6",
    "robot:1:2": "IPv6",
    "[robot]:1": "IPv6",
    "[::1": 'without "]"',
    "[::1]7613": "after",
    "fe80::1%": "zone",
    "fe80::1%eth0 x": "space",
    "fe80::1%" + "e" * 16: "zone",
    "-robot": "not a host name",
    "robot-": "not a host name",
    "ro..bot": "not a host name",
    "robot.": "not a host name",
    "r" * 64: "not a host name",
    ".".join(["r" * 60] * 5): "not a host name",
    "robot$(id)": "not a host name",
    "röbot": "ASCII",
    "user@robot": "user",
    "user:secret@robot:1": "user",
    "robot/path": "path",
    "tcp://robot:1/": "path",
    "tcp://eth0;robot:1": "source",
    "http://robot": "unknown scheme",
    "unix:///run/se.sock": "unknown scheme",
    "inproc://x": "unknown scheme",
    "~/se.sock": "absolute path",
    "./se.sock": "path after",
    "ipc://se.sock": "not absolute",
    "ipc://": "not absolute",
    "@abstract": "abstract",
    "ipc://@abstract": "abstract",
    "/": "folder",
    "/run/": "folder",
    "/run/..": "folder",
    "/" + "s" * UNIX_PATH_LIMIT_BYTES: "107",
    "/" + "ü" * 54: "109 bytes",
}


@pytest.mark.parametrize("text", READ_AS)
def test_an_endpoint_is_read_as_people_write_it(text: str) -> None:
    assert Endpoint.parse(text).text == READ_AS[text]


@pytest.mark.parametrize("text", REFUSED_AS, ids=ascii)
def test_what_is_no_endpoint_is_refused_and_the_error_names_why(text: str) -> None:
    with pytest.raises(EndpointError) as caught:
        Endpoint.parse(text)
    assert REFUSED_AS[text] in caught.value.why
    assert str(caught.value).endswith(caught.value.next_command)


def test_an_endpoint_error_is_a_value_error_for_the_engine_and_a_remote_error_for_us() -> None:
    assert issubclass(EndpointError, ValueError)
    assert issubclass(EndpointError, RemoteError)


def test_an_endpoint_error_cannot_steer_the_terminal_it_is_shown_on() -> None:
    with pytest.raises(EndpointError) as caught:
        Endpoint.parse("ro\x1b[2Jbot" + "x" * 10_000)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize(
    ("text", "loopback", "unix"),
    [
        ("localhost", True, False),
        ("127.8.9.10:1", True, False),
        ("::1", True, False),
        ("::ffff:127.0.0.1", True, False),
        ("localhost.example", False, False),
        ("192.0.2.1", False, False),
        ("fe80::1%lo", False, False),
        ("/run/se.sock", False, True),
    ],
)
def test_an_endpoint_knows_whether_it_stays_on_this_machine(text: str, loopback: bool, unix: bool) -> None:
    endpoint = Endpoint.parse(text)
    assert (endpoint.is_loopback, endpoint.is_unix) == (loopback, unix)


@pytest.mark.parametrize(
    ("text", "address"),
    [("robot", "tcp://robot:7613"), ("::1", "tcp://[::1]:7613"), ("/run/se.sock", "ipc:///run/se.sock")],
)
def test_zeromq_gets_the_address_in_its_own_form(text: str, address: str) -> None:
    assert Endpoint.parse(text).zmq_address() == address


def test_the_parts_of_an_endpoint_can_be_asked_for() -> None:
    assert (Endpoint.parse("[::1]:9").host, Endpoint.parse("[::1]:9").port) == ("::1", 9)
    assert (Endpoint.parse("/a").host, Endpoint.parse("/a").port, Endpoint.parse("/a").path) == ("", 0, "/a")
    assert Endpoint.parse("robot").port == DEFAULT_PORT


LABEL = st.from_regex(r"\A[a-z]([a-z0-9-]{0,10}[a-z0-9])?\Z")
HOST = (
    st.lists(LABEL, min_size=1, max_size=4).map(".".join)
    | st.ip_addresses(v=4).map(str)
    | st.ip_addresses(v=6).map(str)
)
PATH = st.lists(st.text(string.ascii_letters + string.digits + " ._-é", min_size=1, max_size=8), min_size=1, max_size=5)


def parsed(text: str) -> Endpoint | None:
    try:
        return Endpoint.parse(text)
    except EndpointError:
        return None


@thrifty
@given(HOST, st.integers(1, 65535))
def test_the_canonical_text_of_a_tcp_endpoint_reads_back_as_itself(host: str, port: int) -> None:
    endpoint = parsed(f"[{host}]:{port}" if ":" in host else f"{host}:{port}")
    if endpoint is not None:
        assert endpoint.port == port
        assert Endpoint.parse(endpoint.text) == endpoint
        assert Endpoint.parse(endpoint.zmq_address()) == endpoint
    else:
        assert host in ("0.0.0.0", "::", "::ffff:0:0", "::ffff:0.0.0.0")


@thrifty
@given(PATH)
def test_the_canonical_text_of_a_unix_endpoint_reads_back_as_itself(parts: list[str]) -> None:
    endpoint = parsed("/" + "/".join(parts))
    if endpoint is not None:
        assert Endpoint.parse(endpoint.text) == endpoint
        assert Endpoint.parse(endpoint.zmq_address()) == endpoint


@thrifty
@given(st.text(max_size=300))
def test_any_text_is_an_endpoint_or_an_endpoint_error(text: str) -> None:
    endpoint = parsed(text)
    if endpoint is not None:
        assert Endpoint.parse(endpoint.text) == endpoint


@thrifty
@given(HOST)
def test_the_known_servers_understand_every_host_that_an_endpoint_may_have(host: str) -> None:
    endpoint = parsed(f"[{host}]" if ":" in host else host)
    if endpoint is not None:
        scope = scopes_for(endpoint.host, endpoint.port)[0]
        assert scope.host == endpoint.host
        assert is_loopback(scope.host) == endpoint.is_loopback
