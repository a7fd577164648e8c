# SPDX-License-Identifier: Apache-2.0
"""Goes the whole way from an endpoint to the actions behind it, with the modifier's own means, and says how far it
came."""

from __future__ import annotations

import time
from collections.abc import Iterator

from scenario_execution_keys import paths
from scenario_execution_keys.errors import KeyNotFoundError, KeysError
from scenario_execution_keys.store import KeyStore

from .addresses import addresses_of
from .checkup import (
    NOT_REACHED,
    Line,
    Mark,
    Step,
    clock_line,
    compared,
    failed,
    ok,
    session_step_of,
    skipped,
    step_of,
    warning,
)
from .config import RemoteSettings
from .courtesies import versions_here
from .diagnosis import Finding, Probe, Reach
from .endpoint import Endpoint
from .errors import EndpointError, OwnKeyError, RemoteError
from .offered import offered_by
from .patience import Patience
from .probe import PROBE_S, look_at
from .protocol.frames import PROTOCOL_VERSION
from .protocol.messages import ListActions
from .security import Security, security_for
from .visit import Visit

PROGRAM = "se-remote doctor"
LIST_WITHIN_S = 60.0  # the worker imports every plug-in the client may run; ROS takes seconds for each


def examine(text: str, store: KeyStore, *, server_key: str, timeout_s: float) -> Iterator[Line]:
    """The steps, each as soon as it is known; behind one that failed, the others are named and skipped.

    Args:
        text: The endpoint as a scenario has it.
        store: Our keys and those of the servers we know.
        server_key: As in the scenario; empty to look into the known servers.
        timeout_s: As the scenario's ``setup_timeout``.
    """
    left = list(Step)
    for line in _steps(text, store, server_key, timeout_s):
        left.remove(line.step)
        yield line
        if line.mark is Mark.FAILED:
            yield from (skipped(step, NOT_REACHED) for step in left)
            return


def _steps(text: str, store: KeyStore, server_key: str, timeout_s: float) -> Iterator[Line]:
    try:
        endpoint = Endpoint.parse(text)
    except EndpointError as error:
        yield failed(Step.ENDPOINT, error)
        return
    yield ok(Step.ENDPOINT, endpoint.text)
    try:
        security = security_for(endpoint, RemoteSettings(endpoint=endpoint.text, server_key=server_key), store)
    except OwnKeyError as error:
        yield failed(Step.OWN_KEY, error)
        return
    except KeysError as error:
        yield _own_key(store)
        yield Line(
            step=Step.SERVER_KEY, mark=Mark.FAILED, text=str(error), next_command=error.mend, exit_code=error.exit_code
        )
        return
    yield _own_key(store)
    yield _server_key(endpoint, security, server_key)
    patience = Patience(endpoint.text, time.monotonic() + timeout_s, None)
    addresses = addresses_of(endpoint, patience)
    if isinstance(addresses, Finding):
        yield failed(Step.NAME, addresses.error)
        return
    where = "a unix socket" if endpoint.is_unix else ", ".join(str(address.place[0]) for address in addresses)
    yield ok(Step.NAME, where)
    with Visit(endpoint, security, program=PROGRAM, timeout_s=timeout_s) as visit:
        try:
            visit.connect()
        except RemoteError as error:
            probe = look_at(addresses[0], Patience(endpoint.text, time.monotonic() + PROBE_S, None))
            yield from _way_to(step_of(error, probe), endpoint, security, probe)
            yield failed(step_of(error, probe), error)
            return
        yield from _way_to(Step.SESSION, endpoint, security, None)
        yield from _inside(visit, "anybody who reaches it" if security.own is None else "this key")


def _own_key(store: KeyStore) -> Line:
    try:
        pair = store.client_pair()
    except KeyNotFoundError:
        return skipped(Step.OWN_KEY, "there is none, and this endpoint needs none")
    except KeysError as error:
        return warning(Step.OWN_KEY, f"{error}, although this endpoint needs none", next_command=error.mend)
    fingerprint, path = pair.public.fingerprint, store.pair_files(paths.CLIENT).secret_path
    return ok(Step.OWN_KEY, f"{fingerprint} in {path}, which is yours alone", fingerprint=fingerprint)


