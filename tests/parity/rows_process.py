# SPDX-License-Identifier: Apache-2.0
"""Rows about what surrounds an action: its process, background processes and their output, logger and streams."""

from __future__ import annotations

from tests.parity.differences import END, MACHINE, SHUTTING_DOWN
from tests.parity.row import Feature, Pace, Row, scenario

PROCESS, REGISTRY, VOICES = Feature.PROCESS, Feature.REGISTRY, Feature.VOICES

PLACES = {"here": "", "there": "REMOTE", "on the second server": "REMOTE2"}
PROCESSES = "in which tick a process has printed or ended, nobody knows"
# for a row whose shutdown is to find a process that has ended
HAS_ENDED = (
    'return Status.SUCCESS if kwargs["process_registry"].get("dying")[0].is_output_complete() else Status.RUNNING'
)
STREAMS = "standard output and standard error are two streams"


OWN_LOGGER = """import sys
from scenario_execution.scenario_execution_base import ScenarioExecution
from scenario_execution.utils.logging import BaseLogger

class OwnLogger(BaseLogger):
    def info(self, msg): print("own info:", msg)
    def debug(self, msg): pass
    def warning(self, msg): print("own warning:", msg)
    def error(self, msg): print("own error:", msg)

runner = ScenarioExecution(debug=False, log_model=False, live_tree=False, scenario_file=sys.argv[1],
                           output_dir=sys.argv[2], logger=OwnLogger("own", False), tick_period=2.0)
assert runner.parse()
runner.run()
sys.exit(0 if runner.process_results() else 1)
"""


def at(place: str) -> str:
    """The with block that brings an action to a place."""
    return f" with:\n    {PLACES[place]}" if PLACES[place] else ""


def heard(label: str, *lines: str) -> str:
    """Waits until the output of a process has been read so far; the engine itself leaves unread what comes last."""
    return "".join(f'\nprocess_log_check("{label}", ["{line}"])' for line in lines)


def placed(first: str, second: str, name: str, *words: str) -> Row:
    """A row in which a process is started at one place, and at another its output is checked for these words."""
    lines = [f'server: run_process("$F/chatter.sh $N", wait_for_shutdown: false){at(first)}']
    lines += [f'process_log_check("server", ["{word}"]){at(second)}' for word in words]
    remotely: dict[str, object] = {"differs": END, "adds": SHUTTING_DOWN, "remotely": {"left running": []}}
    return Row(
        name=name,
        feature=REGISTRY,
        unsteady=PROCESSES,
        text=scenario("\n".join(lines), modifiers=""),
        files={"chatter.sh": "#!/bin/sh\necho one\necho two words\necho oops >&2\necho ready\nexec sleep 1000.$1\n"},
        unordered={"log": "what a process prints is read by threads"},
        **({} if first == "here" else remotely),
    )


def checked(first: str, second: str) -> Row:
    return placed(first, second, f"the output of a process {first} is found by a check {second}", "oops", "ready")


