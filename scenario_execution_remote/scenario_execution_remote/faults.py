# SPDX-License-Identifier: Apache-2.0
"""What an action raised on the server, raised again here: same type name, same text, the traceback as its cause."""

from __future__ import annotations

import builtins
from typing import Any

from scenario_execution.actions.base_action import ActionError
from scenario_execution.model.error import OSC2Error

from .protocol import messages


class RemoteTraceback(Exception):
    """The traceback as it was on the server."""

    def __str__(self) -> str:
        return f"on the server:\n{self.args[0]}"


def exception_from(fault: messages.Fault, action: Any) -> BaseException:
    """The exception that *fault* describes, as it would have been raised locally.

    Args:
        fault: What came over the wire.
        action: The local instance of the action, whose model knows the place in the scenario.
    """
    error = _rebuild(fault, action)
    error.__cause__ = RemoteTraceback(fault.traceback)
    return error


def _rebuild(fault: messages.Fault, action: Any) -> BaseException:
    if fault.message is not None:
        if (fault.module, fault.type_name) == (ActionError.__module__, ActionError.__name__):
            is_placed = fault.text != fault.message  # the steps of a subtree have no place of their own in the scenario
            error: BaseException = ActionError(fault.message, action=action if is_placed else None)
            return error
        return _named(fault, OSC2Error)(fault.message, None)
    if fault.module == "builtins":
        cls = getattr(builtins, fault.type_name, None)
        if isinstance(cls, type) and issubclass(cls, BaseException):
            candidate = _construct(cls, fault)
            if candidate is not None:
                return candidate
    return _named(fault, Exception)(fault.text)


def _construct(cls: type[BaseException], fault: messages.Fault) -> BaseException | None:
    arguments = [fault.text] if fault.arguments is None else fault.arguments
    try:
        error = cls(*arguments)
    except TypeError:  # UnicodeDecodeError and the like demand arguments that did not travel
        return None
    return error if str(error) == fault.text else None


def _named(fault: messages.Fault, base: type[BaseException]) -> type[BaseException]:
    """A class that shows as the remote one in a traceback's last line."""

    def text(_self: object) -> str:
        return fault.text

    name = fault.type_name.rpartition(".")[2]
    members = {"__module__": fault.module, "__qualname__": fault.type_name, "__str__": text}
    return type(name, (base,), members)
