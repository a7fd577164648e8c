# SPDX-License-Identifier: Apache-2.0
"""Rows about subtrees, simulation, tools that look at the tree, files, several scenarios, and which class an action
is."""

from __future__ import annotations

from tests.parity.differences import ELSEWHERE, END, SIMULATOR, SUBTREE, TOGETHER
from tests.parity.row import HEAD, Feature, Live, Pace, Row, scenario

SUBTREES, CLOCKS, TOOLS, FILES, PLUGINS = (
    Feature.SUBTREES,
    Feature.CLOCKS,
    Feature.TOOLS,
    Feature.FILES,
    Feature.PLUGINS,
)

subtrees = (
    Row(
        name="a subtree runs its steps one after the other",
        feature=SUBTREES,
        text=scenario("probe_branch($T, count: 3, ticks: 2)"),
    ),
    Row(
        name="a subtree is shown with its steps in the live tree",
        feature=SUBTREES,
        text=scenario("probe_branch($T, count: 2, ticks: 2)"),
        options=("-t",),
    ),
    Row(
        name="a nested subtree runs, and is shown",
        feature=SUBTREES,
        text=scenario("probe_branch($T, count: 2, ticks: 2, nested: true)"),
        options=("-t",),
    ),
    Row(
        name="a step of a subtree that fails makes it fail",
        feature=SUBTREES,
        code=1,
        text=scenario('probe_branch($T, count: 3, results: "success failure success")'),
    ),
    *(
        Row(
            name=f"{exception} in a step of a subtree",
            feature=SUBTREES,
            code=1,
            says=f"{exception}: in a step",
            text=scenario(f'probe_branch($T, count: 2, raises: "{exception}")\nprobe_steps($T, tag: "after")'),
        )
        for exception in ("ValueError", "ActionError")
    ),
    Row(
        name="a subtree is cancelled as one",
        feature=SUBTREES,
        text=scenario("one_of:\n    probe_branch($T, count: 2, ticks: 5)\n    probe_steps($T, ticks: 3)"),
    ),
    Row(
        name="a subtree is cancelled after its first step has succeeded",
        feature=SUBTREES,
        text=scenario("one_of:\n    probe_branch($T, count: 2, ticks: 2)\n    probe_steps($T, ticks: 4)"),
    ),
    Row(
        name="a subtree is repeated and retried",
        feature=SUBTREES,
        text=scenario(
            """
            probe_branch($T, count: 2, ticks: 2) with:
                repeat(2)
            probe_branch($T, tag: "c", count: 2, results: "success failure") with:
                failure_is_success()
                retry(2)
            """
        ),
    ),
    Row(
        name="a repeated composition with a subtree in it",
        feature=SUBTREES,
        text=scenario("serial:\n    repeat(2)\n    probe_branch($T, count: 2)\n    probe_steps($T)"),
    ),
    Row(
        name="a subtree under its label, alone, under remote() on the leaf",
        feature=SUBTREES,
        text=scenario("branch: probe_branch($T, count: 2, ticks: 2) with:\n    REMOTE", modifiers=""),
        options=("-t",),
    ),
    Row(
        name="a subtree in a timeout",
        feature=SUBTREES,
        code=1,
        pace=Pace.SIMULATED,
        text=scenario("probe_branch($T, count: 2, ticks: 9) with:\n    timeout(0.5s)"),
    ),
    Row(
        name="debug records of a subtree come with -d",
        feature=SUBTREES,
        text=scenario("probe_branch($T, count: 2, ticks: 2)"),
        options=("-d",),
        differs=SUBTREE,
        unordered={"log": "a subtree is ticked as one: the lines of the visitor come after those of the whole tick"},
    ),
    Row(
        name="two subtrees in parallel",
        feature=SUBTREES,
        text=scenario('parallel:\n    probe_branch($T, count: 2, ticks: 2)\n    probe_branch($T, tag: "c", count: 3)'),
    ),
)

LOOK = "write([round(kwargs['clock'].now(), 3), self.tick_count])"
GET_SIMULATION = "probe_code($T, at_setup: «write(self.get_simulation(kwargs).step_count)»)"

