"""Independent runs one after the other, or by joblib over processes, dask or ray."""

import os
import threading

from ..runtime import set_num_threads
from ..terminal import tqdm


def spread(function, runs, n_jobs=None, progress=True, who="spread"):
    """function(*run) for every run, in order.

    With n_jobs by joblib, whose backend `joblib.parallel_config` sets. A worker process has one
    kernel thread: the processes share the cores.
    """
    with tqdm(total=len(runs), unit="run", disable=None if progress else True) as bar:
        out = []
        for found in _results(function, runs, n_jobs, who):
            out.append(found)
            bar.update()
    return out


def _results(function, runs, n_jobs, who):
    if n_jobs is None:
        return (function(*run) for run in runs)
    try:
        import joblib
    except ImportError:
        raise ImportError(
            f"{who}(n_jobs={n_jobs}): needs joblib; pip install 'microreg[sweep]'"
        ) from None
    parallel = joblib.Parallel(n_jobs=n_jobs)
    if getattr(parallel._backend, "supports_return_generator", False):  # ray's does not
        parallel = joblib.Parallel(n_jobs=n_jobs, return_as="generator")
    return parallel(joblib.delayed(_elsewhere)(os.getpid(), function, run) for run in runs)


ALONE = threading.Lock()  # a process has one random state, so threads of a backend take turns


def _elsewhere(parent, function, run):
    """A run in a worker process, which has one thread."""
    with ALONE:
        if os.getpid() != parent:
            set_num_threads(1)
        return function(*run)
