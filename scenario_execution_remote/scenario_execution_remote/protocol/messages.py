# SPDX-License-Identifier: Apache-2.0
"""What client, server and worker say to each other: one frozen dataclass per message, without any encoding.

The words are py_trees' own: create, setup, tick, stop, shutdown. ``wire`` gives each message its bytes and refuses what
does not fit these types; ``docs/reference/protocol.md`` is the description for people.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any

# -- between the client and the front -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Hello:
    """Open a session. ``versions`` maps distribution names (and ``python``) to versions; ``silence_s`` is how long the
    client waits before it counts a silent server as lost."""

    program: str
    versions: dict[str, str]
    silence_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class NextKey:
    """The public key, in Z85, that the server will have from ``from_utc_s`` on, in seconds since 1970."""

    key: str
    from_utc_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Welcome:
    """The session is open. ``watchdog_s``: the server ends it after that much silence; ``shutdown_timeout_s``: how long
    its actions may take to stop at the end; ``next_key``: None if no other key is announced than the one it has."""

    program: str
    versions: dict[str, str]
    watchdog_s: float
    shutdown_timeout_s: float
    next_key: NextKey | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """What a :class:`Welcome` said of the server's next key is not so any more."""

    next_key: NextKey | None


class RefusalCode(str, enum.Enum):
    """Why a frame or a session was refused; stable names, safe to compare."""

    PROTOCOL = "protocol"
    VERSION = "version"
    LIMIT = "limit"
    NOT_AUTHORISED = "not-authorised"
    UNKNOWN_SESSION = "unknown-session"
    STOPPING = "stopping"


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """No, and why: a :class:`RefusalCode` value for programs, a sentence for people."""

    code: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """The session is over and nothing of it is left running. ``reason``: ``bye``, ``silent``, ``stopped``, ``revoked``,
    ``worker-lost`` or ``start-failed``."""

    reason: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrol:
    """In place of a :class:`Hello`, from a client that came in with an invitation: enrol ``key``, a public key in Z85,
    and forget the invitation. From an enrolled client: admit me with ``key`` as well, and with nothing else once I have
    come in with it; its own key says that it has."""

    program: str
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrolled:
    """In place of a :class:`Welcome`: the key is enrolled as ``name``, and this connection is of no further use."""

    name: str
    next_key: NextKey | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspect:
    """In place of a :class:`Hello`, from a client that is enrolled as an administrator: how is the server, and whose
    sessions run?"""

    program: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspected:
    """In place of a :class:`Welcome`: the status, as the JSON that `se-server status` prints of one server."""

    status: str


