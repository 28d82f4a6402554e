"""Settings: Node's names in snake case, lengths of time in seconds as floats.

They are checked once, when a manager is made; a wrong one raises `ConfigurationError` that names the
setting, the value and what was expected.
"""

from dataclasses import dataclass, fields
from typing import TypedDict

from recovery.errors import ConfigurationError

__all__ = ["Settings", "SettingsOptions"]

MEBIBYTE = 2**20

_QUIET_CHECKPOINTS = 4
"""With every so many checkpoints a session is written of which nothing is new, to keep it from expiring."""


class SettingsOptions(TypedDict, total=False):
    """The keyword arguments of a manager that are settings; one for each field of `Settings`."""

    max_disconnection_duration: float
    stream_name: str
    stream_count: int
    session_key_prefix: str
    channel_prefix: str | None
    use_sharded_pubsub: bool
    only_plaintext: bool
    max_len: int | None
    read_count: int
    block_time: float
    checkpoint_interval: float
    publish_timeout: float
    max_waiting_bytes: int
    takeover_timeout: float
    heartbeat_interval: float
    heartbeat_timeout: float
    max_client_buffer: int
    max_rooms: int
    max_replay: int
    log_max_entries: int
    log_max_bytes: int
    max_packet_bytes: int
    max_session_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Every number and name that an operator may set; a manager's keyword arguments.

    Attributes:
        max_disconnection_duration: seconds for which a client may be away and still recover
            (Node's default is 120, too).
        stream_name: name of the stream; servers that share it form a cluster.
        stream_count: streams over which namespaces are spread, as Node does (``<stream_name>-0`` and so on);
            the same on all servers of a cluster.
        session_key_prefix: prefix of the keys of saved sessions.
        channel_prefix: prefix of the channels of PUB/SUB, or None for `stream_name`; the same on all servers
            of a cluster.
        use_sharded_pubsub: use sharded PUB/SUB (Redis 7 and later); the same on all servers of a cluster.
        only_plaintext: write entries as JSON only; emitting binary data then raises `EncodingError`.
        max_len: hard cap on the entries of the stream, or None for none: the stream is then bounded
            by time only. A cap that is reached within the window makes recoveries fail
            (`Reason.OFFSET_TRIMMED`).
        read_count: entries fetched from the store at a time.
        block_time: seconds that one read waits for new entries, at most 2.
        checkpoint_interval: seconds within which what a client has proven to have received is saved. Of a
            client of which nothing is new, the session is written every fourth time.
        publish_timeout: seconds after which an emit that the store has not confirmed raises
            `PublishError`; an attempt that is under way then is waited for, at most 5 s.
        max_waiting_bytes: bytes of memory for emits that wait for the store in this process, about 1 KiB each
            besides their data; one more raises `PublishError` at once.
        takeover_timeout: seconds to wait for another server's disconnect handler before a client
            that moved here is let in without it.
        heartbeat_interval: seconds between two heartbeats of this server.
        heartbeat_timeout: seconds without a heartbeat after which another server counts as gone; more than
            `heartbeat_interval`.
        max_client_buffer: Engine.IO packets that may wait in one client's send queue, besides a replay (an
            event with binary data is several); a client that lets more wait is closed, and recovers.
        max_rooms: rooms that one client may enter; one more raises `LimitError`.
        max_replay: packets that one recovery may replay; should be above `max_client_buffer`, or a slow
            client that was closed cannot recover.
        log_max_entries: entries of the stream that this process keeps in memory for replays.
        log_max_bytes: bytes of memory that they take, about, before anybody here gets one; what is decoded
            and encoded for clients comes on top.
        max_packet_bytes: bytes of one entry of the stream; emitting a larger one raises `EncodingError`,
            and one that another program wrote is left out. The same on all servers.
        max_session_bytes: bytes of one saved session; saving a larger one raises `EncodingError` or
            `SaveError`, and one that another program wrote is refused.

    >>> Settings(max_disconnection_duration=60.0).checkpoint_interval
    15.0
    >>> Settings(max_len=0)
    Traceback (most recent call last):
    recovery.errors.ConfigurationError: max_len is 0, expected at least 1
    """

    max_disconnection_duration: float = 120.0
    stream_name: str = "socket.io"
    stream_count: int = 1
    session_key_prefix: str = "sio:session:"
    channel_prefix: str | None = None
    use_sharded_pubsub: bool = False
    only_plaintext: bool = False
    max_len: int | None = None
    read_count: int = 1000
    block_time: float = 1.0
    checkpoint_interval: float = 15.0
    publish_timeout: float = 5.0
    max_waiting_bytes: int = 64 * MEBIBYTE
    takeover_timeout: float = 2.0
    heartbeat_interval: float = 5.0
    heartbeat_timeout: float = 10.0
    max_client_buffer: int = 10_000
    max_rooms: int = 10_000
    max_replay: int = 20_000
    log_max_entries: int = 100_000
    log_max_bytes: int = 64 * MEBIBYTE
    max_packet_bytes: int = 16 * MEBIBYTE
    max_session_bytes: int = 4 * MEBIBYTE

    def __post_init__(self) -> None:
        for setting in fields(self):
            self._check(setting.name, getattr(self, setting.name))
        if self.heartbeat_timeout <= self.heartbeat_interval:
            raise ConfigurationError(
                f"heartbeat_timeout is {self.heartbeat_timeout!r} s, expected more than heartbeat_interval"
                f" ({self.heartbeat_interval!r} s)"
            )

    def retention_ms(self, ping_interval: float, ping_timeout: float) -> int:
        """Milliseconds for which entries, and sessions of live clients, must be kept.

        A client that drops now may have proven its position last a checkpoint and a ping cycle ago,
        and the server may notice the drop a ping cycle late.
        """
        seconds = self.max_disconnection_duration + self.checkpoint_interval + ping_interval + ping_timeout
        return round(seconds * 1000)

    def session_ms(self, ping_interval: float, ping_timeout: float) -> int:
        """Milliseconds for which the session of a connected client lives after it was written.

        Just before it is written again, it lives for the retention but one `checkpoint_interval`: for as long
        as the client may be away, and the ping cycle that its server may take to notice.

        >>> Settings().session_ms(25.0, 20.0) - Settings().retention_ms(25.0, 20.0)
        45000
        """
        between = (_QUIET_CHECKPOINTS - 1) * self.checkpoint_interval
        return self.retention_ms(ping_interval, ping_timeout) + round(between * 1000)

    @property
    def quiet_interval(self) -> float:
        """Seconds after which a session is written though nothing of it is new."""
        return _QUIET_CHECKPOINTS * self.checkpoint_interval

    @property
    def window_ms(self) -> int:
        """`max_disconnection_duration` in milliseconds."""
        return round(self.max_disconnection_duration * 1000)

    def _check(self, name: str, value: object) -> None:
        if name in {"max_len", "channel_prefix"} and value is None:
            return
        if name in {"use_sharded_pubsub", "only_plaintext"}:
            if not isinstance(value, bool):
                raise ConfigurationError(f"{name} is {value!r}, expected True or False")
            return
        if name in {"stream_name", "session_key_prefix", "channel_prefix"}:
            if not isinstance(value, str) or not value:
                raise ConfigurationError(f"{name} is {value!r}, expected a non-empty string")
            return
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ConfigurationError(f"{name} is {value!r}, expected a number")
        self._check_number(name, value)

    def _check_number(self, name: str, value: float) -> None:
        whole = {
            "stream_count",
            "max_len",
            "read_count",
            "max_waiting_bytes",
            "max_client_buffer",
            "max_rooms",
            "max_replay",
            "log_max_entries",
            "log_max_bytes",
            "max_packet_bytes",
            "max_session_bytes",
        }
        if name in whole:
            if not isinstance(value, int):
                raise ConfigurationError(f"{name} is {value!r}, expected a whole number")
            if value < 1:
                raise ConfigurationError(f"{name} is {value!r}, expected at least 1")
        elif not 0.001 <= value < float("inf"):
            raise ConfigurationError(
                f"{name} is {value!r}, expected a positive number of seconds, at least 0.001"
            )
        if name == "block_time" and value > 2:
            raise ConfigurationError(f"block_time is {value!r} s, expected at most 2 s")
