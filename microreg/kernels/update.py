"""The regularized parameter update: an optimizer's rule, then the penalty's prox, in one pass.

Every rule moves the parameter w to a point and names the step length s that the rule took for it,
its metric; the prox is taken there:

    w <- prox(w * (1 - lr * decay) - s * direction, s)

so that a fixed point satisfies the penalty's optimality condition whatever the rule. For Adam
s = lr / (sqrt(v_hat) + eps), a step of its own for each coordinate (Yun, Lozano, Yang, "Adaptive
Proximal Gradient Methods for Structured Neural Networks", NeurIPS 2021).

`hyper` begins with [lr, decay, coupled]: decay is decoupled (AdamW), coupled adds coupled * w to
the gradient (L2 in PyTorch's sense). With `keep` the steps are written for a group prox that
follows; without it `steps` is not touched.
"""

import functools
import math

from ._jit import scalar, specialize
from ._native import values


@scalar
def no_prox(v, step):
    """The prox of no penalty."""
    return v


def _sgd(prox, count, keep):
    def sgd(grad, hyper, params, w, steps):
        lr, decay, coupled = values(hyper, 3)
        q = values(params, count)
        shrink = type(lr)(1) - lr * decay
        for i in range(w.size):
            g = grad[i] + coupled * w[i]
            w[i] = prox(shrink * w[i] - lr * g, lr, *q)
            if keep:
                steps[i] = lr

    return sgd


def _momentum(prox, count, keep):
    """buffer <- fade * buffer + take * g; direction = ahead * g + along * buffer; s = lr * gain.

    A steady gradient g becomes the direction gain * g. With s = lr the penalty would count
    1 - momentum times what it should.
    """

    def momentum(grad, hyper, params, w, buffer, steps):
        lr, decay, coupled, fade, take, ahead, along, gain = values(hyper, 8)
        q = values(params, count)
        s = lr * gain
        shrink = type(lr)(1) - lr * decay
        for i in range(w.size):
            g = grad[i] + coupled * w[i]
            b = fade * buffer[i] + take * g
            buffer[i] = b
            w[i] = prox(shrink * w[i] - lr * (ahead * g + along * b), s, *q)
            if keep:
                steps[i] = s

    return momentum


def _adam(prox, count, keep):
    """m, v: running means of g and g^2, corrected by 1 - beta1^t and sqrt(1 - beta2^t).

    take1 = 1 - beta1 and take2 = 1 - beta2 are given, not computed: in float32 1 - 0.999 is off by
    5e-5.
    """

    def adam(grad, hyper, params, w, m, v, steps):
        lr, decay, coupled, take1, beta2, take2, eps, correction1, correction2 = values(hyper, 9)
        q = values(params, count)
        shrink = type(lr)(1) - lr * decay
        for i in range(w.size):
            g = grad[i] + coupled * w[i]
            mean = m[i] + take1 * (g - m[i])
            square = beta2 * v[i] + take2 * g * g
            m[i] = mean
            v[i] = square
            s = lr / (math.sqrt(square) / correction2 + eps)
            w[i] = prox(shrink * w[i] - s * (mean / correction1), s, *q)
            if keep:
                steps[i] = s

    return adam


def _rmsprop(prox, count, keep):
    """square: running mean of g^2; buffer <- momentum * buffer + g / (sqrt(square) + eps).

    A steady g / (sqrt(square) + eps) makes a buffer of gain times that.
    """

    def rmsprop(grad, hyper, params, w, square, buffer, steps):
        lr, decay, coupled, alpha, take, eps, momentum, gain = values(hyper, 8)
        q = values(params, count)
        one = type(lr)(1)
        shrink = one - lr * decay
        for i in range(w.size):
            g = grad[i] + coupled * w[i]
            average = alpha * square[i] + take * g * g
            square[i] = average
            scale = one / (math.sqrt(average) + eps)
            b = momentum * buffer[i] + g * scale
            buffer[i] = b
            s = lr * gain * scale
            w[i] = prox(shrink * w[i] - lr * b, s, *q)
            if keep:
                steps[i] = s

    return rmsprop


RULES = {  # the rule's loop and the arrays of state it keeps
    "sgd": (_sgd, ()),
    "momentum": (_momentum, ("buffer",)),
    "adam": (_adam, ("m", "v")),
    "rmsprop": (_rmsprop, ("square", "buffer")),
}


@functools.cache
def update_kernel(rule, prox, count, keep):
    """The kernel of a rule with a prox of `count` parameters fused in."""
    build, state = RULES[rule]
    arrays = " ".join(f"{name}[n]" for name in state)
    signature = f"grad[n] hyper[h] params[k] -> w[n] {arrays} steps[n]"
    made = specialize(build(prox, count, keep), signature, [prox], split="n")
    made.name += "_keep" * keep
    return made
