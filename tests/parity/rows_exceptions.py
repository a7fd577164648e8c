# SPDX-License-Identifier: Apache-2.0
"""Rows about exceptions: in which phase, of which type, and what becomes of the run."""

from __future__ import annotations

import signal
from collections.abc import Iterator

from tests.parity.differences import ELSEWHERE, END
from tests.parity.row import Feature, Pace, Row, scenario

EXCEPTIONS = Feature.EXCEPTIONS
PHASES = {
    "the constructor": "at_parse",
    "setup": "at_setup",
    "execute": "at_execute",
    "update": "at_update",
    "terminate": "at_terminate",
    "request_cancel": "at_cancel",
}
# What is done, and what the local run says then.
DEEDS = {
    "ValueError": ('raise ValueError("boom")', "boom"),
    "ActionError": ('raise ActionError("boom", action=self)', "boom"),
    "an exception class of the package": ('raise ProbeError(7, text="boom")', "boom"),
    "SystemExit with a number": ("raise SystemExit(3)", ""),
    "SystemExit with a text": ('raise SystemExit("text")', "text"),
    "KeyboardInterrupt": ("raise KeyboardInterrupt()", "Aborted"),
    "KeyError": ('{}["missing"]', "'missing'"),
    "UnicodeDecodeError": (r'b"\xff".decode()', "can't decode byte 0xff"),
    "StopIteration": ('raise StopIteration("boom")', "boom"),
}
# Rarer types, in the phases in which they take a way of their own.
MORE_DEEDS = {
    "an exception without text": ("raise RuntimeError()", "RuntimeError"),
    "OSError with its number": (
        'open("/nonexistent/file")',
        "[Errno 2] No such file or directory: '/nonexistent/file'",
    ),
    "an exception with a cause": ('raise ValueError("outer") from KeyError("inner")', "ValueError: outer"),
    "an exception of several lines": ('raise ValueError("one\\ntwo")', "ValueError: one\ntwo"),
    "an exception with an argument that cannot travel": ("raise ValueError(self)", "ValueError: <"),
    "an exception of a class made on the spot": ('raise type("Local", (ValueError,), {})("boom")', "Local: boom"),
    "an exception whose text cannot be made": (
        'raise type("Mute", (Exception,), {"__str__": lambda e: 1 / 0})("boom")',
        "Mute: <exception str() failed>",
    ),
    "SyntaxError with its place": ('compile("1 +", "file", "exec")', "SyntaxError: invalid syntax"),
    "a recursion without end": ("(lambda f: f(f))(lambda f: f(f))", "RecursionError: maximum recursion depth exceeded"),
    "AssertionError": ("assert 1 == 2", "AssertionError"),
    "a warning raised as an error": ('raise UserWarning("boom")', "UserWarning: boom"),
}


def raising(exception: str, deed: str, says: str, phase: str) -> Row:
    """A row for an exception in a phase. An action before it and one after it show what else is done."""
    body = f"""
        one_of:
            serial:
                probe_steps($T, tag: "before")
                probe_code($T, ticks: {9 if phase == "request_cancel" else 1}, {PHASES[phase]}: «{deed}»)
                probe_steps($T, tag: "after", ticks: 2)
            probe_steps($T, tag: "beside", ticks: 2)
        """
    is_early = phase in ("the constructor", "setup")
    code = 3 if "number" in exception and "SystemExit" in exception else 1
    if exception == "KeyboardInterrupt" and is_early:  # as of any Python program that does not handle it
        code, says = -signal.SIGINT, "KeyboardInterrupt"
    return Row(
        name=f"{exception} in {phase}",
        feature=EXCEPTIONS,
        text=scenario(body),
        code=code,
        says=says,
        refused=phase == "the constructor",
    )


def all_phases() -> Iterator[Row]:
    for phase in PHASES:
        for exception, (deed, says) in DEEDS.items():
            yield raising(exception, deed, says, phase)
    for exception, (deed, says) in MORE_DEEDS.items():
        # an exception that has no text breaks the engine itself when setup raises it
        for phase in ("setup", "update") if "__str__" not in deed else ("update",):
            yield raising(exception, deed, says, phase)


ROWS = (
    *all_phases(),
    Row(
        name="an exception in the second of several set-ups leaves the others behind it alone",
        feature=EXCEPTIONS,
        code=1,
        says="Setup failed boom",
        text=scenario(
            """
            parallel:
                probe_steps($T, tag: "first")
                probe_code($T, tag: "raises", at_setup: «raise ValueError("boom")»)
                probe_steps($T, tag: "behind")
            """
        ),
    ),
    Row(
        name="an ActionError says the place of its action in the scenario, under its label and behind modifiers",
        feature=EXCEPTIONS,
        code=1,
        says="lost",
        text=scenario(
            """
            serial:
                retry(2)
                here: probe_code(at_update: «raise ActionError("lost", action=self)») with:
                    REMOTE
                    timeout(9s)
            """,
            modifiers="",
        ),
    ),
    Row(
        name="an ActionError of the engine's own actions reads as it does locally",
        feature=EXCEPTIONS,
        code=1,
        says="No variable found in",
        text=scenario("increment(place.x)", declare="place: parity_point"),
    ),
    Row(
        name="an error in resolving an argument is raised where it is locally",
        feature=EXCEPTIONS,
        code=1,
        says="is expected to be a variable reference but is str",
        text=scenario('increment("no variable")'),
    ),
    Row(
        name="an exception in a thread of an action is printed and changes nothing else",
        feature=EXCEPTIONS,
        text=scenario(
            """
            probe_code($T, at_execute: «
                def fail():
                    raise ValueError("in a thread")
                thread = threading.Thread(target=fail, name="worker")
                thread.start()
                thread.join()»)
            """
        ),
    ),
    Row(
        name="failure_is_success does not cover an exception",
        feature=EXCEPTIONS,
        code=1,
        says="ValueError: boom",
        text=scenario('probe_code($T, at_update: «raise ValueError("boom")») with:\n    failure_is_success()'),
    ),
    Row(
        name="an exception in update under simulation",
        feature=EXCEPTIONS,
        code=1,
        says="ValueError: boom",
        text=scenario('probe_code($T, at_update: «raise ValueError("boom")»)'),
        pace=Pace.SIMULATED,
    ),
    Row(
        name="an exception in the second activation",
        feature=EXCEPTIONS,
        code=1,
        says="LookupError: second",
        text=scenario(
            """
            probe_code($T, at_execute: «
                self.count = getattr(self, "count", 0) + 1
                if self.count == 2: raise LookupError("second")») with:
                repeat(3)
            """
        ),
    ),
    Row(
        name="an exception while the scenario is ended by a sibling's failure",
        feature=EXCEPTIONS,
        code=1,
        says="ValueError: boom",
        text=scenario(
            """
            parallel:
                probe_code($T, tag: "a", ticks: 9, at_cancel: «raise ValueError("boom")»)
                probe_code($T, tag: "b", ticks: 9)
                probe_steps($T, tag: "fails", result: "failure")
            """
        ),
        differs=END,
        stopped=("b",),
    ),
    Row(
        name="os._exit in an action ends the run",
        feature=EXCEPTIONS,
        tells="The process that ran the actions is gone: the worker exited with status 5",
        code=5,
        text=scenario("probe_code($T, at_update: «os._exit(5)»)"),
        differs=ELSEWHERE,
        unlike=dict.fromkeys(
            ("exit code", "log", "stdout", "file out/test.xml", "file out/behaviors.jsonl", "file trace"),
            "locally the runner is gone, remotely the action fails and the run goes on to its verdict",
        ),
    ),
)
