# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scenario_execution_keys.errors import KeyFileError
from scenario_execution_keys.keyfile import MAX_FILE_BYTES, KeyFile, format_key_file, parse_key_file
from tests.support.examples import thrifty
from tests.support.keys import CLIENT, GOOD_PUBLIC, GOOD_SECRET, SERVER, hostile_texts

PATH = Path("/somewhere/alice.key")
MEND = "Run: mend it"
# A named alphabet: to build all of Unicode takes Hypothesis two seconds. ZPL can say one kind of quote in a value.
VALUES = st.text("ab =#:%\\{}[]é漢🤖'", max_size=20) | st.text('ab =#"', max_size=20)
NAMES = st.text("aZ09._/-", max_size=10).map(lambda rest: "n" + rest)


def parse(data: bytes) -> KeyFile:
    return parse_key_file(data, path=PATH, mend=MEND)


@thrifty
@given(st.dictionaries(NAMES, VALUES, max_size=4), st.booleans())
def test_what_is_written_is_read_back(metadata: dict[str, str], with_secret: bool) -> None:
    secret = CLIENT.secret if with_secret else None
    found = parse(format_key_file(CLIENT.public, secret=secret, metadata=metadata))
    assert found.public == CLIENT.public
    assert found.secret == secret
    assert dict(found.metadata) == metadata


@thrifty
@given(st.binary(max_size=300) | st.text("mcurvetadp-k =\"'#\n\r\t\0é", max_size=200).map(str.encode))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        parse(data)
    except KeyFileError as error:
        assert str(error).startswith(str(PATH)) and str(error).endswith(MEND)


@thrifty
@given(st.integers(0, len(GOOD_SECRET) - 1), st.integers(0, 255))
def test_a_file_with_one_changed_byte_never_yields_another_key(position: int, byte: int) -> None:
    data = GOOD_SECRET[:position] + bytes([byte]) + GOOD_SECRET[position + 1 :]
    try:
        found = parse(data)
    except KeyFileError as error:
        assert CLIENT.secret.reveal_z85() not in str(error)
    else:
        assert found.public == CLIENT.public
        assert found.secret in (CLIENT.secret, None)  # None if the line became a comment


@pytest.mark.parametrize("name", hostile_texts(GOOD_PUBLIC))
@pytest.mark.parametrize("good", [GOOD_PUBLIC, GOOD_SECRET], ids=["public", "secret"])
def test_a_bad_file_is_refused_with_its_name_and_the_mending(good: bytes, name: str) -> None:
    data, says = hostile_texts(good)[name]
    with pytest.raises(KeyFileError, match=says) as caught:
        parse(data)
    assert caught.value.path == PATH
    assert str(caught.value).startswith(str(PATH))
    assert str(caught.value).endswith(MEND)
    assert CLIENT.secret.reveal_z85() not in str(caught.value)


@pytest.mark.parametrize(
    ("data", "line"),
    [
        (b"metadata\ncurve\n    public-key = short\n", 3),
        (b"# fine\n\nbad\n", 3),
        (GOOD_PUBLIC + b"    public-key = x\n", GOOD_PUBLIC.count(b"\n") + 1),
        (b"metadata\r\n", 1),
        (b"", None),
        (b"metadata\n", None),
    ],
)
def test_the_line_that_is_wrong_is_named(data: bytes, line: int | None) -> None:
    with pytest.raises(KeyFileError) as caught:
        parse(data)
    assert caught.value.line == line
    assert (f", line {line}:" in str(caught.value)) == (line is not None)


def test_a_secret_key_that_belongs_to_another_public_key_is_refused() -> None:
    with pytest.raises(KeyFileError, match="does not belong"):
        parse(GOOD_SECRET.replace(CLIENT.public.z85.encode(), SERVER.public.z85.encode()))


@pytest.mark.parametrize(
    "text",
    [
        'curve\n    public-key = "{key}"\n',
        "curve\n    public-key = '{key}'\n",
        "curve\n\tpublic-key={key}\n",
        "curve\n public-key   =   {key}   ",
        '#   comment\n\nmetadata\n    # more\ncurve\n    public-key = "{key}"',
        'curve\n    public-key = "{key}"\nmetadata\n    name = "al"\n',
        "metadata\n    email = a b = c\n    empty =\ncurve\n    public-key = {key}\n",
    ],
)
def test_what_zpl_allows_is_read(text: str) -> None:
    assert parse(text.replace("{key}", CLIENT.public.z85).encode()).public == CLIENT.public


def test_metadata_is_read_as_it_stands() -> None:
    curve = GOOD_PUBLIC[GOOD_PUBLIC.index(b"curve\n") :]
    found = parse(b"metadata\n    email = a b = c\n    note = ' # x '\n    empty =\n" + curve)
    assert dict(found.metadata) == {"email": "a b = c", "note": " # x ", "empty": ""}


def test_a_file_of_exactly_the_limit_is_read() -> None:
    assert parse(GOOD_PUBLIC + b"#" * (MAX_FILE_BYTES - len(GOOD_PUBLIC))).public == CLIENT.public


@pytest.mark.parametrize(
    "metadata",
    [
        {"": "x"},
        {"with blank": "x"},
        {"a\nb": "x"},
        {"public-key": "x"},
        {"secret-key-2": "x"},
        {"name": "two\nlines"},
        {"name": "\x00"},
        {"name": "both \" and '"},
    ],
)
def test_metadata_that_zpl_cannot_say_is_not_written(metadata: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="metadata"):
        format_key_file(CLIENT.public, metadata=metadata)


def test_a_public_file_never_holds_the_secret() -> None:
    assert CLIENT.secret.reveal_z85().encode() not in GOOD_PUBLIC
    assert parse(GOOD_PUBLIC).secret is None
