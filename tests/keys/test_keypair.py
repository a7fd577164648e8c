# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import copy
import pickle
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st
from zmq.utils import z85

from scenario_execution_keys.errors import KeyTextError
from scenario_execution_keys.keypair import KeyPair, PublicKey, SecretKey
from tests.support.examples import thrifty
from tests.support.keys import CLIENT, SERVER

KEYS = st.binary(min_size=32, max_size=32).filter(any)

def message_of(text: str) -> str:
    with pytest.raises(KeyTextError) as caught:
        PublicKey.parse(text)
    return str(caught.value)


@thrifty
@given(KEYS)
def test_both_text_forms_of_a_public_key_lead_back_to_it(raw: bytes) -> None:
    key = PublicKey.from_bytes(raw)
    assert PublicKey.parse(key.text) == PublicKey.parse(key.z85) == key
    assert key.raw == raw
    assert key.z85 == z85.encode(raw).decode()
    assert hash(PublicKey.parse(key.text)) == hash(key)


@thrifty
@given(KEYS)
def test_both_text_forms_of_a_secret_key_lead_back_to_it(raw: bytes) -> None:
    secret = SecretKey(z85.encode(raw).decode())
    assert SecretKey.parse(secret.reveal_text()) == SecretKey.parse(secret.reveal_z85()) == secret


@thrifty
@given(KEYS)
def test_people_paste_only_letters_digits_and_one_hyphen(raw: bytes) -> None:
    key = PublicKey.from_bytes(raw)
    for text, prefix, length in ((key.text, "sepub-", 56), (key.fingerprint, "sefp-", 32)):
        assert text.startswith(prefix)
        assert len(text) == len(prefix) + length
        assert set(text.removeprefix(prefix)) <= set(string.ascii_lowercase + "234567")


@thrifty
@given(KEYS, st.integers(0, 55), st.sampled_from(string.ascii_lowercase + string.digits))
def test_a_changed_character_is_noticed(raw: bytes, position: int, char: str) -> None:
    text = PublicKey.from_bytes(raw).text
    at = len("sepub-") + position
    changed = text[:at] + char + text[at + 1 :]
    if changed != text:
        assert "typo" in message_of(changed)


@thrifty
@given(KEYS, st.integers(0, 54))
def test_two_swapped_characters_are_noticed(raw: bytes, position: int) -> None:
    text = PublicKey.from_bytes(raw).text
    at = len("sepub-") + position
    swapped = text[:at] + text[at + 1] + text[at] + text[at + 2 :]
    if swapped != text:
        assert "typo" in message_of(swapped)


def test_the_text_form_does_not_change_between_releases() -> None:
    """Keys are written down, pasted into scenarios and read out; these values are for ever."""
    assert SERVER.public.text == "sepub-kt6lujhjgjezneyw7nqxzbzlwda5d7yuqaccprmuzp5m6g6c2zjcccjb"
    assert SERVER.public.fingerprint == "sefp-kisqd5hhuy7wdxlxnv7nnaurateietba"


def test_case_and_blanks_around_a_pasted_key_do_not_matter() -> None:
    assert PublicKey.parse(f"  {SERVER.public.text.upper()}\r\n") == SERVER.public
    assert PublicKey.parse(f"\t{SERVER.public.z85} ") == SERVER.public


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "has 0"),
        ("sepub-", "too short"),
        (SERVER.public.text[:-1], "too short"),
        (SERVER.public.text + "a", "too long"),
        (SERVER.public.text.replace("-", " "), "this is not a key"),
        ("sepub-" + "ä" * 56, "typo"),
        ("sepub-" + "=" * 56, "typo"),
        ("sepub-" + "a" * 48 + "========", "typo"),
        (SERVER.public.fingerprint, "fingerprint"),
        (SERVER.public.z85[:-1], "has 39"),
        ("\\" + SERVER.public.z85[1:], "character 1 does not occur"),
        ("#" * 40, "characters 1 to 5"),
        ("0" * 40, "zero"),
        ("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI me@here", "this is not a key"),
        ("\udcff" * 40, "does not occur"),
    ],
)
def test_a_text_that_is_no_public_key_is_refused_with_the_command_that_prints_one(text: str, says: str) -> None:
    message = message_of(text)
    assert says in message
    assert "`se-server key`" in message and "`se-remote key`" in message


