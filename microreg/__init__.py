"""microreg: small neural networks whose subject is regularization.

import microreg as mr
from microreg import nn, optim
import microreg.nn.functional as F
"""

import numpy as _np

from . import functional, nn, onnx, optim, parallel, penalties
from .analysis import (
    Watch,
    certificate,
    compact,
    compare,
    convention,
    lint,
    path,
    plots,
    polish,
    report,
)
from .capture import compile
from .creation import (
    arange,
    eye,
    from_numpy,
    full,
    full_like,
    linspace,
    ones,
    ones_like,
    rand,
    randint,
    randn,
    randperm,
    tensor,
    zeros,
    zeros_like,
)
from .dtypes import get_default_dtype, set_default_dtype
from .errors import CaptureError, DeviceError, DTypeError, GradcheckError, GraphError, ShapeError
from .functional import cat, maximum, minimum, relu, sigmoid, softmax, stack, tanh, unbind, where
from .grad_mode import enable_grad, is_grad_enabled, no_grad
from .gradcheck import gradcheck, proxcheck
from .methods import matmul
from .penalties import attach
from .random import get_rng_state, manual_seed, set_rng_state
from .runtime import get_num_threads, set_num_threads
from .tensor import Tensor, grad
from .training import Callback, EarlyStopping, History, TensorBoard, evaluate, fit, predict

__version__ = "0.1.0"

float32, float64 = _np.dtype(_np.float32), _np.dtype(_np.float64)
int64, bool = _np.dtype(_np.int64), _np.dtype(_np.bool_)

__all__ = [
    "Callback",
    "CaptureError",
    "DTypeError",
    "DeviceError",
    "EarlyStopping",
    "GradcheckError",
    "GraphError",
    "History",
    "ShapeError",
    "Tensor",
    "TensorBoard",
    "Watch",
    "__version__",
    "arange",
    "attach",
    "bool",
    "cat",
    "certificate",
    "compact",
    "compare",
    "compile",
    "convention",
    "enable_grad",
    "evaluate",
    "eye",
    "fit",
    "float32",
    "float64",
    "from_numpy",
    "full",
    "full_like",
    "functional",
    "get_default_dtype",
    "get_num_threads",
    "get_rng_state",
    "grad",
    "gradcheck",
    "int64",
    "is_grad_enabled",
    "linspace",
    "lint",
    "manual_seed",
    "matmul",
    "maximum",
    "minimum",
    "nn",
    "no_grad",
    "ones",
    "ones_like",
    "onnx",
    "optim",
    "parallel",
    "path",
    "penalties",
    "plots",
    "polish",
    "predict",
    "proxcheck",
    "rand",
    "randint",
    "randn",
    "randperm",
    "relu",
    "report",
    "set_default_dtype",
    "set_num_threads",
    "set_rng_state",
    "sigmoid",
    "softmax",
    "stack",
    "tanh",
    "tensor",
    "unbind",
    "where",
    "zeros",
    "zeros_like",
]
