"""Networks as scikit-learn estimators.

from microreg.sklearn import Classifier, Regressor, PathClassifier, PathRegressor
"""

try:
    import sklearn  # noqa: F401
except ImportError:
    raise ImportError(
        "microreg.sklearn: needs scikit-learn; pip install 'microreg[sklearn]'"
    ) from None

from .network import Classifier, Regressor
from .path import PathClassifier, PathRegressor

__all__ = ["Classifier", "PathClassifier", "PathRegressor", "Regressor"]
