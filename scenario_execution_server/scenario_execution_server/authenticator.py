# SPDX-License-Identifier: Apache-2.0
"""The thread that answers libzmq's question at every handshake: may this peer come in?

pyzmq's `ThreadAuthenticator` does the work. What is changed, and why: ``docs/decisions/0004-zap-authenticator.md``.
"""

from __future__ import annotations

import collections
import logging
import threading

import zmq
from zmq.auth.thread import ThreadAuthenticator

from scenario_execution_server.admission import ZAP_DOMAINS, Admission, plain_address
from scenario_execution_server.config import DoorKind
from scenario_execution_server.errors import AuthenticatorDead, InvitationRefusedError, NotEnrolledError, RefusedError
from scenario_execution_server.refusals import Refusal

_ZAP_ENDPOINT = "inproc://zeromq.zap.01"  # fixed by ZeroMQ RFC 27
_ALIVE_DOMAIN = "scenario-execution.alive"  # no door has it: the answer is no, and that there is one is what counts
_QUESTION = [b"", b"1.0", b"alive", _ALIVE_DOMAIN.encode(), b"", b"", b"NULL"]
ANSWER_WITHIN_S = 5.0  # an answer takes a millisecond; after five seconds the thread is stuck, not busy
_COUNTED_GAP_S = 1.5  # more than this between two looks, and the whole process stood still (SIGSTOP, a debugger)
_JOIN_WITHIN_S = 2.0  # the thread ends in milliseconds unless it is stuck; then nothing helps but to end the process
_KEPT_REFUSALS = 1000  # between two looks of the front, a second apart; the rest is counted


class Doorkeeper(ThreadAuthenticator):
    """Answers for all doors of one context, by asking the current `Admission`.

    The answer book is exchanged as a whole by assigning `admission`; a handshake sees the old one or the new one.
    All other methods belong to the thread that made the object.

    Args:
        context: The context of the sockets it guards; ZAP reaches no other one.
        admission: Who may enter at first.
    """

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], admission: Admission) -> None:
        self.admission = admission
        self._address = ""
        self._refusals: collections.deque[Refusal] = collections.deque(maxlen=_KEPT_REFUSALS)
        self._refused_count = 0
        self._taken_count = 0
        self._test_key: str | None = None
        self._test_key_seen = threading.Event()
        self._question: zmq.Socket[bytes] | None = None
        self._asked = False
        self._unanswered_s = 0.0
        self._checked_at_s = 0.0
        # The library's own lines name Z85 keys and would be written from this thread, which must not wait for a log.
        log = logging.getLogger("scenario_execution_server.zap")
        log.setLevel(logging.ERROR)
        super().__init__(context=context, log=log)
        self.configure_curve_callback(ZAP_DOMAINS[DoorKind.TCP_CURVE], self)

    # -- in its own thread ---------------------------------------------------------------------------------------------

    async def handle_zap_message(self, msg: list[bytes]) -> None:
        """Refuse what no door of ours speaks, and leave the rest to the library.

        The library lets NULL and GSSAPI in under any domain, and does not tell the callback where a key came from.
        """
        if len(msg) >= 6:
            request_id = msg[1]
            domain, address, mechanism = (msg[place].decode(self.encoding, "replace") for place in (2, 3, 5))
            objection = self.admission.objection(domain, mechanism, address)
            if objection is not None:
                if domain != _ALIVE_DOMAIN:
                    self._note(Refusal(key=None, address=plain_address(address), why=objection))
                self._send_zap_reply(request_id, b"400", b"Refused")
                return
            self._address = address
        await super().handle_zap_message(msg)

    def callback(self, domain: str, key: bytes) -> bool:
        """Whether the client with this public key, in Z85, may come in. Cannot raise: that would end the thread."""
        z85 = key.decode("ascii", "replace")
        address, why, invited, mend = plain_address(self._address), "", "", ""
        try:
            self.admission.admit(DoorKind.TCP_CURVE, z85, address)
            return True
        except NotEnrolledError:
            pass  # the key says it all
        except InvitationRefusedError as refused:
            why, invited, mend = refused.why, refused.name, refused.mend
        except RefusedError as refused:
            why = refused.text
        if z85 == self._test_key:
            self._test_key_seen.set()
        else:
            self._note(Refusal(key=z85, address=address, why=why, invited=invited, mend=mend))
        return False

    def _note(self, refusal: Refusal) -> None:
        self._refused_count += 1
        self._refusals.append(refusal)

    # -- in the front's thread -----------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start answering; doors are opened after this."""
        super().start()
        self._question = self.context.socket(zmq.DEALER)
        self._question.linger = 0
        self._question.connect(_ZAP_ENDPOINT)

    def take_refusals(self) -> tuple[list[Refusal], int]:
        """The refusals since the last call, and how many more there were that could not be kept."""
        taken = []
        while self._refusals:
            taken.append(self._refusals.popleft())
        count, self._taken_count = self._refused_count - self._taken_count, self._refused_count
        return taken, max(0, count - len(taken))

    def expect_stranger(self, z85: str) -> threading.Event:
        """Announce the key of the self-test, whose refusal is not logged; it sets the event instead."""
        self._test_key = z85
        self._test_key_seen.clear()
        return self._test_key_seen

    def check(self, now_s: float) -> None:
        """Make sure that somebody decides who may enter; called about once a second.

        A thread that is alive and stuck would refuse everybody without a word, so it is asked a question of its own.

        Raises:
            AuthenticatorDead: If the thread has ended, or gave no answer for `ANSWER_WITHIN_S`.
        """
        mend = "Start the server again; its log says what happened before"
        if not self.is_alive() or self._question is None:
            raise AuthenticatorDead("the authenticator's thread has ended, nobody could come in any more", mend)
        while self._question.poll(0):
            self._question.recv_multipart()
            self._asked = False
        if self._asked:
            self._unanswered_s += min(now_s - self._checked_at_s, _COUNTED_GAP_S)
            if self._unanswered_s >= ANSWER_WITHIN_S:
                raise AuthenticatorDead(
                    "the authenticator's thread gives no answer, nobody could come in any more",
                    mend,
                )
        else:
            self._question.send_multipart(_QUESTION, zmq.NOBLOCK)
            self._asked = True
            self._unanswered_s = 0.0
        self._checked_at_s = now_s

    def stop(self) -> None:
        """End the thread; doors are closed before this. Never waits longer than `_JOIN_WITHIN_S`."""
        if self._question is not None:
            self._question.close()
            self._question = None
        if self.pipe is None:
            return
        if self.is_alive():
            # The library would wait for ever for a stuck thread.
            self.pipe.send(b"TERMINATE", zmq.NOBLOCK)
            self.thread.join(_JOIN_WITHIN_S)
        if self.is_alive():
            self.pipe = None  # type: ignore[assignment]  # left to the end of the process, with the thread that holds it
            return
        # And for ever for a thread that has ended: nobody is left to take TERMINATE from the pipe.
        self.thread = None  # type: ignore[assignment]
        self.pipe.close()
        self.pipe = None  # type: ignore[assignment]
        super().stop()

    @property
    def stuck(self) -> bool:
        """Whether `stop` had to leave the thread behind; its context can then not be terminated."""
        return self.pipe is None and self.is_alive()
