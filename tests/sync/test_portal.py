"""The portal: threads wait for coroutines, and coroutines for functions that run in these threads."""

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

import pytest

from adapter.background import Background
from adapter.portal import Portal, PortalClosedError
from tests.waiting import wait_until

_value: ContextVar[str] = ContextVar("value", default="nothing")


def _spawn(function: Any) -> None:
    threading.Thread(target=function, name="spawned", daemon=True).start()


async def _nothing() -> None:
    pass


def _portal() -> Portal:
    return Portal(_spawn, forked=lambda: None, last=_nothing)


@pytest.fixture
def portal() -> Iterator[Portal]:
    """A portal that is closed at the end."""
    opened = _portal()
    yield opened
    opened.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "recovery.portal"]


def _here() -> int:
    return threading.get_ident()


def test_a_coroutine_runs_in_the_loop_and_its_functions_in_the_caller(portal: Portal) -> None:
    async def work(number: int) -> tuple[int, int, int]:
        return number, _here(), await portal.outside(_here)

    number, inside, outside = portal.call(work, 3)
    assert number == 3
    assert inside != outside == _here()


def test_errors_go_both_ways(portal: Portal) -> None:
    def fail() -> None:
        raise KeyError("inner")

    async def work() -> None:
        try:
            await portal.outside(fail)
        except KeyError as exc:
            raise ValueError("outer") from exc

    with pytest.raises(ValueError, match="outer") as caught:
        portal.call(work)
    assert isinstance(caught.value.__cause__, KeyError)


def test_stop_iteration_does_not_hang_the_caller(portal: Portal) -> None:
    def fail() -> None:
        raise StopIteration

    with pytest.raises(RuntimeError, match="StopIteration"):
        portal.call(portal.outside, fail)


def test_a_function_may_call_into_the_portal_again(portal: Portal) -> None:
    async def depth(left: int) -> list[int]:
        return [] if not left else [left, *await portal.outside(lambda: portal.call(depth, left - 1))]

    assert portal.call(depth, 5) == [5, 4, 3, 2, 1]


def test_context_variables_of_the_caller_are_seen_inside(portal: Portal) -> None:
    token = _value.set("mine")
    try:

        async def look() -> tuple[str, str]:
            return _value.get(), await portal.outside(_value.get)

        assert portal.call(look) == ("mine", "mine")
    finally:
        _value.reset(token)
    assert portal.call(_value.get) == "nothing"


def test_a_background_task_does_not_borrow_the_thread_of_whoever_began_it(portal: Portal) -> None:
    """The thread runs a function that waits for what the task does: in that thread it would never be done."""
    background, done = Background(), threading.Event()

    async def begin() -> None:
        background.start(portal.outside(done.set))
        await portal.outside(lambda: done.wait(5))

    portal.call(begin)
    assert done.is_set()


def test_a_task_that_is_waited_for_may_borrow_the_thread(portal: Portal) -> None:
    background = Background()

    async def begin() -> int:
        return int(await background.start(portal.outside(_here), awaited=True))

    assert portal.call(begin) == _here()


def test_what_a_task_wants_to_have_run_after_the_call_has_ended_gets_a_thread_of_its_own(
    portal: Portal,
) -> None:
    async def begin() -> asyncio.Task[int]:
        async def later() -> int:
            await go_on.wait()
            return int(await portal.outside(_here))

        return Background().start(later(), awaited=True)

    async def finish() -> int:
        go_on.set()
        return await task

    go_on: asyncio.Event = portal.call(asyncio.Event)
    task: asyncio.Task[int] = portal.call(begin)
    assert portal.call(finish) != _here()


def test_a_call_from_the_loop_itself_is_an_error_and_no_deadlock(portal: Portal) -> None:
    def inside() -> None:
        portal.call(_here)

    with pytest.raises(RuntimeError, match="would wait for"):
        portal.call(inside)
    with pytest.raises(RuntimeError, match="own loop"):
        portal.call(portal.close)


class _InterruptedError(BaseException):
    """Like KeyboardInterrupt, or a timeout of gevent."""


def test_a_thread_that_is_interrupted_in_a_function_cancels_its_coroutine(portal: Portal) -> None:
    ended = threading.Event()

    def interrupt() -> None:
        raise _InterruptedError

    async def work() -> None:
        try:
            await portal.outside(interrupt)
        finally:
            await portal.outside(ended.set)  # in a thread of its own: the caller has left

    with pytest.raises(_InterruptedError):
        portal.call(work)
    assert ended.wait(5)
    assert portal.call(_here) != _here(), "the portal works as before"


def test_what_was_sent_to_a_thread_that_left_is_run_elsewhere(portal: Portal) -> None:
    begun, ran = threading.Event(), threading.Event()

    def interrupt() -> None:
        begun.wait(5)
        raise _InterruptedError

    async def work() -> None:
        first = asyncio.ensure_future(portal.outside(interrupt))
        await asyncio.sleep(0)
        second = asyncio.ensure_future(asyncio.shield(asyncio.ensure_future(portal.outside(ran.set))))
        await asyncio.sleep(0)
        begun.set()
        await asyncio.wait([first, second])

    with pytest.raises(_InterruptedError):
        portal.call(work)
    assert ran.wait(5)


