"""`import microreg` is light: no compiler is loaded and nothing is compiled."""

import os
import subprocess
import sys

CODE = """
import sys, time
import numpy
start = time.perf_counter()
import microreg
print(time.perf_counter() - start)
print(sorted({name.partition(".")[0] for name in sys.modules}))
"""


def test_import_loads_no_compiler_and_compiles_nothing(tmp_path, record_property):
    command = [sys.executable, "-W", "error", "-c", CODE]
    environment = {**os.environ, "MICROREG_CACHE_DIR": str(tmp_path / "cache")}
    run = subprocess.run(command, capture_output=True, text=True, timeout=300, env=environment)
    assert run.returncode == 0, run.stderr
    seconds, modules = run.stdout.splitlines()
    record_property("import seconds, beside NumPy", seconds)  # told, not judged
    for heavy in ("numba", "numba_cuda", "cuda", "scipy", "torch", "sklearn", "matplotlib"):
        assert repr(heavy) not in modules
    assert "'microreg'" in modules and "'tqdm'" in modules
    assert not (tmp_path / "cache").exists()
