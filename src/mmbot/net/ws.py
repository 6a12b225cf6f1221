"""A thin websocket client: whole messages with the time at which they came, on the event loop's own callback.

The time is read first thing, before the message is looked at. A message in several frames is handed on whole,
with the time of its last. Pings of the peer are answered here; they and pongs count as signs of life, and are
no messages. Nothing is retried: a connection ends once, with a reason.
"""

import asyncio
from collections.abc import Callable

import picows

from mmbot.clock import wall_ns
from mmbot.errors import TransportError
from mmbot.units import Ns

OnMessage = Callable[[Ns, bytes], None]
"""Takes the receive time and the payload of a message. It runs inside the event loop: it must not wait. An
exception from it ends the connection; `ended` raises it again.
"""

_MESSAGE_BYTES = 16 << 20
"""A longer message ends the connection; the longest that venues send are books of 1000 levels, some 60 kB."""
_UNSENT_BYTES = 1 << 20
_HTTP_SWITCHING = 101


class WsConnection:
    """An open connection. Lives until `close`, or until it is lost."""

    def __init__(self, url: str, transport: picows.WSTransport) -> None:
        self.url = url
        self._transport = transport
        self._ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()  # noqa: TID251 (no time of it is read)
        self.error: BaseException | None = None

    def send(self, payload: bytes) -> None:
        """Send a text message. Raises TransportError if the connection has ended, or if the peer takes
        nothing and more than 1 MiB waits.
        """
        if self._ended.done() or self._transport.is_disconnected:
            raise TransportError(f"{self.url}: the connection was lost", "send")
        unsent = self._transport.underlying_transport.get_write_buffer_size()
        if unsent > _UNSENT_BYTES:
            raise TransportError(f"{self.url}: {unsent} bytes were not taken by the peer", "send")
        self._transport.send(picows.WSMsgType.TEXT, payload)

    def ping(self) -> None:
        """Ask for a sign of life by the protocol's own ping. Raises TransportError like `send`."""
        if self._ended.done() or self._transport.is_disconnected:
            raise TransportError(f"{self.url}: the connection was lost", "send")
        self._transport.send_ping()

    @property
    def open(self) -> bool:
        return not self._ended.done()

    async def ended(self) -> str:
        """Wait for the end and say why it came. Raises what a message handler raised."""
        reason = await asyncio.shield(self._ended)
        if self.error is not None:
            raise self.error
        return reason

    def give_up(self, reason: str) -> None:
        """End the connection without waiting for the peer, for this reason."""
        self.closed(reason)
        self._transport.disconnect(graceful=False)

    async def close(self) -> None:
        """Say goodbye if nobody has, and wait until the socket is closed. The peer is given a second."""
        if self.open:
            self.closed("closed by us")
            self._transport.send_close(picows.WSCloseCode.OK)
        self._transport.disconnect()
        try:
            async with asyncio.timeout(1.0):
                await self._transport.wait_disconnected()
        except TimeoutError:
            self._transport.disconnect(graceful=False)

    def closed(self, reason: str) -> None:
        """Note the end; the first reason counts."""
        if not self._ended.done():
            self._ended.set_result(reason)


