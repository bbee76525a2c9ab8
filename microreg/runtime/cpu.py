"""Running kernels on the CPU: a launch at once, a table of launches, and the thread team.

One thread runs a table by itself. With more, every thread of the team runs the same table and
takes its own part of each launch (single program, multiple data). The team is woken only for work
that pays for it, waits by spinning for a limited time, and stands aside for a while when the
machine is so busy that its threads come late. Which of this happens never changes a result:
kernels cut their work into blocks that depend on shapes alone.
"""

import ctypes
import functools
import os
import struct
import threading
from time import perf_counter

import numpy as np
from numpy import ndarray

from ..kernels import interpreter as loop
from ..kernels._cache import HEAD
from ..kernels._jit import GRAIN
from .remote import home_of, homes

CHECK = os.environ.get("MICROREG_DEBUG", "0") != "0"
SPINS = 4000  # turns of a waiting loop before a thread gives its core away: about 40 us
LATE = 50  # cores given away in one job below which nobody came late
GIVEN = 4e-7  # seconds that giving a core away takes where nobody else wants it
SHARE = 0.25  # of a job's time: waiting longer makes it a slow one
REST = 0.02  # seconds for which one thread works alone after a slow job

_probe = np.zeros(3)  # kernels read arrays where NumPy keeps them, see `kernels/_entries.py`
_words = np.frombuffer(ctypes.string_at(id(_probe) + HEAD, 24), np.int64)
if _words[0] != _probe.ctypes.data or ctypes.c_int64.from_address(int(_words[2])).value != 3:
    raise ImportError("microreg: this NumPy does not keep an array's address where it should be")

_ENTRY = ctypes.CFUNCTYPE(None, ctypes.c_char_p, ctypes.c_int64, ctypes.c_int64)
_INT64 = np.dtype(np.float64)  # a kernel over int64 alone is compiled under this name


def address(array):
    """Where the data of an array begins."""
    return ctypes.c_void_p.from_address(id(array) + HEAD).value or 0


@functools.cache
def _entry(kernel):
    """A kernel of the interpreter as a C function (row, tid, nt)."""
    return _ENTRY(kernel.entry(_INT64))


def launch(kernel, *args):
    """Run one kernel: arrays in the order of its signature, then scalars.

    The arrays are C-contiguous and of the dtypes that the signature names: the caller's duty,
    verified when MICROREG_DEBUG=1.
    """
    if homes and (home := home_of(args)) is not None:
        home.launch(kernel, args)
        return
    if CHECK:
        kernel.check(args)
    typed = kernel.typed
    letter = "d" if typed is None else args[typed].dtype.char
    if kernel.scratch is not None:
        args = (scratch(kernel, letter, args), *args)
    if kernel.calls[letter](*args) is not ndarray:  # there is more work, or something is wrong
        for x in args[: kernel.n_arrays]:
            if not isinstance(x, ndarray):
                raise TypeError(f"{kernel.name}: expected arrays, got {type(x).__name__}")
        row = np.frombuffer(pack(kernel, args), np.int64)
        run(row[None], GRAIN if kernel.split else 0)


def pack(kernel, args):
    """A row of a table: this kernel on these arguments, scratch memory first if it needs any."""
    count = kernel.n_arrays
    entry = kernel.entry(kernel.dtype(args[kernel.scratch is not None :]))
    return kernel.pack(entry, 0, *map(address, args[:count]), *args[count:], *kernel.measure(args))


def scratch(kernel, letter, args):
    """Scratch memory (threads, words) for a launch; each Python thread has its own."""
    words, letter = kernel.scratch(args), kernel.scratch_dtype(np.dtype(letter)).char
    held = getattr(_team.scratch, letter, None)
    if held is None or held.shape[1] < words:
        held = np.empty((_team.threads, words), letter)
        setattr(_team.scratch, letter, held)
    return held


NEVER = np.zeros(1, np.int64)


