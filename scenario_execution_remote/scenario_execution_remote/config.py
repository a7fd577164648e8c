# SPDX-License-Identifier: Apache-2.0
"""The arguments of the modifier: what each means, and the checks that the engine does not make."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from scenario_execution_keys.errors import KeyTextError
from scenario_execution_keys.keypair import PublicKey
from scenario_execution_keys.limits import bytes_of
from scenario_execution_remote.endpoint import DEFAULT_PORT, Endpoint

# Half of the period: a quick action's result is there in the same tick even over Wi-Fi, and what the tree does
# besides still fits into the other half, so that a slow link never makes the runner complain about a tick that is
# too long.
WAIT_SHARE = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One parameter of the modifier; ``lib_osc/remote.osc`` and the reference page say the same, and a test compares.

    Attributes:
        name: Name in OpenSCENARIO DSL, never the name of a unit (that would shadow the unit in the declaration).
        osc_type: Its type there.
        default: Default in SI units, or None if it has to be given. A float is a share, from 0 to 1.
        zero_means: What 0 stands for; empty if 0 is refused.
        help: Meaning in one line.
    """

    name: str
    osc_type: str
    default: str | float | tuple[()] | None
    help: str
    zero_means: str = ""

    @property
    def field(self) -> str:
        """Name of the field in :class:`RemoteSettings`: Python names carry their unit."""
        return f"{self.name}_s" if self.osc_type == "time" else self.name

    def declaration(self) -> str:
        """The declaration as ``remote.osc`` writes it, without the comment."""
        if self.default is None or self.default == ():  # there is no way to write an empty list
            return f"{self.name}: {self.osc_type}"
        if isinstance(self.default, str):
            return f'{self.name}: {self.osc_type} = "{self.default}"'
        return f"{self.name}: {self.osc_type} = {self.default:g}{'s' if self.osc_type == 'time' else ''}"


PARAMETERS = (
    Parameter(
        name="endpoint",
        osc_type="string",
        default=None,
        help='where the server listens: "host", "host:port", "[::1]:port", "/path/to/socket", "tcp://...", "ipc://...";'
        f" port {DEFAULT_PORT} if none is given",
    ),
    Parameter(
        name="setup_timeout",
        osc_type="time",
        default=5.0,
        help="time for connecting, the handshake and the set-up of this action",
    ),
    Parameter(
        name="execution_timeout",
        osc_type="time",
        default=30.0,
        zero_means="for ever",
        help="time for one call of a running action while the link is alive; 0s waits for ever",
    ),
    Parameter(
        name="heartbeat_failure_timeout",
        osc_type="time",
        default=5.0,
        help="silence after which the server counts as lost",
    ),
    Parameter(
        name="server_key",
        osc_type="string",
        default="",
        help="the server's public key (sepub-...), instead of the one in the known servers",
    ),
    Parameter(
        name="files",
        osc_type="string",
        default="auto",
        help='"copy": what is written into the output directory there comes home; "shared": it is the same folder; '
        '"auto" finds out',
    ),
    Parameter(
        name="upload",
        osc_type="list of string",
        default=(),
        help="files, folders and globs, absolute or relative to the scenario's directory, that are taken to the server "
        "besides what lies beside the scenario",
    ),
    Parameter(
        name="upload_limit",
        osc_type="string",
        default="1G",
        help="how much of what lies beside the scenario is taken to the server, the smallest files first: a number "
        "with k, M, G or T",
    ),
    Parameter(
        name="tick_wait",
        osc_type="float",
        default=WAIT_SHARE,
        help="part of the tick period, 0.0 to 1.0, that a tick waits for results at most; what comes later counts in a "
        "later tick",
    ),
)

FILES = ("auto", "shared", "copy")

