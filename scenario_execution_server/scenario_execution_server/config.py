# SPDX-License-Identifier: Apache-2.0
"""The server's settings: one value from which the command line, the environment and the reference page derive.

Precedence: an option on the command line, then its environment variable, then the default. A `ServerSettings` that
exists is consistent; whatever contradicts itself raises when it is made.
"""

from __future__ import annotations

import dataclasses
import enum
import ipaddress
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias, get_args, get_type_hints

from scenario_execution_keys.errors import PermissionValueError
from scenario_execution_keys.limits import EXAMPLE, FileLimits
from scenario_execution_server.errors import SettingsError

# What fills no laboratory's disk by accident; and ten times the files of the largest recording that we know of.
_FILE_LIMITS = "total=100G count=1000000 stored=10G"
DEFAULT_PORT = 7613  # the public prototype's port, which clients in the field use
ENVIRONMENT_PREFIX = "SCENARIO_EXECUTION_SERVER_"
KEYS_DIR_ENVIRONMENT = "SCENARIO_EXECUTION_KEYS_DIR"  # shared with the client and all key commands
LOG_LEVELS = ("debug", "info", "warning", "error")
ALL_INTERFACES = "*"
_LOOPBACK = "127.0.0.1"
_PERMISSION_BITS = 0o777
_OWNER_RW = 0o600


class Group(str, enum.Enum):
    """Headings of the help text and of the reference page, in this order."""

    LISTEN = "Where to listen"
    GUARD = "Who may enter"
    SESSIONS = "Sessions"
    FILES = "Files"
    PROCESS = "The process"


def _option(default: Any, text: str, group: Group, metavar: str = "") -> Any:
    return field(default=default, metadata={"help": text, "group": group, "metavar": metavar})


class DoorKind(str, enum.Enum):
    """How peers come in, which decides what may be believed about them."""

    TCP_CURVE = "tcp-curve"
    TCP_NULL = "tcp-null"
    UNIX = "unix"


@dataclass(frozen=True, slots=True, kw_only=True)
class TcpDoor:
    """A TCP endpoint to open.

    Attributes:
        host: A literal address, or ``*`` for all interfaces.
        port: 0 lets the operating system choose.
        curve: Whether CURVE guards it; otherwise nothing is encrypted.
        exposed: Whether it can be reached from other machines without encryption.
    """

    host: str
    port: int
    curve: bool
    exposed: bool

    @property
    def kind(self) -> DoorKind:
        """What may be believed about peers that come in here."""
        return DoorKind.TCP_CURVE if self.curve else DoorKind.TCP_NULL


@dataclass(frozen=True, slots=True, kw_only=True)
class UnixDoor:
    """A unix socket to open, guarded by the permission bits `mode` of the file at `path`."""

    path: Path
    mode: int

    @property
    def kind(self) -> DoorKind:
        """What may be believed about peers that come in here."""
        return DoorKind.UNIX


