"""The driver that the tests use: device memory and launches on the machine of `ptx/`."""

import numpy as np

from microreg.kernels.cuda.plan import NAME

from .ptx import Machine, Memory, parse


class Simulated:
    """A GPU of two multiprocessors. It counts its launches."""

    name, multiprocessors = "simulated", 2

    def __init__(self, cc=(8, 0), races=True):
        self.cc, self.memory = cc, Memory()
        self.machine = Machine(self.memory, races)
        self.launches = 0

    def room(self, nbytes):
        """Exactly as much as is asked for, so that no access beyond it goes unseen."""
        return max(1, nbytes)

    def allocate(self, nbytes):
        return self.memory.allocate(nbytes)

    def release(self, address):
        self.memory.release(address)

    def upload(self, address, array):
        self.memory.part(address, array.nbytes)[:] = np.frombuffer(array.tobytes(), np.uint8)

    def fetch(self, array, address):
        array.reshape(-1).view(np.uint8)[:] = self.memory.part(address, array.nbytes)

    def copy(self, target, source, nbytes):
        self.memory.part(target, nbytes)[:] = self.memory.part(source, nbytes)

    def load(self, code, dtype):
        return parse(code.ptx(dtype, self.cc))[NAME]

    def launch(self, function, grid, threads, numbers):
        self.launches += 1
        self.machine.launch(function, grid, threads, numbers)

    def graph(self, calls):
        return list(calls)

    def replay(self, graph):
        for call in graph:
            self.launch(*call)

    def synchronize(self):
        pass
