# SPDX-License-Identifier: Apache-2.0
"""The channel between front and worker: whole messages over one stream socketpair, and nothing about their meaning.

A frame is a 4-byte big-endian length and that many bytes. The worker's side blocks; the front's side never does, it
keeps what the socket does not take in a bounded buffer for its poll loop. Why a socketpair:
``docs/decisions/0003-own-fork-server.md``.
"""

from __future__ import annotations

import select
import socket
import struct
import threading

from scenario_execution_remote.freed_memory import keep_freed_memory

_LENGTH = struct.Struct("!I")
LENGTH_BYTES = _LENGTH.size

# The largest single message either side accepts. Arguments and log lines are kilobytes; files travel in chunks far
# below this. It is here so that a worker gone mad costs the front 64 MiB at most, not its memory.
MAX_FRAME_BYTES = 64 * 1024 * 1024

# What the front lets wait for one worker: a largest frame being written and a largest frame behind it.
PENDING_LIMIT_BYTES = 2 * (MAX_FRAME_BYTES + LENGTH_BYTES)

Payload = bytes | memoryview
"""Of a frame that was received; of a large one its place in memory, where nobody else writes."""

# So that a message of a large file fits in, and neither side waits for the other in its middle. Linux keeps twice as
# much, and no more than its net.core.wmem_max says, which by default lets 416 KiB be.
_SEND_BUFFER_BYTES = 512 * 1024
_WRITE_BYTES = 1024 * 1024  # one send: more than that holds
_BUFFER_BYTES = 64 * 1024  # a frame that is larger gets a place of its own; what a tick says is far smaller
_COPY_BYTES = 4 * 1024  # a payload up to here is copied behind its length, which is quicker than handing over two

# What one `on_readable` takes at most, so that a worker that prints without pause cannot keep the front from its
# other sessions.
_TURN_BYTES = 1024 * 1024


def channel_ends() -> tuple[socket.socket, socket.socket]:
    """Both ends of a new channel, for front and worker."""
    ends = socket.socketpair()
    for end in ends:
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)
    return ends


class ChannelError(Exception):
    """Something about a channel is wrong; its children say what."""


class FrameTooLargeError(ChannelError):
    """A frame is larger than the channel accepts.

    Attributes:
        size_bytes: How large it is, or claims to be.
        limit_bytes: What is accepted.
    """

    def __init__(self, size_bytes: int, limit_bytes: int) -> None:
        super().__init__(f"a frame of {size_bytes} bytes is more than this channel's limit of {limit_bytes} bytes")
        self.size_bytes = size_bytes
        self.limit_bytes = limit_bytes


class ChannelFullError(ChannelError):
    """The worker does not read, and what waits for it has reached the limit.

    Attributes:
        pending_bytes: What waits already.
        limit_bytes: What may wait.
    """

    def __init__(self, pending_bytes: int, limit_bytes: int) -> None:
        super().__init__(f"{pending_bytes} bytes wait for a worker that does not read; {limit_bytes} bytes may wait")
        self.pending_bytes = pending_bytes
        self.limit_bytes = limit_bytes


class ChannelBrokenError(ChannelError, ConnectionError):
    """The other side is gone, or an interrupted send left half a frame on the stream: nothing more can be sent."""


