# SPDX-License-Identifier: Apache-2.0
"""Clients of both protocol versions, one message at a time and without the engine, for tests that have to be exact."""

from __future__ import annotations

import itertools
import secrets
import time
from typing import Any

import msgpack
import zmq

from scenario_execution_remote.courtesies import versions_here
from scenario_execution_remote.protocol import messages, wire
from scenario_execution_remote.protocol.frames import SESSION_ID_BYTES, Frame, Kind, decode_frame
from tests.support.servers import Identity, ServerProcess

ANSWER_S = 10.0  # every answer takes milliseconds, unless the test makes the action slow
BEAT_MS = 400  # well below the watchdog of any server in the tests
NOWHERE = messages.Directories(scenario_file=None, output=None)
HELLO = messages.Hello(
    program="raw client of a test",
    versions=versions_here(),
    silence_s=5.0,
)


class Socket:
    """A ZeroMQ client socket, and a context of its own so that nothing is shared with other clients of the test.

    Args:
        kind: zmq.DEALER or zmq.REQ.
        address: As ZeroMQ writes it.
        who: Speaks CURVE with this identity's keys; None: no encryption.
    """

    def __init__(self, kind: int, address: str, who: Identity | None) -> None:
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.socket = self._context.socket(kind)
        self.socket.linger = 0
        if who is not None:
            self.socket.curve_serverkey = who.server_key.z85.encode()
            self.socket.curve_publickey = who.pair.public.z85.encode()
            self.socket.curve_secretkey = who.pair.secret.reveal_z85().encode()
        if kind == zmq.REQ:
            self.socket.setsockopt(zmq.REQ_RELAXED, 1)
            self.socket.setsockopt(zmq.REQ_CORRELATE, 1)
        self.socket.connect(address)

    def send(self, *parts: bytes) -> None:
        self.socket.send_multipart(parts)

    def receive(self, within_s: float = ANSWER_S) -> list[bytes]:
        """The parts of the next message."""
        assert self.socket.poll(int(within_s * 1000)), f"no message came within {within_s:g} s"
        return self.socket.recv_multipart()

    def close(self) -> None:
        """Go without a word, as a killed client does."""
        if not self.socket.closed:
            self.socket.close(0)
            self._context.term()


def address_of(server: ServerProcess, who: Identity | None) -> str:
    """The server's TCP door for somebody with keys, else its unix socket."""
    if who is not None:
        return f"tcp://127.0.0.1:{server.port}"
    return f"ipc://{server.folder / 's'}"


