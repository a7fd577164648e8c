# SPDX-License-Identifier: Apache-2.0
"""Rows about what actions get and give: arguments, variables, the blackboard, events."""

from __future__ import annotations

from tests.parity.differences import COPIES, ELSEWHERE, END, WRITERS
from tests.parity.row import Feature, Row, scenario

VALUES, VARIABLES = Feature.VALUES, Feature.VARIABLES

ALL_ARGUMENTS = """path: "$F/values", text: "other", whole: -7, positive: 8, ratio: -1.25, flag: false,
    mode: parity_mode!idle, pause: 500ms, way: 2km, words: ["a", "b c", ""], numbers: [1, -2, 3], ratios: [0.5, 1.0],
    flags: [true, false], modes: [parity_mode!moving, parity_mode!idle], pauses: [1s, 0.5s, 2min],
    outline: parity_outline(name: "circle", origin: parity_point(x: 1m, mode: parity_mode!idle),
                            modes: [parity_mode!idle], numbers: [5, 6]),
    outlines: [parity_outline(name: "one"), parity_outline(name: "two", numbers: [1])]"""


def one_line(text: str) -> str:
    return " ".join(text.split())


def shown(argument: str, declare: str = "") -> str:
    """A scenario in which an action writes down one argument."""
    return scenario(f"probe_code($T, argument: {argument}, at_execute: «write(self.argument)»)", declare=declare)


PUT = '«bb = self.get_blackboard_client(); bb.register_key("/probe/thing", Access.WRITE); bb.set("/probe/thing", %s)»'
GET = (
    '«bb = self.get_blackboard_client(); bb.register_key("/probe/thing", Access.READ); '
    'write(repr(bb.get("/probe/thing"))); write(type(bb.get("/probe/thing")).__name__)»'
)
THINGS = {
    "None": "None",
    "a truth value": "True",
    "an integer beyond 64 bits": "2**100",
    "a negative integer beyond 64 bits": "-(2**100)",
    "the edges of 64 bits": "[2**63 - 1, 2**63, 2**64 - 1, 2**64, -(2**63), -(2**63) - 1]",
    "infinity and not-a-number": '[float("inf"), -float("inf"), str(float("nan"))]',
    "a float that is a whole number": "[1.0, 1, -0.0]",
    "a text with a lone surrogate": r'"a\ud800b"',
    "a text with all kinds of characters": r'"\x00\n\u00fc\U0001f600"',
    "bytes": r'b"\x00\xff"',
    "a tuple in a list in a tuple": "(1, [2, (3, 4)], ())",
    "a set and a frozenset": "[{1, 2}, frozenset({3})]",
    "a dictionary with keys of any kind": '{1: "int", "1": "str", (1, 2): "tuple", None: 0, 1.5: [], True: 1, b"k": {}}',  # noqa: E501
    "nested dictionaries that keep their order": '{"z": 1, "a": {"y": 2, "b": 3}}',
    "a complex number": "complex(1, 2)",
    "a status of py_trees": "Status.FAILURE",
}

