"""Lines of the table of ops: reductions, products, shapes, chosen entries."""

import math

import numpy as np

from .naive import kept
from .table import (
    ANY,
    CUBE,
    EMPTY,
    LARGE,
    PAIRS,
    SOLID,
    apart,
    each,
    line,
    off_zero,
    one,
    real,
)
from .table_elementwise import given

some_zeros = each(lambda rng, shape: rng.normal(size=shape) * rng.integers(0, 3, shape).clip(0, 1))
INF = math.inf
TWO = one((3, 4), (4, 2), (2, 3, 3))


def naive_vector_norm(ord, axis=None, keepdims=False):
    def norm(x):
        size = abs(x)
        if ord == 0:
            return (x != 0).sum(axis, keepdims=keepdims) * 1.0
        if abs(ord) == INF:
            return (size.max if ord > 0 else size.min)(axis, keepdims=keepdims)
        return (size**ord).sum(axis, keepdims=keepdims) ** (1 / ord)

    return norm


ORDERS = [2, 1, 3, 0.5, -1, INF, -INF, 0]
REDUCTIONS = [
    line("prod", lambda m, x: m.prod(x), off_zero, ANY, np.prod),
    line("prod 0", lambda m, x: x.prod(0), off_zero, SOLID, lambda x: x.prod(0)),
    line(
        "prod kept", lambda m, x: x.prod(1, keepdim=True), real, CUBE + LARGE[1:2], kept(np.prod, 1)
    ),
    line(
        "prod of zeros",
        lambda m, x: x.prod(-1),
        some_zeros,
        CUBE + one((9, 2), (3, 1)),
        lambda x: x.prod(-1),
    ),
    line("logsumexp 0", lambda m, x: m.logsumexp(x, 0), real, SOLID),
    line("logsumexp 1, -1", lambda m, x: x.logsumexp((1, -1), True), real, CUBE + LARGE[1:]),
    line("logsumexp far", lambda m, x: (x * 900).logsumexp(-1), apart, SOLID),
    *[
        line(
            f"cumsum {d}",
            lambda m, x, d=d: m.cumsum(x, d),
            real,
            shapes,
            lambda x, d=d: x.cumsum(d),
        )
        for d, shapes in ((0, SOLID + EMPTY), (-1, SOLID + LARGE), (1, CUBE))
    ],
    line("cumsum of a number", lambda m, x: x.cumsum(0), real, one(())),
    line("max", lambda m, x: m.max(x), apart, ANY[:-1], np.max),
    line("min", lambda m, x: x.min(), apart, ANY[:-1], np.min),
    line("max 0", lambda m, x: x.max(0)[0], apart, SOLID, lambda x: x.max(0)),
    line("max kept", lambda m, x: m.max(x, -1, keepdim=True).values, apart, SOLID),
    line("min 1", lambda m, x: m.min(x, 1).values, apart, CUBE, lambda x: x.min(1)),
    line("max other", lambda m, a, b: m.max(a, b), apart, [((2, 3), (3,))], np.maximum),
    line("std of equals", lambda m, x: (x * 0 + 3).std(0) + x.sum(), real, one((4,), (3, 2))),
    line(
        "std biased", lambda m, x: m.std(x, 0, False), real, one((4,), (3, 2)), lambda x: x.std(0)
    ),
    line("var(False)", lambda m, x: x.var(False), real, one((4,), (3, 2)), np.var),
    *[
        line(
            f"vector_norm {p}",
            lambda m, x, p=p: m.linalg.vector_norm(x, p) * 1.5 + x.sum(),
            off_zero,
            SOLID,
            lambda x, p=p: naive_vector_norm(p)(x) * 1.5 + x.sum(),
        )
        for p in ORDERS
    ],
    *[
        line(
            f"vector_norm {p}, 1, 2, kept",
            lambda m, x, p=p: m.linalg.vector_norm(x, p, (1, 2), keepdim=True) * x.mean(),
            off_zero,
            CUBE,
            lambda x, p=p: naive_vector_norm(p, (1, 2), True)(x) * x.mean(),
        )
        for p in ORDERS
    ],
    *[
        line(
            f"norm of zeros {p}",
            lambda m, x, p=p: (x * m.tensor([1.0, 0.0])).norm(p, 0),
            apart,
            one((3, 2)),
        )
        for p in (2, 1, 3, 1.5)
    ],
    line("norm", lambda m, x: m.norm(x), real, ANY[1:-1]),
    line("norm 3, -1", lambda m, x: x.norm(3, -1, True), off_zero, SOLID),
    line("linalg.norm", lambda m, x: m.linalg.norm(x), real, SOLID),
    *[
        line(
            f"linalg.norm {p}",
            lambda m, x, p=p: m.linalg.norm(x, p),
            apart,
            one((3, 5), (1, 4)),
            lambda x, p=p: np.linalg.norm(x, p),
        )
        for p in ("fro", 1, -1, INF, -INF)
    ],
    line("linalg.norm 1, (0, 2)", lambda m, x: m.linalg.norm(x, 1, (0, 2)), apart, CUBE),
    line("linalg.norm inf, (2, 0)", lambda m, x: m.linalg.norm(x, INF, (2, 0), True), apart, CUBE),
    line("linalg.norm 3, 1", lambda m, x: m.linalg.norm(x, 3, 1), off_zero, CUBE),
    line("softmax of a number", lambda m, x: m.softmax(x, 0) + x, real, one(())),
    line("log_softmax of a number", lambda m, x: x.log_softmax(-1) + x, real, one(())),
    line("sum()", lambda m, x: x.sum(()), real, CUBE, np.sum),
]
EINSUMS = {
    "ij,jk->ik": [((3, 4), (4, 2)), ((0, 4), (4, 2))],
    "ij,jk": [((3, 4), (4, 2))],
    "ij,kj->ki": [((3, 4), (2, 4))],
    "i,i->": [((4,), (4,))],
    "i,j->ij": [((3,), (2,))],
    "ij,ij->ij": [((3, 4), (3, 4))],
    "ij,ij->i": [((3, 4), (3, 4))],
    "bij,bjk->bik": [((2, 3, 4), (2, 4, 2))],
    "bhqd,bhkd->bhqk": [((2, 2, 3, 4), (2, 2, 5, 4))],
    "...ij,...jk->...ik": [((2, 3, 4), (2, 4, 2)), ((3, 4), (2, 4, 5)), ((2, 1, 3, 4), (3, 4, 2))],
    "...i,i->...": [((2, 3, 4), (4,)), ((4,), (4,))],
    "ii->i": [((3, 3),)],
    "ii": [((3, 3),)],
    "iji->j": [((3, 2, 3),)],
    "ijk->kij": [((2, 3, 4),)],
    "ijk->j": [((2, 3, 4),)],
    "ba": [((2, 3),)],
    "i,ij,j->": [((3,), (3, 4), (4,))],
    "ij,jk,kl->il": [((2, 3), (3, 4), (4, 2))],
    "aij,bij->ab": [((2, 3, 4), (5, 3, 4))],
    "ij,j->ij": [((1, 3), (3,)), ((2, 1), (4,))],
}
PRODUCTS = [
    line("mm", lambda m, a, b: m.mm(a, b), real, [((3, 4), (4, 2))], np.matmul),
    line("bmm", lambda m, a, b: a.bmm(b), real, [((2, 3, 4), (2, 4, 5))], np.matmul),
    line("mv", lambda m, a, b: m.mv(a, b), real, [((3, 4), (4,))], np.matmul),
    line("dot", lambda m, a, b: a.dot(b), real, [((4,), (4,)), ((0,), (0,))], np.dot),
    line("outer", lambda m, a, b: m.outer(a, b), real, [((3,), (4,))], np.outer),
    line(
        "addmm",
        lambda m, *xs: m.addmm(*xs),
        real,
        [((3, 2), (3, 4), (4, 2)), ((2,), (3, 4), (4, 2))],
    ),
    line(
        "addmm 0.3, 2",
        lambda m, x, a, b: x.addmm(a, b, beta=0.3, alpha=2),
        real,
        [((3, 2), (3, 4), (4, 2))],
        lambda x, a, b: 0.3 * x + 2 * a @ b,
    ),
    *[
        line(
            f"einsum {text}",
            lambda m, *xs, text=text: m.einsum(text, *xs),
            real,
            shapes,
            lambda *xs, text=text: np.einsum(text, *xs),
        )
        for text, shapes in EINSUMS.items()
    ],
]
PADS = [
    ((1, 2), "constant", None),
    ((1, 0, 0, 2), "constant", 0.7),
    ((-1, 2, 1, -1), "constant", -1.5),
    ((0, -1), "constant", None),
]
PADDED = [((2, 1), "reflect"), ((0, 2), "replicate"), ((3, 1), "circular")]
CUBES = one((2, 3, 4), (1, 2, 3))
PLACES = {
    "0": (0, [[1, 0, 1], [0, 0, 1]]),
    "1": (1, [[2, 0, 1, 1], [0, 0, 2, 1]]),
    "-1, shorter": (-1, [[2], [0]]),
}
SHAPES = [
    *[
        line(f"pad {w} {how}", lambda m, x, a=(w, how, v): m.pad(x, *a), real, CUBES)
        for w, how, v in PADS
    ],
    *[
        line(f"pad {w} {how}", lambda m, x, a=(w, how): m.pad(x, *a), real, one((2, 3, 4)))
        for w, how in PADDED
    ],
    line("pad 2d reflect", lambda m, x: m.pad(x, (1, 2, 2, 0), "reflect"), real, one((1, 2, 3, 4))),
    line("split 2", lambda m, x: x.split(2)[0] * 2, real, one((3, 2), (4,))),
    line("split 2, last", lambda m, x: m.split(x, 2, 1)[-1], real, CUBE),
    line("split sizes", lambda m, x: m.cat(m.split(x, [1, 0, 2], -1)[::-1], -1), real, one((2, 3))),
    line("chunk", lambda m, x: m.chunk(x, 2, -1)[1], real, one((5,), (2, 3))),
    line(
        "repeat",
        lambda m, x: x.repeat(2, 3),
        real,
        one((2,), (2, 1), ()),
        lambda x: np.tile(x, (2, 3)),
    ),
    line(
        "repeat 2",
        lambda m, x: x.repeat(2, 1, 1, 3),
        real,
        CUBE,
        lambda x: np.tile(x, (2, 1, 1, 3)),
    ),
    line("flip", lambda m, x: m.flip(x, (0, -1)), real, TWO, lambda x: np.flip(x, (0, -1))),
    line("flip 1", lambda m, x: x.flip(1), real, CUBE, lambda x: np.flip(x, 1)),
    *[
        line(
            f"{n} {k}",
            lambda m, x, n=n, k=k: getattr(m, n)(x, k),
            real,
            TWO,
            lambda x, n=n, k=k: getattr(np, n)(x, k),
        )
        for n, k in (("tril", 0), ("tril", -1), ("triu", 0), ("triu", 1), ("triu", -5))
    ],
    *[
        line(
            f"gather {n}",
            lambda m, x, d=d, i=i: m.gather(x, d, m.tensor(np.array(i))),
            real,
            one((2, 3)),
            lambda x, d=d, i=i: np.take_along_axis(x, np.array(i), d),
        )
        for n, (d, i) in PLACES.items()
    ],
    line(
        "gather cut", lambda m, x: x.gather(1, m.tensor(np.array([[[2, 1]]]))), real, one((2, 3, 4))
    ),
    line("gather of a number", lambda m, x: x.gather(0, m.tensor(0)), real, one(())),
    *[
        line(
            f"index_select {d}",
            lambda m, x, d=d: m.index_select(x, d, m.tensor(np.array([1, 0, 1]))),
            real,
            CUBES[:1],
            lambda x, d=d: np.take(x, [1, 0, 1], d),
        )
        for d in (0, 1, -1)
    ],
    line("sort", lambda m, x: m.sort(x)[0], apart, SOLID, lambda x: np.sort(x)),
    line("sort 0, down", lambda m, x: x.sort(0, descending=True).values, apart, SOLID),
    line("topk", lambda m, x: m.topk(x, 2)[0], apart, CUBE),
    line("topk 1, least", lambda m, x: x.topk(1, 1, largest=False).values, apart, CUBE),
    line("broadcast_to", lambda m, x: m.broadcast_to(x, (2, 3, 4)), real, one((4,), (3, 1), ())),
    line("expand_as", lambda m, a, b: a.expand_as(b) * b, real, [((3,), (2, 3))]),
    line("view_as", lambda m, a, b: a.view_as(b) * b, real, [((6,), (2, 3))]),
    line("mT", lambda m, x: x.mT, real, CUBE, lambda x: x.swapaxes(1, 2)),
    line("iterated", lambda m, x: sum(row * i for i, row in enumerate(x)), real, one((3,), (3, 2))),
    line("cat of an empty vector", lambda m, x: m.cat([m.tensor([]), x, x]), real, one((2, 3))),
    line("embedding", lambda m, w: m.embedding(m.tensor([[1, 0], [2, 1]]), w), real, one((3, 4))),
    given("flatten", 1, shapes=CUBE),
    given("unsqueeze", 1, shapes=CUBE),
    given("squeeze", 0, shapes=one((1, 3), (2, 1))),
    given("permute", (1, 0, 2), shapes=CUBE),
    given("transpose", 0, 1, shapes=CUBE),
    given("reshape", (-1,), shapes=CUBE),
    given("t", shapes=one((2, 3), (4,))),
]