process = (
    Row(
        name="what setup gets is of the engine's own classes and of the same plain types",
        feature=PROCESS,
        text=scenario(
            """
            probe_code($T, at_setup: «
                from scenario_execution.actions.process_registry import ProcessRegistry
                from scenario_execution.simulation import Clock
                from scenario_execution.utils.logging import BaseLogger
                write(isinstance(kwargs["logger"], BaseLogger))
                write(isinstance(kwargs["process_registry"], ProcessRegistry))
                write(isinstance(kwargs["host_clock"], Clock))
                for name in ("input_dir", "output_dir", "tick_period"):
                    write(type(kwargs[name]).__name__)»)
            """
        ),
    ),
    Row(
        name="the class of an action is the class in its module, and itself in its own eyes",
        feature=PROCESS,
        text=scenario(
            """
            probe_code($T, at_init: «
                write(type(self) is vars(sys.modules[type(self).__module__])["Code"])
                write(super(self.__class__, self).__init__.__qualname__)»,
                at_execute: «
                write([base.__name__ for base in type(self).__mro__])
                type(self).count = 3
                write(vars(sys.modules[type(self).__module__])["Code"].count)»)
            """
        ),
    ),
    Row(
        name="an action knows by which name it is offered and what its constructor got",
        feature=PROCESS,
        text=scenario(
            """
            probe_code($T, ticks: 2, at_setup: «
                write([self._external_plugin_key, self._external_init_args["ticks"], len(self._external_init_args)])»)
            probe_branch($T)
            """
        ),
    ),
    Row(
        name="setup gets exactly the keys that it gets locally",
        feature=PROCESS,
        text=scenario("probe_code($T, at_setup: «write(sorted(kwargs))»)"),
    ),
    Row(
        name="setup gets exactly the keys that it gets locally under simulation, but for the simulator",
        feature=PROCESS,
        text=scenario("probe_code($T, at_setup: «write(sorted(set(kwargs) - {'simulation'}))»)"),
        pace=Pace.SIMULATED,
    ),
    Row(
        name="setup gets the directories, the tick period and clocks that work",
        feature=PROCESS,
        text=scenario(
            """
            probe_code($T, at_setup: «
                write([kwargs["input_dir"], kwargs["output_dir"], kwargs["tick_period"]])
                write(kwargs["host_clock"].now() < 60.0)
                write(kwargs["logger"] is self.logger)
                write(kwargs["logger"].name)»)
            """
        ),
    ),
    Row(
        name="the configuration of the engine is the client's, in the constructor and in setup",
        feature=PROCESS,
        text=scenario(
            """
            probe_code($T, at_init: «
                config = ScenarioExecutionConfig()
                write([config.scenario_file_directory, config.output_directory])», at_setup: «
                config = ScenarioExecutionConfig()
                write([config.scenario_file_directory, config.output_directory])»)
            """
        ),
    ),
    Row(
        name="without an output directory there is none on the server either",
        feature=PROCESS,
        text=scenario(
            """
            probe_code($T, at_setup: «
                config = ScenarioExecutionConfig()
                write([config.scenario_file_directory, config.output_directory, kwargs["output_dir"], kwargs["input_dir"]])»)
            """  # noqa: E501
        ),
        program=("scenario_execution", "$F/test.osc", "-s", "2"),
    ),
    Row(
        name="all actions on a server share module globals, environment and interpreter",
        feature=PROCESS,
        text=scenario(
            """
            probe_code($T, at_execute: «
                GLOBALS["mark"] = "left by the first"
                os.environ["PROBE_LEFT"] = "by the first"»)
            probe_code($T, tag: "b", at_execute: «
                write([GLOBALS.get("mark"), os.environ.get("PROBE_LEFT")])
                write(subprocess.run(["sh", "-c", "echo $PROBE_LEFT"], capture_output=True, text=True).stdout)»)
            """
        ),
    ),
    Row(
        name="an action runs in the main thread and may set signal handlers",
        feature=PROCESS,
        text=scenario(
            """
            probe_code($T, at_execute: «
                write(threading.current_thread() is threading.main_thread())
                signal.signal(signal.SIGUSR2, lambda *_: write("got it"))
                os.kill(os.getpid(), signal.SIGUSR2)», at_update: «signal.signal(signal.SIGUSR2, signal.SIG_DFL)»)
            """
        ),
    ),
    Row(
        name="children get default signals and an empty mask",
        feature=PROCESS,
        text=scenario(
            """
            probe_code($T, at_execute: «
                text = subprocess.run(["cat", "/proc/self/status"], capture_output=True, text=True).stdout
                for line in text.splitlines():
                    if line.startswith(("SigIgn", "SigBlk")):
                        write(line)»)
            """
        ),
    ),
    Row(
        name="a process started by run_process is a session of its own",
        feature=PROCESS,
        unsteady=PROCESSES,
        text=scenario('who: run_process("$F/who.sh")' + heard("who", "leads its session")),
        files={
            "who.sh": "#!/bin/sh\nset -- $(cat /proc/$$/stat)\n[ $1 = $5 ] && echo leads its group\n"
            "[ $1 = $6 ] && echo leads its session\n"
        },
    ),
    Row(
        name="a child of an action can be interrupted by SIGINT",
        feature=PROCESS,
        text=scenario(
            """
            probe_code($T, at_execute: «
                child = subprocess.Popen(["sleep", "1000.$N"])
                child.send_signal(signal.SIGINT)
                write(child.wait())»)
            """
        ),
    ),
    Row(
        name="standard input is empty",
        feature=PROCESS,
        text=scenario("probe_code($T, at_execute: «write(sys.stdin.read())»)"),
    ),
    Row(
        name="actions work in the directory that the scenario was started in, if it is the scenario's own",
        feature=PROCESS,
        text=scenario(
            """
            probe_code($T, at_execute: «write([os.path.basename(os.getcwd()), os.path.exists("test.osc")])»)
            """
        ),
    ),
    Row(
        name="all actions of a run share a working folder, and a change of it stays",
        feature=PROCESS,
        text=scenario(
            """
            probe_code(at_execute: «Path("made").mkdir(); os.chdir("made"); Path("file").touch()»)
            probe_code($T, at_execute: «write([os.path.basename(os.getcwd()), os.listdir()])»)
            lists: run_process("ls")
            process_log_check("lists", ["file"])
            """
        ),
        unsteady=PROCESSES,
    ),
    Row(
        name="the environment of an action is that of the machine where it runs",
        feature=PROCESS,
        text=scenario('probe_code($T, at_execute: «write(os.environ.get("ONLY_HERE"))»)'),
        environment={"ONLY_HERE": "yes"},
        differs=MACHINE,
        remotely={
            "file trace": [
                "a setup(INVALID)",
                "a execute(INVALID)",
                "a > None",
                "a update(INVALID)",
                "a terminate SUCCESS(INVALID)",
            ]
        },
    ),
    Row(
        name="an action may fork and wait for its child",
        feature=PROCESS,
        text=scenario(
            """
            probe_code($T, at_execute: «
                pid = os.fork()
                if pid == 0:
                    os._exit(7)
                write(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))»)
            """
        ),
    ),
    Row(
        name="a process pool in an action works",
        feature=PROCESS,
        text=scenario(
            """
            probe_code($T, at_execute: «
                import concurrent.futures
                with concurrent.futures.ThreadPoolExecutor() as pool:
                    write(list(pool.map(abs, [-1, -2])))»)
            """
        ),
    ),
    Row(
        name="logging, warnings and random numbers of the standard library are at hand",
        feature=PROCESS,
        text=scenario(
            """
            probe_code($T, at_execute: «
                import logging, random, warnings
                logging.getLogger("probe").warning("by logging")
                warnings.warn("by warnings")
                random.seed(5)
                write(random.random())»)
            """
        ),
    ),
    Row(
        name="a future in the engine's shutdown handler does no harm",
        feature=PROCESS,
        text=scenario(
            """
            probe_code($T, at_execute: «
                import concurrent.futures
                future = concurrent.futures.Future()
                future.set_result(1)
                ShutdownHandler.get_instance().add_future(future)
                write(ShutdownHandler.get_instance().is_done())»)
            """
        ),
    ),
)

