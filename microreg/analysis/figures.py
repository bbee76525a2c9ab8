"""The look of every figure, in one place. matplotlib is imported when a figure is drawn."""

from contextlib import contextmanager

TRAIN, VALIDATION, MARK, ZERO = "tab:blue", "tab:orange", "0.35", "0.8"
LOOK = {
    "axes.grid": True,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 10,
    "figure.titlesize": 12,
    "font.size": 9,
    "grid.alpha": 0.3,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "lines.linewidth": 1.2,
    "savefig.dpi": 110,
}


@contextmanager
def page(path=None, rows=1, columns=1, size=None, title=None, **options):
    """A figure to draw on, as (figure, axes); written to `path` and closed if one is given.

    axes is a two-dimensional array; `options` go to matplotlib's subplots.
    """
    try:
        import matplotlib.pyplot as plt
    except ImportError:
        raise ImportError("figure: needs matplotlib; pip install 'microreg[plot]'") from None
    size = size or (4.2 * columns + 0.6, 3.0 * rows + 0.6)
    with plt.rc_context(LOOK):
        figure, axes = plt.subplots(
            rows, columns, figsize=size, squeeze=False, layout="constrained", **options
        )
        yield figure, axes
        if title:
            figure.suptitle(title)
        if path is not None:
            figure.savefig(path)
            plt.close(figure)


def close(figure):
    """Forget a figure that was drawn."""
    import matplotlib.pyplot as plt

    plt.close(figure)
