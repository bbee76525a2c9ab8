"""Two processes, each with half of the rows, make the steps of one process with all."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import microreg as mr
from microreg import nn, optim, parallel

HERE = Path(__file__).parent
MPIEXEC = Path(sys.executable).with_name("mpiexec")


@pytest.mark.parametrize("how", ["loop", "fit", "recorded"])
def test_two_processes_are_one_process_with_all_rows(how):
    pytest.importorskip("mpi4py")
    if not MPIEXEC.exists():
        pytest.skip("no mpiexec beside this Python")
    path = os.pathsep.join([str(Path(mr.__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    command = [str(MPIEXEC), "-n", "2", sys.executable, str(HERE / "script.py"), how]
    limits = {"PYTHONPATH": path, "MICROREG_NUM_THREADS": "1"}
    done = subprocess.run(
        command, env=os.environ | limits, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr[-2000:]
    _, processes, _, worst, _, moved = done.stdout.split()  # process 0 alone speaks
    assert processes == "2"
    assert float(worst) < 1e-6
    assert float(moved) > 0.05


def test_one_process_is_a_world_of_its_own(rng):
    pytest.importorskip("mpi4py")
    assert (parallel.rank(), parallel.size()) == (0, 1)
    X = rng.normal(size=(6, 4))
    np.testing.assert_array_equal(parallel.part(X), X)
    with pytest.raises(ValueError, match=r"expected arrays of one length of at least 1, got"):
        parallel.part(X, X[:3])


@pytest.mark.parametrize("momentum", [0.1, 0.37, None])
def test_synchronised_batch_norm_of_one_process_is_batch_norm(momentum, rng):
    pytest.importorskip("mpi4py")
    norm = nn.BatchNorm1d(4, momentum=momentum, dtype=np.float64)
    norm.weight.data[...] = rng.normal(size=4)
    other = parallel.synchronise(nn.Sequential(nn.BatchNorm1d(4, momentum=momentum, dtype="d")))
    assert type(other[0]) is parallel.SyncBatchNorm1d
    other[0].load_state_dict(norm.state_dict())
    for _ in range(3):
        x = mr.tensor(rng.normal(size=(5, 4)), requires_grad=True)
        z = mr.tensor(x.data, requires_grad=True)
        g = rng.normal(size=(5, 4))
        norm(x).backward(mr.tensor(g))
        other(z).backward(mr.tensor(g))
        np.testing.assert_allclose(z.grad.data, x.grad.data, rtol=1e-9, atol=1e-12)
    for name, value in norm.state_dict().items():
        np.testing.assert_allclose(other[0].state_dict()[name].data, value.data, rtol=1e-12)


def test_a_hook_runs_before_each_step():
    p = nn.Parameter(np.zeros(2))
    optimizer = optim.SGD([p], lr=1.0)

    def doubled(optimizer, args, kwargs):
        p.grad = p.grad * 2.0

    optimizer.register_step_pre_hook(doubled)
    p.grad = mr.tensor(np.array([1.0, -3.0]))
    optimizer.step()
    np.testing.assert_array_equal(p.data, [-2.0, 6.0])
