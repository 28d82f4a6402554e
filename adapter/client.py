"""`RecoveryClient`: python-socketio's `Client`, with connection state recovery."""

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from socketio import Client, exceptions
from socketio.base_client import reconnecting_clients

from adapter.client_base import FLUSH_SECONDS, READER_SECONDS, RecoveringClient, running
from adapter.client_packets import Decoded
from adapter.client_seams import abort_reconnection, forget_reconnection, reconnection
from adapter.client_state import Line
from adapter.peers import asking_for_offsets

__all__ = ["RecoveryClient"]


class RecoveryClient(RecoveringClient, Client):
    """A Socket.IO client with threads that misses nothing when its connection breaks.

    It takes what `socketio.Client` takes, and is used in the same way. What differs:

    - It presents its session on each reconnection, and `recovery` tells a connect handler what came of it.
      ``auth`` must be None, a dict, or a function that returns one of these: nothing else can carry a
      session.
    - The handlers of a namespace run one after the other, in the order of the stream, where `socketio.Client`
      starts a thread for each packet; see below.
    - `connect` waits 10 s for the namespaces to be connected, not 1 s, and what it was told to wait holds for
      reconnections, too.
    - `disconnect` ends the sessions. `suspend` leaves them to be recovered.

    A handler holds up those after it in its namespace, so what takes long belongs into a thread. It may call
    `emit`, `call` and `disconnect`: acknowledgements do not wait in line, nor does, while a handler waits in
    `call`, an event for which the server in turn wants an acknowledgement. A handler that waits for another
    event's handler in the same namespace waits for ever.

    The thread of a namespace begins with the first packet that waits, and ends with the last one. It is a
    daemon, so that a program that ends does not wait for a handler.

    Example::

        sio = RecoveryClient()

        @sio.event
        def headline(text):
            print(text)

        sio.connect("http://localhost:8000")
        sio.wait()
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._line_threads: set[int] = set()

    def connect(
        self,
        url: str | Callable[[], str],
        headers: Mapping[str, str] | Callable[[], Any] | None = None,
        auth: Any = None,
        transports: list[str] | str | None = None,
        namespaces: list[str] | str | None = None,
        socketio_path: str = "socket.io",
        wait: bool = True,  # noqa: FBT001, FBT002 - as python-socketio has it
        wait_timeout: float | None = None,
        retry: bool = False,  # noqa: FBT001, FBT002 - as above
    ) -> None:
        """Connect to a server, as `Client.connect` does.

        With `wait` it returns when all namespaces are connected and their connect handlers have run. If the
        connection breaks meanwhile, it waits for the reconnection.

        Args:
            url, headers, auth, transports, namespaces, socketio_path, wait, retry: see there.
            wait_timeout: seconds for all namespaces to be connected; None for those of the last call, 10 in
                the first.

        Raises:
            ConnectionError: of python-socketio. The sessions are not ended by that.
        """
        once_more = self._is_reconnecting()
        if once_more:
            self._check_wanted()
        else:
            self._stop_reconnecting()
            self._recovery.begin()
        deadline = self._patience(wait_timeout)
        with self._trying(once_more=once_more, retry=retry):
            super().connect(
                url,
                headers={} if headers is None else headers,
                auth=auth,
                transports=transports,
                namespaces=namespaces,
                socketio_path=socketio_path,
                wait=False,
                retry=retry,
            )
        if not wait:
            return
        try:
            self._joined(deadline, once_more=once_more)
        except BaseException:
            self._give_up(once_more=once_more)
            raise

    def disconnect(self) -> None:
        """Disconnect, and end the sessions: they cannot be recovered, and no further handler begins."""
        self._recovery.end()
        self._notify()
        if farewell := self._farewell():
            for part in farewell:
                self.eio.send(part)
            queue = self.eio.queue
            with queue.all_tasks_done:
                queue.all_tasks_done.wait_for(lambda: not queue.unfinished_tasks, FLUSH_SECONDS)
        self._close()

    def call(
        self,
        event: str,
        data: Any = None,
        namespace: str | None = None,
        timeout: Any = 60,  # seconds; read by type checkers as an int
    ) -> Any:
        """Emit an event and wait for the answer, as `Client.call` does; handlers may do so.

        Raises:
            TimeoutError: of python-socketio: no answer in time, or none to come: the connection has broken.
        """
        answer = self._expect_answer()
        with self._calling(), self._watching() as changed:
            self.emit(event, data=data, namespace=namespace, callback=answer.take)
            deadline = None if timeout is None else time.monotonic() + timeout
            while not self._is_answered(answer):
                if not changed.wait(None if deadline is None else max(0.0, deadline - time.monotonic())):
                    raise exceptions.TimeoutError
                changed.clear()
        return answer.value

    def suspend(self) -> dict[str, Any]:
        """Close the connection, let the handlers of what was received run, and return `export_state`.

        The sessions stay recoverable, by this client or by another one that imports the state.

        Raises:
            RuntimeError: this is a handler: it would wait for itself.
        """
        if self._in_handler():
            raise RuntimeError("suspend() waits for handlers to end, so none may call it: start a thread")
        self._leave()
        with self._watching() as changed:
            while self._recovery.is_busy():
                changed.wait()
                changed.clear()
        self._recovery.leave()
        return self.export_state()

    # Inside ------------------------------------------------------------------------------------------------

    def _message(self, data: Any) -> None:
        self._receive(data)

    def _disconnected(self, *reason: str) -> None:
        self._closing()
        self._stock_disconnect(*reason)

    def _start(self, target: Any, *args: Any, **kwargs: Any) -> Any:
        if target != self._message:
            return self._stock_start(target, *args, **kwargs)
        self._receive(*args)
        return None

    def _open(self, url: str, *args: Any, **kwargs: Any) -> None:
        self._wait_for_reader()
        if self.eio.ws is not None:
            self.eio.ws.shutdown()  # python-engineio (4.15.1) leaves a broken one to the garbage collector
        self._opening()
        try:
            self._stock_open(asking_for_offsets(url), *args, **kwargs)
        except BaseException:
            self._closing()
            raise

    def _spawn_line(self, line: Line) -> None:
        self._stock_start(self._run_line, line)

    def _spawn_now(self, packet: Any) -> None:
        self._stock_start(self._run_now, packet)

    def _in_handler(self) -> bool:
        return threading.get_ident() in self._line_threads

    def _run_line(self, line: Line) -> None:
        """Run the handlers of a namespace, one after the other, until none is left to run."""
        running.set(line)
        self._line_threads.add(threading.get_ident())
        ended = False
        try:
            while (job := self._next_job(line)) is not None:
                self._handle(job.packet)
            ended = True
        finally:
            self._line_threads.discard(threading.get_ident())
            if not ended:  # a handler has ended its thread: sys.exit()
                self._spawn_line(line)

    def _run_now(self, packet: Any) -> None:
        self._handle(packet)
        self._after_now(packet)

    def _handle(self, packet: Any) -> None:
        with self._guarding(packet):
            self._stock_message(Decoded(packet))

    def _joined(self, deadline: float, *, once_more: bool) -> None:
        with self._watching() as changed:
            while not self._is_joined(once_more=once_more):
                if not changed.wait(max(0.0, deadline - time.monotonic())):
                    self._out_of_patience()
                    return
                changed.clear()

    def _is_reconnecting(self) -> bool:
        """Whether this is an attempt of the reconnection, after which it makes another one."""
        return threading.current_thread() is reconnection(self) or self._retrying

    def _stop_reconnecting(self) -> None:
        thread = reconnection(self)
        if thread is threading.current_thread():
            abort_reconnection(self)  # a connect_error handler, which runs in it, has had enough
            return
        if thread is not None:
            while thread.is_alive() and self not in reconnecting_clients:
                time.sleep(0.01)  # it listens from then on
            abort_reconnection(self)
            thread.join()
        forget_reconnection(self)

    def _close(self) -> None:
        """Close the transport, unless that is under way: it would take the word to end from its writer."""
        if self.eio.state == "connected":
            self.eio.disconnect()

    def _wait_for_reader(self) -> None:
        reader = self.eio.read_loop_task
        if reader is not None and reader is not threading.current_thread():
            reader.join(READER_SECONDS)

    def _leave(self) -> None:
        """Close the transport for good, without a DISCONNECT, which would end the sessions."""
        self._recovery.unwant()
        self._notify()
        self._stop_reconnecting()
        self._close()
        self._wait_for_reader()
        self._stop_reconnecting()  # the reader may have noticed a break, and started it

    def _give_up(self, *, once_more: bool) -> None:
        """An attempt to connect has failed: leave nothing of it behind."""
        if once_more:
            self._close()
        else:
            self._leave()
        self._check_transport()
