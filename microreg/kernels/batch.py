"""What training does around a step: take the next rows, and keep count of loss and accuracy."""

import math

from ._jit import kernel


@kernel("x:uint8[n,d] order:int64[n] cursor:int64[1] -> out:uint8[b,d]; start", split="b")
def take_batch(x, order, cursor, out, start):
    """out[i] = x[order[cursor + i]], rows as bytes; behind the end the last one again."""
    first = cursor[0] + start
    for i in range(out.shape[0]):
        row, target = x[order[min(first + i, order.size - 1)]], out[i]
        for j in range(target.size):
            target[j] = row[j]


@kernel("scores[n,d] labels:int64[n] -> right:float64[blocks]", split="n")
def right_labels(scores, labels, right):
    """right[b] = in how many rows of block b the largest score, the first at a tie, is the label's.

    A NaN is larger than any number.
    """
    total = 0
    for i in range(labels.size):
        row = scores[i]
        place = 0
        for j in range(1, row.size):
            best = row[place]
            if row[j] > best or (row[j] != row[j] and best == best):
                place = j
        total += 1 if place == labels[i] else 0
    right[0] = float(total)


@kernel("logits[n,d] targets[n,d] -> right:float64[blocks]", split="n")
def right_signs(logits, targets, right):
    """right[b] = in how many rows of block b each logit is positive just where the target is 1."""
    total = 0
    for i in range(logits.shape[0]):
        row, target = logits[i], targets[i]
        wrong = 0
        for j in range(row.size):
            wrong += 1 if (row[j] > 0) != (target[j] > 0.5) else 0
        total += 1 if wrong == 0 else 0
    right[0] = float(total)


@kernel(
    "loss[one] right:float64[b] -> totals:float64[3] cursor:int64[1] stop:int64[1]; rows:int64",
    stops=True,
)
def tally(loss, right, totals, cursor, stop, rows):
    """totals += [rows * loss, sum of right], totals[2] = loss; the cursor moves past the rows.

    At a loss that is not finite nothing is added and the run ends.
    """
    value = float(loss[0])
    totals[2] = value
    if not math.isfinite(value):
        stop[0] = 1
        return
    totals[0] += value * rows
    for i in range(right.size):
        totals[1] += right[i]
    cursor[0] += rows
