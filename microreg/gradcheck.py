"""Are the gradients right? Is the prox the prox? Both are asked of the definition.

gradcheck compares each partial derivative of <f(x), g>, g a random cotangent, with a central
difference in float64. Entries are compared relative to their own size, with a floor tied to the
function's: a hundredth of the argument's largest derivative, or the rounding noise of the
difference if that is more. At a kink (ReLU at 0) there is no derivative; such entries are found by
their one-sided differences, left out and counted. Dropout masks are frozen and buffers restored.
"""

import math
from typing import NamedTuple

import numpy as np

from .dtypes import FLOAT64, as_array
from .errors import DTypeError, GradcheckError
from .functional import cat
from .random import get_rng_state, set_rng_state
from .tensor import Tensor, grad

STEP = 6e-6  # about eps^(1/3): truncation and rounding of a central difference balance there
TOLERANCE = 1e-4  # relative; an error of 0.1 % is refused
KINK = 1e-3  # one-sided slopes that differ by so much of the floor's scale mean a kink
NOISE = 1e5  # rounding errors of a difference that are tolerated at TOLERANCE: of long sums too


class Entry(NamedTuple):
    """One partial derivative; `argument` is the input's name or position."""

    argument: str
    entry: tuple[int, ...]
    analytic: float
    numeric: float
    error: float


class Report(NamedTuple):
    """What a check found."""

    name: str
    checked: int
    kinks: int
    worst: Entry
    tolerance: float

    @property
    def ok(self):
        return self.worst is None or self.worst.error <= self.tolerance

    def __str__(self):
        w = self.worst
        where = ""
        if w is not None:
            where = (
                f"; worst: argument {w.argument}, entry {w.entry}: analytic {w.analytic:.6g}, "
                f"numeric {w.numeric:.6g}, relative error {w.error:.1e}"
            )
        verdict = "passed" if self.ok else "FAILED"
        return (
            f"gradcheck: {self.name}: {verdict}: {self.checked} entries checked, {self.kinks} left "
            f"out at kinks, tolerance {self.tolerance:g} (float64, step {STEP:g}){where}"
        )

    def raise_if_failed(self):
        """Raise GradcheckError with the report unless the check passed."""
        if not self.ok:
            raise GradcheckError(str(self))
        return self


def gradcheck(function, *inputs, loss=None, order=1, samples=200, rng=0, raise_exception=True):
    """Compare analytic with numeric gradients of a function, or of a whole model.

    gradcheck(f, x, y, ...)       f maps the tensors x, y, ... to a tensor
    gradcheck(model, X)           the model's output, for X and every parameter
    gradcheck(model, X, y, loss=F.cross_entropy)     the loss, likewise

    Parameters
    ----------
    function : callable or Module
        A model is checked in float64 in the mode it is in and given back unchanged.
    inputs : tensors or arrays, or one tuple of them
        float64 for a function. Those that require a gradient are checked; if none does, all
        floating ones are.
    order : 1 or 2, default 1
        2 checks the gradient of the gradient.
    samples : int, default 200
        Entries drawn at random from an argument that has more.
    rng : seed or numpy Generator, default 0
        For the cotangent and the draws.
    raise_exception : bool, default True
        Raise when the check fails; otherwise the report says so.

    Returns
    -------
    Report

    Raises
    ------
    DTypeError
        If an input of a function is float32: a difference of float32 numbers proves nothing.
    GradcheckError
        If an entry is off by more than 1e-4, naming the worst.
    """
    if order not in (1, 2):
        raise ValueError(f"gradcheck(order={order}): expected 1 or 2")
    if len(inputs) == 1 and isinstance(inputs[0], (tuple, list)):
        inputs = tuple(inputs[0])
    rng = np.random.default_rng(rng)
    if hasattr(function, "named_parameters"):
        report = _check_model(function, inputs, loss, order, samples, rng)
    else:
        if loss is not None:
            raise TypeError("gradcheck: loss goes with a model; compose it into the function")
        name = getattr(function, "__name__", None) or getattr(function, "name", None)
        name = name or type(function).__name__
        xs = _as_inputs(name, inputs)
        names = [str(i) for i in range(len(xs))]
        report = _check(name, function, xs, names, order, samples, rng)
    return report.raise_if_failed() if raise_exception else report


def gradgradcheck(function, *inputs, **options):
    """`gradcheck` with order=2, under PyTorch's name: the gradients of the gradients."""
    return gradcheck(function, *inputs, order=2, **options)


