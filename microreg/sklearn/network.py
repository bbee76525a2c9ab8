"""Classifier and Regressor: a network behind fit, predict and score."""

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.model_selection import train_test_split
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, column_or_1d, validate_data

from .. import functional as F
from ..analysis import recipe
from ..nn import Linear
from ..tensor import Tensor
from ..training import EarlyStopping, fit, predict
from . import build, targets

FLOATS = [np.float64, np.float32]


class Fitted(BaseEstimator):
    """What a fitted estimator shows of its network, `model_`."""

    @property
    def support_(self):
        """Which inputs are in use: those that the first weight does not multiply by 0."""
        first = self._weight(0)
        if first.ndim != 2 or first.shape[1] != self.n_features_in_:
            raise AttributeError("support_: the first weight has no column for each input")
        return first.any(axis=0)

    @property
    def coef_(self):
        """The weight of a model that is one linear layer, shaped as scikit-learn does."""
        weight = self._only_layer().weight.data
        return weight[0] if self._single else weight

    @property
    def intercept_(self):
        layer = self._only_layer()
        bias = np.zeros(layer.out_features) if layer.bias is None else layer.bias.data
        return bias[0] if self._single else bias

    def _weight(self, i):
        if "model_" not in self.__dict__:
            raise AttributeError(f"{type(self).__name__} is not fitted yet")
        return dict(self.model_.named_parameters())[recipe.weights(self.model_)[i]].data

    def _only_layer(self):
        self._weight(0)
        layers = [m for m in self.model_.modules() if not list(m.children())]
        if len(layers) != 1 or not isinstance(layers[0], Linear):
            raise AttributeError("coef_: only a model that is one linear layer has coefficients")
        return layers[0]

    def _outputs(self, X):
        check_is_fitted(self)
        X = validate_data(self, X, dtype=FLOATS, reset=False)
        return predict(self.model_, X)


class ClassOutputs(ClassifierMixin):
    """Predictions from one logit for two classes, from k logits for more."""

    _single = False

    def _labels(self, y):
        """y as numbers of classes, of all that there are."""
        check_classification_targets(y)
        classes, labels = np.unique(y, return_inverse=True)
        if len(classes) < 2:
            raise ValueError(
                f"{type(self).__name__}.fit(y): expected two classes or more, got {len(classes)} "
                "class"
            )
        return classes, labels

    def decision_function(self, X):
        """Logits: (n,) of the second of two classes, else (n, k)."""
        out = self._outputs(X)
        return out[:, 0] if len(self.classes_) == 2 else out

    def predict_proba(self, X):
        """The probability of every class, (n, k)."""
        out = self._outputs(X).astype(np.float64)
        if len(self.classes_) == 2:
            out = np.column_stack([np.zeros(len(out)), out])
        return F.softmax(Tensor(out), 1).data

    def predict(self, X):
        scores = self.decision_function(X)
        return self.classes_[scores.argmax(1) if scores.ndim == 2 else (scores > 0).astype(int)]


class NumberOutputs(RegressorMixin):
    """Predictions as numbers, one or several for a row."""

    def predict(self, X):
        out = self._outputs(X)
        return out[:, 0] if self._single else out

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags


class Trained(Fitted):
    """Training by `fit`, in one go or part by part."""

    def _start(self, inputs, outputs, dtype):
        """A new network and optimizer."""
        self.model_ = build.make(self, inputs, outputs, dtype)
        make = recipe.chosen(build.OPTIMIZERS, self.optimizer, type(self).__name__, "optimizer")
        parameters = self.model_.parameters()
        own = callable(self.optimizer)
        self._optimizer = make(parameters) if own else make(parameters, lr=self.lr)
        self.n_iter_, self._shape = 0, (inputs, outputs)

    def _run(self, train, made, epochs, **options):
        """Train the network on these rows."""
        self.history_ = fit(
            self.model_,
            train,
            loss=made.loss,
            optimizer=self._optimizer,
            epochs=epochs,
            batch_size=self.batch_size,
            progress=self.progress,
            **options,
        )
        self.n_iter_ += len(self.history_)
        return self

    def _fit_all(self, X, made, outputs, labels=None):
        with build.seeded(self.random_state):
            again = self.warm_start and getattr(self, "_shape", None) == (X.shape[1], outputs)
            if not again:
                self._start(X.shape[1], outputs, X.dtype)
            if not self.early_stopping:
                return self._run((X, made.y), made, self.epochs)
            rows, held = train_test_split(
                np.arange(len(X)),
                test_size=self.validation_fraction,
                random_state=self.random_state,
                stratify=labels,
            )
            val, stop = (X[held], made.y[held]), EarlyStopping(self.patience)
            train = X[rows], made.y[rows]
            return self._run(train, made, self.epochs, val=val, callbacks=[stop])

    def _fit_part(self, X, made, outputs):
        with build.seeded(self.random_state):
            if not hasattr(self, "model_"):
                self._start(X.shape[1], outputs, X.dtype)
            return self._run((X, made.y), made, 1)