clocks = (
    Row(
        name="under simulation one step is one update",
        feature=CLOCKS,
        pace=Pace.SIMULATED,
        text=scenario('probe_steps($T, ticks: 20)\nprobe_steps($T, tag: "b", ticks: 20)'),
    ),
    Row(
        name="the clock of an action is scenario time, from zero, tick by tick",
        feature=CLOCKS,
        pace=Pace.SIMULATED,
        text=scenario(f"probe_code($T, ticks: 5, at_update: «{LOOK}», at_terminate: «{LOOK}»)"),
    ),
    Row(
        name="the clock stands still within a tick",
        feature=CLOCKS,
        pace=Pace.SIMULATED,
        text=scenario(
            f"parallel:\n    probe_code($T, ticks: 3, at_update: «{LOOK}»)\n"
            f'    probe_code($T, tag: "b", ticks: 3, at_execute: «{LOOK}», at_update: «{LOOK}»)'
        ),
    ),  # fmt: skip
    Row(
        name="the clock in setup",
        feature=CLOCKS,
        pace=Pace.SIMULATED,
        text=scenario("probe_code($T, at_setup: «write(kwargs['clock'].now())»)"),
    ),
    Row(
        name="a slow action does not slow simulated time down",
        feature=CLOCKS,
        pace=Pace.SIMULATED,
        text=scenario("parallel:\n    probe_code($T, ticks: 3, at_update: «time.sleep(0.3)»)\n    wait elapsed(1s)"),
    ),
    Row(
        name="waits and timeouts in simulated time beside remote actions",
        feature=CLOCKS,
        pace=Pace.SIMULATED,
        text=scenario(
            """
            parallel:
                serial:
                    wait elapsed(1s)
                    log("a second")
                probe_steps($T, ticks: 99) with:
                    failure_is_success()
                    timeout(2s)
            """
        ),
    ),
    Row(
        name="without --simulation there is no clock, and get_simulation says what is missing",
        feature=CLOCKS,
        code=1,
        says="requires a simulation but none was provided",
        text=scenario(GET_SIMULATION),
    ),
    Row(
        name="with --simulation a remote action that needs the simulator says what is missing",
        feature=CLOCKS,
        tells="'Code' requires a simulation but none was provided",
        pace=Pace.SIMULATED,
        text=scenario(GET_SIMULATION),
        differs=SIMULATOR,
        remotely={"exit code": 1, "file trace": ["a setup(INVALID)"]},
        unlike=dict.fromkeys(
            ("log", "stdout", "stderr", "file out/test.xml", "file out/behaviors.jsonl"),
            "locally there is a simulator; remotely the set-up fails in the words of the engine",
        ),
    ),
    Row(
        name="a local action gets the simulator beside remote ones",
        feature=CLOCKS,
        pace=Pace.SIMULATED,
        text=scenario(GET_SIMULATION + '\nprobe_steps($T, tag: "b") with:\n    REMOTE', modifiers=""),
        here=("a",),
    ),
    Row(
        name="several scenarios under simulation each begin at zero",
        feature=CLOCKS,
        pace=Pace.SIMULATED,
        text=scenario(f"probe_code($T, ticks: 2, at_update: «{LOOK}»)", name="first")
        + scenario(f'probe_code($T, tag: "b", ticks: 2, at_update: «{LOOK}»)', name="second").removeprefix(HEAD),
    ),
    Row(
        name="host time goes on by itself",
        feature=CLOCKS,
        text=scenario(
            """
            probe_code($T, at_execute: «
                clock = kwargs["host_clock"] if kwargs else self.kwargs["host_clock"]
                before = clock.now()
                time.sleep(0.05)
                write(0.04 < clock.now() - before < 5.0)»)
            """
        ),
    ),
    Row(
        name="a real timeout in real time",
        feature=CLOCKS,
        code=1,
        pace=Pace.WALL,
        text=scenario("probe_steps($T, ticks: 99) with:\n    timeout(1s)"),
    ),
    Row(
        name="a real wait beside an action in real time",
        feature=CLOCKS,
        pace=Pace.WALL,
        text=scenario("one_of:\n    wait elapsed(1s)\n    probe_steps($T, ticks: 99)"),
    ),
)

