"""Threads for what blocks, such as the lookup of a name, that do not hold up the end of the process."""

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, ParamSpec, TypeVar

_P = ParamSpec("_P")
_T = TypeVar("_T")

_MOST = 32  # as the standard library has at most
_PATIENCE = 1.0  # seconds


class DaemonThreads(ThreadPoolExecutor):
    """The executor of an event loop.

    Those of the standard library are joined when the loop and the process end, however long they hang: in the lookup of
    a name while the name server is silent, in a file of a mount that is gone. The process must end before whoever has
    told it to, such as systemd, kills it. It is derived from what asyncio takes as an executor, and uses nothing of it.
    """

    def __init__(self) -> None:
        super().__init__()
        self._waiting: deque[tuple[Future[Any], Callable[[], Any]]] = deque()
        self._number = 0
        self._changed = threading.Condition()

    def submit(self, fn: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs) -> Future[_T]:
        """Call it in a thread, at once unless very many are under way."""
        future: Future[_T] = Future()
        with self._changed:
            if self._number < _MOST:
                # First, as it may fail, where there are too many. It waits for us to let go of the lock.
                threading.Thread(target=self._work, name="depinmesh-blocking", daemon=True).start()
                self._number += 1
            self._waiting.append((future, lambda: fn(*args, **kwargs)))
        return future

    # The arguments are those of the base.
    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: ARG002, FBT001, FBT002
        """Wait a moment, so that a file that is being written is written; not for what hangs."""
        if wait:
            with self._changed:
                self._changed.wait_for(lambda: not self._number, _PATIENCE)

    def _work(self) -> None:
        while True:
            with self._changed:
                if not self._waiting:
                    self._number -= 1
                    self._changed.notify_all()
                    return
                job = self._waiting.popleft()
            _run(*job)
            del job  # what it belongs to must not live until the next one


def _run(future: Future[Any], call: Callable[[], Any]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        result = call()
    except BaseException as error:  # noqa: BLE001  # it is raised where the answer is awaited
        future.set_exception(error)
        del future  # it has the error, which has this frame
    else:
        future.set_result(result)
