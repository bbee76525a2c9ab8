"""Launches through the same rows go tile by tile, and give the bits that they give in turn."""

import numpy as np
import pytest

import microreg as mr
from microreg.runtime import chain, get_num_threads, set_num_threads

from .steps import MODELS, OPTIMIZERS, Trained


def run(step, *args):
    """The results as arrays, and the names of the kernels."""
    compiled = mr.compile(step)
    found = compiled(*args)
    names = [launch.kernel.name for launch in compiled.last.program.launches]
    found = found if isinstance(found, tuple) else (found,)
    return [x.data for x in found], names, compiled.last.nbytes


def both_ways(step, *args, monkeypatch, tile):
    monkeypatch.setattr(chain, "LEAST", 1 << 60)
    in_turn = run(step, *args)
    monkeypatch.setattr(chain, "LEAST", 0)
    monkeypatch.setattr(chain, "TILE", tile)
    by_tiles = run(step, *args)
    for a, b in zip(in_turn[0], by_tiles[0], strict=True):
        np.testing.assert_array_equal(a, b)
    assert not any("+" in name for name in in_turn[1])
    return in_turn, by_tiles


def elementwise(x, y):
    return ((x * 1.1).tanh() + y).exp() * 0.5 - x


def with_rows(x, y):
    """Rows, numbers and broadcast rows in one chain."""
    z = mr.nn.functional.layer_norm(x + y, x.shape[1:]) * 2.0
    return mr.nn.functional.gelu(z).softmax(1)


def with_bools(x, y):
    return mr.where(x * 1.0 > y, x.exp(), y.tanh())


def several_results(x, y):
    z = x + y
    return z, (z * z + y).exp(), z * 0.5


STEPS = [elementwise, with_rows, with_bools, several_results]


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (64, 7), (1000, 33)])
@pytest.mark.parametrize("tile", [64, 1000, 4096])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_bits_do_not_depend_on_the_tiles(step, shape, tile, dtype, monkeypatch):
    rng = np.random.default_rng(4)
    x, y = (mr.tensor(rng.normal(size=shape).astype(dtype)) for _ in range(2))
    _, (found, names, _) = both_ways(step, x, y, monkeypatch=monkeypatch, tile=tile)
    np.testing.assert_allclose(found[0], np.array(_first(step(x, y)).data), 1e-5, 1e-6)
    assert any("+" in name for name in names)


def _first(result):
    return result[0] if isinstance(result, tuple) else result


def test_what_stays_inside_takes_no_memory_of_its_own(monkeypatch):
    x = mr.tensor(np.linspace(-1.0, 1.0, 1 << 16).reshape(256, 256))
    (_, _, before), (_, names, after) = both_ways(
        with_rows, x, x, monkeypatch=monkeypatch, tile=4096
    )
    assert after < x.data.nbytes + 8192 < before and "gelu_map" in names[-1]


def test_small_arrays_are_left_alone():
    x = mr.tensor(np.ones((10, 10)))
    assert not any("+" in name for name in run(elementwise, x, x)[1])


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("threads", [1, 3])
def test_training_has_the_same_bits(model, threads, monkeypatch):
    before, numbers = get_num_threads(), []
    try:
        set_num_threads(threads)
        for least in (1 << 60, 0):
            monkeypatch.setattr(chain, "LEAST", least)
            monkeypatch.setattr(chain, "TILE", 256)
            trained = Trained(model, "l1", "adamw", np.float32)
            step = mr.compile(trained.step)
            numbers.append((trained.losses(step, 6), trained.numbers()))
    finally:
        set_num_threads(before)
    assert numbers[0][0] == numbers[1][0]
    for name, value in numbers[0][1].items():
        np.testing.assert_array_equal(numbers[1][1][name], value, err_msg=name)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_an_update_may_be_part_of_a_chain(optimizer, monkeypatch):
    """The gradient is then never written out."""
    numbers = []
    for least in (1 << 60, 0):
        monkeypatch.setattr(chain, "LEAST", least)
        w = mr.nn.Parameter(mr.tensor(np.linspace(-1.0, 1.0, 500)))
        w.penalty = mr.penalties.L1(0.1)
        opt = OPTIMIZERS[optimizer]([w])

        def step(w=w, opt=opt):
            (w.exp() * w).sum().backward()
            opt.step()
            opt.zero_grad()

        compiled = mr.compile(step)
        for _ in range(5):
            compiled()
        numbers.append(w.data.copy())
        names = [launch.kernel.name for launch in compiled.last.program.launches]
        assert any("+" in name and opt.rule in name for name in names) == (least == 0)
    np.testing.assert_array_equal(*numbers)


def test_a_chain_with_other_work_for_each_row_is_cut(monkeypatch):
    """1000 rows and 700 numbers have nothing to do with each other."""
    monkeypatch.setattr(chain, "LEAST", 0)

    def step(x, y):
        return x.exp().tanh(), y.exp().tanh()

    x, y = mr.tensor(np.ones(1000)), mr.tensor(np.ones(700))
    found, names, _ = run(step, x, y)
    np.testing.assert_allclose(found[0], np.tanh(np.exp(1.0)), 1e-6)
    np.testing.assert_allclose(found[1], np.tanh(np.exp(1.0)), 1e-6)
    assert names == ["exp_map + tanh_map"] * 2
