"""Every kernel compiles for every architecture, and takes no more of it than it should.

The table itself: python -m tests.cuda.resources
"""

import numpy as np
import pytest

from . import resources

F32 = np.dtype(np.float32)


@pytest.fixture(scope="module")
def table(compiler):
    return resources.table()


def told(lines):
    """Lines of the table that are wrong, so that a failure names them."""
    return [
        f"{code.name} {dtype} {major}.{minor}: {f}" for (code, dtype, (major, minor)), f in lines
    ]


def test_every_kernel_compiles_for_every_architecture(table):
    assert len(table) == len(resources.codes()) * len(resources.ARCHITECTURES) > 2000


def test_nothing_is_spilled(table):
    assert not told((key, found) for key, found in table.items() if found.spilled)


def test_arrays_of_a_thread_are_registers(table):
    """But the digits of pi by which sines of large numbers are reduced."""
    on_stack = {code.name for (code, _, _), found in table.items() if found.stack}
    assert on_stack == {"sin_map", "cos_map", "tan_map"}


def test_registers_leave_room_for_other_blocks(table):
    wrong = ((k, found) for k, found in table.items() if found.registers > resources.bound(*k[:2]))
    assert not told(wrong)


def test_memory_of_a_block_fits_every_architecture(table):
    assert not told((key, found) for key, found in table.items() if found.shared > 48 * 1024)


def test_float32_kernels_compute_in_float32(table):
    """Unless float64 is among their arguments or stated."""
    wrong = (
        (key, found)
        for key, found in table.items()
        if key[1] == F32 and found.doubles and not resources.wide(key[0])
    )
    assert not told(wrong)


def test_numbers_travel_four_at_once_where_that_is_meant(table):
    vector = [
        (key, found)
        for key, found in table.items()
        if key[1] == F32 and (key[0].name.endswith("_vector") or key[0].walk == "tiles")
    ]
    assert len(vector) > 400
    reads = {key[0]: any(not spec.written for spec in key[0].arrays) for key, _ in vector}
    wrong = [
        (key, found)
        for key, found in vector
        if found.widest.get(("ld" if reads[key[0]] else "st", "global"), 0) < 16
    ]
    assert not told(wrong)


def test_products_read_a_blocks_memory_four_at_once(table):
    products = [
        (key, found)
        for key, found in table.items()
        if key[1] == F32 and key[0].name.startswith(("product", "conv2d"))
    ]
    assert len(products) > 40
    assert not told([(k, found) for k, found in products if found.widest["ld", "shared"] < 16])


def test_a_blocks_memory_is_aligned_to_what_is_read_at_once(table):
    assert not told([(key, found) for key, found in table.items() if not found.aligned])