WHOLE = [  # from floats to integers: where entries are
    line("argmax", lambda m, x: m.argmax(x), apart, ANY[:-1] + LARGE, np.argmax),
    line("argmin", lambda m, x: x.argmin(), apart, ANY[:-1], np.argmin),
    line("argmax 0", lambda m, x: x.argmax(0), apart, SOLID, lambda x: x.argmax(0)),
    line("argmin kept", lambda m, x: m.argmin(x, 1, True), apart, CUBE),
    line("max indices", lambda m, x: x.max(-1).indices, apart, SOLID),
    line("min indices", lambda m, x: m.min(x, 0, keepdim=True)[1], apart, SOLID),
    line("argsort", lambda m, x: m.argsort(x, stable=True), apart, SOLID, np.argsort),
    line("sort indices", lambda m, x: x.sort(0, descending=True)[1], apart, SOLID),
    line("topk indices", lambda m, x: m.topk(x, 2, largest=False).indices, apart, CUBE),
    line("one_hot", lambda m, x: m.one_hot(abs(x * 9).long() % 5, 5), apart, SOLID),
    line("count", lambda m, x: (x > 0.1).sum(0), apart, SOLID, lambda x: (x > 0.1).sum(0)),
    line(
        "bits", lambda m, x: ((x * 9).long() & 5) | ((x * 7).long() ^ ~(x * 3).long()), apart, SOLID
    ),
    line("long cumsum", lambda m, x: (x * 9).long().cumsum(0), apart, SOLID),
    line("long prod", lambda m, x: (x * 99).long().prod(-1), apart, SOLID),
    line("long max", lambda m, x: (x * 99).long().amax(-1), apart, SOLID),
    line("long // 4", lambda m, x: (x * 99).long() // 4, apart, SOLID),
    line("-7 % long", lambda m, x: -7 % ((x * 99).long() * 2 + 1), apart, SOLID),
    line(
        "long trunc", lambda m, x: m.div((x * 99).long(), -4, rounding_mode="trunc"), apart, SOLID
    ),
    line("where long", lambda m, x: m.where(x > 0, (x * 9).long(), 7), apart, SOLID),
    line("tril long", lambda m, x: (x * 99).long().tril(), apart, CUBE),
    line(
        "gather long", lambda m, x: (x * 99).long().gather(-1, m.argmin(x, -1, True)), apart, CUBE
    ),
    line("pad long", lambda m, x: m.pad((x * 99).long(), (1, 2), value=3), apart, SOLID),
    line(
        "-, abs, sign long", lambda m, x: -(x * 9).long().sign() * abs((x * 9).long()), apart, SOLID
    ),
    line("round long", lambda m, x: (x * 9).long().round().floor().ceil().relu(), apart, SOLID),
]
LOGICAL = [  # from floats to bools
    line("any", lambda m, x: m.any(x > 0.1), apart, ANY, lambda x: (x > 0.1).any()),
    line("all 0", lambda m, x: m.all(x > -0.1, 0), apart, SOLID, lambda x: (x > -0.1).all(0)),
    line("any kept", lambda m, x: (x > 0.2).any(-1, keepdim=True), apart, SOLID),
    line("isnan", lambda m, x: m.isnan(x), apart, ANY, np.isnan),
    line("isinf", lambda m, x: m.isinf(x), apart, ANY, np.isinf),
    line("isfinite", lambda m, x: x.isfinite(), apart, ANY, np.isfinite),
    line("&", lambda m, a, b: (a > 0) & (b > 0), apart, PAIRS, lambda a, b: (a > 0) & (b > 0)),
    line("^ |", lambda m, a, b: ((a > 0) ^ (b > 0)) | (a > b), apart, PAIRS),
    line("~", lambda m, x: ~(x > 0), apart, ANY, lambda x: ~(x > 0)),
    line("True ^", lambda m, x: True ^ (x > 0), apart, ANY, lambda x: ~(x > 0)),
    line("1d == 0d", lambda m, a, b: a.long() == b, apart, [((3,), ())]),
]
