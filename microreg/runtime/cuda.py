"""Arrays and kernels on an NVIDIA GPU.

    x = mr.tensor([1.0, 2.0], device="cuda")
    model.to("cuda")

Everything that knows the GPU goes through a driver, an object with a few methods (`Driver` in
`cuda_driver.py`): allocate and release memory, copy, load a kernel, launch, synchronize. Above it
the same code serves a GPU and the machine with which the tests run kernels without one. All work is
on one stream, in order, so memory that is given back can be taken again at once.

Memory of the device is a `Remote`: a NumPy array at an address that Python cannot read.
"""

import numpy as np

from ..errors import CaptureError, DeviceError
from . import dlpack
from .remote import Home, Remote, homes, on_cpu, recording

SMALL = 4096  # bytes of an array from the host that are kept on the device for the next launch
KEPT = 4096  # such arrays

_device = None  # the Device, once it has been asked for


def get_device():
    """The GPU. The first call loads what it needs; it raises DeviceError where that is missing."""
    global _device
    if _device is None:
        from .cuda_driver import Driver

        use(Driver())
    return _device


def use(driver):
    """Let device="cuda" mean what this driver drives; with None the GPU is looked for anew."""
    global _device
    homes.discard(_device)
    _device = None if driver is None else Device(driver)
    if driver is not None:
        homes.add(_device)


def is_available():
    """Whether there is a GPU, and what is needed to use it."""
    try:
        get_device()
    except DeviceError:
        return False
    return True


def synchronize():
    """Wait until everything that was launched is done."""
    get_device().driver.synchronize()


def memory_allocated():
    """Bytes of device memory in use by arrays."""
    return get_device().allocated


def empty_cache():
    """Give device memory that no array uses back to the driver."""
    get_device().empty_cache()


def get_device_name():
    return get_device().driver.name


def device_name(text):
    """ "cpu" or "cuda" for the name of a device."""
    if text in ("cpu", "cuda"):
        return text
    if text == "cuda:0":
        return "cuda"
    raise DeviceError(f"device {text!r}: expected 'cpu' or 'cuda'; one GPU is used, the first")


def name_of(x):
    """The device of an array; in a step that is being recorded that of its real arrays."""
    home = getattr(x, "home", None)
    if home is None:
        return "cpu"
    return "cpu" if home.device is None else "cuda"


def located(x, device):
    """An array of the CPU where it is wanted: device is None, "cpu" or "cuda"."""
    if device is None or device_name(device) == "cpu":
        return x
    return get_device().upload(x)


class NotHere(DeviceError):
    """Numbers were looked at that are on the GPU."""


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

        self.device = self
        self.driver, self._parts = driver, plan.parts
        self.multiprocessors = driver.multiprocessors
        self._free = {}  # size of memory that was given back -> its addresses
        self.allocated = self.reserved = 0  # bytes in use; bytes taken from the driver
        self._constants = {}
        self._functions = {}
        self.fallbacks = set()  # names of ops that were computed on the CPU

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
        address = free.pop() if free else self._allocate(room)
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
        x = np.asarray(x, order="C")
        out = self.empty(x.shape, x.dtype)
        if x.size:
            self.driver.upload(out.__array_interface__["data"][0], x)
        return out

    def fetch(self, x, what="fetch"):
        """A copy of an array of the device, on the host. Waits for what computes it."""
        x = x if x.flags.c_contiguous else self.copy(x)
        out = np.empty(x.shape, x.dtype)
        if x.size:
            self.driver.fetch(out, x.__array_interface__["data"][0])
        return out

    def assign(self, x, value):
        """x[...] = value."""
        from . import strided

        value = value if isinstance(value, Remote) else self.constant(np.asarray(value, x.dtype))
        with recording(None):
            strided.unpack(strided.expand(value.astype(x.dtype, copy=False), x.shape), x)

    def copy(self, x):
        with recording(None):
            return super().copy(x)

    def cast(self, x, dtype):
        with recording(None):
            return super().cast(x, dtype)

    def constant(self, x):
        """A small array of the host that a kernel reads, on the device."""
        if x.nbytes > SMALL:
            held = self.upload(x)
            held.host = x
            return held
        key = x.dtype.char, x.shape, x.tobytes()
        held = self._constants.get(key)
        if held is None:
            if len(self._constants) >= KEPT:
                self._constants.clear()
            self._constants[key] = held = self.upload(x)
            held.host = x.copy()
        return held

    # other libraries

    dlpack_device = dlpack.CUDA, 0

    def dlpack(self, x, stream=None, **options):
        """A DLPack capsule. Everything is done when it is handed over, so any stream may read."""
        self.driver.synchronize()
        return dlpack.capsule(x)

    def cuda_array_interface(self, x):
        self.driver.synchronize()
        return {**x.__array_interface__, "stream": None}

    def wrap(self, x):
        """An array over the memory of another library's array: a tensor of torch or CuPy, say."""
        if hasattr(x, "__cuda_array_interface__"):
            foreign = dlpack.from_interface(self, x.__cuda_array_interface__, x)
        else:
            foreign = dlpack.from_capsule(self, x.__dlpack__())
        return self.array(foreign)

    # kernels

    def function(self, code, dtype):
        """A kernel that can be launched."""
        key = code, dtype
        made = self._functions.get(key)
        if made is None:
            self._functions[key] = made = self.driver.load(code, dtype)
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
        """An op on arrays of which at least one is here; constants of the host come along."""
        here = [
            self.constant(x) if isinstance(x, np.ndarray) and not isinstance(x, Remote) else x
            for x in inputs
        ]
        try:
            return op.lower(*here, **attrs)
        except (CaptureError, NotHere):  # it needs the numbers: what comes out depends on them
            self.fallbacks.add(op.name)
            out = op.forward(*map(_numbers, inputs), **{k: _numbers(v) for k, v in attrs.items()})
            return tuple(map(self.upload, out)) if isinstance(out, tuple) else self.upload(out)

    def note_tensors(self, inputs):
        for x in inputs:
            data = getattr(x, "data", None)
            if data.__class__ is np.ndarray and data.ndim:
                raise DeviceError(
                    f"expected all tensors on cuda, got one of shape {data.shape} on the CPU; move "
                    'it with .to("cuda")'
                )

    def refuse(self, what):
        raise NotHere(f"{what}: expected an array on the CPU, got one on cuda; move it with .cpu()")


def _numbers(x):
    """An input or attribute of an op with its numbers at hand."""
    if isinstance(x, tuple):
        return tuple(map(_numbers, x))
    return on_cpu(x)