MIXED = """
    first: probe_steps($T, tag: "a", ticks: 2)
    parallel:
        probe_steps($T, tag: "b", ticks: 2, result: "failure success") with:
            retry(3)
        serial:
            log("words")
            increment(count)
            wait count == 1
    probe_branch($T, count: 2)
"""

tools = (
    Row(
        name="--tick-log records the same calls of the same nodes, and as many ticks",
        feature=TOOLS,
        text=scenario(MIXED.replace("probe_branch($T, count: 2)", 'log("end")'), declare="var count: int = 0"),
        options=("--tick-log",),
        unlike={"log": "the summaries are of times"},
    ),
    Row(
        name="--tick-log times a remote subtree as one",
        feature=TOOLS,
        text=scenario("probe_branch($T, count: 2, ticks: 2)"),
        options=("--tick-log",),
        differs=SUBTREE,
        unlike={
            "log": "the summaries are of times",
            "file out/action_timing.csv": "the steps are ticked on the server, in one go",
        },
    ),
    Row(
        name="--tick-log of leaves that are remote one by one",
        feature=TOOLS,
        text=scenario('probe_steps($T, ticks: 3) with:\n    REMOTE\nlog("x") with:\n    REMOTE', modifiers=""),
        options=("--tick-log",),
        unlike={"log": "the summaries are of times"},
    ),
    Row(
        name="the live tree shows the same nodes with the same status in every tick",
        feature=TOOLS,
        text=scenario(MIXED, declare="var count: int = 0"),
        options=("-t",),
    ),
    Row(
        name="-t and -d together",
        feature=TOOLS,
        text=scenario('probe_steps($T, ticks: 2)\nlog("x")'),
        options=("-t", "-d"),
    ),
    Row(
        name="--dot draws the same tree",
        feature=TOOLS,
        text=scenario(MIXED, declare="var count: int = 0"),
        files={"bin/dot": "#!/bin/sh\necho a picture\n"},
        environment={"PATH": "$F/bin:/usr/bin:/bin"},
        options=("--dot",),
    ),
    Row(
        name="--dry-run of a remote scenario does nothing, and needs no server",
        feature=TOOLS,
        refused=True,
        text=scenario(MIXED, declare="var count: int = 0"),
        options=("-n",),
    ),
    Row(
        name="-l prints the same model but for the modifier",
        feature=TOOLS,
        refused=True,
        text=scenario("probe_steps($T)"),
        options=("-l", "-n"),
        unlike={"log": "the modifier is part of the model", "stdout": "the modifier is part of the tree"},
    ),
    Row(
        name="introspection validates a scenario with remote()",
        feature=TOOLS,
        refused=True,
        text=scenario(MIXED, declare="var count: int = 0"),
        program=("python", "-m", "scenario_execution.introspection", "validate", "$F/test.osc"),
    ),
    Row(
        name="introspection finds the same error in a scenario with remote()",
        feature=TOOLS,
        code=1,
        says="Named argument nonsense unknown.",
        refused=True,
        text=scenario("probe_steps($T, nonsense: 3)"),
        program=("python", "-m", "scenario_execution.introspection", "validate", "$F/test.osc"),
    ),
    Row(
        name="introspection describes a scenario with remote(), which adds its modifier",
        feature=TOOLS,
        refused=True,
        text=scenario(MIXED, declare="var count: int = 0"),
        program=("python", "-m", "scenario_execution.introspection", "describe", "$F/test.osc"),
        unlike={"stdout": "the modifier is part of the description"},
    ),
    Row(
        name="a parameter file template is made without a server",
        feature=TOOLS,
        refused=True,
        text=scenario("probe_steps($T, ticks: count)", declare="count: int = 3"),
        program=(
            "scenario_execution",
            "$F/test.osc",
            "--create-scenario-parameter-file-template",
            "--scenario-parameter-file",
            "$F/template.yaml",
        ),
    ),  # fmt: skip
    *(
        Row(
            name=f"a model file with remote() on {place}",
            feature=TOOLS,
            as_model=True,
            text=scenario(body, modifiers=modifiers),
        )
        for place, body, modifiers in (
            ("a leaf", 'probe_steps($T, ticks: 2) with:\n    REMOTE\nlog("x")', ""),
            ("a composition", 'parallel:\n    REMOTE\n    probe_steps($T, ticks: 2)\n    log("x")', ""),
            ("the scenario", 'probe_steps($T, ticks: 2)\nlog("x")', "REMOTE"),
            ("the scenario beside a modifier that model files lose", "probe_steps($T, ticks: 2)", "inverter()\nREMOTE"),
        )
    ),
    Row(
        name="an ActionError in a model file breaks the engine as it does locally",
        feature=Feature.QUIRKS,
        code=1,
        says="AttributeError: 'NoneType' object has no attribute 'replace'",
        as_model=True,
        text=scenario('probe_code($T, at_setup: «raise ActionError("boom", action=self)»)'),
    ),
    Row(
        name="an ActionError in update in a model file",
        feature=Feature.QUIRKS,
        code=1,
        says="ActionError: <exception str() failed>",
        as_model=True,
        text=scenario('probe_code($T, at_update: «raise ActionError("boom", action=self)»)'),
    ),
    Row(
        name="a model file with a background process and its check",
        feature=TOOLS,
        as_model=True,
        unsteady="in which tick a process has printed, nobody knows",
        text=scenario('server: run_process("echo ready")\nprocess_log_check("server", ["ready"])'),
    ),
)

