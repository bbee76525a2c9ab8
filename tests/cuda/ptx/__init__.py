"""A machine that runs PTX with NumPy: the code that the compiler made, on no GPU at all.

    memory = Memory()
    x = memory.allocate(4 * n)
    Machine(memory).launch(parse(text)["kernel"], grid=(2, 1, 1), threads=128, params=[x, n])

All threads of several blocks run side by side, an instruction at a time for those that are at the
same place. What hardware would do wrong in silence, or sometimes, is a Fault here: an access out of
bounds or not aligned, a race between threads, a barrier that some threads pass by, a shuffle among
lanes that are not there. See `machine.py` for how threads part and meet again, `memory.py` for what
is checked, `counters.py` for what is counted.

It knows what compiled kernels use and refuses anything else. Arithmetic is IEEE's, with two
exceptions: a float32 fma is rounded twice (a difference once in 10^8), and approximate functions
are exact to their type.
"""

from .counters import Counters
from .fault import Fault
from .machine import Machine
from .memory import Memory
from .parse import parse

__all__ = ["Counters", "Fault", "Machine", "Memory", "parse"]
