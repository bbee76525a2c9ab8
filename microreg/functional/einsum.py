"""Sums of products of tensors, their axes named by letters."""

import math

from ..errors import ShapeError
from ._inputs import a_tensor


def einsum(equation, *operands):
    """Einstein's sum: einsum("ij,jk->ik", a, b)[i, k] = sum_j a[i, j] * b[j, k].

    A letter for each axis of each operand; a letter that the result lacks is summed over; "..." is
    any number of axes, which broadcast. Without "->" the result has "..." and then the letters
    that occur once, in alphabetical order. Operands are taken in from left to right, each pair by
    one matrix product.
    """
    if len(operands) == 1 and isinstance(operands[0], (tuple, list)):
        operands = tuple(operands[0])
    tensors = [a_tensor(x, "einsum", f"operands[{i}]") for i, x in enumerate(operands)]
    given, wanted = _parsed(equation, tensors)
    sizes = _sizes(equation, tensors, given)
    pairs = [_distinct(x, labels, sizes) for x, labels in zip(tensors, given, strict=True)]
    out = None
    for i, pair in enumerate(pairs):
        later = {*wanted, *(label for _, labels in pairs[i + 1 :] for label in labels)}
        if out is None:
            out = _summed(*pair, later)
        else:
            pair = _summed(*pair, {*later, *out[1]})
            out = _contracted(*out, *pair, later)
    x, labels = out
    missing = [label for label in wanted if label not in labels]
    x = x.reshape(*x.shape, *[1] * len(missing))
    labels = [*labels, *missing]
    return x.permute([labels.index(label) for label in wanted]) if wanted else x


def _parsed(equation, tensors):
    """The labels of each operand, and of the result: letters, and numbers for what "..." stands."""
    text, arrow, result = equation.replace(" ", "").partition("->")
    terms = text.split(",")
    if len(terms) != len(tensors):
        raise ShapeError(
            f"einsum({equation!r}): expected {len(terms)} operands, got {len(tensors)}"
        )
    spare = [x.ndim - len(t.replace("...", "")) for t, x in zip(terms, tensors, strict=True)]
    for term, n, x in zip(terms, spare, tensors, strict=True):
        if n < 0 or (n and "..." not in term):
            raise ShapeError(
                f"einsum({equation!r}): expected an axis for each letter of {term!r}, got shape "
                f"{x.shape}"
            )
    most = max((n for term, n in zip(terms, spare, strict=True) if "..." in term), default=0)

    def labels(term, n):
        ahead, dots, behind = term.partition("...")
        if not all(c.isalpha() for c in ahead + behind):
            raise ValueError(f"einsum({equation!r}): expected letters and '...', got {term!r}")
        return [*ahead, *(range(most - n, most) if dots else ()), *behind]

    given = [labels(term, n) for term, n in zip(terms, spare, strict=True)]
    if arrow:
        wanted = labels(result, most)
        if len(set(wanted)) < len(wanted) or not set(wanted) <= {c for one in given for c in one}:
            raise ValueError(
                f"einsum({equation!r}): expected in the result letters of the operands"
            )
        return given, wanted
    letters = [c for one in given for c in one if isinstance(c, str)]
    once = sorted(c for c in set(letters) if letters.count(c) == 1)
    return given, [*(range(most) if "..." in text else ()), *once]


def _sizes(equation, tensors, given):
    """The length of each label's axis; one of length 1 broadcasts."""
    sizes = {}
    for x, labels in zip(tensors, given, strict=True):
        for label, n in zip(labels, x.shape, strict=True):
            known = sizes.setdefault(label, n)
            if known != n and 1 not in (known, n):
                name = label if isinstance(label, str) else "..."
                raise ShapeError(f"einsum({equation!r}): {name} has length {known} and {n}")
            sizes[label] = n if known == 1 else known
    return sizes


def _distinct(x, labels, sizes):
    """x with each label once, by diagonals, and without axes of length 1 that broadcast."""
    kept = [i for i, label in enumerate(labels) if x.shape[i] == sizes[label]]
    x, labels = x.reshape([x.shape[i] for i in kept]), [labels[i] for i in kept]
    for label in set(labels):
        while labels.count(label) > 1:
            i = labels.index(label)
            j = labels.index(label, i + 1)
            n, rest = sizes[label], [k for k in range(x.ndim) if k not in (i, j)]
            x = x.permute([*rest, i, j]).reshape(*[x.shape[k] for k in rest], n * n)
            x, labels = x[..., :: n + 1], [*[labels[k] for k in rest], label]
    return x, labels


def _summed(x, labels, kept):
    """x summed over the labels that nobody else has."""
    alone = tuple(i for i, label in enumerate(labels) if label not in kept)
    return (x.sum(alone) if alone else x), [label for label in labels if label in kept]


def _contracted(a, in_a, b, in_b, kept):
    """The product of two operands, summed over the labels that are not kept."""
    batch = [c for c in in_a if c in in_b and c in kept]
    summed = [c for c in in_a if c in in_b and c not in kept]
    rows = [c for c in in_a if c not in in_b]
    columns = [c for c in in_b if c not in in_a]

    def arranged(x, labels, *groups):
        """x with an axis for each group of labels."""
        order = [labels.index(c) for group in groups for c in group]
        shape = [math.prod(x.shape[labels.index(c)] for c in group) for group in groups]
        return (x.permute(order) if order else x).reshape(shape)

    size = {**dict(zip(in_a, a.shape, strict=True)), **dict(zip(in_b, b.shape, strict=True))}
    if not summed:
        out = arranged(a, in_a, batch, rows, []) * arranged(b, in_b, batch, [], columns)
    elif not rows and not columns:
        out = (arranged(a, in_a, batch, summed) * arranged(b, in_b, batch, summed)).sum(-1)
    elif not batch:
        out = arranged(a, in_a, rows, summed) @ arranged(b, in_b, summed, columns)
    else:
        out = arranged(a, in_a, batch, rows, summed) @ arranged(b, in_b, batch, summed, columns)
    labels = [*batch, *rows, *columns]
    return out.reshape([size[c] for c in labels]), labels
