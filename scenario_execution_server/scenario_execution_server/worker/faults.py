# SPDX-License-Identifier: Apache-2.0
"""An exception of an action, put into the form in which it travels to the client."""

from __future__ import annotations

import traceback
from types import TracebackType

from scenario_execution.model.error import OSC2Error

from scenario_execution_remote.protocol import messages

_PLAIN = (str, bytes, int, float, bool, type(None))
_TEXT_CHARACTERS = 100_000  # of a text or traceback: more is no message to people, and a frame has an end
_PHASES = {"initialise": "execute", "update": "update", "terminate": "terminate"}


def fault_from(error: BaseException, phase: str) -> messages.Fault:
    """Describe *error*, which left lifecycle phase *phase* (``tick`` is narrowed down to what tick called)."""
    if phase == "tick":
        phase = _phase_within_tick(error.__traceback__)
    plain_arguments = all(_is_plain(argument) for argument in error.args) and _size_of(error.args) <= _TEXT_CHARACTERS
    return messages.Fault(
        phase=phase,
        type_name=type(error).__qualname__,
        module=str(getattr(type(error), "__module__", "")),  # a class made by type() in bare code has none
        text=_text_of(error),
        message=error.msg if isinstance(error, OSC2Error) and isinstance(error.msg, str) else None,
        arguments=list(error.args) if plain_arguments else None,
        traceback=_traceback_of(error),
    )


def _is_plain(argument: object) -> bool:
    if type(argument) is tuple:  # as in a SyntaxError, whose place is one
        return all(_is_plain(item) for item in argument)
    return type(argument) in _PLAIN


def _size_of(arguments: tuple[object, ...]) -> int:
    """About how long plain arguments are: what is longer than a text may be does not travel either."""
    return sum(
        _size_of(one) if isinstance(one, tuple) else len(one) if isinstance(one, (str, bytes)) else 1
        for one in arguments
    )


def _traceback_of(error: BaseException) -> str:
    try:
        return _cut("".join(traceback.format_exception(type(error), error, error.__traceback__)))
    except Exception as nested:  # noqa: BLE001 - formatting asks the exception's class, which is the action's code
        return f"<the traceback of {type(error).__qualname__} cannot be shown: {type(nested).__qualname__}>"


def _text_of(error: BaseException) -> str:
    try:
        return _cut(str(error))
    except Exception:  # noqa: BLE001 - the action's code; the engine's own ActionError fails so for .sce files
        return "<exception str() failed>"  # Python's own words for it


def _cut(text: str) -> str:
    return text if len(text) <= _TEXT_CHARACTERS else f"{text[:_TEXT_CHARACTERS]}... ({len(text)} characters)"


def _phase_within_tick(trace: TracebackType | None) -> str:
    while trace is not None:
        phase = _PHASES.get(trace.tb_frame.f_code.co_name)
        if phase is not None:
            return phase
        trace = trace.tb_next
    return "update"
