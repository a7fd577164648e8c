# SPDX-License-Identifier: Apache-2.0
"""What `se-remote doctor` looks at, step by step, and at which step an error belongs. No I/O and no clock."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from scenario_execution_remote.diagnosis import Probe, Reach
from scenario_execution_remote.errors import (
    EncryptionRequiredError,
    NotEncryptedError,
    NotEnrolledError,
    ProtocolError,
    RemoteError,
    ServerSilentError,
    ServerUnreachableError,
    VersionsDifferError,
    WrongServiceError,
)
from scenario_execution_remote.greeting import Tongue
from scenario_execution_remote.protocol.agreement import MESSAGES

SKEW_S = 1.0  # clocks kept by NTP agree within milliseconds; a second apart, logs of both sides are out of order


NOT_REACHED = "not reached"


class Step(str, enum.Enum):
    """The steps in their order; each needs those before it."""

    ENDPOINT = "endpoint"
    OWN_KEY = "own key"
    SERVER_KEY = "server key"
    NAME = "name"
    CONNECTION = "connection"
    LANGUAGE = "language"
    ENCRYPTION = "encryption"
    HANDSHAKE = "handshake"
    ADMISSION = "admission"
    SESSION = "session"
    VERSIONS = "versions"
    CLOCK = "clock"
    ACTIONS = "actions"


class Mark(str, enum.Enum):
    """How a step went."""

    OK = "ok"
    WARNING = "warn"
    FAILED = "FAIL"
    SKIPPED = "-"  # not needed, or not reached


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One step as it went.

    Attributes:
        step: Which.
        mark: How it went.
        text: What was found; the error's own sentence if it failed.
        next_command: What mends it, empty if nothing is to be done or no command would do it.
        exit_code: Of the error's class, 0 if it did not fail.
        found: More for programs.
    """

    step: Step
    mark: Mark
    text: str
    next_command: str = ""
    exit_code: int = 0
    found: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_unreached(self) -> bool:
        """Whether a step before it has failed."""
        return self.mark is Mark.SKIPPED and self.text == NOT_REACHED

    def as_json(self) -> dict[str, Any]:
        """The same for programs."""
        return {
            "step": self.step.value,
            "status": "skipped" if self.mark is Mark.SKIPPED else self.mark.value.lower(),
            "text": self.text,
            "next": self.next_command or None,
            **self.found,
        }


def ok(step: Step, text: str, **found: Any) -> Line:
    """A step that went well."""
    return Line(step=step, mark=Mark.OK, text=text, found=found)


def skipped(step: Step, text: str) -> Line:
    """A step that is not needed or was not reached."""
    return Line(step=step, mark=Mark.SKIPPED, text=text)


def warning(step: Step, text: str, *, next_command: str = "", **found: Any) -> Line:
    """A step that went, and something about it is not as it should be."""
    return Line(step=step, mark=Mark.WARNING, text=text, next_command=next_command, found=found)


def failed(step: Step, error: RemoteError) -> Line:
    """The step that failed, in the words of the error."""
    return Line(
        step=step, mark=Mark.FAILED, text=str(error), next_command=error.next_command, exit_code=error.exit_code
    )


def step_of(error: RemoteError, probe: Probe) -> Step:
    """At which step a connection failed.

    Args:
        error: What the modifier would say.
        probe: A look at who is there, taken right after it.
    """
    if isinstance(error, ServerUnreachableError):
        return Step.CONNECTION
    if isinstance(error, WrongServiceError):
        return Step.LANGUAGE
    if isinstance(error, ServerSilentError):
        speaks = probe.reach is Reach.REACHED and probe.greeting.tongue is Tongue.ZMTP
        return Step.HANDSHAKE if speaks else Step.LANGUAGE
    if isinstance(error, (NotEncryptedError, EncryptionRequiredError)):
        return Step.ENCRYPTION
    if isinstance(error, NotEnrolledError):
        return Step.ADMISSION
    return Step.HANDSHAKE


def session_step_of(error: RemoteError) -> Step:
    """At which step a session failed whose connection stands."""
    return Step.VERSIONS if isinstance(error, (VersionsDifferError, ProtocolError)) else Step.SESSION


def compared(here: Mapping[str, str], there: Mapping[str, str], protocol: int) -> Line:
    """The versions of both sides; those that must agree were compared by the server already."""
    named = [name for name in here if name != MESSAGES]  # whose digest is the same wherever a session is open
    differing = [name for name in sorted(named) if name in there and here[name] != there[name]]
    told = [f"{name} {here[name]}" for name in named if name not in differing]
    apart = [f"{name} {here[name]} here and {there[name]} there" for name in differing]
    found: dict[str, Any] = {"here": dict(here), "there": dict(there), "protocol": protocol}
    if any(_minor(here[name]) != _minor(there[name]) for name in differing):
        advice = "actions may behave otherwise there; install the same on both sides if they do"
        return warning(Step.VERSIONS, f"{', '.join(apart)}; {advice}", **found)
    return ok(Step.VERSIONS, ", ".join([*told, *apart, f"protocol {protocol}"]), **found)


def _minor(version: str) -> list[str]:
    return version.split(".")[:2]


def clock_line(skew_s: float) -> Line:
    """How the server's clock stands to ours; positive if it is ahead."""
    where = "ahead of" if skew_s > 0 else "behind"
    if abs(skew_s) > SKEW_S:
        text = f"the server's clock is {abs(skew_s):.1f} s {where} this one; have both set by NTP"
        return warning(Step.CLOCK, text, next_command="timedatectl", skew_s=skew_s)
    return ok(Step.CLOCK, f"both clocks agree within {SKEW_S:g} s", skew_s=skew_s)