OPTIONS = """
    Parameters
    ----------
    hidden : sequence of int, or callable (inputs, outputs) -> Module; default (100,)
        Widths of the hidden layers, () for a linear model; or what makes the network, which gets
        rows of `inputs` numbers.
    activation : "relu", "tanh", "sigmoid", "gelu", "identity" or a Module class
    norm : None, "batch" or "layer"
        Between a hidden layer and its activation.
    dropout : float, default 0
        After each hidden activation.
    penalty : None, a word, a Penalty, or a rule for `attach`
        "l1", "l2", "elastic_net", "group_lasso", "mcp", "scad", "weight_decay": a word takes `lam`
        as its strength. "group_lasso" acts on the inputs, with "l2" on the other weights. A penalty
        or a rule has strengths of its own.
    lam : float, default 1e-4
    optimizer : "adam", "adamw", "sgd", "rmsprop", or callable parameters -> Optimizer
    lr : float, default 3e-3
        For an optimizer given by name.
    epochs, batch_size : int, default 200 and 128
    early_stopping : bool, default False
        Keep `validation_fraction` of the rows aside, stop when their loss has not fallen for
        `patience` epochs, and go back to the best weights.
    warm_start : bool, default False
        fit goes on from the weights of the last fit.
    random_state : int, RandomState or None
        For initial weights, order of rows, dropout and the rows kept aside.
    progress : bool, default False

    Attributes
    ----------
    model_ : Module
    history_ : History
    support_ : bool array (n_features,)
        The inputs in use.
    coef_, intercept_ : arrays
        Of a linear model (hidden=()).
    n_iter_ : int
        Epochs trained.

    The network has the dtype of X, float32 or float64. Scale the columns of X first:
    make_pipeline(StandardScaler(), ...).
"""


