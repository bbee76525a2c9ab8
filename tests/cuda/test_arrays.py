"""Arrays on a GPU: copies, views, memory that comes back, errors, other libraries."""

import gc

import numpy as np
import pytest

import microreg as mr
from microreg import nn, optim
from microreg.errors import DeviceError

DTYPES = [np.float32, np.float64, np.int64, np.bool_]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(), (1,), (0, 3), (3, 4, 5), (70000,)])
def test_there_and_back(shape, dtype, gpu, rng):
    x = (rng.normal(size=shape) * 50).astype(dtype)
    there = mr.tensor(x, device="cuda")
    assert there.device == "cuda" and there.shape == shape and there.dtype == dtype
    back = there.cpu()
    assert back.device == "cpu"
    np.testing.assert_array_equal(back.numpy(), x)


def test_views_are_views(gpu, rng):
    x = rng.normal(size=(4, 6)).astype(np.float32)
    there = mr.tensor(x, device="cuda")
    for view in (np.s_[1:3], np.s_[:, ::2], np.s_[-1], np.s_[..., 3]):
        np.testing.assert_array_equal(there[view].cpu().numpy(), x[view])
    np.testing.assert_array_equal(there.T.cpu().numpy(), x.T)
    there[1:3].data[...] = 7.0
    x[1:3] = 7.0
    np.testing.assert_array_equal(there.cpu().numpy(), x)


def test_numbers_are_fetched_where_they_are_asked_for(gpu):
    x = mr.tensor([1.5, -2.0], device="cuda")
    assert x.sum().item() == float(x.sum()) == -0.5
    assert x.tolist() == [1.5, -2.0]
    assert repr(x) == "tensor([ 1.5, -2. ], device='cuda')"


def test_numpy_asks_for_the_cpu(gpu):
    x = mr.ones(3, device="cuda")
    with pytest.raises(DeviceError, match=r"numpy: expected an array on the CPU, got one on cuda"):
        x.numpy()
    with pytest.raises(DeviceError, match=r"move it with \.cpu\(\)"):
        np.asarray(x)


def test_two_devices_do_not_mix(gpu):
    here, there = mr.ones(3), mr.ones(3, device="cuda")
    for a, b in ((here, there), (there, here)):
        with pytest.raises(DeviceError, match="expected all tensors on cuda, got one of shape"):
            a * b
    assert (there * 2.0 + np.float32(1)).tolist() == [3.0] * 3


def test_an_optimizer_is_made_after_the_move(gpu):
    model = nn.Linear(3, 2)
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    model.to("cuda")(mr.ones(4, 3, device="cuda")).sum().backward()
    with pytest.raises(ValueError, match="make a new optimizer after"):
        optimizer.step()


def test_a_state_moves_between_devices(gpu):
    here, there = nn.Linear(3, 2), nn.Linear(3, 2).to("cuda")
    there.load_state_dict(here.state_dict())
    assert there.weight.device == "cuda"
    np.testing.assert_array_equal(there.weight.cpu().detach().numpy(), here.weight.data)
    third = nn.Linear(3, 2)
    third.load_state_dict(there.state_dict())
    np.testing.assert_array_equal(third.weight.data, here.weight.data)


def test_memory_comes_back_and_is_taken_again(gpu):
    gc.collect()
    before = mr.cuda.memory_allocated()
    x = mr.ones(1000, device="cuda")
    first = x.data.__array_interface__["data"][0]
    assert mr.cuda.memory_allocated() >= before + 4000
    del x
    assert mr.cuda.memory_allocated() == before
    assert mr.zeros(1000, device="cuda").data.__array_interface__["data"][0] == first
    mr.cuda.empty_cache()
    assert gpu.reserved == gpu.allocated


def test_dlpack_both_ways(gpu, rng):
    x = mr.tensor(rng.normal(size=(3, 4)).astype(np.float32), device="cuda")
    same = mr.from_dlpack(Exporter(x))
    assert same.device == "cuda" and same.shape == (3, 4) and same.dtype == np.float32
    np.testing.assert_array_equal(same.cpu().numpy(), x.cpu().numpy())
    same.data[...] = 2.0
    assert x.tolist() == [[2.0] * 4] * 3
    turned = mr.from_dlpack(Exporter(x.T))
    assert turned.shape == (4, 3) and turned.tolist() == [[2.0] * 3] * 4


class Exporter:
    """An array of another library, which knows DLPack alone."""

    def __init__(self, x):
        self.__dlpack__, self.__dlpack_device__ = x.__dlpack__, x.__dlpack_device__


def test_cuda_array_interface(gpu):
    x = mr.arange(6, device="cuda").reshape(2, 3)
    told = x.__cuda_array_interface__
    assert told["shape"] == (2, 3) and told["typestr"] == "<i8" and told["version"] >= 2
    assert told["data"] == (x.data.__array_interface__["data"][0], False)
    wrapped = mr.from_dlpack(Other(told))
    assert wrapped.device == "cuda" and wrapped.tolist() == [[0, 1, 2], [3, 4, 5]]


class Other:
    def __init__(self, interface):
        self.__cuda_array_interface__ = interface


def test_equal_runs_give_equal_bits(gpu, rng):
    x = mr.tensor(rng.normal(size=(300, 70)).astype(np.float32), device="cuda")
    w = mr.tensor(rng.normal(size=(70, 30)).astype(np.float32), device="cuda")
    runs = {(x @ w).softmax(1).sum(0).cpu().numpy().tobytes() for _ in range(4)}
    assert len(runs) == 1