def test_calls_that_wait_when_it_is_closed_end_and_later_ones_too() -> None:
    portal, errors = _portal(), []

    async def for_ever() -> None:
        waiting.set()
        await asyncio.Event().wait()

    def call() -> None:
        try:
            portal.call(for_ever)
        except PortalClosedError as exc:
            errors.append(exc.begun)

    waiting = threading.Event()
    thread = threading.Thread(target=call)
    thread.start()
    assert waiting.wait(5)
    portal.close()
    thread.join(5)
    assert errors == [True]
    with pytest.raises(PortalClosedError, match="closed") as caught:
        portal.call(for_ever)
    assert not caught.value.begun
    portal.close()


def _in_thread(portal: Portal, function: Any) -> tuple[threading.Thread, list[Any]]:
    """Call into a portal in a thread; what comes of it gets into the list."""
    outcome: list[Any] = []

    def call() -> None:
        try:
            outcome.append(portal.call(function))
        except BaseException as exc:  # noqa: BLE001 - whatever it is gets looked at
            outcome.append(exc)

    thread = threading.Thread(target=call)
    thread.start()
    return thread, outcome


def _note_posts(portal: Portal) -> list[Any]:
    """A list of what is posted from now on."""
    posted: list[Any] = []
    post = portal.post

    def noting(function: Any, *args: Any) -> None:
        post(function, *args)
        posted.append(function)

    portal.post = noting  # type: ignore[method-assign]  # as it says
    return posted


def test_a_call_that_has_begun_when_it_is_closed_may_end() -> None:
    portal, waiting = _portal(), threading.Event()

    async def work() -> Any:
        waiting.set()
        await asyncio.sleep(0.05)
        return await portal.outside(lambda: "done")

    thread, outcome = _in_thread(portal, work)
    assert waiting.wait(5)
    portal.close()
    thread.join(5)
    assert outcome == ["done"]


def test_it_may_be_closed_while_it_is_being_closed() -> None:
    """By the end of the process, for one; the calls that have begun have the same time for their end."""
    portal, waiting = _portal(), threading.Event()

    async def work() -> str:
        waiting.set()
        while len(closings) < 2:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
        return "done"

    def close() -> None:
        closings.append(portal.close)
        portal.close()

    closings: list[Any] = []
    thread, outcome = _in_thread(portal, work)
    assert waiting.wait(5)
    closing = threading.Thread(target=close)
    closing.start()
    wait_until(lambda: not portal.is_running)
    close()
    for each in (thread, closing):
        each.join(5)
    assert outcome == ["done"]


def test_a_call_that_has_not_begun_when_it_is_closed_never_begins() -> None:
    portal, busy = _portal(), threading.Event()
    portal.post(busy.wait, 10)
    posted = _note_posts(portal)
    thread, outcome = _in_thread(portal, _here)
    wait_until(lambda: bool(posted))
    closing = threading.Thread(target=portal.close)
    closing.start()
    wait_until(lambda: not portal.is_running)
    busy.set()
    for each in (thread, closing):
        each.join(5)
        assert not each.is_alive()
    assert [getattr(error, "begun", error) for error in outcome] == [False]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_loop_that_is_interrupted_leaves_no_call_waiting() -> None:
    """Ctrl-C is raised in whatever runs in the main thread, which with greenlets may be the loop."""
    portal, waiting, busy = _portal(), threading.Event(), threading.Event()

    async def for_ever() -> None:
        waiting.set()
        await asyncio.Event().wait()

    def interrupt() -> None:
        busy.wait(10)
        raise KeyboardInterrupt

    calls = [_in_thread(portal, for_ever)]
    assert waiting.wait(5)
    portal.post(interrupt)
    posted = _note_posts(portal)
    calls.append(_in_thread(portal, for_ever))
    wait_until(lambda: bool(posted))
    busy.set()
    calls[0][0].join(10)
    calls.append(_in_thread(portal, _here))
    for thread, outcome in calls:
        thread.join(10)
        assert [type(error) for error in outcome] == [PortalClosedError]
    portal.close()


def test_a_portal_that_was_never_used_has_no_thread() -> None:
    before = threading.active_count()
    portal = _portal()
    assert threading.active_count() == before
    portal.close()
    with pytest.raises(PortalClosedError):
        portal.call(_here)


def test_what_is_due_later_runs_in_the_loop(portal: Portal) -> None:
    ran: list[int] = []
    portal.later(0.01, lambda: ran.append(_here()))
    wait_until(lambda: bool(ran), timeout=5)
    assert ran != [_here()]


def test_many_threads_with_nested_calls_all_come_back(portal: Portal) -> None:
    async def work(left: int) -> int:
        await asyncio.sleep(0)
        return 1 if not left else await portal.outside(lambda: portal.call(work, left - 1)) + 1

    sums: list[int] = []
    threads = [
        threading.Thread(target=lambda: sums.extend(portal.call(work, 4) for _ in range(20)))
        for _ in range(16)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sums == [5] * 320


def test_a_function_that_outlives_the_portal_is_harmless() -> None:
    portal, leave = _portal(), threading.Event()
    background = Background()
    portal.call(lambda: bool(background.start(_ignoring_cancellation(portal, leave))))
    portal.close()
    leave.set()


async def _ignoring_cancellation(portal: Portal, leave: threading.Event) -> None:
    with contextlib.suppress(asyncio.CancelledError):
        await portal.outside(lambda: leave.wait(5))
