"""Ending a program in order: on Ctrl-C, and on SIGTERM, by which systemd, Docker and Kubernetes stop a service."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

_STOP = (signal.SIGINT, signal.SIGTERM)


async def until_stopped(work: Coroutine[object, object, object]) -> bool:
    """Do the work to its end, or until Ctrl-C or SIGTERM; return whether it was stopped.

        asyncio.run(until_stopped(main()))

    The work is cancelled then: its `async with` blocks close what they have opened, and may take their time. A second
    signal is not caught. Python by itself knows Ctrl-C alone: by SIGTERM a process ends with nothing sent and nothing
    closed, or, as the first process of a container, not at all.

    Args:
        work: What the program does, such as `main()`. What it raises is raised.

    Raises:
        ValueError: This is not the main thread, the only one in which Python takes signals. The work has not begun.

    Cancelling it cancels the work.
    """
    loop = asyncio.get_running_loop()
    stopped = False

    def stop() -> None:
        nonlocal stopped
        stopped = True
        give_back()
        task.cancel()

    try:
        give_back = _catch(loop, stop)
    except ValueError:
        work.close()
        raise
    task = loop.create_task(work)
    try:
        await task
    except asyncio.CancelledError:
        this = asyncio.current_task()
        if not stopped or (this is not None and this.cancelling()):
            raise
    finally:
        give_back()
    return stopped


def _catch(loop: asyncio.AbstractEventLoop, stop: Callable[[], None]) -> Callable[[], None]:
    before = {number: signal.getsignal(number) for number in _STOP}

    def give_back() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    for number in _STOP:
        # Not loop.add_signal_handler, which Windows has not.
        signal.signal(number, lambda *_: loop.call_soon_threadsafe(stop))
    return give_back
