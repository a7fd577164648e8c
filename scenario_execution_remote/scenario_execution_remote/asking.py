# SPDX-License-Identifier: Apache-2.0
"""One question to a server's front, in place of a session, over a connection that stands."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from importlib.metadata import version
from typing import Any, TypeVar

from .connection import Connection
from .courtesies import harmless
from .errors import RemoteError, RemoteProtocolError
from .protocol import messages, wire
from .protocol.agreement import MEND
from .protocol.frames import SESSION_ID_BYTES, Frame, FrameError, Kind, decode_frame

ANSWER_S = 10.0  # the server may write a file or two for it; its disk may be busy

Answer = TypeVar("Answer")


def program_here() -> str:
    """What the server's log shall call us."""
    return f"se-remote with scenario-execution-remote {version('scenario-execution-remote')}"


def ask(
    connection: Connection,
    question: Any,
    answer: type[Answer],
    *,
    what: str,
    refused: Callable[[str, str], RemoteError],
) -> Answer:
    """The front's answer.

    Args:
        connection: To the server.
        question: A message that may stand in a HELLO.
        answer: The message that answers it.
        what: The question, for sentences, as in "the invitation".
        refused: Makes the error from the code and the sentence of a refusal.

    Raises:
        RemoteError: There is none in time, or another than that.
    """
    endpoint = connection.parties.endpoint
    frame = Frame(kind=Kind.HELLO, session=secrets.token_bytes(SESSION_ID_BYTES), body=wire.encode(question))
    connection.socket.send(frame.encode())
    if not connection.socket.poll(int(ANSWER_S * 1000)):
        raise refused("", f"no answer came within {ANSWER_S:g} s")
    try:
        frame = decode_frame(connection.socket.recv())
        if frame.kind is Kind.WELCOME:
            found: Answer = wire.decode_one(frame.body, answer)
            return found
        if frame.kind is Kind.REFUSED:
            refusal: messages.Refused = wire.decode_one(frame.body, messages.Refused)
            raise refused(refusal.code, harmless(refusal.text))
    except (FrameError, wire.WireError) as error:
        raise RemoteProtocolError(f"the server at {endpoint} answers {what} with nonsense: {error}. {MEND}") from None
    raise RemoteProtocolError(f"the server at {endpoint} answers {what} with {frame.kind.name}")
