"""What training does around a step, on a GPU."""

from .. import batch as cpu
from .._spec import Signature
from ._words import block, blocks, divide, offset, shared, thread
from .plan import GRID, THREADS, TWINS, Code, Part, address, three
from .reduce import warp_place
from .teams import WARP, team_sum


def _take(x, order, cursor, out, size, d):
    """out[i] = x[order[cursor + i]], rows of d words."""
    at = block(0) * THREADS + thread()
    while at < size:
        i, j = divide(at, d)
        out[at] = x[order[cursor[0] + i] * d + j]
        at += blocks(0) * THREADS


_BYTES, _WORDS = (
    Code(
        _take,
        Signature(f"x:{kind}[] order:int64[] cursor:int64[] -> out:{kind}[]; size:int64 d:int64"),
        name=f"take_batch_{kind}",
    )
    for kind in ("uint8", "uint32")
)


def _take_batch(kernel, args, device):
    """Rows whose length allows it are copied by words of four bytes."""
    x, order, cursor, out = args
    wide = x.shape[1] % 4 == 0 and address(x) % 4 == address(out) % 4 == 0
    if wide:
        x, out = x.view("u4"), out.view("u4")
    grid = max(1, min(GRID, -(-out.size // THREADS)))
    numbers = out.size, out.shape[1]
    return [
        Part(_WORDS if wide else _BYTES, three(grid), THREADS, (x, order, cursor, out, *numbers))
    ]


TWINS[cpu.take_batch] = _take_batch


def _counted(kernel, function):
    """A kernel that counts rows of the CPU's blocks: a block for each, a warp for each row."""
    code = Code(function, kernel.signature, name=kernel.name)
    code.scalars = [*Signature("-> out[]; rows:int64").scalars]

    def launches(kernel, args, device):
        rows = kernel.rows({"d": args[0].shape[1]})
        return [Part(code, three(max(1, args[-1].size)), THREADS, (*args, rows))]

    TWINS[kernel] = launches


def _right_labels(scores, labels, right, rows, n, d):
    """right[b] = in how many rows of block b the largest score is the label's."""
    memory, total = shared(32, scores[0]), type(scores[0])(0)
    last = min(n, (block(0) + 1) * rows)
    for i in range(block(0) * rows + thread() // WARP, last, THREADS // WARP):
        place = warp_place(offset(scores, i * d), d)
        if thread() % WARP == 0 and place == labels[i]:
            total += type(total)(1)
    total = team_sum(total, THREADS, memory)
    if thread() == 0:
        right[block(0)] = total


def _right_signs(logits, targets, right, rows, n, d):
    """right[b] = in how many rows of block b each logit is positive just where the target is 1."""
    memory, half = shared(32, logits[0]), type(logits[0])(0.5)
    total, last = type(half)(0), min(n, (block(0) + 1) * rows)
    for i in range(block(0) * rows + thread() // WARP, last, THREADS // WARP):
        wrong = type(half)(0)
        for j in range(thread() % WARP, d, WARP):
            if (logits[i * d + j] > type(half)(0)) != (targets[i * d + j] > half):
                wrong = type(half)(1)
        wrong = team_sum(wrong, WARP, memory)
        if thread() % WARP == 0 and wrong == type(half)(0):
            total += type(half)(1)
    total = team_sum(total, THREADS, memory)
    if thread() == 0:
        right[block(0)] = total


_counted(cpu.right_labels, _right_labels)
_counted(cpu.right_signs, _right_signs)
