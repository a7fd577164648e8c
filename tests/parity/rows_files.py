# SPDX-License-Identifier: Apache-2.0
"""Rows about files between machines that share no disk: ``APART`` keeps client and server apart although they do."""

from __future__ import annotations

from tests.parity.row import Feature, Row, scenario

FILES = Feature.FILES
SH = "#!/bin/sh\n"
MEANWHILE = "nobody knows in which tick a process has ended, and what it has written is home"


def apart(body: str, **more: str) -> str:
    """A scenario whose remote actions are to find nothing of the client's disk."""
    return scenario(body, modifiers="APART", **more)


ROWS = (
    Row(
        name="a file beside the scenario is read by relative name, by its path and in the input folder",
        feature=FILES,
        unsteady=MEANWHILE,
        files={"data/map.yaml": "a map\n"},
        text=apart(
            """
            run_process("cp data/map.yaml $F/out/relative")
            run_process("cp $F/data/map.yaml $F/out/absolute")
            probe_code(at_setup: «
                text = Path(kwargs["input_dir"], "data/map.yaml").read_text()
                Path(kwargs["output_dir"], "input").write_text(text)»)
            seen: run_process("cat data/map.yaml")
            process_log_check("seen", ["a map"])
            """
        ),
    ),
    Row(
        name="a script beside the scenario can be run",
        feature=FILES,
        unsteady=MEANWHILE,
        files={"tool.sh": f'{SH}echo "$1" > "$2"\n'},
        text=apart('run_process("./tool.sh said out/by-relative-name")\nrun_process("$F/tool.sh said $F/out/by-path")'),
    ),
    Row(
        name="files in the output directory are written, appended to, renamed and deleted",
        feature=FILES,
        unsteady=MEANWHILE,
        files={
            "steps.sh": f"{SH}cd out\necho $1 >> log\ncase $1 in 2) mv log moved;; 4) rm log; ln -s moved link;; esac\n"
        },
        text=apart("\n".join(f'run_process("./steps.sh {number}")' for number in range(1, 6))),
    ),
    Row(
        name="a local action finds what a remote one has written, and a post-run command all of it",
        feature=FILES,
        unsteady=MEANWHILE,
        files={"after.sh": f'{SH}cat "$1/written" > "$1/seen"\n'},
        options=("--post-run", "$F/after.sh"),
        text=scenario(
            """
            run_process("touch $F/out/written") with:
                APART
            run_process("test -e $F/out/written")
            """,
            modifiers="",
        ),
    ),
    Row(
        name="a file that is not there is missed by the name that it has on the client",
        feature=FILES,
        code=1,
        says="run/data/none'",
        text=apart("probe_code(at_execute: «open('$F/data/none')»)"),
    ),
    Row(
        name="a path in a log line or in a variable is the client's",
        feature=FILES,
        unsteady=MEANWHILE,
        files={"data/map.yaml": "a map\n"},
        text=apart(
            """
            real: run_process("realpath data/map.yaml out")
            process_log_check("real", ["/out"])
            listed: run_process("ls $F/data/map.yaml")
            process_log_check("listed", ["map.yaml"])
            """
        ),
    ),
    Row(
        name="a remote action finds what a local one has written, appended to, renamed and deleted, and the other way",
        feature=FILES,
        unsteady=MEANWHILE,
        files={
            "steps.sh": f"{SH}cd out; echo $1 >> log\n"
            "case $1 in 2) mv log moved;; 3) cp moved log;; 4) rm moved;; esac\n"
        },
        text=scenario(
            "\n".join(
                f'run_process("$F/steps.sh {number}")' + (" with:\n    APART" if number % 2 == 0 else "")
                for number in range(1, 7)
            ),
            modifiers="",
        ),
    ),
    Row(
        name="a remote action reads what a local one has changed beside the scenario",
        feature=FILES,
        unsteady=MEANWHILE,
        files={"data/map.yaml": "a map\n", "data/other.yaml": "another map\n"},
        text=scenario(
            """
            run_process("cp data/map.yaml out/before") with:
                APART
            run_process("cp $F/data/other.yaml $F/data/map.yaml")
            run_process("cp data/map.yaml out/after") with:
                APART
            run_process("cmp data/map.yaml out/after")
            """,
            modifiers="",
        ),
    ),
    Row(
        name="what a local action has changed beside the scenario is there when the next document is set up",
        feature=FILES,
        unsteady=MEANWHILE,
        files={
            "parameters.yaml": "test:\n  word: one\n---\ntest:\n  word: two\n",
            "data/map.yaml": "a map\n",
            "grow.sh": f"{SH}echo more >> data/map.yaml\n",
        },
        options=("--scenario-parameter-file", "$F/parameters.yaml"),
        text=scenario(
            """
            probe_code(at_setup: «
                with Path(kwargs["output_dir"], "seen").open("a") as seen:
                    seen.write(Path(kwargs["input_dir"], "data/map.yaml").read_text())») with:
                APART
            run_process("$F/grow.sh")
            """,
            modifiers="",
            declare='word: string = "none"',
        ),
    ),
)