values = (
    Row(
        name="arguments of every type reach the constructor",
        feature=VALUES,
        text=scenario(f"probe_early_shapes({one_line(ALL_ARGUMENTS)})"),
    ),
    Row(
        name="arguments of every type reach execute",
        feature=VALUES,
        text=scenario(f"probe_late_shapes({one_line(ALL_ARGUMENTS)})"),
    ),
    Row(
        name="defaults and unset lists reach the constructor",
        feature=VALUES,
        text=scenario('probe_early_shapes("$F/values")'),
    ),
    Row(
        name="defaults and unset lists reach execute",
        feature=VALUES,
        text=scenario('probe_late_shapes("$F/values")'),
    ),
    Row(
        name="scenario parameters of every kind reach execute",
        feature=VALUES,
        text=scenario(
            'probe_late_shapes("$F/values", outline: shape, modes: ways, whole: count)',
            declare="""
            shape: parity_outline = parity_outline(name: "parameter")
            ways: list of parity_mode = [parity_mode!idle]
            count: int = 5
            """,
        ),
    ),
    Row(
        name="an integer of an argument may be beyond 64 bits",
        feature=VALUES,
        text=scenario('probe_late_shapes("$F/values", whole: 1267650600228229401496703205376)'),
    ),
    Row(name="a text of an argument may have a lone surrogate", feature=VALUES, text=shown(r'"a\ud800b"')),
    Row(
        name="a text of an argument may have escapes and control characters",
        feature=VALUES,
        text=shown(r'"tab\tnul\x00quote\"end"'),
    ),
    Row(
        name="a number with a unit arrives in the base unit",
        feature=VALUES,
        text=scenario('probe_late_shapes("$F/values", pause: 90min, way: 3mm)'),
    ),
    Row(
        name="an actor reaches execute with its parameters, structures and name",
        feature=VALUES,
        text=scenario(
            "bot.probe_errand($T, at_execute: «write(self.actor)»)",
            declare='bot: parity_robot with:\n    keep(it.namespace == "left")',
        ),
    ),
    Row(
        name="an actor reaches the constructor and execute",
        feature=VALUES,
        text=scenario('bot.probe_born("$F/values")', declare="bot: parity_robot"),
    ),
    Row(
        name="arguments are resolved anew for each activation",
        feature=VALUES,
        text=scenario(
            """
            serial:
                repeat(3)
                probe_code($T, argument: bot.count, at_execute: «write(self.argument)»)
                increment(bot.count)
            """,
            declare="bot: parity_robot",
        ),
    ),
    Row(
        name="external methods are called on the client, for each activation",
        feature=VALUES,
        text=scenario(
            """
            probe_code($T, argument: rnd.get_int(0, 1000000000), at_execute: «
                drawn = GLOBALS.setdefault("drawn", set())
                drawn.add(self.argument)
                write(f"{type(self.argument).__name__} {len(drawn)}")») with:
                repeat(3)
            """,
            declare="rnd: random = random()\n",
        ),
    ),
    Row(
        name="methods of a structure arrive as keys",
        feature=Feature.QUIRKS,
        text=shown("rnd", "rnd: random = random()"),
    ),
    Row(
        name="a parameter from a parameter file reaches the action",
        feature=VALUES,
        text=scenario(
            "probe_code($T, argument: words, at_execute: «write(self.argument)»)", declare='words: string = "default"'
        ),
        files={"parameters.yaml": "test:\n  words: from the file\n"},
        options=("--scenario-parameter-file", "$F/parameters.yaml"),
    ),  # fmt: skip
    Row(
        name="an argument that is an expression is evaluated on the client",
        feature=VALUES,
        text=scenario(
            "probe_code($T, argument: count, at_execute: «write(self.argument)»)", declare="count: int = 2 + 3"
        ),
    ),
    *(
        Row(
            name=f"{name} is kept by the blackboard from one action to the next",
            feature=VALUES,
            text=scenario(f'probe_code(at_execute: {PUT % thing})\nprobe_code($T, tag: "b", at_execute: {GET})'),
        )
        for name, thing in THINGS.items()
    ),
    Row(
        name="an object that cannot travel is itself again when it comes back to its server",
        feature=VALUES,
        text=scenario(
            f"""
            probe_code(at_execute: {PUT % "GLOBALS.setdefault('it', threading.Lock())"})
            probe_code($T, tag: "b", at_execute: «
                bb = self.get_blackboard_client()
                bb.register_key("/probe/thing", Access.READ)
                write(bb.get("/probe/thing") is GLOBALS["it"])»)
            """
        ),
    ),
    Row(
        name="an object that cannot travel is an error in an action of the client that looks into it",
        feature=VALUES,
        tells="AttributeError: '/a/b' is an object that lives on the server where an action made it",
        text=scenario(
            f"""
            probe_code(at_execute: {PUT % "Path('/a/b')"}) with:
                REMOTE
            probe_code($T, tag: "b", at_execute: «
                bb = self.get_blackboard_client()
                bb.register_key("/probe/thing", Access.READ)
                write(bb.get("/probe/thing").name)»)
            """,
            modifiers="",
        ),
        here=("b",),
        differs=ELSEWHERE,
        remotely={"exit code": 1},
        unlike=dict.fromkeys(
            ("stderr", "log", "file trace", "file out/test.xml", "file out/behaviors.jsonl"),
            "the second action fails, and says where the object lives",
        ),
    ),
    Row(
        name="a number of numpy's kind is equal to the same number on the client",
        feature=VALUES,
        text=scenario(
            """
            probe_reference(at_execute: «
                from types import SimpleNamespace
                class int64:
                    ndim, dtype = 0, SimpleNamespace(kind="i")
                    item = lambda self: 7
                    __eq__ = lambda self, other: other == 7
                    __hash__ = None
                    __str__ = lambda self: "7"
                self.argument.set_value(int64())», argument: word)
            wait word == 7
            """,
            declare="var word: int = 0\ntimeout(30s)",
        ),
    ),
    Row(
        name="an object that cannot travel is an error on another server",
        feature=VALUES,
        tells="is an object that lives on another server and cannot be used here",
        text=scenario(
            f"""
            probe_code(at_execute: {PUT % "threading.Lock()"}) with:
                REMOTE
            probe_code($T, tag: "b", at_execute: «
                bb = self.get_blackboard_client()
                bb.register_key("/probe/thing", Access.READ)
                with bb.get("/probe/thing"):
                    write("locked")») with:
                REMOTE2
            """,
            modifiers="",
        ),
        differs=ELSEWHERE,
        remotely={"exit code": 1},
        unlike=dict.fromkeys(
            ("stderr", "log", "file trace", "file out/test.xml", "file out/behaviors.jsonl"),
            "the second action fails, and says where the object lives",
        ),
    ),
)

