"""What the runtime asks of an NVIDIA GPU, by cuda-core. Nothing else here knows it.

Any object with these methods can take its place, see `cuda.use`: the tests run everything above on
one that executes kernels without a GPU.
"""

import functools

import numpy as np

from ..errors import DeviceError
from ..kernels.cuda.plan import NAME

ROOM = 512  # bytes that device memory comes in
STAGE = 1 << 22  # bytes of a pinned buffer: large copies go through two of them in turn

INSTALL = (
    'device "cuda": expected numba-cuda and cuda-core; install them with pip install '
    '"microreg[cuda13]", or "microreg[cuda12]" for a driver older than 580'
)
NO_GPU = (
    'device "cuda": expected an NVIDIA GPU and its driver, which nvidia-smi would list; install '
    "the driver from nvidia.com, or stay on the CPU"
)


class Driver:
    """The first GPU, with one stream on which everything happens in order."""

    def __init__(self):
        try:
            import numba.cuda
            from cuda import core
        except ImportError as error:
            raise DeviceError(f"{INSTALL} ({error})") from None
        if getattr(numba.cuda, "implementation", "NVIDIA") != "NVIDIA":
            raise DeviceError(INSTALL)
        self._core = core
        try:
            device = core.Device(0)
            device.set_current()
        except Exception as error:  # what is missing decides which error it is
            raise DeviceError(f"{NO_GPU} ({error})") from None
        self.name, self.cc = device.name, tuple(device.compute_capability)
        self.multiprocessors = device.properties.multiprocessor_count
        self.stream = device.create_stream()
        self._pool = core.DeviceMemoryResource(device)
        self._buffers = {}
        self._stages, self._turn = [], 0
        self._device = device

    def room(self, nbytes):
        """How many bytes are taken for an array: a little more, so that they serve others later."""
        step = max(ROOM, 1 << max(0, nbytes.bit_length() - 4))  # at most an eighth is given away
        return -(-max(nbytes, 1) // step) * step

    def allocate(self, nbytes):
        """The address of new memory; MemoryError if there is none."""
        try:
            buffer = self._pool.allocate(nbytes, stream=self.stream)
        except Exception as error:
            if "OUT_OF_MEMORY" in str(error):
                raise MemoryError(f"cuda: {nbytes} bytes: {error}") from None
            raise
        self._buffers[int(buffer.handle)] = buffer
        return int(buffer.handle)

    def release(self, address):
        self._buffers.pop(address).close(self.stream)

    def _at(self, address, nbytes, owner=None):
        return self._core.Buffer.from_handle(address, nbytes, owner=owner)

    def upload(self, address, array):
        """Copy a dense array of the host to the device; it may change as soon as this returns."""
        if array.nbytes <= STAGE // 16:  # the driver itself keeps what lies in ordinary memory
            source = self._at(array.ctypes.data, array.nbytes, array)
            self._at(address, array.nbytes).copy_from(source, stream=self.stream)
            return
        flat = array.reshape(-1).view(np.uint8)
        for start in range(0, array.nbytes, STAGE):
            part = flat[start : start + STAGE]
            buffer, memory, event = self._stage()
            memory[: part.size] = part
            source = self._at(int(buffer.handle), part.size, buffer)
            self._at(address + start, part.size).copy_from(source, stream=self.stream)
            self.stream.record(event)

    def _stage(self):
        """A pinned buffer that no copy reads any more, as an array, and its event."""
        if len(self._stages) < 2:
            pinned = self._core.LegacyPinnedMemoryResource().allocate(STAGE)
            memory = np.asarray(_Pinned(int(pinned.handle), STAGE))
            self._stages.append((pinned, memory, self._device.create_event()))
            return self._stages[-1]
        self._turn = 1 - self._turn
        self._stages[self._turn][2].sync()
        return self._stages[self._turn]

    def fetch(self, array, address):
        """Copy to a dense array of the host, and wait until it is there."""
        target = self._at(array.ctypes.data, array.nbytes, array)
        self._at(address, array.nbytes).copy_to(target, stream=self.stream)
        self.stream.sync()

    def copy(self, target, source, nbytes):
        """Copy within the device."""
        self._at(target, nbytes).copy_from(self._at(source, nbytes), stream=self.stream)

    def load(self, code, dtype):
        """A kernel that can be launched."""
        return self._core.ObjectCode.from_cubin(code.cubin(dtype, self.cc)).get_kernel(NAME)

    def launch(self, function, grid, threads, numbers):
        self._core.launch(self.stream, self._config(grid, threads), function, *numbers)

    @functools.lru_cache(maxsize=4096)  # noqa: B019  a driver lives as long as the process
    def _config(self, grid, threads):
        return self._core.LaunchConfig(grid=grid, block=threads)

    def graph(self, calls):
        """The launches as one graph, to be run by `replay`."""
        builder = self.stream.create_graph_builder().begin_building()
        for function, grid, threads, numbers in calls:
            self._core.launch(builder, self._config(grid, threads), function, *numbers)
        return builder.end_building().complete()

    def replay(self, graph):
        graph.launch(self.stream)

    def synchronize(self):
        self.stream.sync()


class _Pinned:
    """Memory that NumPy makes an array of."""

    def __init__(self, address, nbytes):
        self.__array_interface__ = {
            "data": (address, False),
            "shape": (nbytes,),
            "typestr": "|u1",
            "version": 3,
        }