class Classifier(ClassOutputs, Trained):
    __doc__ = f"""A network for classes: mean cross-entropy + penalties.
{OPTIONS}
    class_weight, a dict or "balanced", multiplies the weights of rows.
    """

    def __init__(
        self,
        hidden=(100,),
        *,
        activation="relu",
        norm=None,
        dropout=0.0,
        penalty=None,
        lam=1e-4,
        optimizer="adam",
        lr=3e-3,
        epochs=200,
        batch_size=128,
        early_stopping=False,
        validation_fraction=0.1,
        patience=10,
        class_weight=None,
        warm_start=False,
        random_state=None,
        progress=False,
    ):
        self.hidden, self.activation, self.norm, self.dropout = hidden, activation, norm, dropout
        self.penalty, self.lam, self.optimizer, self.lr = penalty, lam, optimizer, lr
        self.epochs, self.batch_size, self.early_stopping = epochs, batch_size, early_stopping
        self.validation_fraction, self.patience = validation_fraction, patience
        self.class_weight, self.warm_start = class_weight, warm_start
        self.random_state, self.progress = random_state, progress

    def fit(self, X, y, sample_weight=None):
        """Train on all rows; weights count relative to their mean."""
        X, y = validate_data(self, X, y, dtype=FLOATS)
        self.classes_, labels = self._labels(column_or_1d(y, warn=True))
        X, labels, weight = self._weighted(X, y, labels, sample_weight)
        weight = None if weight is None else weight / weight.mean()
        made, outputs = self._targets(labels, weight, X.dtype)
        return self._fit_all(X, made, outputs, labels)

    def partial_fit(self, X, y, classes=None, sample_weight=None):
        """One epoch on these rows, from where the network is; the first call needs `classes`."""
        first = not hasattr(self, "model_")
        X, y = validate_data(self, X, y, dtype=FLOATS, reset=first)
        y = column_or_1d(y, warn=True)
        if first:
            if classes is None:
                raise ValueError("Classifier.partial_fit: expected classes in the first call")
            self.classes_ = self._labels(np.asarray(classes))[0]
        unknown = np.setdiff1d(y, self.classes_)
        if len(unknown):
            raise ValueError(
                f"Classifier.partial_fit(y): expected classes {self.classes_}, got {unknown}"
            )
        labels = np.searchsorted(self.classes_, y)
        X, labels, weight = self._weighted(X, y, labels, sample_weight)
        return self._fit_part(X, *self._targets(labels, weight, X.dtype))

    def _weighted(self, X, y, labels, sample_weight):
        """Rows, labels and weights, without the rows that weigh nothing."""
        weight = targets.row_weights(sample_weight, X)
        if self.class_weight is not None:
            own = compute_sample_weight(self.class_weight, y).astype(X.dtype)
            weight = own if weight is None else own * weight
        if weight is None:
            return X, labels, None
        kept = weight > 0
        if len(np.unique(labels[kept])) < 2 and len(np.unique(labels)) > 1:
            raise ValueError(
                "Classifier: expected rows with weight in two classes or more, got 1 class"
            )
        return X[kept], labels[kept], weight[kept]

    def _targets(self, labels, weight, dtype):
        k = len(self.classes_)
        return targets.of_labels(labels, k, weight, dtype), 1 if k == 2 else k


class Regressor(NumberOutputs, Trained):
    __doc__ = f"""A network for numbers: mean squared error + penalties.
{OPTIONS}"""

    def __init__(
        self,
        hidden=(100,),
        *,
        activation="relu",
        norm=None,
        dropout=0.0,
        penalty=None,
        lam=1e-4,
        optimizer="adam",
        lr=3e-3,
        epochs=200,
        batch_size=128,
        early_stopping=False,
        validation_fraction=0.1,
        patience=10,
        warm_start=False,
        random_state=None,
        progress=False,
    ):
        self.hidden, self.activation, self.norm, self.dropout = hidden, activation, norm, dropout
        self.penalty, self.lam, self.optimizer, self.lr = penalty, lam, optimizer, lr
        self.epochs, self.batch_size, self.early_stopping = epochs, batch_size, early_stopping
        self.validation_fraction, self.patience = validation_fraction, patience
        self.warm_start, self.random_state, self.progress = warm_start, random_state, progress

    def fit(self, X, y, sample_weight=None):
        """Train on all rows; weights count relative to their mean. y is (n,) or (n, outputs)."""
        X, y = validate_data(self, X, y, dtype=FLOATS, y_numeric=True, multi_output=True)
        X, y, weight = self._weighted(X, y, sample_weight)
        self._single = y.ndim == 1
        weight = None if weight is None else weight / weight.mean()
        made = targets.of_numbers(y, weight, X.dtype)
        return self._fit_all(X, made, 1 if self._single else y.shape[1])

    def partial_fit(self, X, y, sample_weight=None):
        """One epoch on these rows, from where the network is."""
        first = not hasattr(self, "model_")
        X, y = validate_data(
            self, X, y, dtype=FLOATS, y_numeric=True, multi_output=True, reset=first
        )
        X, y, weight = self._weighted(X, y, sample_weight)
        self._single = y.ndim == 1
        made = targets.of_numbers(y, weight, X.dtype)
        return self._fit_part(X, made, 1 if self._single else y.shape[1])

    def _weighted(self, X, y, sample_weight):
        """Rows, targets and weights, without the rows that weigh nothing."""
        weight = targets.row_weights(sample_weight, X)
        if weight is None:
            return X, y, None
        kept = weight > 0
        return X[kept], y[kept], weight[kept]
