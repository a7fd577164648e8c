# SPDX-License-Identifier: Apache-2.0
"""What a worker does between its first and its last call."""

from __future__ import annotations

import os
import socket
from dataclasses import replace
from pathlib import Path
from typing import Any

import py_trees

from scenario_execution_remote.protocol import messages
from scenario_execution_remote.protocol.wire import CannotTravelError
from scenario_execution_server.worker.channel import WorkerChannel
from scenario_execution_server.worker.conversation import Conversation, ConversationOver
from scenario_execution_server.worker.deeds import Deeds
from scenario_execution_server.worker.faults import fault_from
from scenario_execution_server.worker.files import Files
from scenario_execution_server.worker.handles import Handles
from scenario_execution_server.worker.outputs import Outputs
from scenario_execution_server.worker.runner import Runner
from scenario_execution_server.worker.stand_ins import ClientStorage

# Why a session may end while its client still listens, for the files that its actions leave when they are shut down.
_REASONS_TO_STAY = ("bye", "stopped")


def main(channel: socket.socket, session: str, folder: Path) -> int:
    """Carry out the calls of one session, in the main thread, one at a time and in the order they come.

    Args:
        channel: To the front.
        session: Name of the session.
        folder: The session's own.

    Returns:
        The exit status. When the channel closes instead of a farewell, the actions are ended just the same.
    """
    handles = Handles(session)
    conversation = Conversation(WorkerChannel(channel), handles.keep)
    py_trees.blackboard.Blackboard.storage = ClientStorage(conversation, handles)  # type: ignore[assignment]
    outputs = Outputs(lambda stream, data: conversation.say(messages.Output(stream=stream, data=data)))
    files = Files(conversation, folder)
    runner = Runner(conversation, handles, files.waiting)
    try:
        is_heard = _carry_out_calls(conversation, runner, outputs, files)
    except ConversationOver:
        is_heard = False  # the front is gone: nobody listens, but the actions' own clean-up still matters
    finally:  # and it does behind a fault of ours as well
        runner.end()
        outputs.flush()
    if is_heard:
        files.finish()
    else:
        files.close()
    return 0


def _carry_out_calls(conversation: Conversation, runner: Runner, outputs: Outputs, files: Files) -> bool:
    """Until the session ends. Returns whether its client still listens."""
    deeds = Deeds()
    conversation.tell_front(messages.Started(pid=os.getpid()))
    while True:
        call = files.next_call(runner.wait_s())
        if isinstance(call, messages.EndSession):
            return call.reason in _REASONS_TO_STAY
        if isinstance(call, messages.Permit):
            runner.permit = files.permit = call
            continue
        results = [runner.carry_out(files.translated(call))] if call is not None else runner.go_on()
        if len(results) == 1 and isinstance(results[0], messages.Ticked) and results[0].result is None:
            outputs.flush()
            conversation.say(results[0])  # all have stayed RUNNING, as mostly; the rest of this is about ends
            continue
        deed = deeds.of(call, results) if call is not None else None
        if deed is not None:
            conversation.tell_front(deed)
        outputs.flush()  # what a call printed arrives before its result
        files.collect_after(call, results)
        for result in results:
            if result is not None:
                answer(conversation, result, is_hurrying=runner.is_hurrying())
        runner.look_again()


def answer(conversation: Conversation, result: Any, *, is_hurrying: bool = False) -> None:
    """Send what a call has led to; if that cannot travel, as an action's output of many megabytes cannot, then why."""
    try:
        (conversation.say_soon if is_hurrying else conversation.say)(result)
    except CannotTravelError as error:
        if isinstance(result, messages.Ticked) and result.result is not None:
            conversation.say(replace(result, result=_instead_of(result.result, error)))
        elif isinstance(result, messages.Result):
            conversation.say(_instead_of(result, error))
        else:
            raise


def _instead_of(result: messages.Result, error: CannotTravelError) -> messages.Result:
    fault = fault_from(error, "protocol")
    return replace(result, status=None, stopped=False, feedback="", fault=fault, value=None, nodes=[])