class FrameAssembler:
    """Cuts a byte stream into frames. Pure: bytes go in, frames come out.

    Whoever reads puts bytes into ``room()`` and says with ``filled()`` how many. Small frames are cut out of one buffer
    that stays; a large one gets a place of its own, where its bytes are put at once.

    Args:
        max_frame_bytes: The largest frame accepted.
    """

    def __init__(self, max_frame_bytes: int = MAX_FRAME_BYTES) -> None:
        self._max_frame_bytes = max_frame_bytes
        self._buffer = memoryview(bytearray(_BUFFER_BYTES))
        self._begun = 0  # so much of the buffer is the beginning of a frame
        self._large: memoryview | None = None
        self._large_end = 0  # so much of it is there

    @property
    def buffered_bytes(self) -> int:
        """How much of a frame that is not complete yet is kept here."""
        return self._begun if self._large is None else LENGTH_BYTES + self._large_end

    def room(self) -> memoryview:
        """Where the next bytes of the stream are to be put; never empty."""
        return self._buffer[self._begun :] if self._large is None else self._large[self._large_end :]

    def filled(self, count: int) -> list[Payload]:
        """So many bytes were put into the room. Returns the frames they complete, in order.

        Raises:
            FrameTooLargeError: a length above the limit was announced; the stream cannot be read any further.
        """
        large = self._large
        if large is None:
            if not self._begun and count >= LENGTH_BYTES:  # one frame and nothing else, as mostly
                (size,) = _LENGTH.unpack_from(self._buffer)
                if size == count - LENGTH_BYTES and size <= self._max_frame_bytes:
                    return [self._buffer[LENGTH_BYTES:count].tobytes()]
            return self._cut(self._begun + count)
        self._large_end += count
        if self._large_end < len(large):
            return []
        self._large = None
        return [large]

    def feed(self, data: bytes) -> list[Payload]:
        """Take bytes that lie elsewhere, as :meth:`room` and :meth:`filled` do.

        Raises:
            FrameTooLargeError: see :meth:`filled`.
        """
        frames: list[Payload] = []
        view = memoryview(data)
        while view:
            room = self.room()
            count = min(len(room), len(view))
            room[:count] = view[:count]
            frames += self.filled(count)
            view = view[count:]
        return frames

    def _cut(self, end: int) -> list[Payload]:
        """Take the frames out of the buffer, which is filled up to *end*."""
        buffer = self._buffer
        frames: list[Payload] = []
        at = 0
        while end - at >= LENGTH_BYTES:
            (size,) = _LENGTH.unpack_from(buffer, at)
            if size > self._max_frame_bytes:
                raise FrameTooLargeError(size, self._max_frame_bytes)
            begin = at + LENGTH_BYTES
            if begin + size <= end:
                frames.append(buffer[begin : begin + size].tobytes())
                at = begin + size
                continue
            if LENGTH_BYTES + size > _BUFFER_BYTES:
                self._large, self._large_end = memoryview(bytearray(size)), end - begin
                self._large[: end - begin] = buffer[begin:end]
                at = end
            break
        if at < end and at:
            buffer[: end - at] = buffer[at:end].tobytes()
        self._begun = end - at
        return frames


def encode_frame(payload: bytes, max_frame_bytes: int = MAX_FRAME_BYTES) -> bytes:
    """One frame as bytes of the stream.

    Raises:
        FrameTooLargeError: the payload is above the limit.
    """
    if len(payload) > max_frame_bytes:
        raise FrameTooLargeError(len(payload), max_frame_bytes)
    return _LENGTH.pack(len(payload)) + payload


def _parts(payload: tuple[Payload, ...], max_frame_bytes: int) -> tuple[Payload, ...]:
    """The same as what lies in memory, so that a large payload is not copied."""
    size_bytes = sum(map(len, payload))
    if size_bytes > max_frame_bytes:
        raise FrameTooLargeError(size_bytes, max_frame_bytes)
    if size_bytes <= _COPY_BYTES:
        return (b"".join((_LENGTH.pack(size_bytes), *payload)),)
    return _LENGTH.pack(size_bytes), *payload


class WorkerChannel:
    """The worker's end: any thread sends, one thread receives, both block.

    Args:
        sock: The worker's end of the socketpair, blocking.
        max_frame_bytes: The largest frame accepted in either direction, in bytes.
    """

    def __init__(self, sock: socket.socket, *, max_frame_bytes: int = MAX_FRAME_BYTES) -> None:
        self._sock = sock
        self._max_frame_bytes = max_frame_bytes
        self._assembler = FrameAssembler(max_frame_bytes)
        self._ready: list[Payload] = []
        self._sending = threading.Lock()
        self._broken = False

    def send(self, *payload: Payload) -> None:
        """Send one whole frame, of these parts; blocks while the front does not read. Safe from any thread.

        Raises:
            FrameTooLargeError: the payload is above the limit; the channel stays usable.
            ChannelBrokenError: the front is gone.
        """
        parts = _parts(payload, self._max_frame_bytes)
        with self._sending:
            if self._broken:
                raise ChannelBrokenError("the channel to the front is broken")
            # An exception out of a signal handler (KeyboardInterrupt) may leave half a frame on the stream. What
            # follows would be read as its rest, so from then on nothing may follow.
            self._broken = True
            try:
                sent = self._sock.sendmsg(parts)
                if sent != sum(map(len, parts)):  # a signal came in between
                    for part in parts:
                        if sent < len(part):
                            self._sock.sendall(memoryview(part)[sent:])
                        sent = max(0, sent - len(part))
            except (BrokenPipeError, ConnectionResetError) as error:
                raise ChannelBrokenError("the front is gone") from error
            self._broken = False

    def wait(self, timeout_s: float) -> bool:
        """Wait up to *timeout_s* seconds for something to receive, the end included. Says whether there is."""
        if self._ready:
            return True
        poll = select.poll()
        poll.register(self._sock, select.POLLIN)
        return bool(poll.poll(timeout_s * 1000))

    def receive(self) -> Payload | None:
        """Wait for the next frame. Only one thread may call this.

        Returns:
            The payload, or None when the front has closed its end or is gone (half a frame before that is dropped).

        Raises:
            FrameTooLargeError: the front announced a frame above the limit.
        """
        while not self._ready:
            try:
                count = self._sock.recv_into(self._assembler.room())
            except ConnectionResetError:  # the front ended with bytes of ours unread
                return None
            if not count:
                return None
            self._ready = self._assembler.filled(count)
            self._ready.reverse()  # so that taking the oldest is a cheap pop from the end
        return self._ready.pop()


