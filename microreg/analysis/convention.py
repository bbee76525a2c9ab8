"""One strength, said in the convention of another library.

Libraries halve the squared error or do not, halve the square of the weights or do not, and divide
by the rows or do not. `CONVENTIONS` holds these choices; microreg's own objective is

    mean loss + lam * sum |w|  or  lam * sum w^2  or  lam * (l1_ratio |w| + (1 - l1_ratio)/2 w^2).
"""

import math
from typing import NamedTuple


class Convention(NamedTuple):
    """How a library writes its objective, beside microreg's."""

    penalties: tuple[str, ...]
    losses: tuple[str, ...]
    halves_square: bool = True  # L2 is strength / 2 * sum w^2
    halves_error: bool = False  # the squared error is mean (y - f)^2 / 2
    divides_by_rows: bool = False  # the loss is a sum over the rows
    inverse: bool = False  # the strength stands before the loss

    def factor(self, penalty, loss, n):
        """lam / strength; lam * strength if inverse."""
        half = 0.5 if self.halves_square and penalty == "L2" else 1.0
        double = 2.0 if self.halves_error and loss == "mse" else 1.0
        return half * double / (n if self.divides_by_rows else 1)


ALL, BOTH = ("L1", "L2", "ElasticNet"), ("mse", "cross_entropy")
CONVENTIONS = {
    "microreg": Convention(ALL, BOTH, halves_square=False),
    "torch": Convention(("L2",), BOTH),
    "keras": Convention(("L1", "L2"), BOTH, halves_square=False),
    "glmnet": Convention(ALL, BOTH, halves_error=True),
    "sklearn.Lasso": Convention(("L1",), ("mse",), halves_error=True),
    "sklearn.ElasticNet": Convention(ALL, ("mse",), halves_error=True),
    "sklearn.Ridge": Convention(("L2",), ("mse",), halves_square=False, divides_by_rows=True),
    "sklearn.MLP": Convention(("L2",), BOTH, halves_error=True, divides_by_rows=True),
    "sklearn.LogisticRegression": Convention(
        ALL, ("cross_entropy",), divides_by_rows=True, inverse=True
    ),
}


def convention(strength, source, target="microreg", *, penalty, loss=None, n=None):
    """The strength in `target` with the same optimum as `strength` in `source`.

    microreg                    lam of L1, L2, ElasticNet
    torch                       weight_decay of SGD, or of Adam where it is coupled
    keras                       regularizers.L1, regularizers.L2
    glmnet                      lambda, for standardize=FALSE; alpha is l1_ratio
    sklearn.Lasso, .ElasticNet  alpha
    sklearn.Ridge               alpha
    sklearn.MLP                 alpha of MLPClassifier and MLPRegressor
    sklearn.LogisticRegression  C

    Parameters
    ----------
    strength : float
    source, target : str
        Names from the list above.
    penalty : "L1", "L2" or "ElasticNet"
        l1_ratio means the same everywhere.
    loss : "mse" or "cross_entropy", optional
        Needed between a library that halves the squared error and one that does not.
    n : int, optional
        Rows; needed for scikit-learn's Ridge, MLP (rows of a batch, with sgd and adam) and
        LogisticRegression.

    Notes
    -----
    The weight_decay of AdamW is decoupled: it is `WeightDecay(lam)` with the same number.
    """
    who = f"convention({strength!r}, {source!r}, {target!r})"
    both = [_known(name, penalty, who) for name in (source, target)]
    losses = [name for name in BOTH if all(name in c.losses for c in both)]
    if not losses or (loss is not None and loss not in losses):
        raise ValueError(f"{who}: expected a loss among {losses}, got {loss!r}")
    loss = losses[0] if len(losses) == 1 else loss
    if loss is None and both[0].halves_error != both[1].halves_error:
        raise ValueError(f"{who}: depends on the loss; give loss='mse' or loss='cross_entropy'")
    if any(c.divides_by_rows for c in both) and not (isinstance(n, int) and n > 0):
        raise ValueError(f"{who}: depends on the number of rows; give n=..., got {n!r}")
    low = "above 0" if any(c.inverse for c in both) else "of at least 0"
    if not math.isfinite(strength) or strength < 0 or (strength == 0 and low == "above 0"):
        raise ValueError(f"{who}: expected a finite strength {low}, got {strength}")
    factors = [c.factor(penalty, loss, n) for c in both]
    lam = factors[0] / strength if both[0].inverse else factors[0] * strength
    return factors[1] / lam if both[1].inverse else lam / factors[1]


def _known(name, penalty, who):
    """The Convention of that name, if it has that penalty."""
    if name not in CONVENTIONS:
        raise ValueError(f"{who}: expected one of {list(CONVENTIONS)}, got {name!r}")
    found = CONVENTIONS[name]
    if penalty not in found.penalties:
        raise ValueError(f"{who}: {name} has {' and '.join(found.penalties)}, got {penalty!r}")
    return found
