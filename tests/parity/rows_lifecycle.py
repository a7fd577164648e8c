# SPDX-License-Identifier: Apache-2.0
"""Rows about where remote() stands, in which order the calls of the lifecycle come, and how a scenario ends."""

from __future__ import annotations

from tests.parity.differences import END, LATE, MACHINE, SHUTTING_DOWN, TOGETHER
from tests.parity.row import Feature, Live, Pace, Row, scenario

PLACEMENT, LIFECYCLE, FINISH, QUIRKS = Feature.PLACEMENT, Feature.LIFECYCLE, Feature.END, Feature.QUIRKS
NOTED_BY_THREAD = "the action writes from a thread of its own"

placement = (
    Row(
        name="remote() on a leaf between local actions keeps the order of everything",
        feature=PLACEMENT,
        text=scenario(
            """
            probe_steps($T, tag: "before", ticks: 2)
            probe_steps($T, tag: "there", ticks: 2) with:
                REMOTE
            probe_steps($T, tag: "after", ticks: 2)
            """,
            modifiers="",
        ),
        here=("before", "after"),
    ),
    Row(
        name="remote() in the with block of a composition covers the actions below",
        feature=PLACEMENT,
        pace=Pace.SIMULATED,
        text=scenario(
            """
            parallel:
                probe_steps($T, tag: "a", ticks: 2)
                serial:
                    probe_steps($T, tag: "b")
                    wait elapsed(0.1s)
                    log("between")
                    probe_steps($T, tag: "c")
            with:
                REMOTE
            """,
            modifiers="",
        ),
    ),
    Row(
        name="remote() as a statement of a composition covers the actions below",
        feature=PLACEMENT,
        text=scenario(
            """
            one_of:
                REMOTE
                probe_steps($T, tag: "quick", ticks: 2)
                probe_steps($T, tag: "slow", ticks: 4)
            """,
            modifiers="",
        ),
    ),
    Row(
        name="remote() on the scenario covers all actions and leaves the name of the root alone",
        feature=PLACEMENT,
        text=scenario('probe_steps($T, ticks: 2)\nlog("done")'),
        options=("-t",),
    ),
    Row(
        name="remote() directly below do needs no composition",
        feature=PLACEMENT,
        text=scenario("", modifiers="").replace(
            "    do serial:", "    do serial:\n        serial:\n            REMOTE\n            probe_steps($T)"
        ),
    ),  # fmt: skip
    Row(
        name="remote() above other modifiers",
        feature=PLACEMENT,
        text=scenario(
            """
            probe_steps($T, ticks: 2, result: "failure success") with:
                REMOTE
                retry(3)
                timeout(20s)
            """,
            modifiers="",
        ),
    ),
    Row(
        name="remote() below other modifiers",
        feature=PLACEMENT,
        text=scenario(
            """
            probe_steps($T, ticks: 2, result: "failure success") with:
                timeout(20s)
                retry(3)
                REMOTE
            """,
            modifiers="",
        ),
    ),
    Row(
        name="remote() between other modifiers",
        feature=PLACEMENT,
        text=scenario(
            """
            probe_steps($T, ticks: 2, result: "success failure") with:
                inverter()
                REMOTE
                repeat(3)
            """,
            modifiers="",
        ),
    ),
    Row(
        name="an inner remote() wins over an outer one",
        feature=PLACEMENT,
        text=scenario(
            """
            probe_code($T, tag: "outer", at_execute: «GLOBALS["mark"] = "outer"»)
            probe_code(at_execute: «GLOBALS["mark"] = "inner"») with:
                REMOTE2
            probe_code($T, tag: "look", at_execute: «write(GLOBALS["mark"])»)
            """
        ),
        differs=MACHINE,
        remotely={
            "file trace": [
                "outer setup(INVALID)",
                "look setup(INVALID)",
                "outer execute(INVALID)",
                "outer update(INVALID)",
                "outer terminate SUCCESS(INVALID)",
                "look execute(INVALID)",
                "look > outer",
                "look update(INVALID)",
                "look terminate SUCCESS(INVALID)",
            ]
        },
    ),
    Row(
        name="a label is the name of the action everywhere",
        feature=PLACEMENT,
        text=scenario(
            """
            first: probe_code($T, at_execute: «write(self.name)»)
            second: probe_code($T, tag: "b", at_execute: «write(self.name)»)
            """
        ),
        options=("-t",),
    ),
    Row(
        name="remote() in a scenario with wait and emit leaves these on the client",
        feature=PLACEMENT,
        text=scenario(
            """
            parallel:
                serial:
                    probe_steps($T, tag: "a", ticks: 2)
                    emit ready
                serial:
                    wait @ready
                    probe_steps($T, tag: "b")
            """,
            declare="event ready",
        ),
    ),
)

