# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import socket
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from scenario_execution_keys.errors import EntryNameError, KeyFileError
from scenario_execution_keys.keypair import KeyPair, PublicKey
from scenario_execution_keys.trust import (
    Client,
    KnownServer,
    RefusedEntry,
    ServerScope,
    canonical_host,
    check_client_name,
    client_name_for,
    collect_clients,
    find_server,
    is_loopback,
)
from tests.support.examples import thrifty
from tests.support.keys import CLIENT, SERVER

NAMES = st.text("abz09._-", min_size=1, max_size=12).filter(lambda text: text[0] not in ".-" and text[-1] not in ".-")
HOSTS = NAMES.filter(lambda text: ".." not in text) | st.ip_addresses().map(str)


@pytest.mark.parametrize("name", ["alice", "A", "0", "alice@robot-7.lab", "a" * 64, "x_y.z"])
def test_an_ordinary_name_names_a_client(name: str) -> None:
    assert check_client_name(name) == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "../x",
        "a/b",
        "/etc/passwd",
        ".hidden",
        "-rf",
        "@x",
        "a b",
        "a\nb",
        "a\0b",
        "ä",
        "a" * 65,
        "a$b",
        "a;b",
    ],
)
def test_a_name_that_could_leave_the_folder_hide_or_confuse_a_shell_is_refused(name: str) -> None:
    with pytest.raises(EntryNameError, match="se-server enrol") as caught:
        check_client_name(name)
    assert caught.value.text == name
    assert "\n" not in str(caught.value) and "\0" not in str(caught.value)


@thrifty
@given(st.text(max_size=80))
@example("DOMAIN\\alice")
@example("..")
@example("日本")
def test_every_login_name_leads_to_a_name_for_a_client(login: str) -> None:
    assert check_client_name(client_name_for(login))


def test_an_ordinary_login_name_stays_as_it_is() -> None:
    assert client_name_for("alice") == "alice"


def test_of_two_entries_with_one_key_the_second_is_refused_by_name() -> None:
    entries = [(Client(name=name, key=CLIENT.public), Path(f"/k/{name}.key")) for name in ("alice", "bob")]
    entries.append((Client(name="carol", key=SERVER.public), Path("/k/carol.key")))
    earlier = RefusedEntry(name="dave", error=KeyFileError("bad", "Run: x", path=Path("/k/dave.key")))
    clients = collect_clients(entries, [earlier])
    assert {key: client.name for key, client in clients.by_key.items()} == {
        CLIENT.public: "alice",
        SERVER.public: "carol",
    }
    assert [entry.name for entry in clients.refused] == ["dave", "bob"]
    assert "enrolled as alice already" in str(clients.refused[1])
    assert str(clients.refused[1]).endswith("rm /k/bob.key")


def test_who_says_that_the_files_of_another_are_its_own_does_not_count() -> None:
    victim = Client(name="alice", key=SERVER.public, first_key=CLIENT.public)
    keys = [KeyPair.generate().public for _ in range(2)]
    others = [
        Client(name="bob", key=keys[0], first_key=CLIENT.public), Client(name="carol", key=CLIENT.public),
        Client(name="dave", key=keys[1], first_key=SERVER.public),
    ]  # fmt: skip
    clients = collect_clients([(client, Path(client.name)) for client in (victim, *others)], [])
    assert list(clients.by_key.values()) == [victim, others[2]]
    assert all("is enrolled as alice already" in str(entry) for entry in clients.refused)


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("robot", "robot", None),
        ("Robot.Lab.", "robot.lab", None),
        ("robot:7613", "robot", 7613),
        ("tcp://robot:7613", "robot", 7613),
        ("TCP://robot:7613/", "robot", 7613),
        ("tcp://robot", "robot", None),
        (" robot\n", "robot", None),
        ("10.0.0.1:1", "10.0.0.1", 1),
        ("127.1", "127.0.0.1", None),
        ("0x7f.1:80", "127.0.0.1", 80),
        ("::1", "::1", None),
        ("[::1]", "::1", None),
        ("[::1]:65535", "::1", 65535),
        ("tcp://[FE80:0::1%eth0]:7613", "fe80::1%eth0", 7613),
        ("::ffff:10.0.0.1", "10.0.0.1", None),
        ("my_service:7613", "my_service", 7613),
        ("loopback", "loopback", None),
        ("LoopBack", "loopback", None),
        ("localhost:7613", "localhost", 7613),
    ],
)
def test_an_endpoint_is_read_as_people_write_it(text: str, host: str, port: int | None) -> None:
    scope = ServerScope.parse(text)
    assert (scope.host, scope.port) == (host, port)


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":7613",
        "robot:",
        "robot:0",
        "robot:65536",
        "robot:-1",
        "robot:７６１３",
        "robot:7613x",
        "robot:1:2",
        "[::1",
        "[::1]7613",
        "[robot]:7613",
        "::g",
        "*",
        "*:7613",
        "-robot",
        "robot-",
        "a..b",
        "two words",
        "robot\0",
        "röbot",
        "a" * 201,
        "loopback:7613",
        "ipc:///tmp/se.sock",
        "/tmp/se.sock",
        "http://robot",
        "tcp://robot/path",
        "../robot",
    ],
)
def test_what_is_no_tcp_endpoint_is_refused_with_the_command_to_run(text: str) -> None:
    with pytest.raises(EntryNameError, match="se-remote trust ENDPOINT KEY"):
        ServerScope.parse(text)


