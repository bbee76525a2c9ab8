"""The graph: what is recorded, what backward does to it, and what is left afterwards."""

import gc
import math
import threading
import weakref

import numpy as np
import pytest

import microreg as mr
from microreg.errors import GraphError, ShapeError

CHAIN = 100_000


def leaf(*numbers, dtype=np.float64):
    return mr.tensor(np.array(numbers, dtype), requires_grad=True)


# backward


def test_gradients_add_up_over_paths_and_over_calls():
    x = leaf(2.0, 3.0)
    y = x * x + x
    (y * y).sum().backward()
    want = 2 * (x.data**2 + x.data) * (2 * x.data + 1)
    np.testing.assert_allclose(x.grad.data, want)
    first = x.grad
    (x * 3.0).sum().backward()
    np.testing.assert_allclose(x.grad.data, want + 3)
    np.testing.assert_allclose(first.data, want)  # a gradient once given out does not change
    x.grad = None
    x.sum().backward()
    assert x.grad.tolist() == [1, 1]


def test_an_argument_used_twice_gets_both_parts():
    x = leaf(2.0, 3.0)
    for function, want in (
        (lambda x: x + x, 2 + 0 * x.data),
        (lambda x: x - x, 0 * x.data),
        (lambda x: x * x, 2 * x.data),
        (lambda x: x / x, 0 * x.data),
        (lambda x: mr.maximum(x, x), 1 + 0 * x.data),
        (lambda x: x @ x, 2 * x.data),
        (lambda x: mr.cat([x, x, x]), 3 + 0 * x.data),
    ):
        (dx,) = mr.grad(function(x).sum(), x)
        np.testing.assert_array_equal(dx.data, want)


@pytest.mark.parametrize("depth", [1, 100, CHAIN])
def test_a_chain_of_any_length(depth):
    x = leaf(1.0)
    y = x
    for _ in range(depth):
        y = y * 1.0
    y.backward()
    assert x.grad.item() == 1
    del y  # nor is the graph taken down by recursion
    gc.collect()


