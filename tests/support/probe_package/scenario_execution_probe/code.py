# SPDX-License-Identifier: Apache-2.0
"""Actions that do in each phase of their lifecycle what the scenario says, as lines of Python."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

from py_trees.common import Access, Status
from scenario_execution.actions.base_action import ActionError, BaseAction
from scenario_execution.model.types import VariableReference
from scenario_execution.scenario_execution_base import ScenarioExecutionConfig, ShutdownHandler

from scenario_execution_probe.traced import Traced, append
from scenario_execution_probe.trouble import ProbeError, wait_for_file

GLOBALS: dict[str, object] = {}  # whatever the actions of one process want to share
NAMES = {
    "Access": Access, "ActionError": ActionError, "BaseAction": BaseAction, "GLOBALS": GLOBALS, "Path": Path,
    "ProbeError": ProbeError, "ScenarioExecutionConfig": ScenarioExecutionConfig, "ShutdownHandler": ShutdownHandler,
    "Status": Status, "VariableReference": VariableReference, "json": json, "os": os, "signal": signal,
    "subprocess": subprocess, "sys": sys, "threading": threading, "time": time, "wait_for_file": wait_for_file,
}  # fmt: skip


@cache
def compiled(code: str) -> Callable[..., object]:
    """A function of `self`, `write`, `kwargs` and `status` with these lines as its body."""
    body = textwrap.indent(textwrap.dedent(code.strip("\n")), "    ")
    space = {"__name__": __name__, **NAMES}
    exec(f"def phase(self, write, kwargs, status):\n{body}\n", space)
    return space["phase"]


class Code(Traced):
    """See lib_osc/parity.osc. The code sees what `NAMES` lists, ``write(value)`` for the trace, the ``kwargs`` of
    setup, and the new ``status`` in terminate; ``self.argument`` is the argument of this activation."""

    def __init__(
        self, trace: str, tag: str, ticks: int, at_parse: str, at_init: str, at_setup: str, at_update: str,
        at_terminate: str, at_cancel: str, at_shutdown: str,
    ) -> None:  # fmt: skip
        super().__init__(trace, tag)
        self._ticks = ticks
        self._code = {
            "parse": at_parse, "init": at_init, "setup": at_setup, "update": at_update, "terminate": at_terminate,
            "request_cancel": at_cancel, "shutdown": at_shutdown,
        }  # fmt: skip
        self.kwargs: dict[str, object] = {}
        self.argument: object = None
        self._new_status: Status | None = None
        self.run("parse")
        if os.environ.get("PROBE_SIDE") != "client":  # where the scenario is only parsed
            self.run("init")

    def run(self, phase: str) -> object:
        code = self._code.get(phase)
        return compiled(code)(self, self.write, self.kwargs, self._new_status) if code else None

    def write(self, value: object) -> None:
        is_simple = isinstance(value, str) and value.isascii() and value.isprintable()
        append(self._trace, f"{self._tag} > {value if is_simple else ascii(value)}")

    def setup(self, **kwargs):
        self.kwargs = kwargs
        super().setup(**kwargs)

    def execute(self, at_execute: str, argument) -> None:
        self._code["execute"] = at_execute
        self.argument = argument
        self.started()

    def terminate(self, new_status):
        self._new_status = new_status
        super().terminate(new_status)

    def at(self, phase: str) -> None:
        if phase != "update":
            self.run(phase)

    def result(self):
        if "return" in self._code["update"]:
            return self.run("update")
        self.run("update")
        return Status.SUCCESS if self.tick_count >= self._ticks else Status.RUNNING


class Reference(Code):
    """As `Code`, and the argument is the variable itself, not its value."""

    def __init__(
        self, trace: str, tag: str, ticks: int, at_parse: str, at_init: str, at_setup: str, at_update: str,
        at_terminate: str, at_cancel: str, at_shutdown: str,
    ) -> None:  # fmt: skip
        super().__init__(
            trace, tag, ticks, at_parse, at_init, at_setup, at_update, at_terminate, at_cancel, at_shutdown
        )
        self.resolve_variable_reference_arguments_in_execute = False


class Errand(Code):
    """As `Code`, on an actor: an action that has the actor in execute must have it in the constructor as well."""

    def __init__(
        self, associated_actor: dict, trace: str, tag: str, ticks: int, at_parse: str, at_init: str, at_setup: str,
        at_update: str, at_terminate: str, at_cancel: str, at_shutdown: str,
    ) -> None:  # fmt: skip
        super().__init__(
            trace, tag, ticks, at_parse, at_init, at_setup, at_update, at_terminate, at_cancel, at_shutdown
        )

    def execute(self, at_execute: str, argument, associated_actor: dict) -> None:
        self.actor = associated_actor
        super().execute(at_execute, argument)


class Plain(BaseAction):
    """See lib_osc/parity.osc. Overrides nothing but update, so that the engine's own defaults are at work."""

    def __init__(self, ticks: int) -> None:
        super().__init__()
        self._ticks = ticks
        self._tick_count = 0

    def update(self):
        self._tick_count += 1
        return Status.SUCCESS if self._tick_count >= self._ticks else Status.RUNNING