for_another_side = (
    Row(
        name="an object of the client that cannot travel is an error for a remote action that looks at it",
        feature=VALUES,
        tells="'/probe/thing' is a _thread.lock, which cannot be sent to another process",
        text=scenario(
            f"""
            probe_code(at_execute: {PUT % "threading.Lock()"})
            probe_code($T, tag: "b", at_execute: {GET}) with:
                REMOTE
            """,
            modifiers="",
        ),
        differs=ELSEWHERE,
        remotely={"exit code": 1},
        unlike=dict.fromkeys(
            ("stderr", "log", "file trace", "file out/test.xml", "file out/behaviors.jsonl"),
            "the second action fails, and says what cannot travel",
        ),
    ),
    Row(
        name="an argument that cannot travel is an error that says where in it the object is",
        feature=VALUES,
        tells="arguments['argument']['deep'][1] is a _thread.lock, which cannot be sent to another process",
        text=scenario(
            """
            probe_reference(argument: bot.place, at_execute: «self.argument.set_value({"deep": [1, threading.Lock()]})»)
            probe_code($T, argument: bot.place, at_execute: «write(len(self.argument))») with:
                REMOTE
            """,
            declare="bot: parity_robot",
            modifiers="",
        ),
        differs=ELSEWHERE,
        remotely={"exit code": 1},
        unlike=dict.fromkeys(
            ("stderr", "log", "file trace", "file out/test.xml", "file out/behaviors.jsonl"),
            "the second action fails, and says what cannot travel",
        ),
    ),
)

