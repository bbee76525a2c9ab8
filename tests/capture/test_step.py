"""What a recorded step follows, what it returns, and what it does where it cannot be recorded."""

import gc
import resource
import warnings
import weakref

import numpy as np
import pytest

import microreg as mr
import microreg.nn.functional as F
from microreg import nn, optim
from microreg.capture import CompiledStep
from microreg.errors import CaptureError
from microreg.penalties import L1, L2
from microreg.runtime.record import Recorder

from .steps import CLASSES, INPUTS, ROWS, Trained, loss_of


def pair(**options):
    """Two of the same: (eager, its step), (other, its recorded step)."""
    eager, other = Trained(**options), Trained(**options)
    return (eager, eager.step), (other, mr.compile(other.step))


def in_step(change, **options):
    """After `change` has been made to both between steps, they still do the same."""
    numbers = []
    for trained, step in pair(**options):
        mr.manual_seed(1)
        losses = trained.losses(step, 3)
        change(trained)
        losses += trained.losses(step, 4)
        numbers.append((losses, trained.numbers()))
    np.testing.assert_allclose(numbers[0][0], numbers[1][0], 1e-9)
    for name, value in numbers[0][1].items():
        np.testing.assert_allclose(numbers[1][1][name], value, 1e-8, 1e-10, err_msg=name)
    return numbers[0][0]


# what may change between two steps


def test_the_learning_rate():
    def change(trained):
        trained.optimizer.param_groups[0]["lr"] = 0.1

    assert in_step(change) != in_step(lambda trained: None)


def test_a_penalty_its_strength_and_its_kind():
    def stronger(trained):
        trained.model[0].weight.penalty = L1(0.5)

    def another(trained):
        trained.model[2].weight.penalty = L2(0.3)
        trained.model[0].weight.penalty = None

    losses = [in_step(c, penalty="l1") for c in (lambda t: None, stronger, another)]
    assert losses[0] != losses[1] != losses[2]


def test_one_penalty_of_several_that_were_equal():
    """Their updates were joined into one launch, which has one strength."""

    def change(trained):
        trained.model[2].weight.penalty = L1(0.4)

    in_step(change, penalty="l1")


def test_evaluation_mode():
    in_step(lambda trained: trained.model.eval(), model="dropout")
    in_step(lambda trained: trained.model.eval(), model="batch norm")


def test_new_numbers_in_a_parameter_and_in_its_place():
    def inside(trained):
        trained.model[0].weight.data[...] = 0.1

    def instead(trained):
        trained.model[0].weight.data = np.full((16, INPUTS), 0.1)

    assert in_step(inside) == pytest.approx(in_step(instead), rel=1e-9)


def test_a_loaded_optimizer():
    state = Trained().optimizer.state_dict()

    def change(trained):
        trained.optimizer.load_state_dict(state)

    in_step(change)


def test_gradients_that_are_there():
    """A step that does not forget them adds to them."""

    def accumulate(model, x, y):
        loss = loss_of(model(x), y)
        loss.backward()
        return loss

    grads = []
    for wrap in (lambda f: f, mr.compile):
        trained = Trained()
        step = wrap(lambda x, y, model=trained.model: accumulate(model, x, y))
        for _ in range(2):
            for i in range(3):
                step(*trained.batch(i))
            grads.append([p.grad.data.copy() for p in trained.model.parameters()])
            trained.optimizer.step()
            trained.optimizer.zero_grad(set_to_none=_ == 0)
    for eager, compiled in zip(grads[:2], grads[2:], strict=True):
        for g, h in zip(eager, compiled, strict=True):
            np.testing.assert_allclose(h, g, 1e-9, 1e-12)


def test_gradients_are_left_as_eager_leaves_them():
    (eager, step), (other, compiled) = pair()
    step(*eager.batch(0))
    compiled(*other.batch(0))
    for p, q in zip(eager.model.parameters(), other.model.parameters(), strict=True):
        np.testing.assert_allclose(q.grad.data, p.grad.data, 1e-9, 1e-12)


def test_accumulation_over_two_batches_in_one_step():
    def step_of(trained):
        def step(x, y):
            trained.optimizer.zero_grad()
            for part in (slice(0, 10), slice(10, None)):
                (loss_of(trained.model(x[part]), y[part]) * 0.5).backward()
            trained.optimizer.step()

        return step

    eager, other = Trained(), Trained()
    one, two = step_of(eager), mr.compile(step_of(other))
    for i in range(6):
        one(*eager.batch(i))
        two(*other.batch(i))
    for name, value in eager.numbers().items():
        np.testing.assert_allclose(other.numbers()[name], value, 1e-9, 1e-12, err_msg=name)


