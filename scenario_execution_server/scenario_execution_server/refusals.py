# SPDX-License-Identifier: Apache-2.0
"""What the log says about refused handshakes: each stranger once at first, then now and then, and floods as a count."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from scenario_execution_keys.errors import KeyTextError
from scenario_execution_keys.keypair import PublicKey

REPEAT_AFTER_S = 60.0  # a client may be restarted in a loop; one line a minute shows that it still goes on
LINES_AT_ONCE = 10  # random keys make every refusal a new stranger; more lines than this at once help nobody
LINES_PER_S = 1.0  # of one address after that: a flood from there is 30 MB a day, and hides nobody from elsewhere
COUNT_EVERY_S = 10.0  # how often what was not listed is told as a number
_REMEMBERED = 1000  # strangers kept in mind for repetitions, about 300 kB, and as many addresses


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """One handshake that was refused.

    Attributes:
        key: The client's public key in Z85, None if no key was looked at.
        address: Where it came from, as the operating system says.
        why: The reason, if it is not that the key is unknown.
        invited: Whose invitation it came with, if it came with the one-use key of one.
        mend: What its operator can run for whoever was invited.
    """

    key: str | None
    address: str
    why: str = ""
    invited: str = ""
    mend: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A line for the log.

    Attributes:
        sentence: What happened.
        fields: More about it.
        stranger: The key it is about, if that key is one which is not enrolled, and where it came from.
    """

    sentence: str
    fields: dict[str, object]
    stranger: tuple[PublicKey, str] | None = None


@dataclass(slots=True)
class _Stranger:
    said_at_s: float
    unsaid_count: int = 0


class RefusalLog:
    """Turns refusals into lines.

    Args:
        command: Completes a command line so that it works on this server's key store.
    """

    def __init__(self, command: Callable[[str], str] = str) -> None:
        self._command = command
        self._strangers: OrderedDict[Refusal, _Stranger] = OrderedDict()
        self._unsaid: dict[Refusal, _Stranger] = {}  # those of them that have come again since
        self._shares: OrderedDict[str, tuple[float, float]] = OrderedDict()  # by address: lines that are left, and when
        self._swallowed_count = 0
        self._counted_at_s = -COUNT_EVERY_S

    def lines(self, refusals: Iterable[Refusal], now_s: float, *, uncounted: int = 0) -> list[Line]:
        """What to log about the `refusals` since the last call.

        Args:
            refusals: In the order in which they happened.
            now_s: The clock.
            uncounted: How many more there were that could not be kept.
        """
        lines: list[Line] = []
        self._swallowed_count += uncounted
        for refusal in refusals:
            stranger = self._strangers.get(refusal)
            if stranger is None and (len(lines) >= LINES_AT_ONCE or not self._may_have_a_line(refusal.address, now_s)):
                self._swallowed_count += 1
                continue
            if stranger is None:
                self._remember(refusal, now_s)
                lines.append(self._line(refusal, 1))
            else:
                stranger.unsaid_count += 1
                self._unsaid[refusal] = stranger
        for refusal, stranger in list(self._unsaid.items()):
            if now_s - stranger.said_at_s >= REPEAT_AFTER_S and len(lines) < LINES_AT_ONCE:
                lines.append(self._line(refusal, stranger.unsaid_count))
                stranger.said_at_s, stranger.unsaid_count = now_s, 0
                del self._unsaid[refusal]
        if self._swallowed_count and now_s - self._counted_at_s >= COUNT_EVERY_S:
            fields: dict[str, object] = {"times": self._swallowed_count}
            lines.append(Line(sentence="refused more clients than can be listed", fields=fields))
            self._swallowed_count, self._counted_at_s = 0, now_s
        return lines

    def _may_have_a_line(self, address: str, now_s: float) -> bool:
        left, at_s = self._shares.get(address, (float(LINES_AT_ONCE), now_s))
        left = min(LINES_AT_ONCE, left + (now_s - at_s) * LINES_PER_S)
        may = left >= 1
        self._shares[address] = (left - may, now_s)
        self._shares.move_to_end(address)
        if len(self._shares) > _REMEMBERED:
            self._shares.popitem(last=False)
        return may

    def _remember(self, refusal: Refusal, now_s: float) -> None:
        self._strangers[refusal] = _Stranger(now_s)
        if len(self._strangers) > _REMEMBERED:
            forgotten, _ = self._strangers.popitem(last=False)
            self._unsaid.pop(forgotten, None)

    def _line(self, refusal: Refusal, times: int) -> Line:
        fields: dict[str, object] = {"address": refusal.address, "times": times if times > 1 else None}
        if refusal.key is None:
            return Line(sentence="refused a client", fields={**fields, "why": refusal.why})
        try:
            key = PublicKey(refusal.key)
        except KeyTextError:
            return Line(sentence="refused a client whose key cannot be one", fields={**fields, "key": refusal.key})
        if refusal.invited:
            # Never as a stranger: an operator who approved that key would make the old line good for ever.
            more = {"why": refusal.why, "next": f"if somebody is still to join: {refusal.mend}"}
            fields = {"invited": refusal.invited, "fingerprint": key.fingerprint, **fields, **more}
            return Line(sentence="refused a client with an invitation that does not count", fields=fields)
        if refusal.why:
            fields["why"] = refusal.why
            return Line(sentence="refused an enrolled client", fields={"fingerprint": key.fingerprint, **fields})
        enrol = self._command(f"se-server enrol NAME {key.text}")
        return Line(
            sentence="refused a client whose key is not enrolled",
            fields={"fingerprint": key.fingerprint, **fields, "next": f"if you know this fingerprint: {enrol}"},
            stranger=(key, refusal.address),
        )
