"""Every kernel with a maker of arguments, for tests that hold for all of them (`entries.py`)."""

from . import entries_elementwise, entries_penalties, entries_products, entries_rows

SUBJECTS = (
    entries_elementwise.lifted,
    entries_elementwise.moved,
    entries_elementwise.drawn,
    entries_penalties.separable,
    entries_penalties.grouped,
    entries_penalties.matrices,
    entries_penalties.updates,
    entries_rows.reductions,
    entries_rows.losses,
    entries_rows.norms,
    entries_rows.cells,
    entries_rows.batches,
    entries_products.products,
    entries_products.images,
    entries_products.attentions,
)
ENTRIES = [line for subject in SUBJECTS for line in subject()]