MODIFIERS = (
    "repeat(2)",
    "retry(2)",
    "timeout(20s)",
    "inverter()",
    "failure_is_running()",
    "failure_is_success()",
    "running_is_failure()",
    "running_is_success()",
    "success_is_failure()",
    "success_is_running()",
)
PLACES = ("a leaf", "a composition", "the scenario")
# With the others, the failures of the two actions make the scenario fail.
SUCCEEDING = {
    ("retry", "a leaf"),
    ("inverter", "a composition"),
    ("inverter", "the scenario"),
    ("running_is_success", "a composition"),
    ("running_is_success", "the scenario"),
    *((word, place) for word in ("failure_is_running", "failure_is_success") for place in PLACES),
}
ENDLESS = ("failure_is_running()", "success_is_running()")


def modified(modifier: str, place: str) -> Row:
    """A row for a modifier on a leaf, a composition or the scenario; the actions fail and succeed in turns."""
    word = modifier.partition("(")[0]
    first = 'probe_steps($T, tag: "a", ticks: 2, result: "success failure success")'
    second = 'probe_steps($T, tag: "b", ticks: 1, result: "failure success")'
    if place == "a leaf":
        body = f"{first} with:\n    {modifier}\n{second} with:\n    {modifier}"
        text = scenario(body)
    elif place == "a composition":
        text = scenario(f"serial:\n    {modifier}\n    {first}\n    {second}")
    else:
        text = scenario(f"{first}\n{second}", modifiers=f"{modifier}\nREMOTE")
    pace = Pace.HURRIED
    if modifier in ENDLESS:  # what would last for ever is ended by a branch beside it
        text = text.replace("    do serial:\n", "    do one_of:\n        wait elapsed(1.5s)\n        serial:\n")
        pace = Pace.SIMULATED
        head, mark, tail = text.partition("        serial:\n")
        text = head + mark + "\n".join(f"    {line}" if line else line for line in tail.split("\n"))
    code = int((word, place) not in SUCCEEDING)
    return Row(name=f"the modifier {word} on {place}", feature=LIFECYCLE, text=text, pace=pace, code=code)


