"""Memory does not grow with the number of steps."""

import os
import subprocess
import sys

import pytest

SCRIPT = """
import gc, sys
import numpy as np
import microreg as mr
import microreg.nn.functional as F
from microreg import nn, optim

def resident():
    gc.collect()
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096 / 2**20

model = nn.Sequential(nn.Linear(50, 120), nn.BatchNorm1d(120), nn.ReLU(), nn.Dropout(0.2),
                      nn.Linear(120, 5))
optimizer = optim.Adam(model.parameters())
X, y = mr.randn(330, 50), mr.randint(5, size=(330,))

def step(x, t):
    loss = F.cross_entropy(model(x), t)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss

if sys.argv[1] == "fit":
    class Look(mr.Callback):
        def on_epoch_end(self, run):
            if run.epoch == 99:
                self.first = resident()
    look = Look()
    mr.fit(model, (X, y), val=(X, y), optimizer=optimizer, epochs=400, batch_size=64,
           callbacks=[look], checkpoint=sys.argv[2])
    first = look.first
else:
    step = mr.compile(step) if sys.argv[1] == "compiled" else step
    for i in range(2000):
        rows = slice(0, 64) if i % 6 else slice(0, 10)  # the last batch is smaller
        loss = step(X[rows], y[rows])
        if i == 499:
            first = resident()
print(resident() - first)
"""


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="needs /proc")
@pytest.mark.parametrize("how", ["eager", "compiled", "fit"])
def test_two_thousand_steps_take_no_more_memory_than_five_hundred(how, tmp_path):
    command = [sys.executable, "-c", SCRIPT, how, str(tmp_path)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert run.returncode == 0, run.stderr
    assert float(run.stdout) <= 5.0  # MiB