def run(table, work, steps=1, stop=NEVER):
    """Run a table of rows (int64, see `kernels.interpreter`) so many times.

    `work`, in elements, decides whether it pays to wake the team. A row marked with STOPS ends the
    run if stop[0] is not 0 then.
    """
    if _team.threads > 1 and work >= GRAIN:
        _team.run(table, steps, stop)
    else:
        _run_serial(table, steps, stop)


def _run_serial(table, steps, stop):
    _entry(loop.run_serial)(_row(address(table), address(stop), steps, *table.shape), 0, 1)


def _row(*values):
    return struct.pack(f"={len(values)}q", *values)


class Team:
    """The threads that share the work of one process."""

    def __init__(self, threads):
        self.threads = threads
        self.scratch = threading.local()
        self._lock = threading.Lock()
        self._control = None
        self._rest = 0.0  # until when one thread works alone

    def run(self, table, steps, stop):
        """Run a table with every thread, or alone if the team is busy, resting or slow."""
        begun = perf_counter()
        if begun < self._rest or not self._lock.acquire(blocking=False):
            _run_serial(table, steps, stop)
            return
        try:
            if self._control is None:
                self._start()
            control = self._control
            control[loop.TABLE], control[loop.ROWS] = address(table), table.shape[0]
            control[loop.WIDTH], control[loop.WORDS] = table.shape[1], control.size
            control[loop.STEPS], control[loop.STOP] = steps, address(stop)
            at = address(control)
            _entry(loop.publish)(_row(at, self.threads, control.size), 0, 1)
            asleep = int(control[loop.WAKE])
            for i in range(1, self.threads):
                if asleep >> i & 1:
                    self._wake[i].release()
            row = _row(address(table), at, *table.shape, control.size)
            _entry(loop.run_team)(row, 0, self.threads)
            late = int(control[loop.LATE])
            if late > LATE * steps and late * GIVEN > SHARE * (perf_counter() - begun):
                self._rest = perf_counter() + REST
        finally:
            self._lock.release()

    def _start(self):
        control = np.zeros(loop.control_words(self.threads), np.int64)
        control[loop.YIELD], control[loop.SPINS] = _yield_address(), SPINS
        row = _row(
            address(control), _entry(loop.run_team) and loop.run_team.entry(_INT64), control.size
        )
        self._wake = [threading.Lock() for _ in range(self.threads)]
        for i in range(1, self.threads):
            self._wake[i].acquire()
            control[loop.SLEEPING + 2 * loop.LINE * i] = 1
            arguments = (_entry(loop.work), row, i, self.threads, self._wake[i], control)
            threading.Thread(target=_serve, args=arguments, daemon=True).start()
        self._control = control


def _serve(work, row, tid, threads, wake, control):
    """Work for a team. `control`, whose address is in `row`, lives as long as its readers."""
    while True:
        wake.acquire()
        work(row, tid, threads)


def _yield_address():
    library = ctypes.CDLL(None) if os.name == "posix" else ctypes.windll.kernel32
    function = library.sched_yield if os.name == "posix" else library.SwitchToThread
    return ctypes.cast(function, ctypes.c_void_p).value


_team = Team(1)


def set_num_threads(threads):
    """How many threads kernels may use. Results have the same bits for any number."""
    global _team
    if not isinstance(threads, int) or not 1 <= threads <= 63:
        raise ValueError(f"set_num_threads({threads!r}): expected an integer from 1 to 63")
    if threads != _team.threads:
        _team = Team(threads)


def get_num_threads():
    """How many threads kernels may use."""
    return _team.threads


def _default_threads():
    asked = os.environ.get("MICROREG_NUM_THREADS") or os.environ.get("OMP_NUM_THREADS")
    if asked and asked.isdigit() and int(asked) > 0:
        return min(int(asked), 63)
    return min(
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(), 63
    )


def _after_fork():
    global _team
    _team = Team(_team.threads)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
set_num_threads(_default_threads())