lifecycle = (
    Row(
        name="actions in a row end with the first that fails",
        feature=LIFECYCLE,
        code=1,
        text=scenario(
            """
            probe_steps($T, tag: "a", ticks: 1)
            probe_steps($T, tag: "b", ticks: 1)
            probe_steps($T, tag: "c", ticks: 1, result: "failure")
            probe_steps($T, tag: "d", ticks: 1)
            """
        ),
    ),
    Row(
        name="actions in a row end with the first that raises",
        feature=LIFECYCLE,
        code=1,
        says="ValueError: on purpose",
        text=scenario(
            """
            probe_steps($T, tag: "a", ticks: 1)
            probe_code($T, tag: "b", at_update: «raise ValueError("on purpose")»)
            probe_steps($T, tag: "c", ticks: 1)
            """
        ),
    ),
    Row(
        name="actions in a row wait for the first that takes its time",
        feature=LIFECYCLE,
        text=scenario(
            """
            probe_steps($T, tag: "a", ticks: 1)
            probe_steps($T, tag: "b", ticks: 3)
            probe_steps($T, tag: "c", ticks: 1)
            probe_steps($T, tag: "d", ticks: 2)
            probe_steps($T, tag: "e", ticks: 1)
            """
        ),
    ),
    Row(
        name="actions in a row are repeated and retried as a whole",
        feature=LIFECYCLE,
        text=scenario(
            """
            serial:
                probe_steps($T, tag: "a", ticks: 1)
                probe_steps($T, tag: "b", ticks: 1, result: "failure success")
                probe_steps($T, tag: "c", ticks: 1)
                probe_steps($T, tag: "d", ticks: 1)
            with:
                repeat(2)
                retry(3)
            """
        ),
    ),
    Row(
        name="actions in a row go on where a local one stands between them",
        feature=LIFECYCLE,
        text=scenario(
            """
            serial:
                probe_steps($T, tag: "a", ticks: 1)
                probe_steps($T, tag: "b", ticks: 1)
            with:
                REMOTE
            log("here")
            serial:
                probe_steps($T, tag: "c", ticks: 1)
                probe_steps($T, tag: "d", ticks: 1)
            with:
                REMOTE
            """,
            modifiers="",
        ),
    ),
    Row(
        name="actions in a row are cancelled with it when another branch wins",
        feature=LIFECYCLE,
        text=scenario(
            """
            one_of:
                serial:
                    probe_steps($T, tag: "a", ticks: 1)
                    probe_steps($T, tag: "b", ticks: 1)
                    probe_steps($T, tag: "c", ticks: 100)
                    probe_steps($T, tag: "d", ticks: 1)
                probe_steps($T, tag: "winner", ticks: 3)
            probe_steps($T, tag: "after", ticks: 2)
            """
        ),
    ),
    Row(
        name="actions in a row each begin with what the one before has written",
        feature=LIFECYCLE,
        text=scenario(
            """
            increment(count)
            probe_code($T, tag: "a", argument: count, at_execute: «write(self.argument)»)
            increment(count)
            probe_code($T, tag: "b", argument: count, at_execute: «write(self.argument)»)
            compare(count, "==", 2)
            """,
            declare="var count: int = 0",
        ),
    ),
    Row(
        name="an action that lasts three ticks is executed once, updated three times and terminated once",
        feature=LIFECYCLE,
        text=scenario("probe_steps($T, ticks: 3)"),
    ),
    Row(
        name="actions that succeed in their first update pass in one tick",
        feature=LIFECYCLE,
        text=scenario('log("one")\nprobe_steps($T)\nlog("two")\nprobe_steps($T, tag: "b")\nlog("three")'),
    ),
    Row(
        name="the children of a parallel are ticked in their order, one after the other",
        feature=LIFECYCLE,
        text=scenario(
            """
            parallel:
                probe_steps($T, tag: "a", ticks: 3)
                probe_steps($T, tag: "b", ticks: 1)
                probe_steps($T, tag: "c", ticks: 2)
            """
        ),
    ),
    Row(
        name="local and remote children of one parallel are ticked in their order",
        feature=LIFECYCLE,
        text=scenario(
            "parallel:\n"
            + "\n".join(
                f"    probe_code(ticks: 3, at_update: «open('$F/ticks', 'a').write('{tag}')»){modifiers}"
                for tag, modifiers in {
                    "a": "",
                    "b": " with:\n        REMOTE",
                    "c": "",
                    "d": " with:\n        REMOTE2",
                }.items()
            ),
            modifiers="",
        ),
    ),
    Row(
        name="what stands between two actions of one server is ticked between them",
        feature=LIFECYCLE,
        text=scenario(
            "parallel:\n"
            + "\n".join(
                f"    probe_code(ticks: {ticks}, at_update: «open('$F/ticks', 'a').write('{tag}')»){modifiers}"
                for tag, ticks, modifiers in (
                    ("a", 4, " with:\n        REMOTE"),
                    ("b", 4, ""),
                    ("c", 4, " with:\n        REMOTE"),
                    ("d", 4, " with:\n        REMOTE2"),
                    ("e", 4, " with:\n        REMOTE"),
                    ("f", 1, " with:\n        repeat(4)"),
                    ("g", 4, " with:\n        REMOTE"),
                )
            ),
            modifiers="",
        ),
    ),
    Row(
        name="actions on two servers are set up before the first tick, those of each server in their order",
        feature=LIFECYCLE,
        text=scenario(
            "\n".join(
                f'probe_steps($T, tag: "{tag}") with:\n    {modifier}'
                for tag, modifier in {"a": "REMOTE", "b": "REMOTE2", "c": "REMOTE", "d": "REMOTE2"}.items()
            ),
            modifiers="",
        ),
        differs=TOGETHER,
        unordered={"file trace": "the servers work at the same time"},
    ),
    Row(
        name="twenty actions in a parallel end in the tick in which they end locally",
        feature=LIFECYCLE,
        text=scenario(
            "parallel:\n" + "\n".join(f'    probe_steps($T, tag: "a{n}", ticks: {1 + n % 4})' for n in range(20))
        ),
    ),
    Row(
        name="a failing child ends a parallel and cancels its siblings",
        feature=LIFECYCLE,
        code=1,
        text=scenario(
            """
            parallel:
                probe_steps($T, tag: "early")
                probe_steps($T, tag: "long", ticks: 9)
                probe_steps($T, tag: "fails", ticks: 3, result: "failure")
            """
        ),
    ),
    Row(
        name="the losers of one_of are terminated as INVALID and asked to cancel",
        feature=LIFECYCLE,
        text=scenario(
            """
            one_of:
                probe_steps($T, tag: "long", ticks: 9)
                probe_steps($T, tag: "wins", ticks: 3)
                probe_steps($T, tag: "longer", ticks: 9)
            probe_steps($T, tag: "after")
            """
        ),
    ),
    Row(
        name="an action that returned SUCCESS is terminated as INVALID when its branch is abandoned",
        feature=LIFECYCLE,
        text=scenario(
            """
            one_of:
                serial:
                    probe_steps($T, tag: "done")
                    probe_steps($T, tag: "running", ticks: 9)
                    probe_steps($T, tag: "never")
                probe_steps($T, tag: "wins", ticks: 3)
            """
        ),
    ),
    Row(
        name="a repeated composition stops its finished actions before it begins again",
        feature=LIFECYCLE,
        text=scenario(
            """
            serial:
                repeat(3)
                probe_steps($T, tag: "a")
                probe_steps($T, tag: "b", ticks: 2)
            """
        ),
    ),
    Row(
        name="a repeated parallel stops its finished actions before it begins again",
        feature=LIFECYCLE,
        text=scenario(
            """
            parallel:
                repeat(2)
                probe_steps($T, tag: "a")
                probe_steps($T, tag: "b", ticks: 2)
            """
        ),
    ),
    Row(
        name="a retried composition begins again from its first action",
        feature=LIFECYCLE,
        text=scenario(
            """
            serial:
                retry(3)
                probe_steps($T, tag: "a")
                probe_steps($T, tag: "b", ticks: 2, result: "failure failure success")
            """
        ),
    ),
    Row(
        name="a retry that is used up fails the scenario",
        feature=LIFECYCLE,
        code=1,
        text=scenario('probe_steps($T, result: "failure") with:\n    retry(3)'),
    ),
    Row(
        name="a repeat stops at the first failure",
        feature=LIFECYCLE,
        code=1,
        text=scenario('probe_steps($T, result: "success failure") with:\n    repeat(5)'),
    ),
    Row(
        name="an action of many ticks repeated within a repeated composition",
        feature=LIFECYCLE,
        text=scenario(
            """
            serial:
                repeat(2)
                probe_steps($T, tag: "a", ticks: 2) with:
                    repeat(2)
                probe_steps($T, tag: "b", result: "failure success") with:
                    retry(2)
            """
        ),
    ),
    Row(
        name="a timeout over remote() cancels the action and fails",
        feature=LIFECYCLE,
        code=1,
        pace=Pace.SIMULATED,
        text=scenario("probe_steps($T, ticks: 9) with:\n    timeout(0.3s)\n    REMOTE", modifiers=""),
    ),
    Row(
        name="remote() over a timeout cancels the action and fails",
        feature=LIFECYCLE,
        code=1,
        pace=Pace.SIMULATED,
        text=scenario("probe_steps($T, ticks: 9) with:\n    REMOTE\n    timeout(0.3s)", modifiers=""),
    ),
    Row(
        name="a timeout of a composition cancels what runs in it, and what has finished",
        feature=LIFECYCLE,
        code=1,
        pace=Pace.SIMULATED,
        text=scenario(
            """
            serial:
                timeout(0.5s)
                probe_steps($T, tag: "done")
                probe_steps($T, tag: "running", ticks: 9)
            """
        ),
    ),
    Row(
        name="a timeout of the scenario fails it",
        feature=LIFECYCLE,
        code=1,
        pace=Pace.SIMULATED,
        text=scenario("probe_steps($T, ticks: 20)", modifiers="timeout(0.5s)\nREMOTE"),
    ),
    Row(
        name="a timeout that is retried starts the action anew",
        feature=LIFECYCLE,
        pace=Pace.SIMULATED,
        text=scenario("probe_steps($T, ticks: 9) with:\n    failure_is_success()\n    retry(2)\n    timeout(0.3s)"),
    ),
    Row(
        name="until on an event cancels the action and succeeds",
        feature=LIFECYCLE,
        text=scenario(
            """
            parallel:
                probe_steps($T, tag: "bounded", ticks: 30) with:
                    until @enough
                serial:
                    probe_steps($T, tag: "beside", ticks: 3)
                    emit enough
            """,
            declare="event enough",
        ),
    ),
    Row(
        name="until on time cancels a composition",
        feature=LIFECYCLE,
        pace=Pace.SIMULATED,
        text=scenario(
            """
            serial:
                probe_steps($T, tag: "a")
                probe_steps($T, tag: "b", ticks: 30)
            with:
                until elapsed(0.5s)
            log("after")
            """
        ),
    ),
    Row(
        name="until is outside remote() wherever it is written",
        feature=LIFECYCLE,
        text=scenario(
            """
            parallel:
                probe_steps($T, tag: "bounded", ticks: 30) with:
                    REMOTE
                    until @enough
                    failure_is_success()
                serial:
                    probe_steps($T, tag: "beside", ticks: 2)
                    emit enough
            """,
            declare="event enough",
            modifiers="",
        ),
        here=("beside",),
    ),
    Row(
        name="an action that finishes before its until is not cancelled",
        feature=LIFECYCLE,
        text=scenario('probe_steps($T, ticks: 2) with:\n    until elapsed(20s)\nprobe_steps($T, tag: "b")'),
    ),
    Row(
        name="until on a variable that the action itself increments",
        feature=LIFECYCLE,
        text=scenario(
            """
            serial:
                repeat()
                increment(count)
                probe_steps($T)
            with:
                until count >= 3
            """,
            declare="var count: int = 0",
        ),
    ),
    *(modified(modifier, place) for modifier in MODIFIERS for place in PLACES),
    Row(
        name="an action that overrides nothing but update works with the engine's own defaults",
        feature=LIFECYCLE,
        text=scenario("one_of:\n    probe_plain(3)\n    probe_plain(9)"),
    ),
    Row(
        name="the status that an action sees of itself is that of the last activation until its first update is done",
        feature=LIFECYCLE,
        text=scenario(
            """
            probe_code($T, ticks: 2, at_execute: «write(self.status.name)», at_update: «write(self.status.name)»,
                       at_terminate: «write([self.status.name, status.name])») with:
                repeat(2)
            """
        ),
    ),
    Row(
        name="setup comes once, before the first tick, in the order of the tree",
        feature=LIFECYCLE,
        text=scenario(
            """
            parallel:
                probe_steps($T, tag: "a")
                serial:
                    probe_steps($T, tag: "b")
                    probe_steps($T, tag: "c") with:
                        repeat(2)
            probe_steps($T, tag: "d")
            """
        ),
    ),
    Row(
        name="an action that never gets its turn is set up and nothing else",
        feature=LIFECYCLE,
        code=1,
        text=scenario('probe_steps($T, tag: "fails", result: "failure")\nprobe_steps($T, tag: "never")'),
    ),
    Row(
        name="what an action keeps in itself is there in its next activation",
        feature=LIFECYCLE,
        text=scenario(
            """
            probe_code($T, at_execute: «self.count = getattr(self, "count", 0) + 1; write(self.count)») with:
                repeat(3)
            """
        ),
    ),
    Row(
        name="an action may stop itself from being cancelled without any effect",
        feature=LIFECYCLE,
        text=scenario(
            """
            one_of:
                probe_code($T, tag: "no", ticks: 9, at_cancel: «return False»)
                probe_steps($T, tag: "wins", ticks: 2)
            """
        ),
    ),
    Row(
        name="a fast action beside a blocking one goes on ticking",
        feature=LIFECYCLE,
        pace=Pace.WALL,
        text=scenario(
            """
            parallel:
                probe_code($T, tag: "slow", at_update: «time.sleep(1.1)»)
                probe_steps("$F/quick", ticks: 3)
            """
        ),
        differs=LATE,
        unlike={
            "file out/behaviors.jsonl": "locally the first tick lasts until the blocking call is over, remotely it does not",  # noqa: E501
        },
    ),
    Row(
        name="feedback of a tick that blocks is shown as soon as it is there",
        feature=LIFECYCLE,
        pace=Pace.WALL,
        text=scenario(
            """
            probe_code($T, ticks: 4, at_update: «
                if self.tick_count == 1:
                    time.sleep(0.7)
                self.feedback_message = "slow" if self.tick_count < 4 else "done"»)
            """
        ),
        options=("-t",),
        says="[*] -- slow",
        tells="[*] -- slow",
        differs=LATE,
        unlike=dict.fromkeys(
            ("stdout", "file out/behaviors.jsonl"), "the remote action is RUNNING until its result is there"
        ),
    ),
    Row(
        name="a blocking call counts in a later tick and its action is ticked once",
        feature=LIFECYCLE,
        pace=Pace.WALL,
        text=scenario(
            """
            probe_code($T, tag: "slow", at_update: «time.sleep(0.7)»)
            probe_steps($T, tag: "next")
            """
        ),
        differs=LATE,
        unlike={"file out/behaviors.jsonl": "the remote action is RUNNING until its result is there"},
    ),
)


