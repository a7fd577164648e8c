# SPDX-License-Identifier: Apache-2.0
"""Runs the engine's command line again and again, each time in a fork of this process, which has loaded the engine
once.

Loading the engine and parsing its libraries takes nearly all of the time of a short run. The program that is run is the
installed console script, unchanged; what is there already is imported modules, and the libraries' syntax trees.
`engine_program.py FD` takes one request after the other from the socket FD, as JSON, and answers with the process
id, and
later with the exit status.
"""

from __future__ import annotations

import functools
import gc
import json
import os
import runpy
import select
import signal
import socket
import sys
import tempfile
import types
from pathlib import Path

from scenario_execution import scenario_execution_base
from scenario_execution.model.osc2_parser import OpenScenario2Parser
from scenario_execution.utils.logging import Logger

import scenario_execution_remote.modifier  # noqa: F401 - loaded here once, like the engine

WARMING = """import osc.helpers
import osc.remote
import osc.probe
import osc.parity

scenario warming:
    var count: int = 0
    event one
    do serial:
        one_of:
            wait elapsed(1s)
            label: log("text") with:
                timeout(2s)
        emit end
"""


def keep_libraries() -> None:
    """Have the parser keep the syntax trees of library files; each fork has a copy of its own."""
    original = OpenScenario2Parser.parse_input_stream
    kept: dict[str, object] = {}

    @functools.wraps(original)
    def parse(self, stream, log_model=False, error_prefix=""):
        text = str(stream)
        if text not in kept or log_model:
            tree = original(self, stream, log_model, error_prefix)
            if Path(getattr(stream, "fileName", "")).parent.name != "lib_osc":
                return tree
            kept[text] = tree
        return kept[text]

    OpenScenario2Parser.parse_input_stream = parse


def warm_up() -> None:
    """Parse a scenario, and nothing else: neither is a tree built nor an action loaded."""
    keep_libraries()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "warming.osc"
        file.write_text(WARMING)
        parser = OpenScenario2Parser(Logger("warming", False))
        parser.load_internal_model(parser.parse_file(str(file)), str(file))


def hurry(nap_s: float) -> None:
    """Have the engine sleep only so long between ticks, whatever their period is."""
    waiting = types.SimpleNamespace(**vars(scenario_execution_base.time))
    waiting.sleep = lambda _seconds: select.select([], [], [], nap_s)
    scenario_execution_base.time = waiting


def become(request: dict[str, object]) -> str:
    """Make this process what the request says: environment, folder, streams, arguments. Returns the script to run."""
    os.environ.clear()
    os.environ.update(request["environment"])
    tempfile.tempdir = None
    os.chdir(request["folder"])
    for fd, path in ((0, os.devnull), (1, request["stdout"]), (2, request["stderr"])):
        opened = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)  # both may be one file
        os.dup2(opened, fd)
        os.close(opened)
    if request["nap_s"] is not None:
        hurry(request["nap_s"])
    sys.argv = request["arguments"]
    return sys.argv[0]


def serve(control: socket.socket) -> str | None:
    """Answer requests; returns a script to run in the forked process, and None in this one, at the end."""
    stream = control.makefile("r")
    for line in stream:
        pid = os.fork()
        if pid == 0:
            stream.close()
            control.close()
            return become(json.loads(line))
        control.sendall(f"{pid}\n".encode())
        _, status = os.waitpid(pid, 0)
        control.sendall(f"{os.waitstatus_to_exitcode(status)}\n".encode())
    return None


if __name__ == "__main__":
    sys.path.pop(0)  # this folder, which no installed script has there
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    warm_up()
    gc.freeze()  # what is loaded stays: no fork's collector goes through it, at its end either
    script = serve(socket.socket(fileno=int(sys.argv[1])))
    if script is not None:
        # not inside a function or a try: whatever leaves the script ends this process as it would end the script's own
        runpy.run_path(script, run_name="__main__")