# A day. Longer is a mistake of units (milliseconds for seconds), and poll() takes its time-out as 32 bits of ms.
LONGEST_S = 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteSettings:
    """What one ``remote(...)`` asks for.

    Attributes:
        endpoint: Where the server listens; canonical text if made by :meth:`from_arguments`.
        setup_timeout_s: Time for connecting, the handshake and the set-up of an action.
        execution_timeout_s: Time for one call of a running action; 0 waits for ever.
        heartbeat_failure_timeout_s: Silence after which the server counts as lost.
        server_key: The server's public key as text, or empty to look into the known servers.
        files: One of :data:`FILES`.
        upload: What else is taken to the server.
        upload_limit: How much of what lies beside the scenario is, see ``limits.bytes_of``.
        tick_wait: Part of the tick period that a tick waits for results at most, from 0 to 1.
    """

    endpoint: str
    setup_timeout_s: float = 5.0
    execution_timeout_s: float = 30.0
    heartbeat_failure_timeout_s: float = 5.0
    server_key: str = ""
    files: str = "auto"
    upload: tuple[str, ...] = ()
    upload_limit: str = "1G"
    tick_wait: float = WAIT_SHARE

    @property
    def upload_limit_bytes(self) -> int:
        """The same as a number of bytes."""
        return bytes_of(self.upload_limit) or 0

    @classmethod
    def from_arguments(cls, values: Mapping[str, object]) -> RemoteSettings:
        """Check what the engine resolved for ``remote(...)``, which nobody has checked before.

        Args:
            values: Argument by parameter name; times in seconds. The engine fills in defaults, and ``None`` where there
                is none; an absent name counts as its default here.

        Raises:
            ValueError: an argument is missing, unknown, of the wrong type or out of range. The text names the argument,
                what was given and what is expected.
        """
        known = {parameter.name for parameter in PARAMETERS}
        unknown = sorted(str(name) for name in values if name not in known)
        if unknown:
            raise ValueError(
                f"remote() has no argument {', '.join(f'{name[:60]!r}' for name in unknown[:5])}; "
                f"it has {', '.join(parameter.name for parameter in PARAMETERS)}"
            )
        endpoint, setup, execution, heartbeat, key, files, limit, wait = (
            _checked(parameter, values.get(parameter.name, parameter.default))
            for parameter in PARAMETERS
            if parameter.default != ()
        )
        return cls(
            endpoint=Endpoint.parse(str(endpoint)).text,
            setup_timeout_s=float(setup),
            execution_timeout_s=float(execution),
            heartbeat_failure_timeout_s=float(heartbeat),
            server_key=_checked_key(str(key)),
            files=_checked_files(str(files)),
            upload=_checked_upload(values.get("upload")),
            upload_limit=_checked_size(str(limit)),
            tick_wait=float(wait),
        )


def _checked(parameter: Parameter, value: object) -> str | float:
    if value is None:
        what = "is missing" if parameter.default is None else "has no value"
        raise ValueError(f"argument '{parameter.name}' of remote() {what}; it is {parameter.help}")
    if parameter.osc_type == "string":
        if not isinstance(value, str):
            raise _refused(parameter, value, "a string")
        return value
    if parameter.osc_type == "float":
        return _checked_share(parameter, value)
    expected = f"a time from 0s ({parameter.zero_means})" if parameter.zero_means else "a time above 0s"
    expected += f" up to {LONGEST_S:g}s, such as {parameter.default}s"
    # bool is an int to Python, and "true" is no time; a length such as 5m arrives as 5 and cannot be told from 5s
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise _refused(parameter, value, expected)
    # in this form NaN is refused as well
    if not 0 <= value <= LONGEST_S or (value == 0 and not parameter.zero_means):
        raise _refused(parameter, value, expected)
    return value


def _checked_share(parameter: Parameter, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 1:
        raise _refused(parameter, value, f"a part from 0.0 to 1.0, such as {parameter.default}")
    return value


def _refused(parameter: Parameter, value: object, expected: str) -> ValueError:
    return ValueError(f"argument '{parameter.name}' of remote() is {value!r:.100}, expected {expected}")


def _checked_key(text: str) -> str:
    if text:
        try:
            PublicKey.parse(text)
        except KeyTextError as error:
            raise ValueError(f"argument 'server_key' of remote() is not a public key: {error}") from error
    return text


def _checked_upload(value: object) -> tuple[str, ...]:
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(one, str) and one and "\0" not in one for one in value):
        expected = 'a list of names, such as ["maps", "../robots/*.urdf"]'
        raise ValueError(f"argument 'upload' of remote() is {value!r:.100}, expected {expected}")
    return tuple(value)


def _checked_size(text: str) -> str:
    if bytes_of(text) is None:
        raise ValueError(
            f"argument 'upload_limit' of remote() is {text!r:.100}, expected a number of bytes, with k, M, G or T "
            'behind it for powers of 1000, such as "1G"'
        )
    return text


def _checked_files(text: str) -> str:
    if text not in FILES:
        expected = ", ".join(f'"{word}"' for word in FILES)
        raise ValueError(f"argument 'files' of remote() is {text!r:.100}, expected one of {expected}")
    return text