class FrontChannel:
    """The front's end: never blocks, and belongs to one poll loop.

    Poll ``fileno()`` for reading always, and for writing while ``wants_write``. After the worker is gone sending does
    nothing, and how the session ended is told by the launcher.

    Args:
        sock: The front's end of the socketpair; made nonblocking.
        max_frame_bytes: The largest frame accepted in either direction, in bytes.
        pending_limit_bytes: What may wait for a worker that does not read.

    Attributes:
        closed: Whether the worker's end is gone: no frame will come, and none will arrive there.
    """

    def __init__(
        self,
        sock: socket.socket,
        *,
        max_frame_bytes: int = MAX_FRAME_BYTES,
        pending_limit_bytes: int = PENDING_LIMIT_BYTES,
    ) -> None:
        keep_freed_memory()
        sock.setblocking(False)
        self._sock = sock
        self._max_frame_bytes = max_frame_bytes
        self._pending_limit_bytes = pending_limit_bytes
        self._assembler = FrameAssembler(max_frame_bytes)
        self._pending = bytearray()
        self.closed = False

    def fileno(self) -> int:
        """The socket's descriptor, for poll; -1 after ``close``."""
        return self._sock.fileno()

    @property
    def pending_bytes(self) -> int:
        """How much waits here because the worker has not read it."""
        return len(self._pending)

    @property
    def wants_write(self) -> bool:
        """Whether to poll for writing."""
        return bool(self._pending)

    def send(self, *payload: Payload) -> bool:
        """Send one frame, of these parts: at once as far as the socket takes it, the rest by ``on_writable``.

        Returns:
            Whether nothing waits to be written.

        Raises:
            FrameTooLargeError: the payload is above the limit.
            ChannelFullError: too much waits already; the frame was not taken.
        """
        if self.closed:
            return True
        parts = _parts(payload, self._max_frame_bytes)
        size_bytes, sent = sum(map(len, parts)), 0
        if self._pending and len(self._pending) + size_bytes > self._pending_limit_bytes:
            raise ChannelFullError(len(self._pending), self._pending_limit_bytes)
        if not self._pending:  # the usual case: the worker reads, and nothing has to be kept
            try:
                sent = self._sock.sendmsg(parts)
            except BlockingIOError:
                pass
            except (BrokenPipeError, ConnectionResetError):
                return True  # as in on_writable
            if sent == size_bytes:
                return True
        for part in parts:
            self._pending += memoryview(part)[sent:]
            sent = max(0, sent - len(part))
        self.on_writable()
        return not self._pending

    def on_writable(self) -> None:
        """Write what waits, as far as the socket takes it."""
        while self._pending:
            try:
                with memoryview(self._pending) as view, view[:_WRITE_BYTES] as chunk:
                    sent = self._sock.send(chunk)
            except BlockingIOError:
                return
            except (BrokenPipeError, ConnectionResetError):
                # What the worker sent before it died may still be unread, so only the outgoing side is over: reading
                # finds the end.
                self._pending.clear()
                return
            del self._pending[:sent]

    def on_readable(self) -> list[Payload]:
        """Read what is there, up to one turn's share, and return the whole frames in order; the end is found in a turn
        of its own.

        Raises:
            FrameTooLargeError: the worker announced a frame above the limit; end the session.
        """
        frames: list[Payload] = []
        taken = 0
        while taken < _TURN_BYTES:
            room = self._assembler.room()
            try:
                count = self._sock.recv_into(room)
            except BlockingIOError:
                break
            except ConnectionResetError:  # the worker ended with frames of ours unread
                count = 0
            if not count:
                self.closed = True
                self._pending.clear()
                break
            taken += count
            frames += self._assembler.filled(count)
            if count < len(room):  # that was all; whoever polls would say if it was not
                break
        return frames

    def close(self) -> None:
        """Close the front's end; the worker reads the end of the stream."""
        self.closed = True
        self._pending.clear()
        self._sock.close()
