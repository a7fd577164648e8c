# SPDX-License-Identifier: Apache-2.0
"""Servers, clients and their keys for the system tests. Each test leaves its server without sessions, or fails."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.engines import Engines
from tests.support.probe import make_site
from tests.support.scenarios import Outcome, ScenarioProcess, running, scenario
from tests.support.servers import (
    BRISK,
    CURVE,
    Identity,
    ServerProcess,
    clean_environment,
    make_guest,
    make_owner,
    serving,
)


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> str:
    """PYTHONPATH with the probe package."""
    return make_site(tmp_path_factory.mktemp("site"))


@pytest.fixture(scope="session")
def owner(tmp_path_factory: pytest.TempPathFactory) -> Identity:
    """The user whose key store the servers use, enrolled as `owner`."""
    return make_owner(tmp_path_factory.mktemp("owner") / "keys")


@pytest.fixture(scope="session")
def guest(tmp_path_factory: pytest.TempPathFactory, owner: Identity) -> Identity:
    """Another user, with another key, enrolled before any server starts."""
    return make_guest(tmp_path_factory.mktemp("guest") / "keys", owner, "guest")


@pytest.fixture(scope="session")
def stranger(tmp_path_factory: pytest.TempPathFactory, owner: Identity) -> Identity:
    """Somebody who knows the server's key and is not enrolled."""
    return make_guest(tmp_path_factory.mktemp("stranger") / "keys", owner, None)


Serve = Callable[..., ServerProcess]
Start = Callable[..., ScenarioProcess]
Run = Callable[..., Outcome]


class _LongLived:
    """A server that many tests use one after the other, replaced should one of them end it."""

    def __init__(self, folder: Path, owner: Identity, site: str) -> None:
        self._folder, self._owner, self._site = folder, owner, site
        self._numbers = itertools.count(1)
        self._server: ServerProcess | None = None

    def get(self) -> ServerProcess:
        if self._server is None or self._server.process.poll() is not None:
            folder = self._folder / str(next(self._numbers))
            options = (*CURVE, *BRISK, "--socket", str(folder / "s"))
            self._server = ServerProcess(folder, *options, keys=self._owner.folder, site=self._site)
        return self._server

    def close(self) -> None:
        if self._server is not None:
            self._server.close()


@pytest.fixture(scope="session")
def _long_lived(
    tmp_path_factory: pytest.TempPathFactory, owner: Identity, guest: Identity, site: str
) -> Iterator[_LongLived]:
    holder = _LongLived(tmp_path_factory.mktemp("server"), owner, site)
    yield holder
    holder.close()


@pytest.fixture
def server(_long_lived: _LongLived) -> Iterator[ServerProcess]:
    """A server with CURVE on loopback and a unix socket, which is idle before and after the test, and survives it."""
    server = _long_lived.get()
    yield server
    server.wait_idle()


@pytest.fixture
def serve(tmp_path: Path, owner: Identity, guest: Identity, site: str) -> Iterator[Serve]:
    """Start a server of the test's own: `serve(*options)`. Closed, and checked for what it leaves, after the test."""
    numbers = itertools.count(1)
    with ExitStack() as stack:

        def start(*options: str, site: str = site, environment: dict[str, str] | None = None) -> ServerProcess:
            folder = tmp_path / f"server-{next(numbers)}"
            return stack.enter_context(
                serving(folder, *options, keys=owner.folder, site=site, environment=environment)
            )

        yield start


@pytest.fixture(scope="session")
def engines(site: str) -> Iterator[Engines]:
    """The engine, loaded once for all runs."""
    engines = Engines(clean_environment(PYTHONPATH=site))
    yield engines
    engines.close()


@pytest.fixture
def start(tmp_path: Path, owner: Identity, site: str, engines: Engines) -> Iterator[Start]:
    """Start a run and go on: `start(body, *options, who=..., whole=False, fresh=False)`.

    With `fresh` in a process that loads the engine itself, as a user's does: tests/system/test_first_light.py does so.
    """
    numbers = itertools.count(1)
    with ExitStack() as stack:

        def begin(
            body: str, *options: str, who: Identity = owner, whole: bool = False, fresh: bool = False
        ) -> ScenarioProcess:
            folder = tmp_path / f"client-{next(numbers)}"
            text = body if whole else scenario(body)
            loaded = None if fresh else engines
            return stack.enter_context(running(folder, text, *options, keys=who.folder, site=site, engines=loaded))

        yield begin


@pytest.fixture
def run(start: Start) -> Run:
    """Run a scenario to its end; arguments as for `start`."""

    def to_the_end(body: str, *options: str, **more: object) -> Outcome:
        return start(body, *options, **more).finish()

    return to_the_end
