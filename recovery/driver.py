"""Drivers: they give a flow its colour.

A flow (`recovery.flows`) yields commands and is sent replies; these two functions are all that differs
between synchronous and asyncio servers. An error of a command is thrown into the flow at the place
where it waits, so that the flow can handle it like any exception.
"""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from recovery.commands import Command, Flow

__all__ = ["run", "run_async"]

R = TypeVar("R")


def run(flow: Flow[R], perform: Callable[[Command[Any]], Any]) -> R:
    """Run a flow to its end, performing each command in the calling thread.

    >>> def flow():
    ...     reply = yield "a command"
    ...     return reply + 1
    >>> run(flow(), lambda command: len(command))
    10
    """
    try:
        command = next(flow)
        while True:
            try:
                reply = perform(command)
            except Exception as exc:  # noqa: BLE001 - whatever it is belongs to the flow
                command = flow.throw(exc)
            else:
                command = flow.send(reply)
    except StopIteration as stop:
        result: R = stop.value
        return result
    finally:
        flow.close()


async def run_async(flow: Flow[R], perform: Callable[[Command[Any]], Awaitable[Any]]) -> R:
    """Run a flow to its end, awaiting each command; see `run`."""
    try:
        command = next(flow)
        while True:
            try:
                reply = await perform(command)
            except Exception as exc:  # noqa: BLE001 - whatever it is belongs to the flow
                command = flow.throw(exc)
            else:
                command = flow.send(reply)
    except StopIteration as stop:
        result: R = stop.value
        return result
    finally:
        flow.close()
