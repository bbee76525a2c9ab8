"""The registry's lines of matrix products, convolution and pooling."""

import numpy as np

from microreg.kernels import attention, conv, matmul
from microreg.kernels._gemm import BIAS, BIAS_RELU, NO_BIAS
from microreg.ops.attention import Layout
from microreg.ops.conv import output_size
from microreg.runtime import launch

from .entries import entry

# k, n and the large m: few rows, few columns, read in place, packed, a sum of several parts
PRODUCTS = [(40, 7, 5), (5, 300, 40), (33, 100, 700), (333, 401, 320), (650, 170, 80)]
# image (h, w, c), channels of the result, window, then stride, padding, dilation and groups
IMAGES = {
    "3x3": ((5, 6, 3), 4, (3, 3), (1, 1), (1, 1)),
    "strided, 2 groups": ((7, 6, 4), 6, (3, 2), (2, 1), (1, 0), (1, 1), 2),
    "dilated": ((7, 6, 3), 17, (2, 2), (1, 2), (1, 1), (2, 1)),
}


def geometry(image, channels, window, stride=(1, 1), padding=(0, 0), dilation=(1, 1), groups=1):
    """What `conv.py` calls geometry, and the height and width of the result."""
    sizes = zip(image[:2], window, stride, padding, dilation, strict=True)
    out = tuple(output_size(*size) for size in sizes)
    return np.array([*image, *out, channels, *window, *stride, *padding, *dilation, groups]), out


def products():
    for form in ("nn", "nt", "tn"):

        def operands(d, m, k, n, *batch, form=form):
            a = (k, m) if form == "tn" else (m, k)
            b = (n, k) if form == "nt" else (k, n)
            return d.real(*batch, *a), d.real(*batch, *b), d.new(*batch, m, n)

        for k, n, large in PRODUCTS:
            yield entry(
                getattr(matmul, f"matmul_{form}"),
                lambda d, m, make=operands, k=k, n=n: make(d, m, min(k, 9 * m), min(n, 9 * m)),
                2, large, f"{large}x{k}x{n}",
            )  # fmt: skip
        yield entry(
            getattr(matmul, f"batch_matmul_{form}"),
            lambda d, s, make=operands: make(d, 5, 9, 6, s),
            2, 7,
        )  # fmt: skip

    def linear(d, m, k, n, ending):
        k, n = min(k, 9 * m), min(n, 9 * m)
        return d.real(m, k), d.real(n, k), d.real(n), d.new(m, n), ending

    for k, n, large in PRODUCTS:
        for ending in (BIAS, BIAS_RELU):
            yield entry(
                matmul.linear,
                lambda d, m, k=k, n=n, ending=ending: linear(d, m, k, n, ending),
                2, large, f"{large}x{k}x{n} ending {ending}",
            )  # fmt: skip


def images():
    def forward(d, n, case, ending):
        numbers, out = geometry(*case)
        (h, w, c), o, (kh, kw) = case[:3]
        x, weight = d.real(n, h * w * c), d.real(kh * kw * c // numbers[-1], o)
        return x, weight, d.real(o), numbers, d.new(n, out[0] * out[1] * o), ending

    def backward(d, n, case):
        x, weight, _, numbers, out, _ = forward(d, n, case, NO_BIAS)
        count = conv.conv2d_weight.blocks({"n": n, "m": x.shape[1]})
        return x, d.real(*out.shape), numbers, d.new(count, *weight.shape)

    for note, case in IMAGES.items():
        for ending in (NO_BIAS, BIAS, BIAS_RELU):
            yield entry(
                conv.conv2d,
                lambda d, n, case=case, ending=ending: forward(d, n, case, ending),
                2, 9, f"{note} ending {ending}",
            )  # fmt: skip
        yield entry(conv.conv2d_weight, lambda d, n, case=case: backward(d, n, case), 2, 3500, note)
    yield from pools()


def pools():
    image = (7, 6, 4)
    numbers, out = geometry(image, 4, (3, 2), (2, 1), (1, 1), (1, 2))
    kind = conv.max_pool2d.signature.arrays[-1].dtype

    def pool(d, n):
        x, result = d.integers(-3, 4, n, *image, dtype=d.dtype), d.new(n, *out, 4)
        return x, numbers, result, d.new(n, *out, 4, dtype=kind)

    def backward(d, n):
        g, place = d.real(n, *out, 4), d.integers(0, 6, n, *out, 4, dtype=kind)
        return g, place, numbers, d.new(n, *image)

    rows, columns = np.array([[0, 3], [2, 2], [1, 7]]), np.array([[3, 6], [0, 1]])

    def average(d, n):
        return d.real(n, *image), rows, columns, d.positive(3, 2), d.new(n, 3, 2, 4)

    def spread(d, n):
        return d.real(n, 3, 2, 4), rows, columns, d.positive(3, 2), d.new(n, *image)

    yield entry(conv.avg_pool2d, average, 2, 9)
    yield entry(conv.avg_pool2d_backward, spread, 2, 9)
    yield entry(conv.max_pool2d, pool, 2, 9)
    yield entry(conv.max_pool2d_backward, backward, 2, 9)


def attentions():
    """Queries of several blocks; keys that do not count by every way there is; dropout."""
    heads, queries, keys, depth, width = 2, 70, 9, 5, 3

    def given(d, n, causal, masked):
        shapes = (queries, depth), (keys, depth), (keys, width), (queries, width)
        q, k, v, g = (d.real(n, heads, *shape) for shape in shapes)
        layout = Layout(q, k, v, causal)
        allowed = d.integers(0, 2, n * keys * masked, dtype=np.uint8)
        bias = d.real(n, heads, queries, keys)
        keep = d.integers(0, 2, bias.size * masked, dtype=np.uint8)
        some = [layout.place(name, x) for name, x in (("Q", q), ("K", k), ("V", v))]
        added = layout.place("BIAS", bias) if masked else bias[:0, 0, 0, 0]
        return layout, g, (*some, allowed, added, keep, layout.words)

    def forward(d, n, *how):
        layout, g, some = given(d, n, *how)
        out = layout.place("OUT", d.new(*g.shape))
        return *some, out, d.new(n * heads, queries), 0.7, 1.25

    def backward(d, n, *how):
        layout, g, some = given(d, n, *how)
        out, lse = layout.place("OUT", d.new(*g.shape)), d.new(n * heads, queries)
        launch(attention.attention, *some, out, lse, 0.7, 1.25)
        shapes = {"DQ": (queries, depth), "DK": (keys, depth), "DV": (keys, width)}
        made = [layout.place(name, d.new(n, heads, *shape)) for name, shape in shapes.items()]
        return layout.place("G", g), *some, lse, *made, 0.7, 1.25

    for how in [(False, False), (True, False), (False, True)]:
        for kernel, make in (
            (attention.attention, forward),
            (attention.attention_backward, backward),
        ):
            yield entry(
                kernel,
                lambda d, n, how=how, make=make: make(d, n, *how),
                1, 9, f"causal {how[0]} masked {how[1]}",
            )  # fmt: skip