class RawClient:
    """One version 2 session, sent and received frame by frame. Nothing is sent unless the test asks for it.

    Args:
        server: Where to connect.
        who: Speaks CURVE as this identity; None: over the server's unix socket.
        session: The session id; None: a new one.
        address: Where to connect instead.
    """

    def __init__(
        self, server: ServerProcess, who: Identity | None = None, *, session: bytes | None = None, address: str = ""
    ) -> None:
        self.socket = Socket(zmq.DEALER, address or address_of(server, who), who)
        self.session = session or secrets.token_bytes(SESSION_ID_BYTES)
        self.sent = 0
        self.received = 0
        self.log: list[messages.Log] = []
        self.output = b""
        self._calls = itertools.count(1)
        self._actions = itertools.count(1)
        self._results: dict[int, messages.Result] = {}
        self._others: list[Frame] = []

    # -- frames -----------------------------------------------------------------------------------------------------

    def frame(self, kind: Kind, body: bytes = b"", *, seq: int = 0, ack: int | None = None) -> bytes:
        ack = self.received if ack is None else ack
        return Frame(kind=kind, session=self.session, seq=seq, ack=ack, body=body).encode()

    def send(self, kind: Kind, body: bytes = b"", **numbers: Any) -> None:
        if kind is Kind.BEAT:
            numbers.setdefault("seq", self.sent)
        self.socket.send(self.frame(kind, body, **numbers))

    def data(self, body: bytes) -> None:
        """Send a body to the worker."""
        self.sent += 1
        self.send(Kind.DATA, body, seq=self.sent)

    def expect(self, kind: Kind, within_s: float = ANSWER_S) -> Frame:
        """The next frame of a kind that has not been taken yet; everything else is kept."""
        give_up_at = time.monotonic() + within_s
        while True:
            for frame in self._others:
                if frame.kind is kind:
                    self._others.remove(frame)
                    return frame
            self._take(give_up_at - time.monotonic())

    def _take(self, within_s: float) -> None:
        (data,) = self.socket.receive(max(0.0, within_s))
        frame = decode_frame(data)
        assert frame.session in (self.session, bytes(16))
        if frame.kind is not Kind.DATA:
            self._others.append(frame)
        elif frame.seq == self.received + 1:
            self.received = frame.seq
            for message in wire.decode(frame.body, wire.FROM_WORKER):
                self._file(message)

    def _file(self, message: Any) -> None:
        if isinstance(message, messages.Result):
            self._results[message.call] = message
        elif isinstance(message, messages.Log):
            self.log.append(message)
        elif isinstance(message, messages.Output):
            self.output += message.data
        elif isinstance(message, messages.Ask):
            exists = message.question == messages.Question.BLACKBOARD_EXISTS.value
            error = None if exists else "KeyError"
            value = False if exists else None
            answer = messages.Answer(ticket=message.ticket, value=value, error=error, text=message.key)
            self.data(wire.encode(answer))

    # -- the session ------------------------------------------------------------------------------------------------

    def hello(self) -> messages.Welcome:
        """Open the session."""
        self.send(Kind.HELLO, wire.encode(HELLO))
        return wire.decode_one(self.expect(Kind.WELCOME).body, messages.Welcome)

    def beat(self, within_s: float = ANSWER_S) -> None:
        """Say that we are alive, and wait for the server to say the same."""
        self.send(Kind.BEAT)
        self.expect(Kind.BEAT, within_s)

    def refusal(self, within_s: float = ANSWER_S) -> messages.Refused:
        return wire.decode_one(self.expect(Kind.REFUSED, within_s).body, messages.Refused)

    def ended(self, within_s: float = 15.0) -> messages.Ended:
        """The server's last word."""
        return wire.decode_one(self.expect(Kind.ENDED, within_s).body, messages.Ended)

    def bye(self) -> messages.Ended:
        """End the session in order."""
        self.send(Kind.BYE)
        return self.ended()

    # -- calls ------------------------------------------------------------------------------------------------------

    def start_call(self, message: type, **fields: Any) -> int:
        """Send a call and do not wait; returns its number."""
        number = next(self._calls)
        self.data(wire.encode(message(call=number, **fields)))
        return number

    def result(self, call: int, within_s: float = ANSWER_S) -> messages.Result:
        """Wait for the result of a call, and beat meanwhile: a busy machine may take longer than a watchdog."""
        give_up_at = time.monotonic() + within_s
        while call not in self._results:
            if self.socket.socket.poll(BEAT_MS):
                self._take(0.0)
            else:
                assert time.monotonic() < give_up_at, f"no result came within {within_s:g} s"
                self.beat()
        return self._results.pop(call)

    def call(self, message: type, **fields: Any) -> messages.Result:
        return self.result(self.start_call(message, **fields))

    def create(self, key: str, **init_arguments: Any) -> int:
        """Create and set up an action; returns its number."""
        action = next(self._actions)
        created = self.call(
            messages.Create, action=action, scenario=1, plugin=messages.Plugin(key=key), init_arguments=init_arguments,
            name=key, label=None, context=None, actor=None, directories=NOWHERE, debug=False,
        )  # fmt: skip
        assert created.fault is None, created.fault
        provided = ["logger", "process_registry", "host_clock"]
        made = self.call(
            messages.Setup, action=action, values={"tick_period": 0.1, "output_dir": None, "input_dir": None},
            provided=provided, directories=NOWHERE, now_s=None,
        )  # fmt: skip
        assert made.fault is None, made.fault
        return action

    def start_tick(self, action: int, arguments: dict[str, Any] | None = None, after: int | None = None) -> int:
        return self.start_call(
            messages.Tick, action=action, arguments=arguments, now_s=None, period_s=None, after=after
        )

    def tick(self, action: int, arguments: dict[str, Any] | None = None) -> messages.Result:
        return self.result(self.start_tick(action, arguments))

    def close(self) -> None:
        self.socket.close()

    def __enter__(self) -> RawClient:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


class Version1Client:
    """What is in the field: a REQ socket, a map out and a map in.

    Args:
        server: Where to connect.
        who: Speaks CURVE as this identity; None: over the server's unix socket.
        address: Where to connect instead.
    """

    def __init__(self, server: ServerProcess, who: Identity | None = None, *, address: str = "") -> None:
        self.socket = Socket(zmq.REQ, address or address_of(server, who), who)

    def start(self, cmd: str, **payload: Any) -> None:
        """Send a request and do not wait."""
        self.socket.send(msgpack.packb({"cmd": cmd, "payload": payload}))

    def reply(self, within_s: float = ANSWER_S) -> dict[str, Any]:
        (data,) = self.socket.receive(within_s)
        reply: dict[str, Any] = msgpack.unpackb(data)
        return reply

    def ask(self, cmd: str, **payload: Any) -> dict[str, Any]:
        self.start(cmd, **payload)
        return self.reply()

    def begin(self, action_id: str, plugin_key: str, **init_args: Any) -> None:
        """Init and set up an action."""
        made = self.ask("init", action_id=action_id, plugin_key=plugin_key, init_args=init_args, output_dir="")
        assert made == {"status": "ok"}, made
        ready = self.ask("setup", action_id=action_id, tick_period=0.1, output_dir="", scenario_file_directory="")
        assert ready == {"status": "ok"}, ready

    def close(self) -> None:
        self.socket.close()

    def __enter__(self) -> Version1Client:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
