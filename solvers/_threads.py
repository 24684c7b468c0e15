"""Runs a driver over blocks of rows: serial, or on a thread pool of this process.

Kernels release the GIL, so plain threads scale. The pool is keyed by the process id and made at first use, so a
forked worker gets its own; Numba's ``prange`` dies there, or aborts under concurrent Python threads.
"""

import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np

__all__ = ["get_num_threads", "kept_rows", "limit", "run", "set_num_threads"]

_BLOCK = 1 << 20  # elements per block: a signal such as Ctrl-C is seen between blocks
_BLOCKS_PER_THREAD = 4  # so that none waits long for the slowest
_WORTH_A_THREAD = 1 << 15  # elements below which handing work over costs more than it saves

_KEPT = 6 << 20  # entries that a thread keeps for its next call at most

_kept = threading.local()
_limited = threading.local()
_lock = threading.Lock()
_pools: dict[int, ThreadPoolExecutor] = {}
_MOST_THREADS = 1024  # of a pool, which starts them only as they are needed
_threads: int | None = None


def _available() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def get_num_threads() -> int:
    """Number of threads that large batches are spread over.

    Set by :func:`set_num_threads`, else by the environment variable ``REGMAX_NUM_THREADS``, else the number of cores
    this process may use.

    Returns
    -------
    int
        At least 1.

    Notes
    -----
    Raises nothing. Source: regmax.
    """
    limited = getattr(_limited, "threads", None)
    if limited is not None:
        return limited
    if _threads is not None:
        return _threads
    try:
        return max(1, int(os.environ.get("REGMAX_NUM_THREADS", "")))
    except ValueError:
        return _available()


def set_num_threads(n: int) -> None:
    """Spread large batches over ``n`` threads from now on; 1 runs everything in the calling thread.

    Parameters
    ----------
    n : int
        At least 1.

    Raises
    ------
    ValueError, TypeError
        If ``n`` is below 1, or not an integer.

    Notes
    -----
    Results do not depend on it: every row is solved by one thread. Source: regmax.
    """
    global _threads
    if isinstance(n, bool) or not hasattr(n, "__index__"):
        raise TypeError(f"set_num_threads: n must be an integer, got {n!r}")
    if n < 1:
        raise ValueError(f"set_num_threads: n must be >= 1, got {n}")
    _threads = n.__index__()


@contextmanager
def limit(threads: int) -> Iterator[None]:
    """Within it this thread spreads its work over so many threads, whatever is set for others."""
    before = getattr(_limited, "threads", None)
    _limited.threads = threads
    try:
        yield
    finally:
        _limited.threads = before


def _pool() -> ThreadPoolExecutor:
    """The pool of this process."""
    with _lock:
        pid = os.getpid()
        if pid not in _pools:
            _pools[pid] = ThreadPoolExecutor(_MOST_THREADS, thread_name_prefix="regmax")
        return _pools[pid]


def _renew_lock() -> None:
    """A fork copies the lock in whatever state another thread left it."""
    global _lock
    _lock = threading.Lock()
    _pools.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)


def kept_rows(count: int, like):
    """``count`` rows of room, each as long as those of ``like``, that belong to this thread until it asks again.

    Kept for its next call unless they are long, because memory of megabytes takes longer to get than to use.
    """
    shape = (count, like.shape[1])
    found = getattr(_kept, "rows", None)
    if found is None or found.shape != shape or found.dtype != like.dtype:
        found = np.empty(shape, like.dtype)
        _kept.rows = found if found.size <= _KEPT else None
    return found


def _read_only(array):
    view = array.view()
    view.setflags(write=False)
    return view


def _blocks(rows: int, width: int, threads: int) -> list[tuple[int, int]]:
    parts = _BLOCKS_PER_THREAD * threads if threads > 1 else 1
    step = max(1, min(-(-rows // parts), _BLOCK // width))
    return [(start, min(start + step, rows)) for start in range(0, rows, step)]


def _run_on_pool(driver, arguments, blocks, threads: int) -> None:
    """The calling thread and ``threads - 1`` of the pool."""
    remaining = iter(blocks)  # shared: every thread takes the next one
    stopped = threading.Event()

    def work() -> None:
        for start, stop in remaining:
            if stopped.is_set():
                return
            driver(*arguments, start, stop)

    pool = _pool()
    helpers = [pool.submit(work) for _ in range(threads - 1)]
    try:
        work()
        for helper in helpers:
            helper.result()
    except BaseException:
        stopped.set()
        raise


def run(driver, inputs, *outputs) -> None:
    """Call ``driver(*inputs, *outputs, start, stop)`` on blocks that cover the rows of the last output.

    The kernels get read-only views of the inputs, so that none can write there and all callers share one compiled form.
    """
    rows, width = outputs[-1].shape
    arguments = (*map(_read_only, inputs), *outputs)
    useful = min(rows, rows * width // _WORTH_A_THREAD)
    if rows > 0 and useful <= 1:
        driver(*arguments, 0, rows)
        return
    threads = min(get_num_threads(), useful) if useful > 1 else 1
    blocks = _blocks(rows, width, threads)
    if threads > 1:
        _run_on_pool(driver, arguments, blocks, threads)
        return
    for start, stop in blocks:
        driver(*arguments, start, stop)
