"""Arrays and kernels on an NVIDIA GPU.

    x = mr.tensor([1.0, 2.0], device="cuda")
    model.to("cuda")

Everything that knows the GPU goes through a driver, an object with a few methods (`Driver` in
`cuda_driver.py`): allocate and release memory, copy, load a kernel, launch, synchronize. Above it
the same code serves a GPU and the machine with which the tests run kernels without one. All work is
on one stream, in order, so memory that is given back can be taken again at once.

Memory of the device is a `Remote`: a NumPy array at an address that Python cannot read.
"""

import functools
import warnings
import weakref

import numpy as np

from ..errors import DeviceError
from .remote import Home, Remote, _thread, homes

SMALL = 4096  # bytes of an array from the host that are kept on the device for the next launch
KEPT = 4096  # such arrays


class Memory:
    """A stretch of device memory; it goes back to its device when nobody holds it."""

    __slots__ = ("__array_interface__", "__weakref__", "address", "device", "nbytes")

    def __init__(self, device, address, nbytes, shape, dtype):
        self.device, self.address, self.nbytes = device, address, nbytes
        self.__array_interface__ = {
            "data": (address, False),
            "shape": shape,
            "typestr": dtype.str,
            "version": 3,
        }

    def __del__(self):
        self.device.take_back(self.address, self.nbytes)


class Device(Home):
    """A GPU: where its arrays live and its kernels run."""

    name = "cuda"

    def __init__(self, driver):
        from ..kernels.cuda import plan

        self.driver, self._parts = driver, plan.parts
        self.multiprocessors = driver.multiprocessors
        self._free = {}  # size of memory that was given back -> its addresses
        self.allocated = self.reserved = 0  # bytes in use; bytes taken from the driver
        self._constants = {}
        self._functions = {}
        self._told = set()

    # memory

    def empty(self, shape, dtype):
        """A new array on the device."""
        dtype = np.dtype(dtype)
        shape = tuple(shape) if isinstance(shape, (tuple, list)) else (shape,)
        nbytes = dtype.itemsize
        for n in shape:
            nbytes *= int(n)
        room = self.driver.room(nbytes)
        free = self._free.get(room)
        if free:
            address = free.pop()
        else:
            address = self._allocate(room)
        self.allocated += room
        return self.array(Memory(self, address, room, shape, dtype))

    def _allocate(self, room):
        try:
            address = self.driver.allocate(room)
        except MemoryError:
            self.empty_cache()
            address = self.driver.allocate(room)
        self.reserved += room
        return address

    def take_back(self, address, room):
        self.allocated -= room
        self._free.setdefault(room, []).append(address)

    def empty_cache(self):
        """Give memory that nobody uses back to the driver."""
        for room, addresses in self._free.items():
            for address in addresses:
                self.driver.release(address)
                self.reserved -= room
        self._free.clear()

    def array(self, memory):
        """Memory of the device as an array."""
        made = np.asarray(memory).view(Remote)
        made.home = self
        return made

    def upload(self, x):
        """A copy of an array of the host."""
        x = np.ascontiguousarray(x)
        out = self.empty(x.shape, x.dtype)
        if x.size:
            self.driver.upload(out.__array_interface__["data"][0], x)
        return out

    def fetch(self, x):
        """A copy of an array of the device, on the host. Waits for what computes it."""
        x = x if x.flags.c_contiguous else self.copy(x)
        out = np.empty(x.shape, x.dtype)
        if x.size:
            self.driver.fetch(out, x.__array_interface__["data"][0])
        return out

    def assign(self, x, value):
        """x[...] = value."""
        from . import strided

        if isinstance(value, Remote) or isinstance(value, np.ndarray) and value.ndim:
            value = value if isinstance(value, Remote) else self.upload(value)
            strided.unpack(strided.expand(value.astype(x.dtype, copy=False), x.shape), x)
        elif x.size:
            same = strided.filled(x.shape, x.dtype, np.asarray(value, x.dtype).item(), x)
            strided.unpack(same, x)

    def constant(self, x):
        """A small array of the host that a kernel reads, on the device."""
        if x.nbytes > SMALL:
            return self.upload(x)
        key = x.dtype.char, x.shape, x.tobytes()
        held = self._constants.get(key)
        if held is None:
            if len(self._constants) >= KEPT:
                self._constants.clear()
            self._constants[key] = held = self.upload(x)
        return held

    # kernels

    def function(self, code, dtype):
        """A kernel that can be launched."""
        key = code, dtype
        made = self._functions.get(key)
        if made is None:
            self._functions[key] = made = self.driver.load(code.ptx(dtype, self.driver.cc), code)
        return made

    def calls(self, kernel, args, gate=0):
        """What the driver launches for a kernel: (function, grid, threads, numbers)."""
        for part in self._parts(kernel, args, self):
            if 0 in part.grid:
                continue
            code, arrays = part.code, self.settle(part)
            dtype = code.dtype(arrays)
            numbers = [x.__array_interface__["data"][0] for x in arrays]
            for spec, value in zip(code.scalars, part.args[len(arrays) :], strict=True):
                kind = (dtype if spec.dtype == "T" else np.dtype(spec.dtype)).type
                numbers.append(kind(value) if kind is np.float32 else kind(value).item())
            numbers += code.measure(part.args)
            yield self.function(code, dtype), part.grid, part.threads, (*numbers, gate), arrays

    def launch(self, kernel, args):
        """Run a kernel of the CPU here. Arrays of the host that it reads are copied first."""
        for *call, _ in self.calls(kernel, args):
            self.driver.launch(*call)

    def settle(self, part):
        """The arrays of a launch, all on this device."""
        out = []
        for x, spec in zip(part.args, part.code.arrays, strict=False):
            if not isinstance(x, Remote):
                if spec.written and x.size:
                    raise DeviceError(
                        f"{part.code.name}: {spec.name}: expected an array on cuda, got one on the "
                        "CPU"
                    )
                x = self.constant(x)
            out.append(x)
        return out

    def apply(self, op, inputs, attrs):
        """An op on arrays of which at least one is here."""
        return op.lower(*inputs, **attrs)

    def note_tensors(self, inputs):
        for x in inputs:
            data = getattr(x, "data", None)
            if data.__class__ is np.ndarray and data.ndim:
                raise DeviceError(
                    f"expected all tensors on cuda, got one of shape {data.shape} on the CPU; move "
                    'it with .to("cuda")'
                )

    def refuse(self, what):
        raise DeviceError(
            f"{what}: expected an array on the CPU, got one on cuda; move it with .cpu()"
        )