variables = (
    Row(
        name="increment and decrement work on the client's variable",
        feature=VARIABLES,
        text=scenario(
            """
            increment(count)
            increment(count)
            decrement(count)
            probe_code($T, argument: count, at_execute: «write(self.argument)»)
            compare(count, "==", 6)
            wait count == 6
            decrement(bot.count)
            probe_code($T, tag: "b", argument: bot.count, at_execute: «write(self.argument)»)
            """,
            declare="var count: int = 5\nbot: parity_robot",
        ),
    ),
    Row(
        name="compare fails as long as the values differ",
        feature=VARIABLES,
        code=1,
        text=scenario('compare(count, "==", 7)', declare="var count: int = 5"),
    ),
    Row(
        name="compare takes literals and variables on either side",
        feature=VARIABLES,
        text=scenario(
            """
            compare(count, ">=", 5)
            compare(5, "<=", count)
            compare(count, "!=", other)
            compare("a", "<", "b")
            """,
            declare="var count: int = 5\nvar other: int = 6",
        ),
    ),
    Row(
        name="compare with an operator that does not exist",
        feature=VARIABLES,
        code=1,
        says="Unknown expression operator ~.",
        text=scenario('compare(count, "~", 7)', declare="var count: int = 5"),
    ),
    Row(
        name="a variable incremented twice in parallel on one server is two higher",
        feature=VARIABLES,
        text=scenario(
            "parallel:\n    increment(bot.count)\n    increment(bot.count)\nprobe_code($T, argument: bot.count, at_execute: "  # noqa: E501
            "«write(self.argument)»)",
            declare="bot: parity_robot",
        ),
    ),
    Row(
        name="a variable incremented in parallel on two servers is two higher",
        feature=VARIABLES,
        text=scenario(
            """
            parallel:
                increment(bot.count) with:
                    REMOTE
                increment(bot.count) with:
                    REMOTE2
            probe_code($T, argument: bot.count, at_execute: «write(self.argument)»)
            """,
            declare="bot: parity_robot",
            modifiers="",
        ),
        here=("a",),
    ),
    Row(
        name="a variable incremented here and there is two higher",
        feature=VARIABLES,
        text=scenario(
            """
            parallel:
                increment(bot.count)
                increment(bot.count) with:
                    REMOTE
            probe_code($T, argument: bot.count, at_execute: «write(self.argument)»)
            """,
            declare="bot: parity_robot",
            modifiers="",
        ),
        here=("a",),
    ),
    Row(
        name="ten increments in each of two branches make twenty",
        feature=VARIABLES,
        text=scenario(
            """
            parallel:
                increment(bot.count) with:
                    repeat(10)
                increment(bot.count) with:
                    repeat(10)
            probe_code($T, argument: bot.count, at_execute: «write(self.argument)»)
            """,
            declare="bot: parity_robot",
        ),
    ),
    Row(
        name="a variable that an action writes is seen by a wait in the same tick",
        feature=VARIABLES,
        text=scenario(
            """
            parallel:
                probe_reference($T, argument: count, ticks: 3, at_update: «self.argument.set_value(self.tick_count)»)
                serial:
                    wait count == 2
                    log("two")
            """,
            declare="var count: int = 0",
        ),
    ),
    Row(
        name="a variable reference reads what others wrote since",
        feature=VARIABLES,
        text=scenario(
            """
            parallel:
                increment(count) with:
                    repeat(3)
                probe_reference($T, argument: count, ticks: 4, at_update: «write(self.argument.get_value())»)
            """,
            declare="var count: int = 0",
        ),
    ),
    Row(
        name="a variable reference is the engine's own class and knows its key",
        feature=VARIABLES,
        text=scenario(
            """
            probe_reference($T, argument: count, at_execute: «
                write(isinstance(self.argument, VariableReference))
                write(type(self.argument).__name__)
                write(self.argument.ref)»)
            """,
            declare="var count: int = 0",
        ),
    ),
    Row(
        name="a literal for a parameter that takes variables arrives as it is",
        feature=VARIABLES,
        text=scenario('probe_reference($T, argument: "text", at_execute: «write(self.argument)»)'),
    ),
    Row(
        name="a variable of a structure is read and written as a whole",
        feature=VARIABLES,
        text=scenario(
            """
            probe_code($T, argument: place, at_execute: «write(self.argument)»)
            probe_reference(argument: place, at_execute: «self.argument.set_value({"x": 4.5})»)
            probe_code($T, tag: "b", argument: place, at_execute: «write(self.argument)»)
            """,
            declare="var place: parity_point",
        ),
    ),
    Row(
        name="a variable without a value arrives as it does locally",
        feature=VARIABLES,
        text=scenario(
            "probe_code($T, argument: count, at_execute: «write(self.argument)»)\n"
            'probe_reference($T, tag: "b", argument: words, at_execute: «write(self.argument.get_value())»)',
            declare="var count: int\nvar words: list of string",
        ),
    ),
    Row(
        name="a variable of the associated actor is written and read",
        feature=VARIABLES,
        text=scenario(
            """
            bot.probe_errand($T, at_execute: «
                write(self.get_associated_actor_variable("place"))
                self.set_associated_actor_variable("place", "kitchen")
                write(self.get_associated_actor_variable("place"))»)
            wait bot.place == "kitchen"
            bot.probe_errand($T, tag: "b", argument: bot.place, at_execute: «write(self.argument)»)
            """,
            declare="bot: parity_robot",
        ),
        options=("-d",),
    ),
    Row(
        name="a variable of the actor that is not declared is made, and an unknown one is a KeyError",
        feature=VARIABLES,
        text=scenario(
            """
            bot.probe_errand($T, at_execute: «
                self.set_associated_actor_variable("fresh", [1, 2])
                write(self.get_associated_actor_variable("fresh"))
                try:
                    self.get_associated_actor_variable("unknown")
                except KeyError as error:
                    write(f"{type(error).__name__} {error}")»)
            """,
            declare="bot: parity_robot",
        ),
    ),
    Row(
        name="an actor variable without an actor is an ActionError",
        feature=VARIABLES,
        code=1,
        says="Model does not have 'actor'.",
        text=scenario('probe_code($T, at_execute: «self.set_associated_actor_variable("x", 1)»)'),
    ),
    Row(
        name="a key that an action registers can be read in the same call",
        feature=VARIABLES,
        text=scenario(
            """
            probe_code($T, at_execute: «
                bb = self.get_blackboard_client()
                bb.register_key("/own/key", Access.WRITE)
                bb.set("/own/key", {"a": (1, 2)})
                write(bb.get("/own/key"))
                bb.register_key("/test/count", Access.READ)
                write(bb.get("/test/count"))»)
            """,
            declare="var count: int = 5",
        ),
    ),
    Row(
        name="attributes, unset, nested keys and exclusive writes of a blackboard client work as they do",
        feature=VARIABLES,
        text=scenario(
            """
            probe_code($T, at_execute: «
                bb = self.get_blackboard_client()
                bb.register_key("thing", Access.WRITE)
                bb.thing = 5
                write([bb.thing, bb.get("thing"), bb.exists("thing")])
                write(bb.set("thing", 6, overwrite=False))
                write(bb.thing)
                write(bb.unset("thing"))
                write(bb.exists("thing"))
                try:
                    bb.thing
                except KeyError as error:
                    write(f"{type(error).__name__} {error}")
                try:
                    bb.other
                except AttributeError as error:
                    write(f"{type(error).__name__} {error}")»)
            """
        ),
    ),
    Row(
        name="a write without permission is refused as it is locally",
        feature=VARIABLES,
        code=1,
        says="does not have write access to",
        text=scenario(
            """
            probe_code($T, at_execute: «
                bb = self.get_blackboard_client()
                bb.register_key("/test/count", Access.READ)
                bb.set("/test/count", 1)»)
            """,
            declare="var count: int = 5",
        ),
    ),
    Row(
        name="an event that an action fires by the blackboard is seen in the same tick",
        feature=VARIABLES,
        text=scenario(
            """
            parallel:
                serial:
                    probe_steps($T, tag: "a", ticks: 2)
                    probe_code($T, tag: "fires", at_execute: «
                        bb = self.get_blackboard_client()
                        bb.register_key("/test/ready", Access.WRITE)
                        bb.set("/test/ready", True)»)
                serial:
                    wait @ready
                    probe_steps($T, tag: "b")
            """,
            declare="event ready",
        ),
    ),
    *(
        Row(
            name=f"an action that writes /test/{word} ends the scenario",
            feature=VARIABLES,
            text=scenario(
                f"""
                probe_code($T, at_execute: «
                    bb = self.get_blackboard_client()
                    bb.register_key("/test/{word}", Access.WRITE)
                    bb.set("/test/{word}", True)»)
                probe_code($T, tag: "b", ticks: 99)
                """
            ),
            stopped=("b",),
            differs=END,
            code=int(word == "fail"),
        )
        for word in ("end", "fail")
    ),
    Row(
        name="a thread of an action writes a variable while the action runs",
        feature=VARIABLES,
        text=scenario(
            """
            parallel:
                probe_reference($T, argument: count, ticks: 1, at_execute: «
                    self.thread = threading.Thread(target=lambda: self.argument.set_value(7))
                    self.thread.start()
                    self.thread.join()»)
                wait count == 7
            """,
            declare="var count: int = 0",
        ),
    ),
    Row(
        name="a thread of an action writes a variable after the action has succeeded",
        feature=VARIABLES,
        text=scenario(
            """
            probe_reference($T, argument: count, at_execute: «
                def write_late():
                    wait_for_file("$F/gate")
                    self.argument.set_value(7)
                threading.Thread(target=write_late, daemon=True).start()»)
            probe_code($T, tag: "opens", at_execute: «Path("$F/gate").touch()»)
            wait count == 7
            probe_code($T, tag: "b", argument: count, at_execute: «write(self.argument)»)
            """,
            declare="var count: int = 0",
        ),
        unsteady="in which tick the thread writes, nobody knows",
    ),
    Row(
        name="a list that an action changes in place stays as it is on the client",
        feature=VARIABLES,
        text=scenario(
            """
            probe_reference(argument: bot.place, at_execute: «self.argument.set_value(["a", "b"])»)
            probe_code($T, argument: bot.place, at_execute: «self.argument.append("c"); write(self.argument)»)
            probe_code($T, tag: "b", argument: bot.place, at_execute: «write(self.argument)»)
            """,
            declare="bot: parity_robot",
        ),
        differs=COPIES,
        remotely={
            "file trace": [
                "a setup(INVALID)",
                "b setup(INVALID)",
                "a execute(INVALID)",
                "a > ['a', 'b', 'c']",
                "a update(INVALID)",
                "a terminate SUCCESS(INVALID)",
                "b execute(INVALID)",
                "b > ['a', 'b']",
                "b update(INVALID)",
                "b terminate SUCCESS(INVALID)",
            ]
        },
    ),  # fmt: skip
    Row(
        name="a list that an action changes and assigns is changed everywhere",
        feature=VARIABLES,
        text=scenario(
            """
            probe_reference($T, argument: bot.place, at_execute: «
                words = ["a", "b"]
                words.append("c")
                self.argument.set_value(words)»)
            probe_code($T, tag: "b", argument: bot.place, at_execute: «write(self.argument)»)
            """,
            declare="bot: parity_robot",
        ),
    ),
    Row(
        name="the keys of all actions are listed with the nodes that registered them",
        feature=VARIABLES,
        text=scenario(
            """
            increment(count)
            bot.probe_errand(at_execute: «self.set_associated_actor_variable("place", "kitchen")»)
            probe_code(at_execute: «
                bb = self.get_blackboard_client()
                bb.register_key("/own/key", Access.WRITE)
                bb.set("/own/key", 1)»)
            """,
            declare="var count: int = 0\nbot: parity_robot",
        ),
        options=("-t",),
    ),
    Row(
        name="a key below a namespace, and one that is kept elsewhere, is listed as it is locally",
        feature=VARIABLES,
        text=scenario(
            """
            probe_code($T, at_execute: «
                mine = self.attach_blackboard_client(name="mine", namespace="/ns")
                mine.register_key("key", Access.WRITE)
                mine.register_key("/other", Access.WRITE, remap_to="/kept/here")
                mine.key = 3
                mine.set("/other", 4)
                write([mine.get("key"), mine.get("/other")])»)
            probe_code($T, tag: "b", ticks: 2, at_execute: «
                bb = self.get_blackboard_client()
                bb.register_key("/ns/key", Access.READ)
                bb.register_key("/kept/here", Access.READ)
                write([bb.get("/ns/key"), bb.get("/kept/here")])»)
            """
        ),
        options=("-t",),
    ),
    Row(
        name="a second writer beside an exclusive one in another process goes on with a warning",
        feature=VARIABLES,
        text=scenario(
            """
            probe_code($T, at_execute: «
                self.get_blackboard_client().register_key("/probe/key", Access.EXCLUSIVE_WRITE)»)
            probe_code($T, tag: "b", at_execute: «
                self.get_blackboard_client().register_key("/probe/key", Access.WRITE)») with:
                REMOTE
            """,
            modifiers="",
        ),
        here=("a",),
        code=1,
        says="this key is already associated with an exclusive writer",
        tells="'probe_code' registers WRITE of '/probe/key', which an action in another process writes",
        differs=WRITERS,
        remotely={"exit code": 0, "stderr": []},
        unlike=dict.fromkeys(
            ("log", "file trace", "file out/test.xml", "file out/behaviors.jsonl"),
            "locally the second action fails, and remotely it goes on",
        ),
    ),
    Row(
        name="a second writer beside an exclusive one of the same process fails",
        feature=VARIABLES,
        text=scenario(
            """
            probe_code($T, at_execute: «
                self.get_blackboard_client().register_key("/probe/key", Access.EXCLUSIVE_WRITE)»)
            probe_code($T, tag: "b", at_execute: «
                self.get_blackboard_client().register_key("/probe/key", Access.WRITE)»)
            """
        ),
        code=1,
        says="this key is already associated with an exclusive writer",
    ),
)

ROWS = (*values, *for_another_side, *variables)