@thrifty
@given(HOSTS, st.none() | st.integers(1, 65535))
def test_a_scope_written_down_is_the_same_scope_when_read(host: str, port: int | None) -> None:
    scope = ServerScope(host=canonical_host(host), port=port)
    assert ServerScope.parse(scope.text) == scope
    assert "/" not in scope.file_stem and not scope.file_stem.startswith(".") and len(scope.file_stem) < 250


@thrifty
@given(HOSTS, HOSTS, st.none() | st.integers(1, 65535), st.none() | st.integers(1, 65535))
def test_two_scopes_never_share_a_file(one: str, other: str, port: int | None, other_port: int | None) -> None:
    first = ServerScope(host=canonical_host(one), port=port)
    second = ServerScope(host=canonical_host(other), port=other_port)
    assert (first == second) == (first.file_stem == second.file_stem)


@thrifty
@given(st.lists(st.sampled_from(["0", "1", "7", "010", "0x7f", "127", "255", "256", "65535", "16777216"]), max_size=5))
@example(["127", "1"])
@example(["2130706433"])
@example(["0300", "0250", "1"])
def test_an_address_is_the_one_that_the_system_reads_in_it(parts: list[str]) -> None:
    text = ".".join(parts) or "0"
    try:
        expected = socket.inet_ntoa(socket.inet_aton(text))
    except OSError:
        expected = text
    assert canonical_host(text) == expected


@pytest.mark.parametrize(
    "host", ["localhost", "127.0.0.1", "127.1", "127.255.0.3", "::1", "::ffff:127.0.0.1", "LOCALHOST."]
)
def test_this_machine_is_recognised(host: str) -> None:
    assert is_loopback(canonical_host(host))


@pytest.mark.parametrize(
    "host", ["robot", "128.0.0.1", "::2", "localhost.evil.org", "127.0.0.1.evil.org", "0.0.0.0", "loopback"]
)
def test_another_machine_is_not_taken_for_this_one(host: str) -> None:
    assert not is_loopback(canonical_host(host))


def server(text: str, key: PublicKey) -> tuple[ServerScope, KnownServer]:
    scope = ServerScope.parse(text)
    return scope, KnownServer(scope=scope, key=key, path=Path(f"/k/{scope.file_stem}.key"))


def test_the_most_particular_entry_counts() -> None:
    keys = [PublicKey.from_bytes(bytes([number]) * 32) for number in (1, 2, 3)]
    known = dict(
        [
            server("127.0.0.1:7613", keys[0]),
            server("127.0.0.1", keys[1]),
            server("loopback", keys[2]),
            server("robot:1", keys[0]),
        ]
    )

    def key_for(host: str, port: int) -> PublicKey | None:
        found = find_server(known, host, port)
        return None if found is None else found.key

    assert key_for("127.0.0.1", 7613) == keys[0]
    assert key_for("127.1", 7613) == keys[0]
    assert key_for("127.0.0.1", 7614) == keys[1]
    assert key_for("127.0.0.2", 7613) == keys[2]
    assert key_for("localhost", 7613) == keys[2]
    assert key_for("::1", 7613) == keys[2]
    assert key_for("robot", 1) == keys[0]
    assert key_for("ROBOT.", 1) == keys[0]
    assert key_for("robot", 2) is None
    assert key_for("10.0.0.1", 7613) is None