def test_each_shape_has_a_table_of_its_own():
    (eager, step), (other, compiled) = pair(model="batch norm")
    for i, rows in enumerate([ROWS, 7, ROWS, 7, 12]):
        a, b = step(*eager.batch(i, rows)), compiled(*other.batch(i, rows))
        assert float(a) == pytest.approx(float(b), rel=1e-9)
    assert len(compiled._recorded) == 3


# arguments and results


def test_results_have_their_own_memory_and_their_form():
    @mr.compile
    def step(x, scale=2.0):
        y = x * scale
        return {"sum": y.sum(), "parts": (y, [y.exp(), None, 3])}

    first, second = step(mr.tensor([1.0, 2.0])), step(mr.tensor([3.0, 4.0]))
    assert float(first["sum"]) == 6.0 and float(second["sum"]) == 14.0
    y, (e, nothing, number) = first["parts"]
    np.testing.assert_allclose(y.data, [2.0, 4.0])
    np.testing.assert_allclose(e.data, np.exp([2.0, 4.0]), rtol=1e-6)
    assert nothing is None and number == 3
    assert float(step(mr.tensor([1.0, 2.0]), scale=5.0)["sum"]) == 15.0
    assert type(step(mr.tensor([1.0, 2.0]))["sum"]) is mr.Tensor


def test_arguments_in_any_memory_order_and_not_changed():
    @mr.compile
    def step(x):
        return (x * 2.0).sum(0)

    x = np.arange(12.0).reshape(3, 4)
    for view in (x, x.T.copy().T, x[:, ::-1], np.asfortranarray(x)):
        before = view.copy()
        np.testing.assert_allclose(step(mr.tensor(view)).data, 2 * before.sum(0))
        np.testing.assert_array_equal(view, before)


def test_an_input_and_views_may_be_returned():
    @mr.compile
    def step(x):
        y = x * 1.0
        return x, x[1:], y.T, y[:, ::2]

    for shift in (0.0, 10.0):
        values = np.arange(6.0).reshape(2, 3) + shift
        for found, want in zip(
            step(mr.tensor(values)), (values, values[1:], values.T, values[:, ::2]), strict=True
        ):
            np.testing.assert_array_equal(found.data, want)


def test_numbers_taken_behind_the_back_of_a_recording_are_nan():
    step = mr.compile(lambda x: x + mr.tensor(x.data.view(np.ndarray) * 1.0))
    assert np.isnan(step(mr.tensor([1.0, 2.0])).data).all()


def test_a_parameter_that_is_returned_is_the_parameter():
    w = nn.Parameter(mr.tensor([2.0]))
    step = mr.compile(lambda x: (w, x * w))
    assert step(mr.tensor([3.0]))[0] is w


@pytest.mark.parametrize("bad", [object(), {1, 2}, np.arange(3)])
def test_a_result_that_is_no_tensor_is_refused(bad):
    step = mr.compile(lambda x: bad)
    with pytest.warns(RuntimeWarning, match="expected tensors, tuples, dicts or None as a result"):
        assert step(mr.tensor([1.0])) is bad


def test_arguments_are_hashable():
    with pytest.raises(TypeError, match="hashable constants"):
        mr.compile(lambda x, options: x)(mr.tensor([1.0]), [1, 2])


# what cannot be recorded


def looks(x):
    return x * 2.0 if float(x.sum()) > 0 else x


def chooses(x):
    if x.sum() > 0:
        return x * 2.0
    return x


def converts(x):
    return mr.tensor(np.asarray(x) + 1.0)


def keeps(x, kept=[]):  # noqa: B006
    kept.append(x * 2.0)
    return kept[-1] + 0.0


KNOWN = mr.tensor(3.0)


def counts(x):
    return x * KNOWN.item()


def begins(x):
    return x * 2.0 if KNOWN else x


@pytest.mark.parametrize("function", [looks, chooses, converts, keeps, counts, begins])
def test_what_cannot_be_recorded_runs_op_by_op(function):
    """One warning, which names the line; then the function itself."""
    step = mr.compile(function)
    line = f"test_step.py:{function.__code__.co_firstlineno + 1}"
    with pytest.warns(RuntimeWarning, match=f"{function.__name__} cannot be recorded .*{line}"):
        found = step(mr.tensor([1.0, 2.0]))
    np.testing.assert_array_equal(found.data, function(mr.tensor([1.0, 2.0])).data)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(
            step(mr.tensor([-1.0, -2.0])).data, function(mr.tensor([-1.0, -2.0])).data
        )