def test_a_deep_graph_that_was_never_used_can_be_dropped_and_differentiated_twice():
    x = leaf(1.0)
    y = x
    for _ in range(CHAIN // 2):
        y = y + 1.0
    del y
    y = x
    for _ in range(2000):
        y = y * 1.0001
    (dx,) = mr.grad(y * y, x, create_graph=True)
    (ddx,) = mr.grad(dx, x)
    assert ddx.item() == pytest.approx(2 * 1.0001**4000, rel=1e-9)


def test_a_wide_graph_of_shared_nodes_is_walked_once():
    x = leaf(0.5)
    y = x
    for _ in range(60):  # 2 ** 60 paths
        y = y * 0.5 + y * 0.5
    y.backward()
    assert x.grad.item() == 1


def test_the_cotangent_weighs_the_outputs():
    x = leaf(1.0, 2.0, 3.0)
    (x * x).backward(mr.tensor(np.array([1.0, 0.0, -2.0])))
    assert x.grad.tolist() == [2, 0, -12]
    x.grad = None
    (x * x).backward([1.0, 10.0, 100.0])  # anything that a tensor can be made of, in any dtype
    assert x.grad.tolist() == [2, 40, 600] and x.grad.dtype == np.float64


def test_only_leaves_that_ask_get_a_gradient():
    x, frozen = leaf(1.0, 2.0), mr.tensor(np.array([3.0, 4.0]))
    middle = x * frozen
    middle.sum().backward()
    assert middle.grad is None and frozen.grad is None and x.grad.tolist() == [3, 4]
    assert x.is_leaf and frozen.is_leaf and not middle.is_leaf
    assert x.grad_fn is None and not x.grad.requires_grad
    x.requires_grad_(False)
    assert not (x * frozen).requires_grad


def test_integers_end_the_graph():
    x = leaf(1.5, 2.5)
    assert not x.long().requires_grad and not (x > 2).requires_grad and not x.argmax().requires_grad
    (x * x.long() * (x > 2)).sum().backward()
    assert x.grad.tolist() == [0, 2]


def test_gradients_are_not_shared():
    a, b = leaf(1.0, 2.0), leaf(3.0, 4.0)
    g = mr.tensor(np.array([1.0, 1.0]))
    (a + b).backward(g)
    arrays = [a.grad.data, b.grad.data, g.data, a.data, b.data]
    for i, one in enumerate(arrays):
        assert not any(np.shares_memory(one, other) for other in arrays[:i])
    x = leaf(1.0)
    x.backward(g[:1])
    assert x.grad.data is not g.data and not np.shares_memory(x.grad.data, g.data)


def test_detach_stops_the_gradient():
    x = leaf(2.0)
    (x * x.detach() + x.detach()).backward()
    assert x.grad.item() == 2


# used-up graphs


def test_a_graph_serves_one_backward_unless_it_is_retained():
    x = leaf(3.0)
    y = x * x
    y.backward(retain_graph=True)
    y.backward(retain_graph=True)
    assert x.grad.item() == 12
    y.backward()
    assert x.grad.item() == 18
    with pytest.raises(GraphError) as raised:
        y.backward()
    assert str(raised.value) == (
        "backward: this graph has been used up by an earlier backward; give that one "
        "retain_graph=True, or compute the loss again"
    )
    assert x.grad.item() == 18  # nothing half-done


def test_a_shared_part_that_was_used_up_is_noticed():
    x = leaf(3.0)
    shared = x.exp()
    (shared * 2.0).backward()
    before = x.grad.item()
    with pytest.raises(GraphError, match="used up"):
        (shared * shared + x).backward()
    assert x.grad.item() == before
    with pytest.raises(GraphError, match="used up"):
        mr.grad(shared, x)


def test_memory_goes_with_the_backward_pass():
    x = mr.tensor(np.ones((50, 50)), requires_grad=True)
    middle = x.exp()
    watched = weakref.ref(middle)
    loss = (middle * middle).sum()
    del middle
    assert watched() is not None  # its gradient needs it
    loss.backward()
    gc.disable()
    try:
        assert watched() is None  # by reference counting alone, while the loss is still there
    finally:
        gc.enable()
    assert loss.item() > 0


def test_nothing_is_kept_without_a_gradient():
    x = mr.tensor(np.ones(3))
    y = x * 2.0
    watched = weakref.ref(x)
    del x
    assert watched() is None and y.is_leaf
    z = leaf(1.0)
    with mr.no_grad():
        w = z * 2.0
    watched = weakref.ref(z)
    del z
    assert watched() is None and w.is_leaf


def test_a_graph_has_no_cycles():
    gc.collect()
    gc.disable()
    try:
        x = leaf(1.0, 2.0)
        loss = (mr.tanh(x) @ x).exp()
        watched = [weakref.ref(loss), weakref.ref(x)]
        (dx,) = mr.grad(loss, x, create_graph=True)
        dx.sum().backward()
        watched.append(weakref.ref(dx))
        del loss, x, dx
        assert [w() for w in watched] == [None] * 3
    finally:
        gc.enable()


# modes


def test_no_grad_and_enable_grad_nest():
    x = leaf(1.0)
    assert mr.is_grad_enabled()
    with mr.no_grad():
        assert not mr.is_grad_enabled() and not (x * x).requires_grad
        with mr.enable_grad():
            assert mr.is_grad_enabled() and (x * x).requires_grad
        assert not mr.is_grad_enabled()
        assert mr.tensor(1.0, requires_grad=True).requires_grad
    assert (x * x).requires_grad


def test_the_mode_comes_back_after_an_error_and_as_a_decorator():
    with pytest.raises(ZeroDivisionError), mr.no_grad():
        raise ZeroDivisionError
    assert mr.is_grad_enabled()

    @mr.no_grad()
    def frozen(depth):
        assert not mr.is_grad_enabled()
        return depth and frozen(depth - 1)

    frozen(3)
    assert mr.is_grad_enabled()


def test_the_mode_belongs_to_its_thread():
    x, seen = leaf(1.0), {}
    inside, done = threading.Event(), threading.Event()

    def other():
        seen["start"] = mr.is_grad_enabled()
        with mr.no_grad():
            inside.set()
            done.wait(10)
            seen["off"] = (x * x).requires_grad

    with mr.no_grad():
        thread = threading.Thread(target=other)
        thread.start()
        assert inside.wait(10)
    seen["here"] = (x * x).requires_grad
    done.set()
    thread.join(10)
    assert seen == {"start": True, "off": False, "here": True}


# grad


def test_grad_leaves_dot_grad_alone():
    x, w = leaf(1.0, 2.0), leaf(3.0, 4.0)
    dx, dw = mr.grad((x * w).sum(), [x, w])
    assert dx.tolist() == [3, 4] and dw.tolist() == [1, 2]
    assert x.grad is None and w.grad is None and not dx.requires_grad


def test_grad_of_several_outputs_and_of_tensors_in_between():
    x = leaf(1.0, 2.0)
    middle = x * x
    out = [middle.sum(), (middle * 3.0).sum()]
    dx, dmiddle = mr.grad(out, [x, middle], retain_graph=True)
    assert dmiddle.tolist() == [4, 4] and dx.tolist() == [8, 16]
    dx, again = mr.grad(out, [x, x], grad_outputs=[mr.tensor(np.array(10.0)), None])
    assert dx.tolist() == again.tolist() == [26, 52]


def test_grad_of_a_tensor_for_itself_is_the_cotangent():
    x = leaf(1.0, 2.0)
    g = mr.tensor(np.array([5.0, 7.0]))
    (dx,) = mr.grad(x, x, g)
    assert dx.tolist() == [5, 7] and dx.data is not g.data


def test_unused_inputs():
    x, stranger = leaf(1.0), leaf(2.0)
    assert mr.grad(x * 2.0, [x, stranger], allow_unused=True)[1] is None
    with pytest.raises(GraphError) as raised:
        mr.grad(x * 2.0, [x, stranger, leaf(3.0)])
    assert str(raised.value) == (
        "grad: inputs [1, 2] are not part of the graph of outputs; allow_unused=True returns None "
        "for them"
    )


def test_derivatives_of_every_order():
    x = leaf(0.7)
    functions = [  # each with its derivatives of orders 1, 2, 3, 4
        (lambda x: x**5, lambda n, v: math.perm(5, n) * v ** (5 - n)),
        (lambda x: (x * 2.0).exp(), lambda n, v: 2**n * math.exp(2 * v)),
        (lambda x: x.log(), lambda n, v: (-1) ** (n - 1) * math.factorial(n - 1) / v**n),
        (lambda x: 1.0 / x, lambda n, v: (-1) ** n * math.factorial(n) / v ** (n + 1)),
        (lambda x: mr.tanh(x), lambda n, v: tanh_derivative(n, v)),
        (lambda x: mr.sigmoid(x * 2.0), lambda n, v: 2.0**n * tanh_derivative(n, v) / 2 ** (n + 1)),
    ]
    for function, derivative in functions:
        y = function(x)
        for order in range(1, 5):
            (y,) = mr.grad(y, x, create_graph=True)
            assert y.item() == pytest.approx(derivative(order, 0.7), rel=1e-10), order


def tanh_derivative(order, v):
    t = math.tanh(v)
    s = 1 - t * t
    return [s, -2 * t * s, (6 * t * t - 2) * s, (16 * t - 24 * t**3) * s][order - 1]


def test_a_gradient_penalty_reaches_the_weights():
    w, x = leaf(0.5, -1.0), leaf(2.0, 3.0)
    (dx,) = mr.grad((w * x).sum() ** 2, x, create_graph=True)
    (dx * dx).sum().backward()
    s, norm = (w.data * x.data).sum(), (w.data**2).sum()
    np.testing.assert_allclose(w.grad.data, 8 * s * norm * x.data + 8 * s * s * w.data)


def test_create_graph_accumulates_gradients_that_can_be_differentiated():
    x = leaf(2.0)
    (x**3).backward(create_graph=True)
    assert x.grad.requires_grad and x.grad.item() == 12
    (ddx,) = mr.grad(x.grad, x)
    assert ddx.item() == 12


# what is refused

REFUSED = {
    "backward: this tensor does not require a gradient; give requires_grad=True to a tensor it is "
    "computed from, or leave no_grad()": (GraphError, lambda x: x.detach().sum().backward()),
    "backward: expected a single number or a gradient argument, got a tensor of shape (2,); call "
    ".sum() or .mean() first": (GraphError, lambda x: (x * 2.0).backward()),
    "backward: gradient: expected (2,), got (3,)": (
        ShapeError,
        lambda x: (x * 2.0).backward(mr.ones(3)),
    ),
    "requires_grad_(False): this tensor is not a leaf; use detach()": (
        GraphError,
        lambda x: (x * 2.0).requires_grad_(False),
    ),
}


@pytest.mark.parametrize("text", REFUSED)
def test_the_error_says_what_was_expected(text):
    (error, call), x = REFUSED[text], leaf(1.0, 2.0)
    with pytest.raises(error) as raised:
        call(x)
    assert str(raised.value) == text and x.grad is None
