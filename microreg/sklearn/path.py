"""PathClassifier and PathRegressor: the strength of the penalty is chosen by cross-validation."""

import numpy as np
from sklearn.utils.validation import column_or_1d, validate_data

from ..analysis import path, recipe
from ..penalties import L2, attach
from . import build, targets
from .network import FLOATS, ClassOutputs, Fitted, NumberOutputs


class _Path(Fitted):
    def __init__(
        self,
        hidden=(),
        *,
        activation="tanh",
        penalty="l1",
        ridge=0.01,
        n_lambdas=30,
        lam_min_ratio=0.01,
        cv=5,
        select="one_se",
        refit=False,
        steps=500,
        n_jobs=None,
        random_state=None,
        progress=False,
    ):
        self.hidden, self.activation, self.penalty, self.ridge = hidden, activation, penalty, ridge
        self.n_lambdas, self.lam_min_ratio, self.cv = n_lambdas, lam_min_ratio, cv
        self.select, self.refit, self.steps = select, refit, steps
        self.n_jobs, self.random_state, self.progress = n_jobs, random_state, progress

    def _follow(self, X, made, outputs):
        """Set path_, model_ and lam_."""
        who = type(self).__name__
        if self.select not in ("one_se", "best"):
            raise ValueError(f"{who}(select={self.select!r}): expected 'one_se' or 'best'")
        if len(X) < self.cv:
            raise ValueError(
                f"{who}(cv={self.cv}): expected a row for each fold, got n_samples={len(X)}"
            )
        with build.seeded(self.random_state):
            model = recipe.network(
                who, self.hidden, self.activation, None, 0, X.shape[1], outputs, X.dtype
            )
            rule = recipe.penalised(who, model, self.penalty, 1.0, self.ridge)
            if len(recipe.weights(model)) > 1:
                attach(model, L2(self.ridge))
            self.path_ = path(
                model,
                (X, made.y),
                rule,
                n_lambdas=self.n_lambdas,
                lam_min_ratio=self.lam_min_ratio,
                val=self.cv,
                loss=made.loss,
                steps=self.steps,
                n_jobs=self.n_jobs,
                progress=self.progress,
            )
            i = getattr(self.path_, self.select)
            self.lam_ = float(self.path_.lambdas[i])
            self.model_ = self.path_.refit(i) if self.refit else self.path_.at(i)
        return self


OPTIONS = """
    Parameters
    ----------
    hidden : sequence of int, or callable (inputs, outputs) -> Module; default ()
        As for Classifier; the default is a linear model.
    activation : "tanh" by default
    penalty : "l1", "l2"..., Penalty or rule; default "l1"
        As for Classifier; give a penalty of your own lam=1. "group_lasso" chooses inputs.
    ridge : float, default 0.01
        The L2 that holds on the weights that `penalty` does not shrink, in a network.
    n_lambdas, lam_min_ratio, steps, n_jobs
        As for `mr.path`.
    cv : int, default 5
        Folds.
    select : "one_se" or "best"
        The largest strength whose loss is within one standard error of the least, or the least.
    refit : bool, default False
        Train on without the penalty, zeros staying zero.
    random_state, progress

    Attributes
    ----------
    path_ : the result of `mr.path`; print it for the table.
    lam_ : float
        The strength chosen.
    model_, support_, coef_, intercept_ : as for Classifier.
"""


class PathClassifier(ClassOutputs, _Path):
    __doc__ = f"""A classifier at the strength of its penalty that cross-validation chooses.
{OPTIONS}"""

    def fit(self, X, y):
        """Follow the path and keep the model at the strength chosen."""
        X, y = validate_data(self, X, y, dtype=FLOATS)
        self.classes_, labels = self._labels(column_or_1d(y, warn=True))
        k = len(self.classes_)
        made = targets.of_labels(np.asarray(labels), k, None, X.dtype)
        return self._follow(X, made, 1 if k == 2 else k)


class PathRegressor(NumberOutputs, _Path):
    __doc__ = f"""A regressor at the strength of its penalty that cross-validation chooses.
{OPTIONS}"""

    def fit(self, X, y):
        """Follow the path and keep the model at the strength chosen."""
        X, y = validate_data(self, X, y, dtype=FLOATS, y_numeric=True, multi_output=True)
        self._single = y.ndim == 1
        made = targets.of_numbers(y, None, X.dtype)
        return self._follow(X, made, 1 if self._single else y.shape[1])