def test_an_error_in_the_step_is_the_users_and_nothing_has_changed():
    trained = Trained()
    step = mr.compile(trained.step)
    before = trained.numbers()
    with pytest.raises(ValueError, match="expected x"):
        step(mr.tensor(np.zeros((4, INPUTS + 1))), mr.tensor(np.zeros(4, int)))
    step(*trained.batch(0))
    assert all(
        p.grad is None or type(p.grad.data) is np.ndarray for p in trained.model.parameters()
    )
    assert not np.array_equal(trained.numbers()["0.weight"], before["0.weight"])


def test_random_numbers_of_python_are_constants_unless_recorded_twice():
    from microreg.capture import CompiledStep

    rng = np.random.default_rng(0)

    def noisy(x):
        return x + mr.tensor(rng.normal(size=2))

    once = mr.compile(noisy)
    assert once(mr.tensor([0.0, 0.0])).tolist() == once(mr.tensor([0.0, 0.0])).tolist()
    twice = CompiledStep(noisy, twice=True)
    with pytest.warns(RuntimeWarning, match="change from one call to the next, at .*test_step.py"):
        first = twice(mr.tensor([0.0, 0.0]))
    assert first.tolist() != twice(mr.tensor([0.0, 0.0])).tolist()


def test_a_step_inside_a_step_is_part_of_it():
    inner = mr.compile(lambda x: x * 3.0)
    outer = mr.compile(lambda x: inner(x).sum())
    assert float(outer(mr.tensor([1.0, 2.0]))) == 9.0
    assert inner.last is None


def test_repeat_is_many_calls():
    w = nn.Parameter(mr.tensor([8.0]))
    optimizer = optim.SGD([w], lr=0.25)

    def halve():
        loss = (w * w).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    step = mr.compile(halve)
    step.repeat(3)
    assert float(w) == 1.0
    step.repeat(0)
    assert float(w) == 1.0
    step()
    assert float(w) == 0.5


# memory, and the table


def grown(step, trained, steps):
    gc.collect()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for i in range(steps):
        step(*trained.batch(i, ROWS if i % 5 else 7))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before


def test_memory_does_not_grow_over_ten_thousand_steps():
    trained = Trained("batch norm", "l1", "adam", np.float32)
    step = mr.compile(trained.step)
    grown(step, trained, 200)
    assert grown(step, trained, 10_000) <= 1024  # KiB


def test_explain_names_kernels_shapes_and_lines():
    trained = Trained()
    step = mr.compile(trained.step)
    with pytest.raises(CaptureError, match="nothing is recorded yet"):
        step.explain()
    step(*trained.batch(0))
    before = trained.numbers()
    text = step.explain()
    assert "linear + relu" in text and f"{ROWS}x{INPUTS}" in text and "adam" in text
    assert "steps.py:" in text and text.splitlines()[-1].split()[0] == "sum"
    for name, value in trained.numbers().items():
        np.testing.assert_array_equal(value, before[name], err_msg=name)


def test_losses_with_their_options():
    """Weights, ignored rows and smoothing inside a recorded step."""
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(9, CLASSES)), rng.integers(0, CLASSES, 9)
    y[3] = -1
    weight = mr.tensor(rng.uniform(0.5, 2.0, CLASSES))

    def step(x, y):
        return F.cross_entropy(x, y, weight, ignore_index=-1, label_smoothing=0.1)

    found = mr.compile(step)(mr.tensor(x), mr.tensor(y))
    assert float(found) == pytest.approx(float(step(mr.tensor(x), mr.tensor(y))), rel=1e-12)


@pytest.mark.parametrize("twice", [False, True])
def test_nothing_of_a_recording_stays_but_its_program(twice):
    trained = Trained()
    step = CompiledStep(trained.step, twice=twice)
    before = {id(x) for x in gc.get_objects() if isinstance(x, Recorder)}
    trained.losses(step, 4)
    gc.collect()
    recorders = [x for x in gc.get_objects() if isinstance(x, Recorder) and id(x) not in before]
    assert not any(recorder.memory or recorder.launches for recorder in recorders)


def test_a_recording_that_another_replaces_goes():
    trained = Trained()
    step = mr.compile(trained.step)
    trained.losses(step, 1)  # no gradients are there yet
    first = weakref.ref(step.last)
    trained.losses(step, 3)
    gc.collect()
    assert first() is None