def interrupted(name: str) -> object:
    """Sends a signal between the third tick and the fourth."""

    def act(run: Live) -> None:
        run.wait_for("step 3 of 99", file="output")
        run.signal(name)

    return act


def ended_if_it_stays(run: Live) -> None:
    """Ends a run that still goes on a while after its verdict."""
    run.wait_for("</testsuite", file="out/test.xml")
    run.end_after(10.0)


def some_ticks(run: Live) -> None:
    """Ends a run that would go on for ever once it has gone on for a while."""
    run.wait_for("update(", count=6)
    run.signal("SIGTERM")


BACKGROUND = 'run_process("sleep 1000.$N", wait_for_shutdown: false)'

finish = (
    Row(
        name="emit end ends the scenario with running actions as a success",
        feature=FINISH,
        pace=Pace.WALL,
        text=scenario(
            "parallel:\n    probe_steps($T, ticks: 99)\n    serial:\n        wait elapsed(0.5s)\n        emit end"
        ),
        differs=END,
        stopped=("a",),
    ),
    Row(
        name="emit fail ends the scenario with running actions as a failure",
        feature=FINISH,
        code=1,
        pace=Pace.WALL,
        text=scenario(
            "parallel:\n    probe_steps($T, ticks: 99)\n    serial:\n        wait elapsed(0.5s)\n        emit fail"
        ),
        differs=END,
        stopped=("a",),
    ),
    *(
        Row(
            name=f"{name} to the runner aborts the scenario",
            feature=FINISH,
            code=1,
            says="test: Aborted",
            pace=Pace.WALL,
            text=scenario("probe_steps($T, ticks: 99)"),
            options=("-t",),
            meanwhile=interrupted(name),
            differs=END,
            stopped=("a",),
        )
        for name in ("SIGTERM", "SIGINT", "SIGHUP")
    ),
    Row(
        name="a background process of a scenario that succeeds is ended with it",
        feature=FINISH,
        text=scenario(f'{BACKGROUND}\nlog("done")'),
        differs=END,
        remotely={"left running": []},
        adds=SHUTTING_DOWN,
    ),
    Row(
        name="a background process of a scenario that fails is ended with it",
        feature=FINISH,
        code=1,
        text=scenario(f'{BACKGROUND}\nprobe_steps($T, result: "failure")'),
        differs=END,
        remotely={"left running": []},
        adds=SHUTTING_DOWN,
    ),
    Row(
        name="a process that is waited for when emit end comes is ended with the scenario",
        feature=FINISH,
        pace=Pace.WALL,
        text=scenario(
            'parallel:\n    run_process("sleep 1000.$N")\n    serial:\n        wait elapsed(0.5s)\n        emit end'
        ),
        differs=END,
        remotely={"left running": []},
        adds=("INFO Cancel requested, sending SIGTERM to process...", *SHUTTING_DOWN),
    ),
    Row(
        name="a background process that ignores polite signals is ended with the scenario",
        feature=FINISH,
        text=scenario(
            """
            probe_code($T, at_execute: «
                subprocess.Popen(["sh", "-c", "trap '' TERM INT HUP; echo ready; exec sleep 1000.$N"],
                                 stdout=subprocess.PIPE, start_new_session=True).stdout.readline()»)
            """
        ),
        differs=END,
        remotely={"left running": []},
    ),
    Row(
        name="shutdown is called once for each action, also if it never got its turn",
        feature=FINISH,
        code=1,
        text=scenario(
            """
            probe_code($T, tag: "a", at_shutdown: «write("bye")»)
            probe_code($T, tag: "fails", at_update: «return Status.FAILURE», at_shutdown: «write("bye")»)
            probe_code($T, tag: "never", at_shutdown: «write("bye")»)
            """
        ),
        differs=END,
        unlike={"file trace": "the plain runner never calls shutdown()"},
    ),
    Row(
        name="an exception in shutdown does not change the verdict",
        feature=FINISH,
        text=scenario('probe_code(at_shutdown: «raise ValueError("too late")»)\nprobe_steps($T)'),
        differs=END,
        adds=("ERROR shutdown raised ValueError: too late",),
        unlike={"stdout": "the traceback belongs to the record that comes besides"},
    ),
    Row(
        name="a post-run command sees the files of all actions",
        feature=FINISH,
        text=scenario(
            """
            probe_code($T, at_execute: «Path("$F/out/by-action.txt").write_text("made")»)
            """
        ),
        files={"after.sh": '#!/bin/sh\nls "$1" > "$1/listing.txt"\ncat "$1/by-action.txt" >> "$1/listing.txt"\n'},
        options=("--post-run", "$F/after.sh"),
    ),
    Row(
        name="a post-run command that fails is reported",
        feature=FINISH,
        text=scenario("probe_steps($T)"),
        files={"after.sh": "#!/bin/sh\nexit 3\n"},
        options=("--post-run", "$F/after.sh"),
    ),
    Row(
        name="a daemon thread of an action that never ends does not hold up the end of the run",
        feature=FINISH,
        text=scenario(
            "probe_code($T, at_execute: «threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()»)"
        ),
    ),
    Row(
        name="any other thread of an action holds up the end of a local run, and not that of a remote one",
        feature=FINISH,
        text=scenario("probe_code($T, at_execute: «threading.Thread(target=time.sleep, args=(1000,)).start()»)"),
        meanwhile=ended_if_it_stays,
        differs=END,
        code=-9,
        remotely={"exit code": 0},
        unlike=dict.fromkeys(("log", "stdout"), "what the engine has not written yet is lost when it is killed"),
    ),
)