def test_a_pasted_secret_key_is_refused_by_name_and_not_repeated() -> None:
    for text in (SERVER.secret.reveal_text(), SERVER.secret.reveal_text().upper(), "sesec-something"):
        message = message_of(text)
        assert "secret key" in message
        assert text not in message


def test_a_secret_key_with_the_prefix_of_a_public_one_is_a_typo() -> None:
    assert "typo" in message_of(SERVER.secret.reveal_text().replace("sesec-", "sepub-"))


def test_a_refused_text_is_never_repeated() -> None:
    almost = SERVER.secret.reveal_z85() + "x"
    with pytest.raises(KeyTextError) as caught:
        PublicKey.parse(almost)
    assert almost[:10] not in repr(caught.value)
    assert caught.value.__cause__ is None


def test_a_public_key_is_no_secret_key() -> None:
    for text in (SERVER.public.text, SERVER.public.fingerprint):
        with pytest.raises(KeyTextError, match="public key"):
            SecretKey.parse(text)


@pytest.mark.parametrize("length", [0, 31, 33])
def test_a_key_has_exactly_32_bytes(length: int) -> None:
    with pytest.raises(KeyTextError, match=f"has {length}"):
        PublicKey.from_bytes(b"x" * length)


def test_a_public_key_shows_its_fingerprint() -> None:
    assert str(SERVER.public) == SERVER.public.fingerprint
    assert SERVER.public.fingerprint in repr(SERVER.public)
    assert SERVER.public.z85 not in repr(SERVER.public)


def test_a_secret_key_shows_itself_to_nobody() -> None:
    secret = SERVER.secret
    shown = [repr(secret), str(secret), f"{secret}", f"{secret:>80}", f"{secret!r}", repr(SERVER), str([SERVER])]
    shown += [repr(dir(secret)), repr(PublicKey.__dict__)]
    for hidden in (secret.reveal_z85(), secret.reveal_text(), secret.reveal_text()[6:]):
        assert not [text for text in shown if hidden in text]
    assert not hasattr(secret, "__dict__")


@pytest.mark.parametrize("take", [pickle.dumps, copy.copy, copy.deepcopy])
@pytest.mark.parametrize("thing", [SERVER.secret, SERVER, [SERVER]], ids=["secret", "pair", "list"])
def test_a_secret_key_is_neither_pickled_nor_copied(take: object, thing: object) -> None:
    if take is copy.copy and thing is not SERVER.secret:
        assert copy.copy([SERVER])[0] is SERVER  # a copied list holds the same pair, no second one
        return
    assert callable(take)
    with pytest.raises(TypeError, match="neither pickled nor copied"):
        take(thing)


def test_a_secret_key_is_no_key_of_a_dictionary() -> None:
    with pytest.raises(TypeError):
        hash(SERVER.secret)


def test_secret_keys_are_equal_if_they_are_the_same_key() -> None:
    assert SecretKey(SERVER.secret.reveal_z85()) == SERVER.secret
    assert SERVER.secret != CLIENT.secret
    assert SERVER.secret != SERVER.secret.reveal_z85()


def test_the_public_key_follows_from_the_secret_one() -> None:
    assert SERVER.secret.public() == SERVER.public


def test_two_keys_that_do_not_belong_together_make_no_pair() -> None:
    with pytest.raises(KeyTextError, match="does not belong"):
        KeyPair(SERVER.public, CLIENT.secret)


def test_every_generated_pair_is_a_new_one() -> None:
    pairs = [KeyPair.generate() for _ in range(3)]
    assert len({pair.public for pair in pairs}) == 3
    assert all(pair.secret.public() == pair.public for pair in pairs)