def _as_inputs(name, inputs):
    """Fresh leaves, with gradients where they are wanted."""
    made = [Tensor(as_array(x).copy()) for x in inputs]
    asked = [isinstance(x, Tensor) and x.requires_grad for x in inputs]
    for i, x in enumerate(made):
        if x.dtype.kind == "f" and (asked[i] or not any(asked)):
            if x.dtype != FLOAT64:
                raise DTypeError(
                    f"gradcheck: {name}, argument {i}: expected float64, got {x.dtype}; a "
                    "difference of float32 numbers proves nothing: convert inputs with .double()"
                )
            x.requires_grad_()
    if not any(x.requires_grad for x in made):
        raise DTypeError(f"gradcheck: {name}: expected at least one float64 input")
    return made


def _check_model(model, inputs, loss, order, samples, rng):
    """Check a model in float64 with its buffers and numbers put back afterwards."""
    tensors = [*model.parameters(), *model.buffers()]
    before = [(t, t.data, t.grad) for t in tensors]
    parameters = [(n, p) for n, p in model.named_parameters() if p.requires_grad]
    for t in tensors:
        t.data = t.data.astype(FLOAT64) if t.dtype.kind == "f" else t.data.copy()
    buffers = [(b, b.data.copy()) for b in model.buffers()]
    xs = [as_array(x) for x in inputs]
    xs = [Tensor(x.astype(FLOAT64) if x.dtype.kind == "f" else x) for x in xs]
    if xs and xs[0].dtype.kind == "f":
        xs[0].requires_grad_()
    leaves = [x for x in xs[:1] if x.requires_grad] + [p for _, p in parameters]
    names = ["input"] * (len(leaves) - len(parameters)) + [n for n, _ in parameters]

    def function(*_):
        for b, start in buffers:
            b.data[...] = start
        if loss is None:
            return model(*xs)
        return loss(model(*xs[:-1]), xs[-1])

    try:
        return _check(type(model).__name__, function, leaves, names, order, samples, rng)
    finally:
        for t, data, g in before:
            t.data, t.grad = data, g


def _check(name, function, xs, names, order, samples, rng):
    state = get_rng_state()

    def frozen(*args):
        set_rng_state(state)  # the same dropout masks at every call
        return function(*args)

    try:
        checked = _gradient(frozen, xs, rng) if order == 2 else frozen
        return _compare(name, checked, xs, names, samples, rng)
    finally:
        set_rng_state(state)


def _gradient(function, xs, rng):
    """The function that maps the inputs to the gradients of <f, v>, v a random cotangent."""
    v = Tensor(rng.standard_normal(function(*xs).shape))
    wanted = [x for x in xs if x.requires_grad]

    def gradients(*args):
        found = grad(function(*args), wanted, v, create_graph=True, allow_unused=True)
        return cat([g.reshape(-1) for g in found if g is not None])

    return gradients


def _compare(name, function, xs, names, samples, rng):
    out = function(*xs)
    g = rng.standard_normal(out.shape)
    wanted = [i for i, x in enumerate(xs) if x.requires_grad]
    if out.requires_grad:
        found = grad(out, [xs[i] for i in wanted], Tensor(g), allow_unused=True)
    else:
        found = [None] * len(wanted)
    centre = float((out.data * g).sum())
    scale = float(np.abs(out.data * g).sum())

    def evaluate():
        return float((function(*xs).data * g).sum())

    worst, checked, kinks = None, 0, 0
    for i, dx in zip(wanted, found, strict=True):
        x = xs[i].data
        analytic = np.zeros(x.shape) if dx is None else dx.data
        largest = float(np.abs(analytic).max()) if x.size else 0.0
        for flat in _draw(x.size, samples, rng):
            index = tuple(int(j) for j in np.unravel_index(flat, x.shape))
            h = STEP * max(1.0, abs(float(x[index])))
            up, down = _at(x, index, h, evaluate), _at(x, index, -h, evaluate)
            numeric = (up - down) / (2 * h)
            floor = max(0.01 * largest, NOISE * np.finfo(float).eps * scale / h, 1e-300)
            if abs(up - 2 * centre + down) / h > KINK * max(floor, abs(numeric)):
                half_up, half_down = (_at(x, index, s * h / 8, evaluate) for s in (1, -1))
                jump = abs(half_up - 2 * centre + half_down) * 8 / h
                if jump > KINK * max(floor, abs(numeric)):  # a smooth function's would shrink
                    kinks += 1
                    continue
            checked += 1
            a = float(analytic[index])
            error = abs(a - numeric) / max(abs(a), abs(numeric), floor)
            error = error if math.isfinite(error) else math.inf
            if worst is None or error > worst.error:
                worst = Entry(names[i], index, a, numeric, error)
    return Report(name, checked, kinks, worst, TOLERANCE)


