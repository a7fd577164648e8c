# SPDX-License-Identifier: Apache-2.0
"""The folders of a session: where its actions work, and which of them stand for folders of the client."""

from __future__ import annotations

import hmac
import os
import stat
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from scenario_execution_remote.files.names import OWN_PREFIX
from scenario_execution_remote.protocol import messages
from scenario_execution_server.worker.keeping import place_in
from scenario_execution_server.worker.path_map import PathMap

_FOLDER_VALUES = ("input_dir", "output_dir")  # keyword arguments of setup() that are paths


class Places:
    """The folders of one session.

    Where nothing is shared, they lie to each other as they do on the client: each below one folder, by its path. So a
    relative name leads to the same file, from whichever of them.

    Args:
        folder: The session's own.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._mounts: dict[str, Path] = {}  # client's folder -> the one that stands for it
        self._numbers: dict[int, Path] = {}
        self._map = PathMap()
        self._work = folder / "work"
        self._work.mkdir(exist_ok=True)
        self._relative_to = ""  # the client's current directory, where the actions work elsewhere
        _work_in(self._work)

    def mount(self, call: messages.Mount) -> Path | None:
        """Make a folder that stands for the client's, and return it; None if the server has the same folder."""
        if call.mode == "shared" or (call.mode == "auto" and _is_shared(call)):
            self._share(call)
            return None
        place = place_in(self._folder, call.path)
        place.mkdir(parents=True, exist_ok=True)
        self._numbers[call.mount] = place
        for name in call.names:
            self._map.add(f"{call.path.rstrip('/')}/{name}", str(place / name))
        if not call.names:
            self._mounts[call.path] = place
            self._map.add(call.path, str(place))
        if call.working_folder:
            self._relative_to = ""
            work = place_in(self._folder, call.working_folder)
            work.mkdir(parents=True, exist_ok=True)
            _work_in(work)
        return place

    def _share(self, call: messages.Mount) -> None:
        """Work where the client works, if that is the scenario's own directory: what is named relatively lies there."""
        if call.role != "input":  # where actions work is decided by what the scenario can refer to
            return
        self._relative_to = call.working_folder
        if call.working_folder == call.path:
            with suppress(OSError):  # not for this user
                _work_in(Path(call.path))
                self._relative_to = ""

    def of(self, mount: int) -> Path | None:
        """The folder that stands for what this mount is about; None if none does."""
        return self._numbers.get(mount)

    def translated(self, call: Any) -> Any:
        """What the client says, with its folders replaced by those that stand for them."""
        if isinstance(call, messages.Setup) and self._relative_to and isinstance(call.values.get("input_dir"), str):
            absolute = os.path.join(self._relative_to, call.values["input_dir"])
            call = replace(call, values=call.values | {"input_dir": absolute.rstrip("/") or "/"})
        if self._map.is_empty:
            return call
        if isinstance(call, (messages.Tick, messages.Execute)):
            arguments = self._map.inward(call.arguments)
            return call if arguments is call.arguments else replace(call, arguments=arguments)
        if isinstance(call, messages.Answer):
            return replace(call, value=self._map.inward(call.value))
        if not isinstance(call, (messages.Create, messages.Setup)):
            return call
        there = call.directories
        call = replace(
            call,
            directories=messages.Directories(
                scenario_file=self._here(there.scenario_file), output=self._here(there.output)
            ),
        )
        if isinstance(call, messages.Setup):
            mapped = {name: self._here(call.values[name]) for name in _FOLDER_VALUES if name in call.values}
            return replace(call, values=self._map.inward(call.values) | mapped)
        return replace(call, init_arguments=self._map.inward(call.init_arguments))

    def told(self, message: Any) -> Any:
        """What the worker says, with the session's folders replaced by those of the client that they stand for."""
        if self._map.is_empty:
            return message
        outward = self._map.outward
        if isinstance(message, messages.Ticked):
            return message if message.result is None else replace(message, result=self.told(message.result))
        if isinstance(message, messages.Result):
            return replace(
                message, feedback=outward(message.feedback), value=outward(message.value),
                nodes=outward(message.nodes), fault=None if message.fault is None else self._told(message.fault),
            )  # fmt: skip
        if isinstance(message, messages.Write):
            return replace(message, value=outward(message.value))
        if isinstance(message, (messages.Log, messages.Feedback)):
            return replace(message, text=outward(message.text))
        if isinstance(message, messages.Output):
            text = message.data.decode("utf-8", "surrogateescape")
            return replace(message, data=outward(text).encode("utf-8", "surrogateescape"))
        return message

    def _told(self, fault: messages.Fault) -> messages.Fault:
        outward = self._map.outward
        return replace(
            fault, text=outward(fault.text), message=outward(fault.message), arguments=outward(fault.arguments)
        )

    def _here(self, path: Any) -> Any:
        """Where *path* of the client is in this session; made, as it exists on the client. Else as it is."""
        if not isinstance(path, str) or not path:
            return path
        if not path.startswith("/"):  # it means the same here, seen from the current directory
            return path
        for there, place in self._mounts.items():
            if path == there or path.startswith(there.rstrip("/") + "/"):
                try:
                    found = place_in(place, path[len(there.rstrip("/")) :] or "/", below="")
                except OSError:  # it has no place
                    continue
                with suppress(OSError):  # whoever wants to write there hears of it
                    found.mkdir(parents=True, exist_ok=True)
                return str(found)
        return path


def _work_in(folder: Path) -> None:
    """Make *folder* the current directory of the actions."""
    os.chdir(folder)
    os.environ["PWD"] = str(folder)  # shells and some programs believe it


def _is_shared(call: messages.Mount) -> bool:
    """Whether the marker that the client has put into its folder lies here as well, and the folder can be written."""
    if not call.marker.startswith(OWN_PREFIX) or "/" in call.marker:
        return False
    try:
        # O_NONBLOCK: the client chose the path, and what lies there may be a pipe
        fd = os.open(f"{call.path}/{call.marker}", os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError):
        return False
    try:
        found = os.read(fd, len(call.content) + 1) if stat.S_ISREG(os.fstat(fd).st_mode) else b""
    except OSError:
        return False
    finally:
        os.close(fd)
    wanted = os.X_OK if call.role == "input" else os.W_OK | os.X_OK
    return hmac.compare_digest(found, call.content) and os.access(call.path, wanted)