async def connect(
    url: str,
    on_message: OnMessage,
    *,
    on_open: Callable[[WsConnection], None] | None = None,
    on_life: Callable[[], None] | None = None,
    clock: Callable[[], Ns] = wall_ns,
    timeout_s: float = 5.0,
) -> WsConnection:
    """Open a connection to `ws://` or `wss://`, the latter with the system's certificates.

    `on_open` runs before the first message does. `on_life`: a ping or pong of the peer came. The socket is
    given `timeout_s`, and so is the handshake after it. Raises TransportError (phase `connect`) naming what
    failed: the name, the socket, TLS, the status, the time.
    """
    listener = _Listener(url, on_message, on_open, on_life, clock)
    try:
        # Cancelled in a handshake, picows leaves the socket open; its own timeout closes it, and comes first.
        async with asyncio.timeout(2 * timeout_s):
            await picows.ws_connect(
                lambda: listener,
                url,
                websocket_handshake_timeout=timeout_s,
                enable_auto_pong=False,
                max_frame_size=_MESSAGE_BYTES,
                max_redirects=0,
            )
    except asyncio.CancelledError:
        listener.abandoned = True
        raise
    except TimeoutError as error:
        listener.abandoned = True
        raise TransportError(f"{url}: no connection within {timeout_s:g} s", "connect") from error
    except picows.WSHandshakeError as error:
        status = error.response.status if error.response is not None else None
        found = str(error) if status in (None, _HTTP_SWITCHING) else f"HTTP status {int(status)}"
        raise TransportError(f"{url}: no websocket: {found}", "connect") from error
    except (OSError, picows.WSError) as error:
        raise TransportError(f"{url}: no connection: {error}", "connect") from error
    return listener.connection


class _Listener(picows.WSListener):
    def __init__(
        self,
        url: str,
        on_message: OnMessage,
        on_open: Callable[[WsConnection], None] | None,
        on_life: Callable[[], None] | None,
        clock: Callable[[], Ns],
    ) -> None:
        self._url = url
        self._on_message = on_message
        self._on_open = on_open
        self._on_life = on_life
        self._clock = clock
        self._parts: list[bytes] = []
        self.connection: WsConnection
        self.abandoned = False
        """Nobody waits for the connection any longer: it is hung up should it come."""

    def on_ws_connected(self, transport: picows.WSTransport) -> None:
        self.connection = WsConnection(self._url, transport)
        if self.abandoned:
            self.connection.give_up("nobody waited for it any longer")
        elif self._on_open is not None:
            self._guarded(self._on_open, self.connection)

    def on_ws_frame(self, transport: picows.WSTransport, frame: picows.WSFrame) -> None:
        recv_ns = self._clock()
        kind = frame.msg_type
        if not self.connection.open:
            return  # given up: what is still in the buffer was not received
        if kind is picows.WSMsgType.TEXT or kind is picows.WSMsgType.BINARY:
            if frame.fin:
                self._guarded(self._on_message, recv_ns, frame.get_payload_as_bytes())
            else:
                self._parts = [frame.get_payload_as_bytes()]
        elif kind is picows.WSMsgType.CONTINUATION:
            self._continued(recv_ns, frame)
        elif kind is picows.WSMsgType.CLOSE:
            code, text = frame.get_close_code(), frame.get_close_reason() or ""
            self.connection.closed(f"closed by the peer: {int(code.value)} {text}".rstrip())
            transport.send_close(picows.WSCloseCode.OK)
            transport.disconnect()
        else:
            if kind is picows.WSMsgType.PING:
                transport.send_pong(frame.get_payload_as_bytes())
            if self._on_life is not None:
                self._on_life()

    def _continued(self, recv_ns: Ns, frame: picows.WSFrame) -> None:
        self._parts.append(frame.get_payload_as_bytes())
        length = sum(map(len, self._parts))
        if length > _MESSAGE_BYTES:
            self.connection.give_up(f"a message was {length} bytes, expected at most {_MESSAGE_BYTES}")
        elif frame.fin:
            whole, self._parts = b"".join(self._parts), []
            self._guarded(self._on_message, recv_ns, whole)

    def on_ws_disconnected(self, transport: picows.WSTransport) -> None:  # noqa: ARG002 (theirs)
        self.connection.closed("the socket was closed without a word")

    def _guarded(self, call: Callable[..., None], *arguments: object) -> None:
        """An exception ends the connection, and whoever waits for its end has it."""
        try:
            call(*arguments)
        except BaseException as error:  # noqa: BLE001 (raised again in `ended`)
            self.connection.error = error
            self.connection.give_up(f"its messages could not be used: {error}")
