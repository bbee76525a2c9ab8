"""One launch for the updates of parameters that lie side by side.

Parameters of an optimizer and their state lie in flat arenas. If their gradients are laid out the
same way, one launch over the whole stretch does what a launch for each parameter would do.
"""

import numpy as np

from . import cpu
from .plan import LINE, Ref


def join_updates(plan, taken):
    """Join what can be joined; (places of the gradients, bytes they take, slots joined)."""
    fixed, end, joined, steps, run = {}, 0, [], [], []

    def close():
        nonlocal end
        if len(run) > 1:
            first, last = run[0], run[-1]
            start = cpu.address(first.args[3])
            size = cpu.address(last.args[3]) + last.args[3].nbytes - start
            for step in run:
                fixed[step.args[0].owner] = end + cpu.address(step.args[3]) - start
            count = size // first.args[3].itemsize
            gradient = first.args[0]._replace(nbytes=size, shape=(count,))
            arrays = [_stretch(a, count) for a in first.args[3:]]
            steps.append(first._replace(args=(gradient, *first.args[1:3], *arrays)))
            end += -(-size // LINE) * LINE
            joined.append([step.note for step in run])
        else:
            steps.extend(run)
        run.clear()

    for step in plan.steps:
        if not _is_update(step, plan, taken):
            close()
            steps.append(step)
        elif run and not _follows(run[-1], step):
            close()
            run.append(step)
        else:
            run.append(step)
    close()
    plan.steps = steps
    return fixed, end, joined


def still_equal(slots):
    """Whether the penalties' numbers of updates that were joined are the same as each other's."""
    return all(np.array_equal(slots[0].params, slot.params) for slot in slots[1:])


def _is_update(step, plan, taken):
    """Whether a step updates one parameter from a gradient that is all of its owner's memory."""
    slot = step.note
    if not hasattr(slot, "home") or slot.plan.joint is not None or step.kernel.split != "n":
        return False
    g = step.args[0]
    return (
        isinstance(g, Ref)
        and g.owner not in taken
        and g.nbytes == plan.sizes[g.owner]
        and cpu.address(step.args[3]) % LINE == 0
    )


def _follows(one, other):
    """Whether `other` updates what lies behind `one`, in the same way."""
    behind = cpu.address(one.args[3]) + -(-one.args[3].nbytes // LINE) * LINE
    return (
        one.kernel is other.kernel
        and cpu.address(one.args[1]) == cpu.address(other.args[1])
        and np.array_equal(one.args[2], other.args[2])
        and cpu.address(other.args[3]) - behind in range(0, LINE)
        and one.args[0].owner != other.args[0].owner
        and len(one.args) == len(other.args)
    )


def _stretch(array, count):
    """`count` numbers from where an array of an arena begins."""
    owner = array
    while isinstance(owner.base, type(array)):
        owner = owner.base
    start = (cpu.address(array) - cpu.address(owner)) // array.itemsize
    return owner[start : start + count]