CONFIG = "config = ScenarioExecutionConfig(); write([config.scenario_file_directory, config.output_directory]); "
# Into a file of their own: locally all constructors run before the first set-up, remotely before their scenario's.
AT_INIT = CONFIG.replace("write(", "print(").replace("]); ", "], file=open('$F/constructed', 'a'))")
CONFIG_OF_BOTH = f"probe_code($T, tag: \"%s\", at_init: «{AT_INIT}», at_setup: «{CONFIG}write(kwargs['output_dir'])»)"
DOCUMENTS = "test:\n  word: one\n---\ntest:\n  word: two\n  _output_dir: elsewhere\n---\ntest:\n  word: three\n"


def aborted(run: Live) -> None:
    """Sends a signal between the third tick and the fourth."""
    run.wait_for("a update(RUNNING)", count=2)
    run.signal("SIGTERM")


files = (
    Row(
        name="files that actions write are there, with what they wrote",
        feature=FILES,
        text=scenario(
            """
            probe_code(at_execute: «Path("$F/made").mkdir(); Path("$F/made/file").write_text("text")»)
            probe_code($T, at_execute: «write(Path("$F/made/file").read_text())»)
            run_process("cp $F/made/file $F/copy")
            """
        ),
        unsteady="in which tick a process has ended, nobody knows",
    ),
    Row(
        name="an action finds the files beside the scenario",
        feature=FILES,
        text=scenario('probe_code($T, at_setup: «write(Path(kwargs["input_dir"], "data", "list.txt").read_text())»)'),
        files={"data/list.txt": "one two"},
    ),
    Row(
        name="an action writes into the output directory that setup names",
        feature=FILES,
        text=scenario('probe_code(at_setup: «Path(kwargs["output_dir"], "by-setup.txt").write_text("text")»)'),
    ),
    Row(
        name="several scenarios in one file run one after the other, each with its own directory and registry",
        feature=FILES,
        text=scenario(
            f'server: run_process("echo ready")\nprocess_log_check("server", ["ready"])\n{CONFIG_OF_BOTH % "a"}',
            name="first",
        )
        + scenario(f'process_log_check("server", ["ready"])\n{CONFIG_OF_BOTH % "b"}', name="second").removeprefix(HEAD),
        code=1,
        unsteady="in which tick a process has printed, nobody knows",
    ),
    Row(
        name="remote actions are constructed when the set-up of their scenario begins",
        feature=FILES,
        text=scenario('probe_code($T, at_init: «write("made")»)', name="first")
        + scenario('probe_code($T, tag: "b", at_init: «write("made")»)', name="second").removeprefix(HEAD),
        differs=TOGETHER,
        unordered={"file trace": "locally all are constructed while the file is parsed"},
    ),
    Row(
        name="several documents in a parameter file are several runs",
        feature=FILES,
        text=scenario(
            "probe_code($T, argument: word, at_execute: «write(self.argument)», at_init: «"
            + AT_INIT
            + "», at_setup: «"
            + CONFIG
            + "write(kwargs['output_dir'])»)",
            declare='word: string = "none"',
        ),
        files={"parameters.yaml": DOCUMENTS},
        options=("--scenario-parameter-file", "$F/parameters.yaml"),
    ),  # fmt: skip
    Row(
        name="results per scenario",
        feature=FILES,
        text=scenario(
            "probe_code($T, argument: word, at_execute: «write(self.argument)»)", declare='word: string = "none"'
        ),
        files={"parameters.yaml": DOCUMENTS},
        options=("--scenario-parameter-file", "$F/parameters.yaml", "--output-result-per-scenario"),
    ),  # fmt: skip
    Row(
        name="the blackboard lasts from document to document",
        feature=FILES,
        text=scenario(
            """
            probe_code($T, at_execute: «
                bb = self.get_blackboard_client()
                bb.register_key("/probe/kept", Access.WRITE)
                write(bb.get("/probe/kept") if bb.exists("/probe/kept") else "nothing")
                bb.set("/probe/kept", "kept")»)
            """,
            declare='word: string = "none"',
        ),
        files={"parameters.yaml": DOCUMENTS},
        options=("--scenario-parameter-file", "$F/parameters.yaml"),
    ),
    Row(
        name="module globals last from document to document",
        feature=FILES,
        text=scenario(
            'probe_code($T, at_execute: «write(GLOBALS.get("kept", "nothing")); GLOBALS["kept"] = "kept"»)',
            declare='word: string = "none"',
        ),
        files={"parameters.yaml": DOCUMENTS},
        options=("--scenario-parameter-file", "$F/parameters.yaml"),
    ),
    Row(
        name="a failure in the first of several documents does not stop the next one",
        feature=FILES,
        code=1,
        text=scenario(
            "probe_code($T, argument: word, at_update: «return Status.FAILURE if self.argument == 'one' else Status.SUCCESS»)",  # noqa: E501
            declare='word: string = "none"',
        ),
        files={"parameters.yaml": DOCUMENTS},
        options=("--scenario-parameter-file", "$F/parameters.yaml"),
    ),
    Row(
        name="an exception in the first of several documents ends the run",
        feature=FILES,
        code=1,
        says="ValueError: boom",
        text=scenario(
            'probe_code($T, argument: word, at_execute: «raise ValueError("boom")»)', declare='word: string = "none"'
        ),
        files={"parameters.yaml": DOCUMENTS},
        options=("--scenario-parameter-file", "$F/parameters.yaml"),
    ),
    Row(
        name="a signal in the first of several documents ends that one, and the others are run",
        feature=FILES,
        code=1,
        says="test-0: Aborted",
        pace=Pace.WALL,
        text=scenario(
            "probe_code($T, argument: word, at_update: «return Status.RUNNING if self.argument == 'one' else Status.SUCCESS»)",  # noqa: E501
            declare='word: string = "none"',
        ),
        files={"parameters.yaml": DOCUMENTS},
        options=("--scenario-parameter-file", "$F/parameters.yaml"),
        meanwhile=aborted,
        differs=END,
        stopped=("a",),
    ),
    Row(
        name="a failed set-up skips the documents behind it",
        feature=FILES,
        code=1,
        says="test-0: Setup failed boom",
        text=scenario(
            'probe_code($T, argument: word, at_setup: «raise ValueError("boom")»)', declare='word: string = "none"'
        ),
        files={"parameters.yaml": DOCUMENTS},
        options=("--scenario-parameter-file", "$F/parameters.yaml"),
    ),
    Row(
        name="emit end has no effect with several documents",
        feature=Feature.QUIRKS,
        text=scenario('probe_steps($T)\nemit end\nprobe_steps($T, tag: "b")', declare='word: string = "none"'),
        files={"parameters.yaml": DOCUMENTS},
        options=("--scenario-parameter-file", "$F/parameters.yaml"),
    ),
    Row(
        name="a scenario whose path is relative",
        feature=Feature.QUIRKS,
        text=scenario(f"probe_code($T, at_setup: «{CONFIG}write(kwargs['input_dir'])»)"),
        program=("scenario_execution", "test.osc", "-o", "out", "-s", "2"),
    ),
)

