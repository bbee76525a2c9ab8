"""Matrix products; `_gemm.py` does the work."""

import functools

from .. import matmul as cpu
from .._spec import Signature
from . import _gemm
from ._words import block, blocks, divide, offset, thread, threads
from .plan import ALIGNED, GRID, THREADS, TWINS, Code, Part, address

SIGNATURE = Signature(
    "a[] b[] bias[] -> out[]; m:int64 k:int64 n:int64 splits:int64 part:int64 ending:int64"
)
MERGE = Signature("partial[] bias[] -> out[]; size:int64 n:int64 splits:int64 ending:int64")
LEAST = 256  # terms of a sum that is worth a block of its own
LONGEST = 4096  # terms added up one by one: more would lose digits
STEP = 16  # what a part's length is a multiple of
FORMS = {
    cpu.matmul_nn: "nn", cpu.matmul_nt: "nt", cpu.matmul_tn: "tn", cpu.linear: "nt",
    cpu.batch_matmul_nn: "nn", cpu.batch_matmul_nt: "nt", cpu.batch_matmul_tn: "tn",
}  # fmt: skip


@functools.cache
def product(form, each, vector):
    """The code for a product of this form: n as it is, t transposed."""
    a_flipped, b_flipped = form[0] == "n", form[1] == "t"
    a_source, b_source = _gemm.lines(a_flipped, vector), _gemm.lines(b_flipped, vector)
    tile = _gemm.tile(each, a_source, a_flipped, b_source, b_flipped, vector)
    side = 16 * each

    def body(a, b, bias, out, m, k, n, splits, part, ending):
        a_line, b_line = (k if a_flipped else m), (k if b_flipped else n)
        z = block(2)
        s, q = divide(z, splits)
        tile(
            offset(a, s * m * k), (a_line,), offset(b, s * k * n), (b_line,), bias,
            offset(out, z * m * n), m, n, q * part, min(k, (q + 1) * part), n, ending,
        )  # fmt: skip

    name = f"product_{form}_{side}{'_vector' if vector else ''}"
    return Code(body, SIGNATURE, name=name, fewest=2 if each == 8 else None)


def _merge(partial, bias, out, size, n, splits, ending):
    """out[z] = the sum of the partial products z * splits, ..., in order, and what follows."""
    z, i = block(1), block(0) * threads() + thread()
    while i < size:
        total = partial[z * splits * size + i]
        for s in range(1, splits):
            total += partial[(z * splits + s) * size + i]
        if ending != _gemm.NONE:
            total += bias[i % n]
            total = type(total)(0) if ending == _gemm.BIAS_RELU and total <= 0 else total
        out[z * size + i] = total
        i += blocks(0) * threads()


merge = Code(_merge, MERGE, name="merge_products")


def launches(kernel, args, device):
    """One launch, or two where few tiles have long sums: parts of the sums, and their sum."""
    form = FORMS[kernel]
    a, b, *bias, out = args[: 4 if kernel is cpu.linear else 3]
    ending = args[4] if kernel is cpu.linear else _gemm.NONE
    batch = out.shape[0] if out.ndim == 3 else 1
    m, n = out.shape[-2:]
    k = a.shape[-1] if form[0] == "n" else a.shape[-2]
    bias = bias[0] if bias else out
    return run(form, a, b, bias, out, (m, k, n, batch), ending, device)


def run(form, a, b, bias, out, shape, ending, device):
    m, k, n, batch = shape
    along = (n, m if form[0] == "t" else k)
    vector = all(d % 4 == 0 for d in along) and all(address(x) % ALIGNED == 0 for x in (a, b, out))
    tiles = -(-m // 64) * -(-n // 64) * batch
    wide = vector and a.itemsize == 4 and min(m, n) >= 128 and tiles >= 8 * device.multiprocessors
    code = product(form, 8 if wide else 4, vector)
    side = 128 if wide else 64
    grid = -(-m // side), -(-n // side)
    splits, part = divided(k, grid[0] * grid[1] * batch, device) if batch == 1 else (1, k)
    target = out if splits == 1 else device.empty((splits, m, n), out.dtype)
    after = ending if splits == 1 else _gemm.NONE
    numbers = m, k, n, splits, part, after
    yield Part(code, (*grid, batch * splits), _gemm.THREADS, (a, b, bias, target, *numbers))
    if splits > 1:
        yield merged(target, bias, out, 1, splits, ending)


def divided(k, tiles, device):
    """(how many parts, their length) of sums of k terms for so many tiles, to keep a GPU busy."""
    missing = 2 * device.multiprocessors // max(1, tiles)
    part = min(LONGEST, max(LEAST, -(-k // max(1, missing))))
    part = -(-part // STEP) * STEP
    return max(1, -(-k // part)), part


def merged(partial, bias, out, many, splits, ending):
    """The sums of parts, `many` times."""
    size, n = out.size // many, out.shape[-1]
    grid = max(1, min(GRID, -(-size // THREADS))), many, 1
    return Part(merge, grid, THREADS, (partial, bias, out, size, n, splits, ending))


TWINS.update(dict.fromkeys(FORMS, launches))