# -- from the client to the worker -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Plugin:
    """Which class an action is, beyond its ambiguous name.

    Attributes:
        key: Name of the entry point in group ``scenario_execution.actions``.
        value: The entry point's ``module:Class`` on the client; empty if unknown (version 1 clients).
        distribution: Distribution that registers it on the client; empty if unknown.
        version: That distribution's version.
        init_arguments: Parameter names of ``__init__`` without ``self``, in order; None if unknown.
        execute_arguments: Likewise of ``execute``; None if the class has none, or if unknown.
    """

    key: str
    value: str = ""
    distribution: str = ""
    version: str = ""
    init_arguments: list[str] | None = None
    execute_arguments: list[str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """The actor an action is invoked on: its name and its qualified name, the prefix of its blackboard keys."""

    name: str
    qualified_name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Directories:
    """What ``ScenarioExecutionConfig`` says on the client at that moment; absolute paths or None."""

    scenario_file: str | None
    output: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Create:
    """Construct an action. ``context`` is the model's (line, column, text, file), for error messages; ``label`` the osc
    label or None; ``scenario`` numbers the scenarios of a run; ``debug`` whether debug records are wanted."""

    call: int
    action: int
    scenario: int
    plugin: Plugin
    init_arguments: dict[str, Any]
    name: str
    label: str | None
    context: list[Any] | None
    actor: Actor | None
    directories: Directories
    debug: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """Call ``setup(**kwargs)``. ``values`` holds the keyword arguments that travel as they are; ``provided`` names
    those
    the worker makes itself (``logger``, ``process_registry``, ``host_clock``, ``clock``), present only if the client
    got them."""

    call: int
    action: int
    values: dict[str, Any]
    provided: list[str]
    directories: Directories
    now_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """One ``tick()``. ``arguments`` for ``execute`` if this tick activates the action, else None; ``now_s`` is scenario
    time, None without a scenario clock. With ``period_s`` the worker goes on ticking by itself, that often, until the
    action is not RUNNING any more, and only then answers: for links on which an answer takes longer than a tick."""

    call: int
    action: int
    arguments: dict[str, Any] | None
    now_s: float | None
    period_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TickAll:
    """One ``tick()`` for each of the running ``actions``, in this order, up to the first that does not stay RUNNING.
    Answered by :class:`Ticked`."""

    call: int
    actions: list[int]
    now_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Execute:
    """Call ``initialise()`` alone; the next tick does not repeat it. Only version 1 clients need this."""

    call: int
    action: int
    arguments: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """Call ``stop(status)``, that is ``terminate(status)``."""

    call: int
    action: int
    status: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Shutdown:
    """Call ``shutdown()``, once; a second request is answered without calling it again."""

    call: int
    action: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """Ask process ``token``, which the worker has :class:`Registered`, for its ``question``: process-output or
    process-complete."""

    call: int
    token: int
    question: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ListActions:
    """Say which actions this client may run here, and what they take. Answered by :class:`Actions`."""

    call: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EndScenario:
    """Shut down and forget all actions of a scenario."""

    call: int
    scenario: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """Have a folder of the session stand for the client's folder ``path``, from now on and in every path below it.

    Answered by ``shared`` if the server has the same folder, so that nothing needs to stand for it, else by ``copy``.

    Attributes:
        call: Number of the call.
        mount: Its number, from 1.
        path: Absolute path on the client.
        names: If there are any, nothing but these in the folder is meant, with all that is below them.
        role: ``input``: what lies there is offered before anything else is done; ``output``: what changes there comes
            home.
        mode: ``auto`` to find out, ``shared`` or ``copy`` if the user knows.
        marker: Name of a file that the client has put there for the server to find; empty if it could not.
        content: Random bytes in that file.
        working_folder: The client's current directory: what relative names mean.
    """

    call: int
    mount: int
    path: str
    names: list[str]
    role: str
    mode: str
    marker: str
    content: bytes
    working_folder: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """Something that lies in a folder which is offered.

    Attributes:
        number: Its number; those of a session rise.
        name: Checked by ``files.names``.
        kind: ``file``, ``folder``, ``link``, or ``gone`` if it is not there any more.
        size_bytes: Of a file.
        mode: Its permission bits.
        mtime_ns: When it was changed, in nanoseconds since 1970.
        digest: Of a file's content, as in :class:`ArtifactEnd`.
        target: Of a link.
    """

    number: int
    name: str
    kind: str
    size_bytes: int
    mode: int
    mtime_ns: int
    digest: bytes
    target: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """Put these into the folder that stands for a mount. Answered by :class:`Wanted`; the contents that it names follow
    as an :class:`Artifact` with the number of the entry, its chunks and its end, and :class:`Staged` is the last word.

    Attributes:
        offer: Number of the offer; one is made in as many messages as it takes.
        mount: The mount.
        entries: Folders before what lies in them.
        is_last: Whether the offer is complete with these.
    """

    offer: int
    mount: int
    entries: list[Entry]
    is_last: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ListFiles:
    """Say what lies on the server for this client below ``path``, or what there is if that is empty. Answered by
    :class:`Listing`."""

    call: int
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetch:
    """Send ``path`` of what lies there, and all that is below it, as artifacts of mount 0. The value of the result is
    how many of them could not be read."""

    call: int
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveFiles:
    """Remove ``path`` of what lies there, and all that is below it. The value of the result is how many files that
    were, and their bytes."""

    call: int
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenStore:
    """Take the artifacts that follow, of mount 0, up to :class:`CloseStore`, into this client's own files. The value of
    the result is where these are on the server."""

    call: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CloseStore:
    """No more follow. The value of the result is what went wrong, in a sentence each."""

    call: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """So much of what was sent of files has been dealt with, in the costs of ``files.pace``; more may follow. Said by
    whoever receives."""

    cost: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Declined:
    """The rest of this artifact is of no use here and need not be sent."""

    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EndSession:
    """From the front: stop and shut down everything, then exit."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Permit:
    """From the front, before the client's first word and whenever it changes: which actions may be created from now on.

    Attributes:
        client: What the client is called here.
        actions: Globs of action names.
        mend: The command that would permit more, but for the name of the action at its end.
    """

    client: str
    actions: list[str]
    mend: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FileTerms:
    """From the front, behind the first :class:`Permit` and whenever it changes: whose files these are, and where.

    Attributes:
        client: What the client is called here.
        session: What the session is called in the log.
        folder: Absolute path of the folder on the server for what belongs to this client alone; it need not exist.
        keep_s: How long results that are not home when the session is over are kept there; 0 for not at all.
        may_put: Whether the client may put files of its own there.
        total_bytes: What the session may carry, both ways together; nil for any amount, as in all that follow.
        count: How many files, likewise.
        rate_bytes_s: How fast, all sessions of the client together.
        stored_bytes: What may lie in the folder.
        mend: What to do if that is not enough, as the end of a sentence that goes on with all limits.
        own_limits: Those that go on to count then, as words of a key file.
        put_mend: What to do if the client may not put files there, as the end of a sentence.
        cache_limit_bytes: How much of what clients have sent is kept for their next sessions, of all together.
        cache_age_s: How long what is not used is kept.
    """

    client: str
    session: str
    folder: str
    keep_s: float
    may_put: bool
    total_bytes: int | None
    count: int | None
    rate_bytes_s: int | None
    stored_bytes: int | None
    mend: str
    own_limits: str
    put_mend: str
    cache_limit_bytes: int
    cache_age_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The client's answer to an :class:`Ask`: a value, or the name and text of the error it raised there."""

    ticket: int
    value: Any
    error: str | None
    text: str


# -- from the worker to the client -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """An exception as it travels.

    Attributes:
        phase: Lifecycle method that raised: ``create``, ``setup``, ``execute``, ``update``, ``terminate``,
            ``shutdown``,
            or ``protocol``.
        type_name: Name of the class, as the last traceback line shows it.
        module: Module of the class.
        text: ``str(exception)``.
        message: The bare ``msg`` of an ``OSC2Error``, without the location; else None.
        arguments: ``args`` if all of them can travel, else None.
        traceback: The remote traceback as text, for the log.
    """

    phase: str
    type_name: str
    module: str
    text: str
    message: str | None
    arguments: list[Any] | None
    traceback: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """The outcome of a call.

    Attributes:
        call: Number of the call this answers.
        status: Name of the py_trees status after a tick, or None for other calls.
        stopped: Whether that tick already ran ``stop(status)``.
        feedback: ``feedback_message`` now.
        fault: What was raised, or None.
        value: The answer to a :class:`Query`, else None.
        nodes: For each node of an action that is a subtree, in ``iterate()`` order: status name, feedback, its turn
            in the tick (None if that did not come to it), and index of the current child (or None); else empty.
    """

    call: int
    status: str | None
    stopped: bool
    feedback: str
    fault: Fault | None
    value: Any
    nodes: list[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticked:
    """The outcome of a :class:`TickAll`: the first ``running`` actions stayed RUNNING; ``result`` is that of the next
    one, None if all did. Changed feedback messages come before it, as :class:`Feedback`."""

    call: int
    running: int
    result: Result | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Actions:
    """The outcome of a :class:`ListActions`.

    Attributes:
        call: Number of the call this answers.
        utc_s: The server's clock: seconds since 1970.
        globs: What the client may run, as globs of action names.
        offered: One list for each entry point that these cover, in the order of their names: ``key``, ``value``,
            ``distribution``, ``version``, ``init_arguments`` and ``execute_arguments`` as in :class:`Plugin`, and last
            why it cannot be used, empty if it can.
    """

    call: int
    utc_s: float
    globs: list[str]
    offered: list[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """The outcome of a :class:`ListFiles`.

    Attributes:
        call: Number of the call this answers.
        entries: One list for each: its name, with a slash at the end for a folder; ``result``, ``folder``, ``file`` or
            ``link``; its size in bytes; when it was changed, in seconds since 1970; and when it is removed, or None.
    """

    call: int
    entries: list[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Alive:
    """The worker is between two calls and goes on ticking; said about once a second while it does so by itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """One record for the client's logger. ``level``: ``debug``, ``info``, ``warning`` or ``error``."""

    level: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """What the worker wrote to ``stdout`` or ``stderr``."""

    stream: str
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Feedback:
    """``feedback_message`` changed between calls."""

    action: int
    text: str


# -- from the worker to the front alone ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """The worker is ready for its first call; ``pid`` is its process."""

    pid: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Deed:
    """What the client has had done to an action, for the audit log: its name, and ``what``: ``set-up``, ``refused`` (by
    its permissions), ``failed`` (to be created or set up) or ``cancelled`` (stopped while RUNNING)."""

    what: str
    action: str


# -- questions of the worker -----------------------------------------------------------------------------------------


class Question(str, enum.Enum):
    """What a worker may ask the client while a call runs or between calls."""

    BLACKBOARD_GET = "blackboard-get"
    BLACKBOARD_EXISTS = "blackboard-exists"
    BLACKBOARD_KEYS = "blackboard-keys"
    PROCESS_LIST = "process-list"  # tokens of the processes registered under a label, in order
    PROCESS_OUTPUT = "process-output"  # captured lines of the process with this token
    PROCESS_COMPLETE = "process-complete"  # whether no more will come


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """A question the worker waits for; ``ticket`` names the answer."""

    ticket: int
    question: str
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Write:
    """A blackboard write, in order with everything else the worker sends; ``unset`` removes the key."""

    key: str
    value: Any
    unset: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisteredKey:
    """An action has registered a blackboard key; ``access`` is the name of the py_trees access."""

    action: int
    key: str
    access: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Registered:
    """An action has registered itself in the scenario's process registry under ``label``; ``token`` names it."""

    label: str
    token: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    """All artifacts up to this number belong to what was said so far; said before the result of what has ended.
    ``size_bytes``: what those amount to that were not collected before."""

    number: int
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """Something has changed in the folder behind a mount; the artifacts of a session are numbered from 1, in order.
    From the client: the content of a file that was offered, under the number of its entry.

    Attributes:
        number: Its number.
        mount: The mount.
        name: Checked by ``files.names``.
        kind: ``file``, which chunks and an end follow; ``folder``; ``link``; ``gone``; or ``nothing``: it was
            announced, but is as it was.
        size_bytes: Of a file.
        mode: Its permission bits.
        mtime_ns: When it was changed, in nanoseconds since 1970.
        target: Of a link.
    """

    number: int
    mount: int
    name: str
    kind: str
    size_bytes: int
    mode: int
    mtime_ns: int
    target: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """Bytes of the file that is being sent; what no chunk covers is a hole, and reads as zeros."""

    number: int
    offset: int
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class ArtifactEnd:
    """The file is complete. ``digest`` covers its chunks and size; it is empty if the file could not be read to its
    end, and ``text`` says why."""

    number: int
    digest: bytes
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Awaited:
    """Before anything else is done here, what lies behind this mount is to be offered."""

    mount: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """The contents of these entries are not here and are to be sent; each content is asked for once."""

    offer: int
    numbers: list[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Staged:
    """All of an offer is in its place, except what ``problems`` says, in a sentence each."""

    offer: int
    problems: list[str]


ByHand = ListFiles | Fetch | RemoveFiles | OpenStore | CloseStore
Call = Create | Setup | Tick | TickAll | Execute | Stop | Shutdown | Query | EndScenario | ListActions | Mount | ByHand
FromFront = EndSession | Permit | FileTerms
Piece = Artifact | Chunk | ArtifactEnd
OfFiles = Offer | Piece | Taken | Declined
FromFiles = Collected | Awaited | Wanted | Staged | Piece | Taken | Declined
ForFront = Started | Deed
ToWorker = Call | OfFiles | FromFront | Answer
FromWorker = (
    FromFiles
    | Result
    | Log
    | Output
    | Feedback
    | Ask
    | Write
    | RegisteredKey
    | Registered
    | Ticked
    | Alive
    | Actions
    | Listing
)