Door: TypeAlias = "TcpDoor | UnixDoor"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """Everything that can be set, with defaults.

    Raises:
        SettingsError: If a value cannot be, or two of them contradict each other.
    """

    host: str | None = _option(
        None,
        "Interface to listen on: an IPv4 or IPv6 address, 'localhost' (127.0.0.1), or '*' for all. "
        "Default: loopback, and all interfaces with --curve.",
        Group.LISTEN,
        "ADDRESS",
    )
    port: int | None = _option(
        None,
        f"TCP port; 0 takes a free one. Default: {DEFAULT_PORT}, and no TCP at all if only --socket is given.",
        Group.LISTEN,
        "PORT",
    )
    socket: Path | None = _option(
        None, "Path of a unix socket to listen on, alone or next to --port.", Group.LISTEN, "PATH"
    )
    socket_mode: int = _option(
        _OWNER_RW,
        "Permission bits of the unix socket, octal. Whoever may write to it runs programs as this user.",
        Group.GUARD,
        "MODE",
    )
    curve: bool = _option(
        False, "Encrypt TCP with CURVE and admit enrolled clients only (`se-server enrol`).", Group.GUARD
    )
    insecure: bool = _option(
        False,
        "Serve TCP without encryption beyond loopback: whoever reaches the port runs programs as this user.",
        Group.GUARD,
    )
    keys_dir: Path | None = _option(
        None,
        f"Folder of the key store. Default: ${KEYS_DIR_ENVIRONMENT}, else the user's configuration folder.",
        Group.GUARD,
        "DIR",
    )
    watchdog_s: float = _option(
        10.0,  # twice the 5 s after which a client gives up on a silent server, so that the client always speaks first
        "End a session whose client has been silent for this long: its actions are terminated and shut down.",
        Group.SESSIONS,
        "SECONDS",
    )
    connect_timeout_s: float = _option(
        0.0, "Exit if no client has opened a session by then; 0 waits for ever.", Group.SESSIONS, "SECONDS"
    )
    shutdown_timeout_s: float = _option(
        40.0,  # bag recorders take up to 30 s to close their file
        "How long a session's actions may take, all together, to terminate and shut down; then they are killed.",
        Group.SESSIONS,
        "SECONDS",
    )
    max_sessions: int = _option(
        64,  # one process with the engine imported each, about 60 MB: 4 GB, what a lab machine can spare
        "How many sessions may be open at once; more are refused with the reason.",
        Group.SESSIONS,
        "COUNT",
    )
    once: bool = _option(False, "Exit when the first session has ended, for sidecars and batch jobs.", Group.SESSIONS)
    files_dir: Path | None = _option(
        None,
        "Folder for the files of sessions, and for results that are not home yet. "
        "Default: files in the user's state folder.",
        Group.FILES,
        "DIR",
    )
    keep_results_s: float = _option(
        259200.0,  # three days: what was lost on a Friday evening can be fetched on Monday
        "How long results are kept that were not home when their session was over, because its client was lost or "
        "could not take them; 0 keeps none.",
        Group.FILES,
        "SECONDS",
    )
    keep_limit_mb: int = _option(
        10_000,  # a few recordings, and no more than what the smallest disk of a lab machine can spare
        "How much of such results is kept, of all clients together; the oldest of whoever has most go first.",
        Group.FILES,
        "MB",
    )
    file_limits: str = _option(
        _FILE_LIMITS,
        "What a client may carry in one session and leave on the server, unless its key says otherwise; a limit "
        "that is not named stays as it is by default.",
        Group.FILES,
        "LIMITS",
    )
    cache_limit_mb: int = _option(
        5_000,  # a few maps, models and recordings, and half of what may be kept of results
        "How much of what clients have sent is kept, each client's apart from the others', so that it need not be sent "
        "again; if that is more, the client with most loses what it has not used for longest; 0 keeps nothing.",
        Group.FILES,
        "MB",
    )
    cache_age_s: float = _option(
        2592000.0,  # thirty days: what is used once a month is worth keeping
        "How long of that is kept what nobody uses.",
        Group.FILES,
        "SECONDS",
    )
    audit_log: Path | None = _option(
        None,
        "File of the audit log: who did what, when. Default: audit.jsonl in the user's state folder.",
        Group.PROCESS,
        "PATH",
    )
    no_audit: bool = _option(False, "Keep no audit log.", Group.PROCESS)
    ready_fd: int | None = _option(
        None,
        "Write a newline to this file descriptor as soon as the server listens, and close it.",
        Group.PROCESS,
        "FD",
    )
    log_level: str = _option(
        "info", f"Least important lines to log on standard error: {', '.join(LOG_LEVELS)}.", Group.PROCESS, "LEVEL"
    )

    def __post_init__(self) -> None:
        self._check_values()
        self._check_agreement()

    @property
    def doors(self) -> tuple[Door, ...]:
        """What to open, TCP first."""
        doors: list[Door] = []
        if self.serves_tcp:
            host = _bind_host(self.host) if self.host is not None else (ALL_INTERFACES if self.curve else _LOOPBACK)
            port = DEFAULT_PORT if self.port is None else self.port
            exposed = not self.curve and not _is_loopback(host)
            doors.append(TcpDoor(host=host, port=port, curve=self.curve, exposed=exposed))
        if self.socket is not None:
            doors.append(UnixDoor(path=self.socket, mode=self.socket_mode))
        return tuple(doors)

    @property
    def limits(self) -> FileLimits:
        """What holds for a key that says nothing about files: to name one limit lifts no other."""
        return FileLimits.parse(self.file_limits.split()).else_as(FileLimits.parse(_FILE_LIMITS.split()))

    @property
    def serves_tcp(self) -> bool:
        """Whether a TCP port is opened: always, unless only a unix socket was asked for."""
        return self.socket is None or self.port is not None

    @property
    def exposed(self) -> bool:
        """Whether other machines reach this server without encryption; then every session is logged with a warning."""
        return any(isinstance(door, TcpDoor) and door.exposed for door in self.doors)

    def _check_values(self) -> None:
        if self.port is not None and not 0 <= self.port <= 65535:
            raise SettingsError(f"{self.port} is not a TCP port", "Choose one from 0 to 65535", option="--port")
        if self.host is not None:
            _bind_host(self.host)
        if not 0 <= self.socket_mode <= _PERMISSION_BITS or self.socket_mode & _OWNER_RW != _OWNER_RW:
            raise SettingsError(
                f"{self.socket_mode:#o} is not a mode for a socket: three octal digits, the first 6 or 7",
                "Choose 0600 for this user alone, or 0660 for its group as well",
                option="--socket-mode",
            )
        spans = ("connect_timeout_s", "shutdown_timeout_s", "keep_results_s", "cache_age_s")
        for name, least in (("watchdog_s", 0.1), *((span, 0.0) for span in spans)):
            seconds = getattr(self, name)
            if not math.isfinite(seconds) or seconds < least:
                raise SettingsError(
                    f"{flag_of(name)} cannot be {seconds:g} seconds",
                    f"Choose a finite number, {least:g} or more",
                    option=flag_of(name),
                )
        if self.max_sessions < 1:
            raise SettingsError(f"{self.max_sessions} sessions are none", "Choose 1 or more", option="--max-sessions")
        for name in ("keep_limit_mb", "cache_limit_mb"):
            megabytes = getattr(self, name)
            if megabytes < 0:
                raise SettingsError(f"{megabytes} MB are less than none", "Choose 0 or more", option=flag_of(name))
        try:
            _ = self.limits
        except PermissionValueError as error:
            raise SettingsError(error.what, f"Write for example: {EXAMPLE}", option="--file-limits") from None
        if self.ready_fd is not None and self.ready_fd < 0:
            raise SettingsError(
                f"{self.ready_fd} is not a file descriptor", "Choose the number of an open one", option="--ready-fd"
            )
        if self.log_level not in LOG_LEVELS:
            raise SettingsError(
                f"'{self.log_level}' is not a log level", f"Choose one of {', '.join(LOG_LEVELS)}", option="--log-level"
            )

    def _check_agreement(self) -> None:
        if self.no_audit and self.audit_log is not None:
            raise SettingsError(
                "--no-audit keeps no audit log, and --audit-log says where",
                "Leave one of them out",
                option="--no-audit",
            )
        if self.curve and self.insecure:
            raise SettingsError(
                "--curve encrypts, --insecure does not, and there is one TCP port",
                "Leave one of them out",
                option="--insecure",
            )
        if not self.serves_tcp:
            # Serving the socket alone would drop a wish for encryption without a word, and opening a port that nobody
            # named would be worse: neither is what was asked for, so it has to be said.
            for option, given in (("--curve", self.curve), ("--host", self.host), ("--insecure", self.insecure)):
                if given:
                    raise SettingsError(
                        f"{option} is about TCP, and with --socket alone no TCP port is opened",
                        f"Add --port {DEFAULT_PORT}, or leave {option} out",
                        option=option,
                    )
        if self.exposed and not self.insecure:
            raise SettingsError(
                f"--host {self.host} can be reached from other machines, and without --curve nothing is encrypted and "
                "nobody is asked who they are",
                "Add --curve, or --insecure if that is what you want",
                option="--host",
            )


