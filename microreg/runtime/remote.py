"""Arrays whose numbers are not here: results of a step that is being recorded, or device memory.

They are NumPy arrays as far as shapes, strides and views go, so the same code handles both. Any
attempt to look at the numbers raises; what must be computed goes through `launch`, which hands it
to the array's `home`: who owns the memory and runs kernels on it.
"""

import contextlib
import threading

import numpy as np

from ..errors import CaptureError

_VIEWS = {"reshape", "transpose", "swapaxes", "squeeze", "view", "copy", "astype"}
_VIEWS |= {"__getitem__", "__len__", "__new__", "__init__", "__getattribute__", "__setattr__"}
_VIEWS |= {"__array_finalize__", "__class__", "__dir__", "__init_subclass__", "__subclasshook__"}
_VIEWS |= {"__reduce__", "__reduce_ex__", "__setstate__", "__sizeof__", "__hash__", "__delattr__"}
_VIEWS |= {"__array_priority__", "__class_getitem__", "__getstate__", "_set_dtype"}


class Remote(np.ndarray):
    """See the module's docstring. `home` has empty(shape, dtype), launch(kernel, args)."""

    home = None
    host = None  # the same numbers in an array of this process, where there is one

    def __array_finalize__(self, source):
        self.home = getattr(source, "home", None)

    def __setitem__(self, key, value):
        self.home.assign(self[key], value)

    def item(self):
        return self.home.fetch(self, "item").item()

    def tolist(self):
        return self.home.fetch(self, "tolist").tolist()

    def __bool__(self):
        return bool(self.home.fetch(self, "bool"))

    def __float__(self):
        return float(self.home.fetch(self, "float"))

    def __int__(self):
        return int(self.home.fetch(self, "int"))

    def __index__(self):
        return self.home.fetch(self, "index").__index__()

    def __array_ufunc__(self, ufunc, method, *inputs, **options):
        self.home.refuse(ufunc.__name__)

    def __array_function__(self, function, kinds, args, options):
        self.home.refuse(function.__name__)

    def __getitem__(self, key):
        keys = key if isinstance(key, tuple) else (key,)
        if any(isinstance(k, (np.ndarray, list)) for k in keys):
            self.home.refuse("indexing with arrays")
        if not any(k is Ellipsis for k in keys):
            keys = (*keys, ...)  # an array comes out, also where it has no axes
        return np.ndarray.__getitem__(self, keys)

    def reshape(self, *shape):
        return np.ndarray.reshape(self, *shape, copy=False)

    def copy(self, order="C"):
        return self.home.copy(self)

    def astype(self, dtype, copy=True):
        return self if self.dtype == dtype and not copy else self.home.cast(self, np.dtype(dtype))

    def __repr__(self):
        return f"{type(self).__name__}(shape={self.shape}, dtype={self.dtype})"


def _refusal(name):
    def method(self, *args, **options):
        if any(hasattr(x, "record") for x in args):
            return NotImplemented  # array + tensor asks the tensor
        self.home.refuse(name)

    return method


for _name, _value in vars(np.ndarray).items():
    if callable(_value) and _name not in _VIEWS and _name not in vars(Remote):
        setattr(Remote, _name, _refusal(_name))


homes: set[object] = set()  # recordings and devices that launches may be meant for
_thread = threading.local()


def recorder():
    """The recording that this thread's launches go into, or None."""
    return getattr(_thread, "recorder", None) if homes else None


def home_of(args):
    """Where a launch is meant for, if not for this CPU now."""
    recording = getattr(_thread, "recorder", None)
    if recording is not None:
        return recording
    return next((x.home for x in args if isinstance(x, Remote)), None)


@contextlib.contextmanager
def recording(home):
    """What this thread computes meanwhile is meant for `home`; for this CPU if that is None."""
    before = getattr(_thread, "recorder", None)
    _thread.recorder = home
    homes.add(home)
    try:
        yield home
    finally:
        homes.discard(home)
        _thread.recorder = before


class Home:
    """Where remote arrays live. A subclass defines empty(shape, dtype) and launch(kernel, args).

    device : the device that its real arrays are on, None for this CPU
    """

    device = None

    def refuse(self, what):
        raise CaptureError(f"{what}: the numbers are not known here")

    def fetch(self, x, what="fetch"):
        """The numbers of x, in an array of this process."""
        self.refuse(what)

    def constant(self, x):
        """An array of this process that does not change, for kernels to read."""
        return x

    def assign(self, x, value):
        """x[...] = value."""
        self.refuse("assignment")

    def copy(self, x):
        """A dense copy."""
        from . import strided  # which stands on this

        return strided.pack(x, x.shape, strided.steps_of(x), self.empty(x.shape, x.dtype))

    def cast(self, x, dtype):
        """A copy in another dtype."""
        from . import strided

        return strided.cast(dense(x), self.empty(x.shape, dtype))


def empty(shape, dtype, like):
    """An array where `like` is, not filled."""
    return like.home.empty(shape, dtype) if isinstance(like, Remote) else np.empty(shape, dtype)


def on_cpu(x):
    """An array whose numbers can be looked at: x itself, or a copy if they are elsewhere."""
    return x.home.fetch(x) if isinstance(x, Remote) else x


def part(memory, shape, dtype, start, strides=None):
    """An array of bytes `start`, ... of a flat array."""
    made = np.ndarray(shape, dtype, memory, start, strides)
    if isinstance(memory, Remote):
        made = made.view(Remote)
        made.home = memory.home
    return made


def real(x, owner):
    """An array whose memory is `owner`'s, as it is outside of a recording."""
    device = getattr(owner, "device", None)
    if not isinstance(device, Home):  # an array of this process, or what it lies in
        return x if x.__class__ is np.ndarray else x.view(np.ndarray)
    made = x.view(Remote)
    made.home = device
    return made


def beside(x, like):
    """A constant array of this process, where `like` is."""
    return like.home.constant(x) if isinstance(like, Remote) and not isinstance(x, Remote) else x


def moved(x, like):
    """An array of this process, where `like` is."""
    return like.home.upload(x) if isinstance(like, Remote) else x


def dense(x):
    """x itself if it is C-contiguous, else a copy that is: what a kernel needs."""
    return x if x.flags.c_contiguous else x.copy()


def memory_order(x):
    """The order of axes in which x is dense, or None if that is their own, or there is none."""
    if x.flags.c_contiguous:
        return None
    order = sorted(range(x.ndim), key=lambda i: (-x.strides[i], i))
    return order if x.transpose(order).flags.c_contiguous else None


def inverse(order):
    """The order that puts axes back."""
    return sorted(range(len(order)), key=order.__getitem__)
