"""A program on a GPU: the same list of launches, replayed as one CUDA graph.

Arrays of the host among the arguments (the learning rate, a penalty's strength, the random state)
have a copy on the device. Before a run those that changed are copied again, the small ones in one
go. A launch that reads and writes arrays of the host alone is run on both sides, so that both agree
without waiting for each other.

A kernel that stops a program writes a word that all launches look at first: on the device, too,
nothing happens behind it.
"""

import numpy as np

from .program import Launch, Program
from .remote import Remote

LARGE = 1 << 14  # bytes of an array that is copied by itself
LINE = 64


class _Mirror:
    """An array of the host, what the device has of it, and where."""

    def __init__(self, host, here):
        self.host, self.here, self.known = host, here, None

    def changed(self):
        if self.known is not None and np.array_equal(self.host, self.known):
            return False
        self.known = self.host.copy()
        return True


class DeviceProgram:
    """See `Program`. The arrays are the device's, but those that Python changes between runs."""

    def __init__(self, device, launches, arena=None):
        self.device, self.launches, self.arena = device, list(launches), arena
        self._mirrors, self._held = {}, {}
        self._block, self._block_here = self._mirror()
        self._on_both = self._replica()
        self.stop = next((a for launch in self.launches if (a := _stop(launch)) is not None), None)
        self._gate = 0 if self.stop is None else _address(self.stop)
        self._calls = [None] * len(self.launches)
        self._graph, self._fixed = None, True

    def _mirror(self):
        """Copies on the device: one block of the small arrays, each large one by itself."""
        small, size = [], 0
        for launch in self.launches:
            for _, x in _arrays(launch):
                if self._is_host(x) and id(x) not in self._mirrors:
                    self._mirrors[id(x)] = mirror = _Mirror(x, None)
                    if x.nbytes > LARGE:
                        mirror.here = self.device.empty(x.shape, x.dtype)
                    else:
                        small.append((size, mirror))
                        size += -(-x.nbytes // LINE) * LINE
        block, here = np.zeros(size, np.uint8), self.device.empty((size,), np.uint8)
        for start, mirror in small:
            x = mirror.host
            mirror.here = here[start : start + x.nbytes].view(x.dtype).reshape(x.shape)
            mirror.staged = block[start : start + x.nbytes].view(x.dtype).reshape(x.shape)
        for mirror in self._mirrors.values():
            mirror.here.host = mirror.host
        return block, here

    def _replica(self):
        """The launches that change arrays of the host, as a program for the host."""
        found = []
        for launch in self.launches:
            if any(spec.written and self._is_host(x) for spec, x in _arrays(launch)):
                args = [
                    np.empty(x.shape, x.dtype) if isinstance(x, Remote) else x for x in launch.args
                ]
                found.append(Launch(launch.kernel, tuple(args)))
        return Program(found) if found else None

    @staticmethod
    def _is_host(x):
        return isinstance(x, np.ndarray) and not isinstance(x, Remote) and x.size > 0

    def argument(self, launch, argument):
        """The array or number that an argument of a launch is now."""
        return self._held.get((launch, argument), self.launches[launch].args[argument])

    def bind(self, launch, argument, array):
        """Let an array argument of a launch be another array, of the same shape and dtype."""
        if self.argument(launch, argument) is not array:
            self._held[launch, argument] = array
            self._calls[launch] = None
            self._graph, self._fixed = None, False

    def run(self, steps=1):
        """Run every launch in order, so many times."""
        driver = self.device.driver
        self._renew()
        calls = [call for row in range(len(self.launches)) for call in self._of(row)]
        if self._fixed:
            if self._graph is None:
                self._graph = driver.graph(calls)
            for _ in range(steps):
                driver.replay(self._graph)
        else:
            for _ in range(steps):
                for call in calls:
                    driver.launch(*call)
        if self._on_both:
            self._on_both.run(steps)
            for mirror in self._mirrors.values():
                mirror.known = mirror.host.copy()

    def _renew(self):
        """Bring what changed on the host to the device."""
        stale = False
        for mirror in self._mirrors.values():
            if mirror.changed():
                if mirror.host.nbytes > LARGE:
                    self.device.driver.upload(
                        _address(mirror.here), np.ascontiguousarray(mirror.host)
                    )
                else:
                    mirror.staged[...] = mirror.host
                    stale = True
        if stale:
            self.device.driver.upload(_address(self._block_here), self._block)

    def _of(self, row):
        """What the driver launches for a launch."""
        if self._calls[row] is None:
            launch = self.launches[row]
            args = [self.argument(row, j) for j in range(len(launch.args))]
            args = [self._mirrors[id(a)].here if id(a) in self._mirrors else a for a in args]
            made = list(self.device.calls(launch.kernel, args, self._gate))
            self._calls[row] = [call for *call, _ in made], [arrays for *_, arrays in made]
        return self._calls[row][0]


def _arrays(launch):
    """(its specification, array) of each array of a launch; scratch memory is not among them."""
    kernel = launch.kernel
    specs = kernel.signature.arrays[kernel.scratch is not None :]
    return zip(specs, launch.args, strict=False)


def _address(x):
    return x.__array_interface__["data"][0]


def _stop(launch):
    """The word by which a launch stops its program."""
    kernel = launch.kernel
    return launch.args[kernel.n_arrays - (kernel.scratch is not None) - 1] if kernel.stops else None


def make_program(launches, arena=None):
    """A program where its arrays are."""
    launches = list(launches)
    home = next((x.home for launch in launches for x in launch.args if isinstance(x, Remote)), None)
    return Program(launches, arena) if home is None else DeviceProgram(home, launches, arena)