plugins = (
    Row(
        name="of two packages with an action of the same name the one is meant whose library is imported",
        feature=PLUGINS,
        text=scenario('probe_twin("$F/twins", "word")', imports="import osc.probe_left\n"),
    ),
    Row(
        name="and the other, if the other library is imported",
        feature=PLUGINS,
        text=scenario('probe_twin("$F/twins")', imports="import osc.probe_right\n"),
    ),
    Row(
        name="a plug-in that the server lacks is a set-up error",
        feature=PLUGINS,
        text=scenario('probe_twin("$F/twins")', imports="import osc.probe_right\n", modifiers="REMOTE2"),
        differs=ELSEWHERE,
        remotely={
            "exit code": 1,
            "log": [
                "INFO Executing scenario 'test'",
                "INFO Recording behaviour tree status to $F/out/behaviors.jsonl",
                "ERROR Setup failed: UnknownActionError:",
                "ERROR test: Setup failed Action 'probe_twin' is 'probe_right:Twin' of probe_right 2.0 on the client"
                ", but the server has 'probe_left:Twin' of probe_left 1.0. Install the same package on both sides.",
            ],
            "file twins": None,
        },
        unlike=dict.fromkeys(
            ("stdout", "file out/test.xml", "file out/behaviors.jsonl"), "there is no local run without the package"
        ),
    ),
    Row(
        name="a plug-in with other parameters on the server is a set-up error that names both versions",
        feature=PLUGINS,
        text=scenario('probe_twin("$F/twins", "word")', imports="import osc.probe_left\n", modifiers="REMOTE2"),
        differs=ELSEWHERE,
        remotely={
            "exit code": 1,
            "log": [
                "INFO Executing scenario 'test'",
                "INFO Recording behaviour tree status to $F/out/behaviors.jsonl",
                "ERROR Setup failed: UnknownActionError:",
                "ERROR test: Setup failed Action 'probe_twin' takes execute(path, word) on the client"
                " (probe_left 2.0) and execute(path) on the server (probe_left 1.0)."
                " Install the same version on both sides.",
            ],
            "file twins": None,
        },
        unlike=dict.fromkeys(
            ("stdout", "file out/test.xml", "file out/behaviors.jsonl"), "there is no local run with two versions"
        ),
    ),
    Row(
        name="an action that nobody provides is a parse error",
        feature=PLUGINS,
        code=1,
        says='No plugins found for action "probe_nothing"',
        refused=True,
        text=scenario("probe_nothing()", imports="import osc.probe_nothing\n")
        .replace("import osc.probe_nothing\n", "")
        .replace("scenario test:", "action probe_nothing\n\nscenario test:"),
    ),  # fmt: skip
    Row(
        name="an argument with a wrong name is the same parse error",
        feature=PLUGINS,
        code=1,
        says="Named argument nonsense unknown.",
        refused=True,
        text=scenario("probe_steps($T, nonsense: 3)"),
    ),
    Row(
        name="an argument of a wrong type, which the language lets pass, is the same error in the action",
        feature=PLUGINS,
        code=1,
        says="'<' not supported between instances of 'int' and 'str'",
        text=scenario('probe_steps($T, ticks: "three")'),
    ),
    Row(
        name="a constructor that fails on the server alone is a set-up error in its own words",
        feature=PLUGINS,
        tells="test: Setup failed only there",
        code=1,
        says="Error while initializing plugin probe_code: only there",
        refused=True,
        text=scenario('probe_code($T, at_init: «raise ValueError("only there")»)'),
        differs=ELSEWHERE,
        unlike=dict.fromkeys(
            ("log", "stdout", "file out/test.xml", "file out/behaviors.jsonl"),
            "locally there is one constructor, and it fails while the scenario is parsed",
        ),
    ),
)

ROWS = (*subtrees, *clocks, *tools, *files, *plugins)
