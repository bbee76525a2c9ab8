"""Broadcasting over the middle axis on a GPU. Other elementwise kernels need nothing of their own:
the CPU's functions are run on four entries at a time."""

import functools

from .. import lift as cpu
from .._spec import Signature
from ._words import block, blocks, carry, offset, registers, thread
from .plan import THREADS, TWINS
from .teams import column_part, family, four, row_of, row_part


@functools.cache
def _columns(kernel):
    formula, flipped, result = kernel.chosen

    def make(vector):
        def right(a, b, out, width, n, d):
            r, s, y = registers(vector, a[0]), registers(vector, a[0]), registers(vector, out[0])
            j = (block(0) * width + thread() % width) * vector
            if j < d:
                carry(s, offset(b, j), vector)
                lines = THREADS // width
                for i in range(block(1) * lines + thread() // width, n, blocks(1) * lines):
                    carry(r, offset(a, i * d + j), vector)
                    for k in range(vector):
                        y[k] = formula(s[k], r[k]) if flipped else formula(r[k], s[k])
                    carry(offset(out, i * d + j), y, vector)

        return right

    signature = Signature(f"a[n,d] b[] -> out{result}[]")
    return family(make, f"{kernel.name}_columns", signature, "width")


@functools.cache
def _rows(kernel):
    formula, flipped, result = kernel.chosen

    def make(vector):
        def right(a, b, out, width, p, q, s):
            r, y, i = registers(vector, a[0]), registers(vector, out[0]), row_of(width)
            if i < p * q:
                v = b[i % q]
                for j in range(thread() % width * vector, s, width * vector):
                    carry(r, offset(a, i * s + j), vector)
                    for k in range(vector):
                        y[k] = formula(v, r[k]) if flipped else formula(r[k], v)
                    carry(offset(out, i * s + j), y, vector)

        return right

    signature = Signature(f"a[p,q,s] b[] -> out{result}[]")
    return family(make, f"{kernel.name}_rows", signature, "width")


def _middles(kernel, args, device):
    a, b, out = args
    p, q, s = a.shape
    if s == 1:
        a = a.reshape(p, q)
        vector = four(q, a, b, out)
        return [column_part(_columns(kernel)(vector), q, p, vector, (a, b, out))]
    vector = four(s, a, out)
    return [row_part(_rows(kernel)(vector), p * q, s, args, device)]


TWINS[cpu.middles] = _middles