def _server_key(endpoint: Endpoint, security: Security, given: str) -> Line:
    if security.server_key is not None:
        fingerprint = security.server_key.fingerprint
        where = "in the scenario" if given else "among the known servers"
        next_key = security.pins.next_key if security.pins is not None else None
        beside = f", and {next_key.fingerprint} beside it, as the server has announced" if next_key is not None else ""
        return ok(
            Step.SERVER_KEY, f"{fingerprint} is pinned {where}{beside}", fingerprint=fingerprint,
            next_fingerprint=next_key.fingerprint if next_key is not None else None,
        )  # fmt: skip
    if security.warning is not None:
        return warning(Step.SERVER_KEY, security.warning, next_command=f"se-remote trust {endpoint} sepub-...")
    return skipped(Step.SERVER_KEY, "none is pinned; on this machine that is no danger")


def _way_to(end: Step, endpoint: Endpoint, security: Security, probe: Probe | None) -> Iterator[Line]:
    """The steps of a connection that went well, up to one that did not. *probe*: what was seen, if that was little."""
    pinned = security.server_key is not None
    mechanism = "CURVE" if pinned else "NULL"
    if probe is not None and probe.reach is Reach.REACHED and probe.greeting.mechanism:
        mechanism = probe.greeting.mechanism
    told = {
        Step.CONNECTION: ok(Step.CONNECTION, f"somebody listens at {endpoint}"),
        Step.LANGUAGE: ok(Step.LANGUAGE, f"ZeroMQ, mechanism {mechanism}"),
        Step.ENCRYPTION: ok(Step.ENCRYPTION, "CURVE, on both sides" if pinned else "none, on both sides"),
        Step.HANDSHAKE: ok(Step.HANDSHAKE, "the server has the pinned key" if pinned else "done, without any proof"),
        Step.ADMISSION: ok(Step.ADMISSION, "the server admits this key" if pinned else "the server asks for no key"),
    }  # fmt: skip
    for step, line in told.items():
        if step is end:
            return
        yield line


def _inside(visit: Visit, who: str) -> Iterator[Line]:
    """What can be known once the connection stands; *who* is asking, for the sentence about actions."""
    try:
        welcome = visit.open()
    except RemoteError as error:
        step = session_step_of(error)
        if step is not Step.SESSION:
            yield skipped(Step.SESSION, "refused")
        yield failed(step, error)
        return
    yield ok(
        Step.SESSION,
        "; ".join([
            f"opened by {welcome.program}, which ends it after {welcome.watchdog_s:g} s of silence",
            *(remark.text for remark in visit.remarks),
        ]),
        program=welcome.program, watchdog_s=welcome.watchdog_s,
    )  # fmt: skip
    yield compared(versions_here(), welcome.versions, PROTOCOL_VERSION)
    try:
        one_way_s = visit.beat(LIST_WITHIN_S) / 2
        answer = visit.call(lambda number: ListActions(call=number), LIST_WITHIN_S)
        skew_s = answer.utc_s - (time.time() - one_way_s)
        actions = offered_by(answer)
    except RemoteError as error:
        yield skipped(Step.CLOCK, NOT_REACHED)
        yield failed(Step.ACTIONS, error)
        return
    yield clock_line(skew_s)
    names = sorted({action.key for action in actions if not action.trouble})
    broken = sorted({action.key for action in actions if action.trouble})
    found = {"globs": answer.globs, "actions": names, "broken": broken}
    may = f"{who} may run {len(names)}: {', '.join(names)}" if names else f"{who} may run none here"
    if broken:
        yield warning(Step.ACTIONS, f"{may}; these cannot be imported there: {', '.join(broken)}", **found)
    elif names:
        yield ok(Step.ACTIONS, may, **found)
    else:
        yield warning(Step.ACTIONS, f"{may}; ask the server's operator for `se-server permit`", **found)
