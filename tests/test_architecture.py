# SPDX-License-Identifier: Apache-2.0
"""Who may import what, as far as import-linter's layers in pyproject.toml cannot say it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.workspace import PACKAGES, PURE_ROOMS, modules_of

MODULES = {name: path for package in PACKAGES for name, path in modules_of(package).items()}
# What touches the world outside the process, or reads a clock.
IMPURE = frozenset(
    "asyncio concurrent fcntl glob io logging multiprocessing os select selectors shutil signal socket subprocess"
    " tempfile threading time zmq".split()
)
# What is nothing but a calculation all the same: the part of such a module that a pure room may use.
CALCULATIONS = {
    "os": {"fsencode"},
    "socket": {"inet_aton", "inet_ntoa"},
    "zmq": {"curve_keypair", "curve_public", "z85"},
}
# pathlib may name a path in a pure room, but not open what lies there.
TOUCHING_CALLS = frozenset(
    "open print input chmod exists glob is_dir is_file iterdir lstat mkdir read_bytes read_text rename rglob rmdir stat"
    " touch unlink write_bytes write_text now today utcnow".split()
)


def is_pure(module: str) -> bool:
    return any(module == room or module.startswith(f"{room}.") for room in PURE_ROOMS)


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def imports_of(module: str) -> Iterator[tuple[str, str | None]]:
    """Each (module, name taken from it or None) that is imported anywhere in one of our modules, spelled in full."""
    path = MODULES[module]
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            yield from ((alias.name, None) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            source = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                source = ".".join([*above, source] if source else above)
            yield from ((source, alias.name) for alias in node.names)


def importers_of(top: str) -> set[str]:
    return {name for name in MODULES if any(imported.partition(".")[0] == top for imported, _ in imports_of(name))}


def test_every_pure_room_exists() -> None:
    assert sorted(PURE_ROOMS - MODULES.keys()) == []


@pytest.mark.parametrize("module", sorted(filter(is_pure, MODULES)))
def test_a_pure_room_uses_nothing_that_touches_the_world(module: str) -> None:
    used = {(imported.partition(".")[0], name) for imported, name in imports_of(module) if name}
    whole = {imported.partition(".")[0] for imported, name in imports_of(module) if not name}
    for node in ast.walk(tree_of(MODULES[module])):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in whole:
            used.add((node.value.id, node.attr))
    assert sorted((whole & IMPURE) - CALCULATIONS.keys()) == []
    touching = {(top, name) for top, name in used if top in IMPURE and name not in CALCULATIONS.get(top, ())}
    assert sorted(touching) == []


@pytest.mark.parametrize("module", sorted(filter(is_pure, MODULES)))
def test_a_pure_room_calls_nothing_that_touches_the_world(module: str) -> None:
    calls = [node.func for node in ast.walk(tree_of(MODULES[module])) if isinstance(node, ast.Call)]
    named = (call.id if isinstance(call, ast.Name) else getattr(call, "attr", "") for call in calls)
    assert sorted(TOUCHING_CALLS.intersection(named)) == []


@pytest.mark.parametrize("module", sorted(filter(is_pure, MODULES)))
def test_a_pure_room_imports_only_pure_rooms_of_ours(module: str) -> None:
    ours = {
        candidate
        for imported, name in imports_of(module)
        for candidate in (imported, f"{imported}.{name}")
        if candidate in MODULES and candidate not in PACKAGES
    }
    packages_of_rooms = {room.rpartition(".")[0] for room in MODULES}
    assert sorted(room for room in ours if not is_pure(room) and room not in packages_of_rooms) == []


def test_only_the_codec_knows_msgpack() -> None:
    assert importers_of("msgpack") == {"scenario_execution_remote.protocol.wire"}


def test_only_the_doors_reach_into_the_engine() -> None:
    doors = {"constancy", "creation", "faults", "guise", "leaf", "modifier", "osc_library", "run", "session"}
    allowed = {f"scenario_execution_remote.{door}" for door in doors}
    strangers = {
        name
        for name in importers_of("scenario_execution") - allowed
        if not name.startswith("scenario_execution_server.worker.")
    }
    assert sorted(strangers) == []
