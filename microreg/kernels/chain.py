"""Several kernels on a tile of rows, then on the next: what one hands on stays in the cache.

`subs`, int64, describes them: a head of HEAD words [kernels, rows, rows in a tile, words of a
thread's memory], then for each kernel

    [entry, words in its row, where its row lies in the thread's memory, in bytes,
     which word is the number of rows, how much it counts for one row, moves]
    for each word of its row  [kind, value], see below
    for each move             [word, bytes from one row to the next]
"""

from ._jit import kernel
from ._native import address, call, load, store

HEAD, SUB = 4, 6
CONSTANT, ARRAY, BUFFER = (
    0,
    1,
    2,
)  # kinds: a value; the array in that word of this row; thread's own


@kernel("memory:int64[threads,words] description:int64[n]; row tid nt", split="threads")
def run_tiles(memory, description, row, tid, nt):
    """Run this thread's tiles. The row goes on behind the two with the arrays of the chain."""
    subs = address(description)
    count, rows, tile = load(subs), load(subs + 8), load(subs + 16)
    mine = address(memory) + 8 * tid * load(subs + 24)
    at = subs + 8 * HEAD
    for _ in range(count):
        words, to = load(at + 8), mine + load(at + 16)
        moves = load(at + 40)
        at += 8 * SUB
        for w in range(words):
            kind, value = load(at), load(at + 8)
            if kind == ARRAY:
                value = load(row + 8 * value)
            elif kind == BUFFER:
                value += mine
            store(to + 8 * w, value)
            at += 16
        for _ in range(moves):
            word = to + 8 * load(at)
            store(word, load(word) + load(at + 8) * tile * tid)
            at += 16
    for t in range(tid, (rows + tile - 1) // tile, nt):
        size = min(tile, rows - t * tile)
        at = subs + 8 * HEAD
        for _ in range(count):
            to = mine + load(at + 16)
            store(to + 8 * load(at + 24), size * load(at + 32))
            call(load(at), to, 0, 1)
            moves = load(at + 40)
            at += 8 * SUB + 16 * load(at + 8)
            for _ in range(moves):
                word = to + 8 * load(at)
                store(word, load(word) + load(at + 8) * tile * nt)
                at += 16
