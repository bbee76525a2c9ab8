"""Who runs a kernel: `launch` for one, `Program` for a list of them."""

from .cpu import address, get_num_threads, launch, set_num_threads
from .cuda_program import make_program
from .program import Launch, Program

__all__ = [
    "Launch",
    "Program",
    "address",
    "get_num_threads",
    "launch",
    "make_program",
    "set_num_threads",
]
