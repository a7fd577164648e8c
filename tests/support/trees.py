# SPDX-License-Identifier: Apache-2.0
"""Generated scenarios: trees of compositions, modifiers, waits and scripted actions, and remote() at random places.

A scenario is written down twice: as ``here``, without any remote(), and as ``there``, with those that were drawn.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace

from hypothesis import strategies as st

HEAD = "import osc.helpers\nimport osc.remote\nimport osc.probe\n"
REMOTES = ("remote", "remote other")  # two endpoints, and so two sessions
STOPPING = ("timeout", "until", "running_is_")  # at the level of the scenario they do not matter: nothing comes after
COMPOSITIONS = ("serial", "parallel", "one_of")
EVENTS = ("e0", "e1")
VARIABLES = ("n0",)


@dataclass(frozen=True, slots=True)
class Node:
    """A composition, or one line.

    Attributes:
        what: ``serial``, ``parallel``, ``one_of``; ``script ...`` for a scripted action; else a line of OSC.
        around: What stands in its with-block, in that order.
        children: Of a composition.
        is_inside: Whether its modifiers are statements at the head of the composition instead of a with-block.
    """

    what: str
    around: tuple[str, ...] = ()
    children: tuple[Node, ...] = ()
    is_inside: bool = False

    @property
    def is_action(self) -> bool:
        """Whether it is one of the actions that remote() can stand for."""
        return self.what.startswith(("script ", "increment("))

    def has_action(self) -> bool:
        """Whether there is one here or below."""
        return self.is_action or any(child.has_action() for child in self.children)

    def has_remote(self) -> bool:
        """Whether there is a remote() here or below."""
        return any(line in REMOTES for line in self.around) or any(child.has_remote() for child in self.children)


@dataclass(frozen=True, slots=True)
class Example:
    """A whole scenario: what `do` does, and the modifiers at the level of the scenario."""

    root: Node
    around: tuple[str, ...] = ()

    def text(self, trace: str, endpoints: tuple[str, str]) -> str:
        """The OSC file with both scenarios.

        Args:
            trace: File for the lines of the scripted actions.
            endpoints: For the two kinds of remote().
        """
        calls = {kind: f'remote("{endpoint}")' for kind, endpoint in zip(REMOTES, endpoints, strict=True)}
        lines = [HEAD]
        for name in ("here", "there"):
            lines.append(f"scenario {name}:")
            lines += [f"    event {event}" for event in EVENTS]
            lines += [f"    var {variable}: int = 0" for variable in VARIABLES]
            lines += [f"    {line}" for line in self._modifiers(self.around, name, calls)]
            written = list(self._lines(self.root, name, calls, trace, itertools.count()))
            lines += [f"    do {written[0]}", *(f"    {line}" for line in written[1:]), ""]
        return "\n".join(lines)

    def groups(self) -> list[str]:
        """For each scripted action, in the order of the tree: those with the same word are called in the same order.

        That is where it runs, because different places tick at the same time. Where the tree may stop an action that is
        RUNNING before it comes to the next one, a server has ticked that already: there each action is its own group.
        """
        found: list[str] = []
        is_orderly = True

        def look(node: Node, place: str) -> None:
            nonlocal is_orderly
            is_orderly = is_orderly and not any(line.startswith(STOPPING) for line in node.around)
            # the one written last is the innermost, and the innermost counts
            place = next((line for line in reversed(node.around) if line in REMOTES), place)
            if node.what.startswith("script "):
                found.append(place)
            for child in node.children:
                look(child, place)

        look(self.root, next((line for line in reversed(self.around) if line in REMOTES), ""))
        return found if is_orderly else [f"{place} {number}" for number, place in enumerate(found)]

    def __repr__(self) -> str:
        return self.text("trace.txt", ("ENDPOINT", "OTHER"))

    @staticmethod
    def _modifiers(around: tuple[str, ...], name: str, calls: dict[str, str]) -> list[str]:
        return [calls.get(line, line) for line in around if name == "there" or line not in calls]

    def _lines(
        self, node: Node, name: str, calls: dict[str, str], trace: str, numbers: Iterator[int]
    ) -> Iterator[str]:
        around = self._modifiers(node.around, name, calls)
        if node.what not in COMPOSITIONS:
            line = node.what
            if line.startswith("script "):
                tag = f"a{next(numbers)}"
                line = f'{tag}: probe_script(trace: "{trace}", tag: "{tag}", script: "{line[len("script "):]}")'
            yield f"{line} with:" if around else line
            yield from (f"    {modifier}" for modifier in around)
            return
        yield f"{node.what}:"
        inside = [line for line in around if node.is_inside and not line.startswith("until")]
        yield from (f"    {line}" for line in inside)
        for child in node.children:
            yield from (f"    {line}" for line in self._lines(child, name, calls, trace, numbers))
        behind = [line for line in around if line not in inside]
        if behind:
            yield "with:"
            yield from (f"    {line}" for line in behind)


def settled(example: Example) -> Example:
    """*example* without remote()s that have nothing below them, which are an error, and with one at least."""

    def clean(node: Node) -> Node:
        around = node.around if node.has_action() else tuple(line for line in node.around if line not in REMOTES)
        return replace(node, around=around, children=tuple(clean(child) for child in node.children))

    root = clean(example.root)
    around = example.around
    if not root.has_action():
        root = Node("serial", (), (root, Node("script S")))
    if not root.has_remote() and not any(line in REMOTES for line in around):
        around = (*around, "remote")
    return Example(root, around)


# -- strategies: what is simple comes first, because that is where shrinking leads -----------------------------------

DURATIONS = st.sampled_from(["2s", "1s", "4s", "1.5s", "0s"])
HARMLESS = st.one_of(
    st.integers(2, 3).map(lambda count: f"retry({count})"),
    st.integers(1, 3).map(lambda count: f"repeat({count})"),
    DURATIONS.map(lambda duration: f"timeout({duration})"),
)
CHANGING = st.sampled_from(
    [
        "inverter()", "failure_is_success()", "success_is_failure()", "running_is_success()", "running_is_failure()",
        "failure_is_running()", "success_is_running()", "repeat()",
    ]
)  # fmt: skip
UNTILS = st.one_of(
    DURATIONS.map(lambda duration: f"until elapsed({duration})"),
    st.sampled_from(EVENTS).map(lambda event: f"until @{event}"),
    st.integers(1, 2).map(lambda count: f"until @e0 if n0 == {count}"),
)
AROUND = st.lists(
    st.one_of(st.just("remote"), HARMLESS, HARMLESS, CHANGING, UNTILS, st.just("remote"), st.just("remote other")),
    max_size=3,
).map(tuple)
AROUND_SCENARIOS = st.lists(st.one_of(st.just("remote"), HARMLESS, CHANGING), max_size=2).map(tuple)

# An activation is RUNNING for some ticks, and then succeeds or fails; one in ten does something unusual instead.
USUAL = st.builds(lambda running, end: " ".join(["R"] * running + [end]), st.integers(0, 3), st.sampled_from("SSF"))
UNUSUAL = st.one_of(
    st.text("SFRIN", min_size=1, max_size=3).map(" ".join),
    st.builds(lambda running, deed: " ".join(["R"] * running + [deed]), st.integers(0, 2), st.sampled_from("VPA")),
    st.builds("{}{} {}".format, st.sampled_from("etc"), st.sampled_from("VPA"), USUAL),
)
ACTIVATIONS = st.integers(0, 9).flatmap(lambda number: UNUSUAL if number == 9 else USUAL)
SCRIPTS = st.lists(ACTIVATIONS, min_size=1, max_size=3).map(" / ".join)
ACTIONS = st.builds(Node, SCRIPTS.map(lambda script: f"script {script}"), AROUND)
COUNTS = st.builds(Node, st.just("increment(n0)"), AROUND)


def _line(what: str) -> Node:
    # an emit gets a composition of its own: beside a wait for the same event, the engine takes the emit for the event
    return Node("serial", (), (Node(what),)) if what.startswith("emit") else Node(what)


LINES = st.one_of(
    DURATIONS.map(lambda duration: f"wait elapsed({duration})"),
    st.sampled_from(EVENTS).map(lambda event: f"emit {event}"),
    st.sampled_from(EVENTS).map(lambda event: f"wait @{event}"),
    st.integers(1, 2).map(lambda count: f"wait @e0 if n0 == {count}"),
    st.sampled_from(["emit end", "emit fail", "emit e0", "emit e1"]),
).map(_line)
LEAVES = st.integers(0, 9).flatmap(lambda number: LINES if number == 9 else COUNTS if number == 8 else ACTIONS)


def _composition(children: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
    kinds = st.sampled_from(("serial", "serial", "parallel", "one_of"))
    return st.builds(Node, kinds, AROUND, st.lists(children, min_size=1, max_size=4).map(tuple), st.booleans())


# Actions of one server right behind each other, as a server begins without the tree: most over at once, as it needs.
QUICK = st.one_of(*[st.just("S")] * 5, USUAL, UNUSUAL)
QUICK_ACTIONS = st.lists(QUICK, min_size=1, max_size=3).map(lambda script: Node(f"script {' / '.join(script)}"))
ROWS = st.builds(
    lambda around, remote, children: Node("serial", (*around, remote), tuple(children)),
    st.lists(st.one_of(HARMLESS, CHANGING, UNTILS), max_size=2),
    st.sampled_from(REMOTES),
    st.lists(QUICK_ACTIONS, min_size=2, max_size=6),
)
BRANCHES = st.integers(0, 3).flatmap(lambda number: ROWS if number == 3 else LEAVES)

TREES = _composition(st.recursive(BRANCHES, _composition, max_leaves=8))
EXAMPLES = st.builds(Example, TREES, AROUND_SCENARIOS).map(settled)