registry = (
    *(checked(first, second) for first in PLACES for second in PLACES if (first, second) != ("here", "here")),
    placed("there", "there", "a check looks at the output from its start", "oops", "ready", "two words"),
    *(
        Row(
            name=f"from_start false looks only at what comes later, {second}",
            feature=REGISTRY,
            unsteady=PROCESSES,
            code=1,
            text=scenario(
                'server: run_process("echo one")'
                + at("there")
                + heard("server", "one")
                + '\nprocess_log_check("server", ["one"], false)'
                + at(second),
                modifiers="",
            ),
            unordered={"log": "what a process prints is read by threads"},
        )
        for second in PLACES
    ),
    *(
        Row(
            name=f"a check fails when the process has ended without the line, {second}",
            feature=REGISTRY,
            unsteady=PROCESSES,
            code=1,
            text=scenario(
                'server: run_process("echo one")'
                + at("there")
                + '\nwait elapsed(0.5s)\nprocess_log_check("server", ["two"])'
                + at(second),
                modifiers="",
            ),
            unordered={"log": "what a process prints is read by threads"},
        )
        for second in PLACES
    ),
    Row(
        name="a label that nobody has fails the check",
        feature=REGISTRY,
        unsteady=PROCESSES,
        code=1,
        text=scenario('process_log_check("nobody", ["x"])'),
    ),
    Row(
        name="a label that two processes have is ambiguous",
        feature=REGISTRY,
        unsteady=PROCESSES,
        code=1,
        text=scenario(
            'twice: run_process("true")\nserial:\n    twice: run_process("true")\nprocess_log_check("twice", ["x"])'
        ),
    ),
    Row(
        name="a label that processes on two servers have is ambiguous",
        feature=REGISTRY,
        unsteady=PROCESSES,
        code=1,
        text=scenario(
            'twice: run_process("true") with:\n    REMOTE\nserial:\n    twice: run_process("true") with:\n'
            '        REMOTE2\nprocess_log_check("twice", ["x"])',
            modifiers="",
        ),
    ),
    Row(
        name="the status of a process decides over its action",
        feature=REGISTRY,
        unsteady=PROCESSES,
        code=1,
        text=scenario('run_process("true")\nrun_process("false")'),
    ),
    Row(
        name="a program that does not exist fails its action and logs why",
        feature=REGISTRY,
        unsteady=PROCESSES,
        code=1,
        text=scenario('run_process("/nonexistent/program")'),
    ),
    Row(
        name="what a process prints is logged, standard error as errors",
        feature=REGISTRY,
        unsteady=PROCESSES,
        text=scenario('loud: run_process("$F/speak.sh")' + heard("loud", "out 5", "err 3")),
        files={
            "speak.sh": "#!/bin/sh\nfor n in 1 2 3 4 5; do echo out $n; done\nfor n in 1 2 3; do echo err $n >&2; done\n"  # noqa: E501
        },
        unordered={"log": STREAMS},
    ),
    Row(
        name="a process that prints much is logged whole and in order",
        feature=REGISTRY,
        unsteady=PROCESSES,
        text=scenario('counts: run_process("seq 1 3000")' + heard("counts", "3000")),
    ),
    Row(
        name="a byte that is no UTF-8 ends the reading of a process's output",
        feature=Feature.QUIRKS,
        unsteady=PROCESSES,
        text=scenario(
            'broken: run_process("$F/bytes.sh")'
            + heard("broken", "before")
            + '\nprocess_log_check("broken", ["after"]) with:\n    failure_is_success()'
        ),
        files={"bytes.sh": "#!/bin/sh\necho before\nprintf '\\377\\n'\necho after\n"},
    ),
    Row(
        name="a cancelled process gets its signal and the log says so",
        feature=REGISTRY,
        unsteady=PROCESSES,
        text=scenario(
            f"""
            one_of:
                dying: run_process("sleep 1000.$N")
                probe_steps($T, ticks: 3)
            probe_code(at_update: «{HAS_ENDED}»)
            """
        ),
    ),
    Row(
        name="a process gets the shutdown signal that the scenario names",
        feature=REGISTRY,
        unsteady=PROCESSES,
        text=scenario(
            f"""
            one_of:
                dying: run_process("sleep 1000.$N", shutdown_signal: signal!sigint)
                probe_steps($T, ticks: 3)
            probe_code(at_update: «{HAS_ENDED}»)
            """
        ),
    ),
    Row(
        name="a process whose command is a parameter",
        feature=REGISTRY,
        unsteady=PROCESSES,
        text=scenario("echo: run_process(words)" + heard("echo", "two"), declare='words: string = "echo one two"'),
    ),
    Row(
        name="a cancelled process that ignores its signal is never killed by the engine",
        feature=Feature.QUIRKS,
        unsteady=PROCESSES,
        text=scenario(
            """
            one_of:
                stubborn: run_process("$F/stubborn.sh $N", shutdown_timeout: 1s)
                process_log_check("stubborn", ["up"])
            """
        ),
        files={"stubborn.sh": "#!/bin/sh\ntrap '' TERM\necho up\nexec sleep 1000.$1\n"},
        differs=END,
        remotely={"left running": []},
        adds=(
            "INFO Sending SIGTERM to process...",
            "INFO Waiting 1s for process to finish...",
            "INFO Sending SIGKILL to process...",
            "INFO Process finished.",
        ),
    ),
    Row(
        name="a command is cut at each single blank, whatever its quotes say",
        feature=Feature.QUIRKS,
        unsteady=PROCESSES,
        text=scenario(
            r'words: run_process("$F/words.sh one  \u0027two three\u0027")' + heard("words", r"three\u0027>")
        ),
        files={"words.sh": '#!/bin/sh\nfor word; do echo "<$word>"; done\n'},
    ),
    Row(
        name="a process of a retried action is started again",
        feature=REGISTRY,
        unsteady=PROCESSES,
        text=scenario(
            'tries: run_process("$F/second.sh $F/mark") with:\n    retry(3)' + heard("tries", "made", "found")
        ),
        files={"second.sh": "#!/bin/sh\n[ -e $1 ] && echo found && exit 0\ntouch $1\necho made\nexit 1\n"},
    ),
    Row(
        name="many processes at the same time",
        feature=REGISTRY,
        unsteady=PROCESSES,
        text=scenario(
            "parallel:\n"
            + "\n".join(f'    process{n}: run_process("echo {n}")' for n in range(8))
            + "".join(heard(f"process{n}", str(n)) for n in range(8))
        ),
        unordered={
            "log": "what a process prints is read by threads",
            "file out/behaviors.jsonl": "which of them ends first, nobody knows",
        },
    ),
)
voices = (
    Row(
        name="records of all levels come in their order",
        feature=VOICES,
        text=scenario('probe_say("one")\nlog("two")\nprobe_say("three")'),
    ),
    Row(
        name="debug records come with -d, in their order",
        feature=VOICES,
        text=scenario('probe_say("one")\nlog("two")\nprobe_steps($T, ticks: 3)'),
        options=("-d",),
    ),
    Row(
        name="debug records of a parallel, a retry and a timeout come with -d",
        feature=VOICES,
        text=scenario(
            """
            parallel:
                probe_steps($T, tag: "a", ticks: 2, result: "failure success") with:
                    retry(2)
                probe_steps($T, tag: "b", ticks: 3) with:
                    timeout(60s)
            """
        ),
        options=("-d",),
    ),
    Row(
        name="debug records of a background process and of variables come with -d",
        feature=VOICES,
        text=scenario('run_process("true")\nincrement(count)', declare="var count: int = 0"),
        options=("-d",),
        unsteady=PROCESSES,
        unlike={
            "log": "how many ticks there are until the process has ended",
            "stdout": "how many ticks there are until the process has ended",
        },
    ),
    Row(
        name="without -d an action's logger says that debug is off, and with -d that it is on",
        feature=VOICES,
        text=scenario("probe_code($T, at_execute: «write([self.logger.name, self.logger.log_debug])»)"),
    ),
    Row(
        name="with -d an action's logger says that debug is on",
        feature=VOICES,
        text=scenario("probe_code($T, at_execute: «write([self.logger.name, self.logger.log_debug])»)"),
        options=("-d",),
    ),
    Row(
        name="with -d a logger of py_trees' own shows its debug lines",
        feature=VOICES,
        text=scenario("probe_code($T, at_execute: «import py_trees; py_trees.logging.Logger('mine').debug('seen')»)"),
        options=("-d",),
    ),
    Row(
        name="a logger has the methods that it has locally and no others",
        feature=VOICES,
        text=scenario(
            """
            probe_code($T, at_execute: «
                for name in ("info", "debug", "warning", "error", "warn", "exception", "log", "critical"):
                    write(f"{name} {hasattr(self.logger, name)}")»)
            """
        ),
    ),
    Row(
        name="the records of a runner with a logger of its own go through that logger",
        feature=VOICES,
        text=scenario('probe_say("one")\nlog("two")\nprobe_code(at_execute: «write(self.logger.name)»)'),
        files={"runner.py": OWN_LOGGER},
        program=("python", "$F/runner.py", "$F/test.osc", "$F/out"),
    ),
    Row(
        name="a record that is no text is logged as its text",
        feature=VOICES,
        text=scenario(
            "probe_code(at_execute: «self.logger.info(5); self.logger.info([1, (2,)]); self.logger.info(None)»)"
        ),
    ),
    Row(
        name="a record of several lines",
        feature=VOICES,
        text=scenario(r'log("one\ntwo\n\nthree")'),
    ),
    Row(
        name="an empty record and a very long one",
        feature=VOICES,
        text=scenario('log("")\nprobe_code(at_execute: «self.logger.info("x" * 200000)»)'),
    ),
    Row(
        name="a record of a thread while its action runs",
        feature=VOICES,
        text=scenario(
            """
            probe_code(at_execute: «
                thread = threading.Thread(target=lambda: self.logger.info("from a thread"))
                thread.start()
                thread.join()»)
            log("after")
            """
        ),
    ),
    Row(
        name="records of a thread after its action has succeeded",
        feature=VOICES,
        text=scenario(
            """
            probe_code(at_execute: «
                def speak():
                    wait_for_file("$F/gate")
                    for number in range(5):
                        self.logger.info(f"late {number}")
                    Path("$F/said").touch()
                threading.Thread(target=speak, daemon=True).start()»)
            probe_code(at_execute: «Path("$F/gate").touch()»)
            probe_code(at_update: «return Status.SUCCESS if os.path.exists("$F/said") else Status.RUNNING»)
            """
        ),
        unsteady="in which tick the thread is done, nobody knows",
    ),
    Row(
        name="what a thread prints after its action has succeeded",
        feature=VOICES,
        text=scenario(
            """
            probe_code(at_execute: «
                def speak():
                    wait_for_file("$F/gate")
                    for number in range(5):
                        print(f"late {number}", flush=True)
                    Path("$F/said").touch()
                threading.Thread(target=speak, daemon=True).start()»)
            probe_code(at_execute: «Path("$F/gate").touch()»)
            probe_code(at_update: «return Status.SUCCESS if os.path.exists("$F/said") else Status.RUNNING»)
            """
        ),
        unsteady="in which tick the thread is done, nobody knows",
    ),
    Row(
        name="feedback is that of the action, in every tick",
        feature=VOICES,
        text=scenario("probe_steps($T, ticks: 4)"),
        options=("-t",),
    ),
    Row(
        name="feedback set in setup, execute, terminate and request_cancel is shown",
        feature=VOICES,
        text=scenario(
            """
            one_of:
                probe_code($T, ticks: 9, at_setup: «self.feedback_message = "by setup"»,
                           at_cancel: «self.feedback_message = "by cancel"»)
                probe_code($T, tag: "b", ticks: 2, at_execute: «self.feedback_message = "by execute"»,
                           at_terminate: «self.feedback_message = "by terminate"»)
            """
        ),
        options=("-t",),
    ),
    Row(
        name="feedback set by a thread between ticks is shown",
        feature=VOICES,
        text=scenario(
            """
            parallel:
                probe_code(ticks: 1000, at_execute: «
                    def change():
                        wait_for_file("$F/gate")
                        self.feedback_message = "by a thread"
                        Path("$F/changed").touch()
                    threading.Thread(target=change, daemon=True).start()»,
                    at_update: «return Status.FAILURE if os.path.exists("$F/changed") else Status.RUNNING»)
                probe_code(at_execute: «Path("$F/gate").touch()»)
            """
        ),
        code=1,
        unsteady="in which tick the thread is done, nobody knows",
    ),
    Row(
        name="no feedback, which is None, is shown as none, also what a tick in company sets",
        feature=VOICES,
        text=scenario(
            """
            parallel:
                probe_steps($T, ticks: 5)
                probe_code($T, tag: "b", ticks: 4, at_setup: «self.feedback_message = None»,
                           at_update: «self.feedback_message = "odd" if self.tick_count % 2 else None»)
            """
        ),
        options=("-t",),
    ),
    Row(
        name="feedback that a property of the action's class makes is shown, in every tick",
        feature=VOICES,
        text=scenario(
            """
            parallel:
                probe_steps($T, ticks: 4)
                probe_code($T, tag: "b", ticks: 3, at_init: «
                    own = property(lambda self: getattr(self, "tick_count", 0) * "tick ", lambda self, value: None)
                    type(self).feedback_message = own»)
            """
        ),
        options=("-t",),
    ),
    Row(
        name="decorators show the feedback of what they modify",
        feature=VOICES,
        text=scenario("probe_steps($T, ticks: 2) with:\n    running_is_failure()\n    REMOTE", modifiers=""),
        code=1,
        options=("-t",),
    ),
    Row(
        name="what an action prints comes out of the same stream, in order",
        feature=VOICES,
        text=scenario(
            """
            probe_code(at_execute: «
                print("one")
                print("two", end="")
                print(" and three")
                print("to stderr", file=sys.stderr)
                os.write(1, b"by descriptor 1\\n")
                os.write(2, b"by descriptor 2\\n")
                subprocess.run(["echo", "by a child"])
                subprocess.run(["sh", "-c", "echo by a child to stderr >&2"])
                print("gr\\u00fcn")»)
            """
        ),
    ),
    Row(
        name="what an action prints without a line's end is not lost",
        feature=VOICES,
        text=scenario("probe_code(at_execute: «sys.stdout.write('no end'); sys.stdout.flush()»)"),
    ),
    Row(
        name="bytes that are no text, printed by an action",
        feature=VOICES,
        text=scenario(r"probe_code(at_execute: «os.write(1, b'a\xffb\n')»)"),
    ),
    Row(
        name="much that is printed at once is not lost",
        feature=VOICES,
        text=scenario("probe_code(at_execute: «print('x' * 100000); print('\\n'.join(map(str, range(5000))))»)"),
    ),
    Row(
        name="what is printed by setup and terminate",
        feature=VOICES,
        text=scenario("probe_code(at_setup: «print('setup')», at_terminate: «print('terminate')»)"),
    ),
    Row(
        name="what is printed just before an exception is not lost",
        feature=VOICES,
        code=1,
        says="ValueError: boom",
        text=scenario("probe_code(at_update: «print('last words'); raise ValueError('boom')»)"),
    ),
)

ROWS = (*process, *registry, *voices)