def _bind_host(text: str) -> str:
    """The literal address to listen on.

    Names are not resolved, except for ``localhost``: a name can mean several addresses, and others tomorrow, so that
    nobody could say beforehand whether the port can be reached from outside.
    """
    if text == ALL_INTERFACES:
        return ALL_INTERFACES
    if text == "localhost":
        return _LOOPBACK
    bare = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    try:
        return str(ipaddress.ip_address(bare))
    except ValueError:
        raise SettingsError(
            f"'{text}' is not an address of an interface",
            "Write an IPv4 or IPv6 address, 'localhost', or '*' for all interfaces",
            option="--host",
        ) from None


def _is_loopback(host: str) -> bool:
    return host != ALL_INTERFACES and ipaddress.ip_address(host).is_loopback


# -- what derives from the settings ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One setting as the command line, the environment and the reference page show it.

    Attributes:
        field: Name of the attribute of `ServerSettings`.
        flag: For example ``--watchdog``.
        environment: Names of its environment variables, the first one wins.
        type: ``bool``, ``int``, ``float``, ``str`` or ``Path``, without the None that stands for "not given".
        default: What holds if it is given nowhere, None if that depends on other options.
        help: One or two sentences.
        group: Its heading.
        metavar: Placeholder for its value, empty for flags.
    """

    field: str
    flag: str
    environment: tuple[str, ...]
    type: type
    default: object
    help: str
    group: Group
    metavar: str

    @property
    def default_text(self) -> str:
        """The default as a person would type it, empty if the help text says it."""
        if self.default is None or self.type is bool:
            return ""
        if self.field == "socket_mode":
            return f"{self.default:04o}"
        return f"{self.default:.15g}" if self.type is float else str(self.default)


def flag_of(name: str) -> str:
    """The option for a field: dashes for underscores, without the unit, which stands in the placeholder."""
    return "--" + name.removesuffix("_s").removesuffix("_mb").replace("_", "-")


def options() -> tuple[Option, ...]:
    """Every setting, in the order in which help and reference list them."""
    hints = get_type_hints(ServerSettings)
    listed = []
    for item in dataclasses.fields(ServerSettings):
        flag = flag_of(item.name)
        environment = [ENVIRONMENT_PREFIX + flag[2:].replace("-", "_").upper()]
        if item.name == "keys_dir":
            environment.append(KEYS_DIR_ENVIRONMENT)
        kinds = [kind for kind in get_args(hints[item.name]) or (hints[item.name],) if kind is not type(None)]
        listed.append(
            Option(
                field=item.name,
                flag=flag,
                environment=tuple(environment),
                type=kinds[0],
                default=item.default,
                help=item.metadata["help"],
                group=item.metadata["group"],
                metavar=item.metadata["metavar"],
            )
        )
    return tuple(listed)
