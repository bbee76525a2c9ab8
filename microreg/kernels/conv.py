"""Windows over images: im2col and its adjoint for convolution, and max pooling.

Position (u, v) of the window at output place (i, j) reads the input at
(i * stride_h + u * dil_h - pad_h, j * stride_w + v * dil_w - pad_w); outside the image im2col reads
0 and pooling nothing.
"""

from ._jit import kernel

_GEOMETRY = "kh:int64 kw:int64 stride_h:int64 stride_w:int64 pad_h:int64 pad_w:int64 dil_h:int64 dil_w:int64"


@kernel(f"x[n,c,h,w] -> columns[n,q,l]; {_GEOMETRY} out_w:int64", split="n")
def im2col(x, columns, kh, kw, stride_h, stride_w, pad_h, pad_w, dil_h, dil_w, out_w):
    """columns[n, (c, u, v), (i, j)] = what position (u, v) of the window at (i, j) reads."""
    n, c, h, w = x.shape
    out_h = columns.shape[2] // out_w
    for image in range(n):
        for q in range(columns.shape[1]):
            channel, u, v = q // (kh * kw), q // kw % kh, q % kw
            for i in range(out_h):
                row = i * stride_h + u * dil_h - pad_h
                for j in range(out_w):
                    column = j * stride_w + v * dil_w - pad_w
                    inside = 0 <= row < h and 0 <= column < w
                    columns[image, q, i * out_w + j] = (
                        x[image, channel, row, column] if inside else 0
                    )


@kernel(f"columns[n,q,l] -> dx[n,c,h,w]; {_GEOMETRY} out_w:int64", split="n")
def col2im(columns, dx, kh, kw, stride_h, stride_w, pad_h, pad_w, dil_h, dil_w, out_w):
    """The adjoint of im2col: each column entry is added where it was read."""
    n, c, h, w = dx.shape
    out_h = columns.shape[2] // out_w
    for image in range(n):
        for channel in range(c):
            for row in range(h):
                for column in range(w):
                    dx[image, channel, row, column] = 0
        for q in range(columns.shape[1]):
            channel, u, v = q // (kh * kw), q // kw % kh, q % kw
            for i in range(out_h):
                row = i * stride_h + u * dil_h - pad_h
                for j in range(out_w):
                    column = j * stride_w + v * dil_w - pad_w
                    if 0 <= row < h and 0 <= column < w:
                        dx[image, channel, row, column] += columns[image, q, i * out_w + j]


@kernel(f"x[n,c,h,w] -> out[n,c,oh,ow] index:int64[n,c,oh,ow]; {_GEOMETRY}", split="n")
def max_pool2d(x, out, index, kh, kw, stride_h, stride_w, pad_h, pad_w, dil_h, dil_w):
    """The largest entry under each window and its place row * w + column; the first at a tie.

    NaN counts as larger than everything.
    """
    n, c, h, w = x.shape
    for image in range(n):
        for channel in range(c):
            for i in range(out.shape[2]):
                for j in range(out.shape[3]):
                    place = -1
                    best = x[image, channel, 0, 0]
                    for u in range(kh):
                        row = i * stride_h + u * dil_h - pad_h
                        for v in range(kw):
                            column = j * stride_w + v * dil_w - pad_w
                            if 0 <= row < h and 0 <= column < w:
                                value = x[image, channel, row, column]
                                if place < 0 or value > best or value != value:
                                    best, place = value, row * w + column
                    out[image, channel, i, j] = best
                    index[image, channel, i, j] = place


@kernel("g[n,c,oh,ow] index:int64[n,c,oh,ow] -> dx[n,c,h,w]", split="n")
def max_pool2d_backward(g, index, dx):
    """Each output's gradient goes to the entry it came from; overlapping windows add up."""
    n, c, h, w = dx.shape
    for image in range(n):
        for channel in range(c):
            for row in range(h):
                for column in range(w):
                    dx[image, channel, row, column] = 0
            for i in range(g.shape[2]):
                for j in range(g.shape[3]):
                    place = index[image, channel, i, j]
                    dx[image, channel, place // w, place % w] += g[image, channel, i, j]
