"""`AsyncRecoveryClient`: python-socketio's `AsyncClient`, with connection state recovery."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from socketio import AsyncClient, exceptions

from adapter.client_base import FLUSH_SECONDS, READER_SECONDS, RecoveringClient, running
from adapter.client_packets import Decoded
from adapter.client_seams import abort_reconnection, forget_reconnection, reconnection
from adapter.client_state import Line
from adapter.peers import asking_for_offsets

__all__ = ["AsyncRecoveryClient"]


class AsyncRecoveryClient(RecoveringClient, AsyncClient):
    """A Socket.IO client for asyncio that misses nothing when its connection breaks.

    It takes what `socketio.AsyncClient` takes, and is used in the same way. What differs:

    - It presents its session on each reconnection, and `recovery` tells a connect handler what came of it.
      ``auth`` must be None, a dict, or a function or coroutine function that returns one of these: nothing
      else can carry a session.
    - The handlers of a namespace run one after the other, in the order of the stream; see below.
    - `connect` waits 10 s for the namespaces to be connected, not 1 s, and what it was told to wait holds for
      reconnections, too.
    - `disconnect` ends the sessions. `suspend` leaves them to be recovered.

    A handler holds up those after it in its namespace, so what takes long belongs into a task. It may call
    `emit`, `call` and `disconnect`: acknowledgements do not wait in line, nor does, while a handler waits in
    `call`, an event for which the server in turn wants an acknowledgement. A handler that waits for another
    event's handler in the same namespace waits for ever.

    Example::

        sio = AsyncRecoveryClient()

        @sio.event
        async def headline(text):
            print(text)

        await sio.connect("http://localhost:8000")
        await sio.wait()
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._line_tasks: set[asyncio.Task[Any]] = set()
        self._other_tasks: set[asyncio.Task[Any]] = set()

    async def connect(
        self,
        url: str | Callable[[], Any],
        headers: Mapping[str, str] | Callable[[], Any] | None = None,
        auth: Any = None,
        transports: list[str] | str | None = None,
        namespaces: list[str] | str | None = None,
        socketio_path: str = "socket.io",
        wait: bool = True,  # noqa: FBT001, FBT002 - as python-socketio has it
        wait_timeout: float | None = None,
        retry: bool = False,  # noqa: FBT001, FBT002 - as above
    ) -> None:
        """Connect to a server, as `AsyncClient.connect` does.

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
            await self._stop_reconnecting()
            self._recovery.begin()
        deadline = self._patience(wait_timeout)
        with self._trying(once_more=once_more, retry=retry):
            await super().connect(
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
            await self._joined(deadline, once_more=once_more)
        except BaseException:
            await self._give_up(once_more=once_more)
            raise

    async def disconnect(self) -> None:
        """Disconnect, and end the sessions: they cannot be recovered, and no further handler begins."""
        self._recovery.end()
        self._notify()
        if farewell := self._farewell():
            for part in farewell:
                await self.eio.send(part)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(FLUSH_SECONDS):
                    await self.eio.queue.join()
        await self._close()

    async def call(
        self,
        event: str,
        data: Any = None,
        namespace: str | None = None,
        timeout: Any = 60,  # noqa: ASYNC109 - as python-socketio has it, and read by type checkers as an int
    ) -> Any:
        """Emit an event and wait for the answer, as `AsyncClient.call` does; handlers may do so.

        Raises:
            TimeoutError: of python-socketio: no answer in time, or none to come: the connection has broken.
        """
        answer = self._expect_answer()
        with self._calling(), self._watching() as changed:
            await self.emit(event, data=data, namespace=namespace, callback=answer.take)
            try:
                async with asyncio.timeout(timeout):
                    while not self._is_answered(answer):
                        await changed.wait()
                        changed.clear()
            except TimeoutError as exc:
                raise exceptions.TimeoutError from exc
        return answer.value

    async def suspend(self) -> dict[str, Any]:
        """Close the connection, let the handlers of what was received run, and return `export_state`.

        The sessions stay recoverable, by this client or by another one that imports the state.

        Raises:
            RuntimeError: this is a handler: it would wait for itself.
        """
        if self._in_handler():
            raise RuntimeError("suspend() waits for handlers to end, so none may call it: start a task")
        await self._leave()
        with self._watching() as changed:
            while self._recovery.is_busy():
                await changed.wait()
                changed.clear()
        self._recovery.leave()
        return self.export_state()

    # Inside ------------------------------------------------------------------------------------------------

    async def _message(self, data: Any) -> None:
        self._receive(data)

    async def _disconnected(self, *reason: str) -> None:
        self._closing()
        await self._stock_disconnect(*reason)

    def _start(self, target: Any, *args: Any, **kwargs: Any) -> Any:
        if target != self._message:
            return self._stock_start(target, *args, **kwargs)
        self._receive(*args)
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        done.set_result(None)
        return done

    async def _open(self, url: str, *args: Any, **kwargs: Any) -> None:
        await self._wait_for_reader()
        self._opening()
        try:
            await self._stock_open(asking_for_offsets(url), *args, **kwargs)
        except BaseException:
            self._closing()
            raise

    def _spawn_line(self, line: Line) -> None:
        task: asyncio.Task[Any] = self._stock_start(self._run_line, line)
        self._keep(self._line_tasks, task)
        task.add_done_callback(partial(self._line_left, line))

    def _line_left(self, line: Line, task: asyncio.Task[Any]) -> None:
        """Go on with a line whose task was cancelled in one of its handlers, unless the loop is closing."""
        if not task.cancelled():
            return
        if all(other.cancelling() for other in asyncio.all_tasks()):
            self._recovery.release(line)
        else:
            self._spawn_line(line)

    def _spawn_now(self, packet: Any) -> None:
        self._keep(self._other_tasks, self._stock_start(self._run_now, packet))

    @staticmethod
    def _keep(tasks: set[asyncio.Task[Any]], task: asyncio.Task[Any]) -> None:
        """Refer to a task until it is done: the loop does not."""
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    def _in_handler(self) -> bool:
        return asyncio.current_task() in self._line_tasks

    async def _run_line(self, line: Line) -> None:
        """Run the handlers of a namespace, one after the other, until none is left to run."""
        running.set(line)
        task = asyncio.current_task()
        assert task is not None
        while (job := self._next_job(line)) is not None:
            await self._handle(job.packet)
            if task.cancelling():  # python-socketio swallows that of a handler
                raise asyncio.CancelledError

    async def _run_now(self, packet: Any) -> None:
        await self._handle(packet)
        self._after_now(packet)

    async def _handle(self, packet: Any) -> None:
        with self._guarding(packet):
            await self._stock_message(Decoded(packet))

    async def _joined(self, deadline: float, *, once_more: bool) -> None:
        with self._watching() as changed:
            while not self._is_joined(once_more=once_more):
                try:
                    await asyncio.wait_for(changed.wait(), deadline - time.monotonic())
                except TimeoutError:
                    self._out_of_patience()
                    return
                changed.clear()

    def _is_reconnecting(self) -> bool:
        """Whether this is an attempt of the reconnection, after which it makes another one."""
        return asyncio.current_task() is reconnection(self) or self._retrying

    async def _stop_reconnecting(self) -> None:
        task = reconnection(self)
        if task is asyncio.current_task():
            abort_reconnection(self)  # a connect_error handler, which runs in it, has had enough
            return
        if task is not None and not task.done():
            await asyncio.sleep(0)  # if it was just started, it listens from then on
            abort_reconnection(self)
            await asyncio.wait([task])
        forget_reconnection(self)

    async def _close(self) -> None:
        """Close the transport, unless that is under way: it would take the word to end from its writer."""
        if self.eio.state == "connected":
            await self.eio.disconnect()

    async def _wait_for_reader(self) -> None:
        reader = self.eio.read_loop_task
        if reader is not None and reader is not asyncio.current_task():
            await asyncio.wait([reader], timeout=READER_SECONDS)

    async def _leave(self) -> None:
        """Close the transport for good, without a DISCONNECT, which would end the sessions."""
        self._recovery.unwant()
        self._notify()
        await self._stop_reconnecting()
        await self._close()
        await self._wait_for_reader()
        await self._stop_reconnecting()  # the reader may have noticed a break, and started it

    async def _give_up(self, *, once_more: bool) -> None:
        """An attempt to connect has failed: leave nothing of it behind."""
        if once_more:
            await self._close()
        else:
            await self._leave()
        self._check_transport()
