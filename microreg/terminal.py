"""Progress bars where somebody sees them: on a terminal, or in a notebook."""

import sys

from tqdm import tqdm as plain


def tqdm(*args, disable=False, **options):
    """tqdm's bar; disable=None shows it on a terminal and in a notebook, not in a file."""
    if disable is not None or not in_notebook():
        return plain(*args, disable=disable, **options)
    try:
        import ipywidgets  # noqa: F401
        from tqdm.notebook import tqdm as widget
    except ImportError:  # a line of text does as well
        return plain(*args, disable=False, **options)
    return widget(*args, disable=False, **options)


def in_notebook():
    """Whether the interpreter is the kernel of a notebook."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return type(shell).__name__ == "ZMQInteractiveShell"
