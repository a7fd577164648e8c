# SPDX-License-Identifier: Apache-2.0
"""What a worker does between its first and its last call."""

from __future__ import annotations

import socket
from pathlib import Path

import py_trees

from scenario_execution_remote.protocol import messages
from scenario_execution_server.worker.channel import WorkerChannel
from scenario_execution_server.worker.conversation import Conversation, ConversationOver
from scenario_execution_server.worker.handles import Handles
from scenario_execution_server.worker.outputs import Outputs
from scenario_execution_server.worker.runner import Runner
from scenario_execution_server.worker.stand_ins import ClientStorage


def main(channel: socket.socket, session: str, _folder: Path) -> int:
    """Carry out the calls of one session, in the main thread, one at a time and in the order they come.

    Args:
        channel: To the front.
        session: Name of the session.

    Returns:
        The exit status. When the channel closes instead of a farewell, the actions are ended just the same.
    """
    handles = Handles(session)
    conversation = Conversation(WorkerChannel(channel), handles.keep)
    py_trees.blackboard.Blackboard.storage = ClientStorage(conversation, handles)  # type: ignore[assignment]
    outputs = Outputs(lambda stream, data: conversation.say(messages.Output(stream=stream, data=data)))
    runner = Runner(conversation, handles)
    try:
        while True:
            call = conversation.next_call(runner.wait_s())
            if isinstance(call, messages.EndSession):
                break
            if isinstance(call, messages.Permit):
                runner.permit = call
                continue
            results = [runner.carry_out(call)] if call is not None else runner.go_on()
            outputs.flush()  # what a call printed arrives before its result
            for result in results:
                if result is not None:
                    conversation.say(result)
    except ConversationOver:
        pass  # the front is gone: nobody listens, but the actions' own clean-up still matters
    runner.end()
    outputs.flush()
    return 0