quirks = (
    *(
        Row(
            name=f"an action that returns {word} makes the scenario begin again in every tick",
            feature=QUIRKS,
            code=1,
            says="test: Aborted",
            text=scenario(f'probe_steps($T, ticks: 1, result: "{word}")\nprobe_steps($T, tag: "never")'),
            meanwhile=some_ticks,
            cut=12,
            unlike={
                "log": "how many ticks there are until the signal comes",
                "stdout": "how many ticks there are until the signal comes",
                "file out/behaviors.jsonl": "how many ticks there are until the signal comes",
            },
        )
        for word in ("invalid", "nothing")
    ),
    Row(
        name="an action that returns something that is no status at all makes the scenario begin again",
        feature=QUIRKS,
        code=1,
        says="test: Aborted",
        text=scenario("probe_code($T, at_update: «return 'garbage'») with:\n    failure_is_success()"),
        meanwhile=some_ticks,
        cut=12,
        unlike={
            "log": "how many ticks there are until the signal comes",
            "stdout": "how many ticks there are until the signal comes",
            "file out/behaviors.jsonl": "how many ticks there are until the signal comes",
        },
    ),
    Row(
        name="an action that returns INVALID goes on past the timeout of the scenario, which begins again as well",
        feature=QUIRKS,
        code=1,
        says="test: Aborted",
        text=scenario('probe_steps($T, result: "invalid")', modifiers="timeout(0.3s)\nREMOTE"),
        pace=Pace.SIMULATED,
        meanwhile=some_ticks,
        cut=12,
        unlike={
            "log": "how many ticks there are until the signal comes",
            "stdout": "how many ticks there are until the signal comes",
            "file out/behaviors.jsonl": "how many ticks there are until the signal comes",
        },
    ),
    Row(
        name="an INVALID action below a decorator is terminated by it as well",
        feature=QUIRKS,
        code=1,
        text=scenario(
            'probe_steps($T, ticks: 2, result: "invalid success") with:\n    inverter()\n    failure_is_success()'
        ),
    ),
    Row(
        name="a timeout looks at the clock after its child and cancels one that has just succeeded",
        feature=QUIRKS,
        code=1,
        text=scenario("probe_code($T, at_update: «time.sleep(0.35)») with:\n    timeout(0.3s)"),
    ),
    Row(
        name="a process that is dying when its action begins again is kept",
        feature=QUIRKS,
        text=scenario(
            """
            serial:
                repeat(2)
                run_process("$F/stubborn.sh $N", wait_for_shutdown: false, shutdown_timeout: 1s)
                probe_code(at_update: «wait_for_file("$F/up")»)  # in one tick, however long the process takes
            """
        ),
        files={
            "stubborn.sh": "#!/bin/sh\ntrap 'sleep 30; exit' TERM\n: > $F/up\n"
            "while :; do sleep 1000.$1 & wait; done\n"
        },
        options=("-d",),
        says="Re-initialised while still running; keeping the process.",
        tells="Re-initialised while still running; keeping the process.",
        differs=END,
        remotely={"left running": []},
        unlike={"log": "its shutdown at the end of the scenario is logged"},
    ),
    Row(
        name="text that is not ASCII is mangled by the language before an action sees it",
        feature=QUIRKS,
        text=scenario('log("grün")\nprobe_code($T, at_execute: «write(self.argument)», argument: "grün")'),
    ),
)

ROWS = (*placement, *lifecycle, *finish, *quirks)
