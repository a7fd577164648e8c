# SPDX-License-Identifier: Apache-2.0
"""The differences between local and remote that are there on purpose."""

from __future__ import annotations

from tests.parity.row import Difference

# What run_process logs when it is shut down; it waits only if the process is not dead by then.
SHUTTING_DOWN = (
    "INFO Sending SIGTERM to process...",
    "INFO Waiting 10s for process to finish...",
    "INFO Process finished.",
)
END = Difference(
    title="At the end of the scenario remote actions are stopped and shut down, and nothing of theirs goes on.",
    why="The plain runner leaves running actions and background processes alone, and they go on after it. On another "
    "machine nobody would ever see or end them.",
    record="0020-end-of-scenario.md",
)
COPIES = Difference(
    title="An action gets a copy of a variable's value: changing a list or dictionary in place changes nothing on the client.",  # noqa: E501
    why="Two processes share no objects; writing the variable does travel.",
    record="0007-values-by-copy.md",
)
WRITERS = Difference(
    title="An action that registers a key which an action in another process has as its exclusive writer, or wants it exclusively beside "  # noqa: E501
    "one, goes on, and a warning is logged.",
    why="A key is registered where the action runs, and told: to ask first would cost a round trip for each key.",
    record="0007-values-by-copy.md",
)
MACHINE = Difference(
    title="An action finds the environment, the globals, the user and the clock of the process and machine where it runs.",  # noqa: E501
    why="That is what it is sent there for.",
    record="0024-where-an-action-runs.md",
)
LATE = Difference(
    title="A result that does not come within half a tick period keeps the action RUNNING, and counts in a later tick.",
    why="One slow action or link must not hold up the whole tree.",
    record="0009-ticks.md",
)
ELSEWHERE = Difference(
    title="What can only go wrong with another machine fails in set-up, or fails the action, in words that name both sides.",  # noqa: E501
    why="There is no local behaviour to be the same as.",
    record="0021-errors-without-a-local-twin.md",
)
SIMULATOR = Difference(
    title="A simulation object stays on the client: the actions there get it, remote ones do not.",
    why="A live simulator cannot be sent; the action fails with the engine's own sentence for a run without one.",
    record="0022-simulator-stays.md",
)
SUBTREE = Difference(
    title="A remote subtree is ticked as one: its steps are not timed one by one, and with -d its debug lines come before those "  # noqa: E501
    "of the visitor.",
    why="One call per tick does for all of its steps; in between, nothing of the client runs.",
    record="0023-subtrees-as-one.md",
)
TOGETHER = Difference(
    title="Remote actions are constructed when the set-up of their scenario begins, and those on different servers are set up "  # noqa: E501
    "at the same time.",
    why="Parsing a scenario does not touch the network, and the set-up of many servers should take no longer than that of one.",  # noqa: E501
    record="0009-ticks.md",
)
