"""Sums and other reductions; what they do is said at the methods."""

from ._inputs import method

all = method("all")
amax = method("amax")
amin = method("amin")
any = method("any")
argmax = method("argmax")
argmin = method("argmin")
cumsum = method("cumsum")
logsumexp = method("logsumexp")
max = method("max")
mean = method("mean")
min = method("min")
norm = method("norm")
prod = method("prod")
std = method("std")
sum = method("sum")
var = method("var")
