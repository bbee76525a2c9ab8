"""Batches by the cursor, hits counted, totals kept: against NumPy."""

import numpy as np
import pytest

from microreg.kernels import batch

from .running import run


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64, np.bool_, np.int16])
@pytest.mark.parametrize(
    ("n", "d", "first", "rows"), [(9, 5, 0, 9), (700, 33, 250, 400), (4, 1, 3, 1)]
)
def test_a_batch_is_the_rows_that_the_order_names(dtype, n, d, first, rows):
    rng = np.random.default_rng(n)
    x = rng.integers(0, 2, (n, d)).astype(dtype) if dtype is np.bool_ else (
        rng.normal(size=(n, d)) * 100
    ).astype(dtype)  # fmt: skip
    order, out = rng.permutation(n), np.empty((rows, d), dtype)
    run(
        batch.take_batch, x.view(np.uint8), order, np.array([first]), out.view(np.uint8)
    )  # fmt: skip
    np.testing.assert_array_equal(out, x[order[first : first + rows]])
    run(batch.take_batch, x.view(np.uint8), order, np.array([n - 1]), out.view(np.uint8))
    np.testing.assert_array_equal(out, x[np.repeat(order[-1], rows)])


@pytest.mark.parametrize(("n", "classes"), [(1, 1), (7, 3), (3000, 11)])
def test_right_labels_are_where_the_first_largest_score_is(n, classes, dtype):
    rng = np.random.default_rng(n)
    scores = rng.integers(0, 4, (n, classes)).astype(dtype)  # with ties
    scores[rng.random((n, classes)) < 0.02] = np.nan
    labels = rng.integers(-1, classes + 1, n)  # some are no class
    right = np.empty(batch.right_labels.blocks({"n": n, "d": classes}))
    run(batch.right_labels, scores, labels, right)
    assert right.sum() == (scores.argmax(axis=1) == labels).sum()


@pytest.mark.parametrize(("n", "d"), [(1, 1), (9, 2), (5000, 3)])
def test_right_signs_are_where_every_logit_has_the_side_of_its_target(n, d, dtype):
    rng = np.random.default_rng(n)
    logits, targets = rng.normal(size=(n, d)).astype(dtype), rng.integers(0, 2, (n, d))
    logits[::3] = np.where(targets[::3] == 1, 1.0, -1.0)
    logits[0, 0] = 0.0
    right = np.empty(batch.right_signs.blocks({"n": n, "d": d}))
    run(batch.right_signs, logits, targets.astype(dtype), right)
    assert right.sum() == ((logits > 0) == (targets == 1)).all(axis=1).sum()


def test_the_totals_grow_until_a_loss_is_not_finite(dtype):
    totals, cursor, stop = np.zeros(3), np.zeros(1, np.int64), np.zeros(1, np.int64)
    right = np.array([2.0, 1.0])
    for loss in (0.5, 0.25):
        run(batch.tally, np.array([loss], dtype), right, totals, cursor, stop, 8)
    assert totals.tolist() == [6.0, 6.0, 0.25] and cursor[0] == 16 and stop[0] == 0
    for loss in (np.nan, np.inf, -np.inf):
        stop[0] = 0
        run(batch.tally, np.array([loss], dtype), right, totals, cursor, stop, 8)
        assert totals[:2].tolist() == [6.0, 6.0] and cursor[0] == 16 and stop[0] == 1
        np.testing.assert_array_equal(totals[2], loss)