def _draw(size, samples, rng):
    return range(size) if size <= samples else rng.choice(size, samples, replace=False)


def _at(x, index, h, value):
    """value() with x[index] moved by h."""
    kept = x[index]
    x[index] = kept + h
    try:
        return value()
    finally:
        x[index] = kept


def proxcheck(penalty, points=None, steps=(0.05, 0.7, 3.0), rng=0, raise_exception=True):
    """Does `prox` minimise |w - v|^2 / 2 + step * value(w), and do grad and value agree?

    For each step and each v: no w of a fine grid, and none of many random moves away from the
    result, may give a lower objective; prox with step 0 must give v (for a penalty without
    constraint); and grad must be the slope of value away from kinks.

    Parameters
    ----------
    penalty : Penalty
    points : array, optional
        Values of v; by default 41 around 0, as a matrix for group penalties.
    steps : sequence of float

    Returns
    -------
    bool: whether the check passed.

    Raises
    ------
    GradcheckError
        With the penalty, the step, v and both objectives, if a better w was found.
    """
    rng = np.random.default_rng(rng)
    if points is None:
        points = np.concatenate([np.linspace(-4, 4, 37), [0.0, 1e-3, -1e-3, 0.7]])
        points = points if hasattr(penalty, "prox_1d") else rng.normal(size=(5, 4)) * 2
    v = np.asarray(points, np.float64)
    for step in (0.0, *steps):
        problem = _better(penalty, v, step, rng) if step else _moved(penalty, v)
        if problem:
            if raise_exception:
                raise GradcheckError(f"proxcheck: {penalty}: step {step}: {problem}")
            return False
    return True


def _better(penalty, v, step, rng):
    """What is wrong with the prox or the gradient, as a sentence; None if all is well."""

    def objective(w):
        return 0.5 * float(np.square(w - v).sum()) + step * penalty.value(w)

    w = penalty.prox(v, step)
    if w.shape != v.shape or not np.isfinite(w).all():
        return f"expected a finite prox of shape {v.shape}, got shape {w.shape}"
    best = objective(w)
    slack = 1e-9 * max(1.0, abs(best) if math.isfinite(best) else 1.0)
    candidates = [v, np.zeros_like(v)]
    candidates += [
        w + size * rng.standard_normal(v.shape) for size in (1e-4, 1e-2, 1.0) for _ in range(50)
    ]
    if hasattr(penalty, "prox_1d"):  # entry by entry: a grid is exhaustive there
        for i in range(v.size):
            for entry in np.linspace(-5, 5, 401):
                moved = w.copy()
                moved.flat[i] = entry
                candidates.append(moved)
    for other in candidates:
        if objective(other) < best - slack:
            i = int(np.argmax(np.abs(other - w)))
            return (
                f"v = {v.flat[i]:.6g} gives w = {w.flat[i]:.6g} with objective {best:.9g}, but w = "
                f"{other.flat[i]:.6g} gives {objective(other):.9g}"
            )
    return _wrong_slope(penalty, v + 0.01 * rng.standard_normal(v.shape), rng)


def _moved(penalty, v):
    """A sentence about a prox with step 0 that moves a point where the penalty is finite."""
    w = penalty.prox(v, 0.0)
    i = int(np.argmax(np.abs(w - v)))
    if math.isfinite(penalty.value(v)) and abs(w.flat[i] - v.flat[i]) > 1e-12 * abs(v.flat[i]):
        return f"expected v itself, but v = {v.flat[i]:.6g} gives w = {w.flat[i]:.6g}"
    return None


def _wrong_slope(penalty, w, rng):
    """Compare grad with a difference of value in a random direction, for a penalty that has one."""
    try:
        slope = penalty.grad(w)
    except TypeError:
        return None
    direction = rng.standard_normal(w.shape)
    numeric = (penalty.value(w + 1e-7 * direction) - penalty.value(w - 1e-7 * direction)) / 2e-7
    analytic = float((slope * direction).sum())
    rounding = 1e-8 * abs(penalty.value(w))
    if abs(numeric - analytic) > 1e-5 * float(np.abs(slope).sum()) + rounding:
        return f"grad gives a slope of {analytic:.9g}, value one of {numeric:.9g}"
    return None
