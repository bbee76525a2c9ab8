"""The regularized parameter update: an optimizer's rule, then the penalty's prox, in one pass.

Every rule moves the parameter w to a point and names the step length s that the rule took for it,
its metric; the prox is taken there:

    w <- prox(w * (1 - lr * decay) - s * direction, s)

so that a fixed point satisfies the penalty's optimality condition whatever the rule. For Adam
s = lr / (sqrt(v_hat) + eps), a step of its own for each coordinate (Yun, Lozano, Yang, "Adaptive
Proximal Gradient Methods for Structured Neural Networks", NeurIPS 2021).

A rule's `tick` counts the step and makes `hyper` of the optimizer's options. Both begin with
[lr, decay, coupled, sign]: decay is decoupled (AdamW), coupled adds coupled * w to the gradient (L2
in PyTorch's sense), sign is -1 to maximise. `params` is [decay that a penalty adds, longest step,
the parameters of the prox]: an adaptive rule shortens a step of its own to `longest`, beyond which
the prox of a penalty that is not convex has several values. With `keep` the steps are written for a
prox of many weights that follows (`update_kernel`, or in the same launch `update_rows`); without it
`steps` is not touched.
"""

import functools
import math
from typing import NamedTuple

from ._jit import FAR, Kernel, kernel, scalar, specialize
from ._native import values

COMMON = 4  # options at the beginning of every rule's


@scalar
def no_prox(v, step):
    """The prox of no penalty."""
    return v


@scalar
def shorter(step, longest):
    """The shorter of two steps; NaN stays NaN."""
    return longest if step > longest else step


@scalar
def _begin(options, count, hyper):
    count[0] += 1
    for i in range(COMMON):
        hyper[i] = options[i]


@kernel("options:float64[k] -> count:int64[1] hyper[h]")
def tick_sgd(options, count, hyper):
    """Nothing beside what all rules have."""
    _begin(options, count, hyper)


@kernel("hyper[h] params[k] w[n] -> base[n]", split="n")
def shrink(hyper, params, w, base):
    """base = (1 - lr * decay) * w: where a step begins."""
    factor = type(hyper[0])(1) - hyper[0] * (hyper[1] + params[0])
    for i in range(w.size):
        base[i] = factor * w[i]


def _sgd(prox, count, keep):
    wide = count + 2

    def sgd(grad, hyper, params, w, steps):
        lr, decay, coupled, sign = values(hyper, 4)
        q = values(params, wide)
        shrink = type(lr)(1) - lr * (decay + q[0])
        for i in range(w.size):
            g = sign * grad[i] + coupled * w[i]
            w[i] = prox(shrink * w[i] - lr * g, lr, *q[2:])
            if keep:
                steps[i] = lr

    return sgd


@kernel("options:float64[k] -> count:int64[1] hyper[h]")
def tick_momentum(options, count, hyper):
    """From momentum, dampening, nesterov: fade, take, ahead, along, gain.

    gain is what the buffer would be if every gradient had been 1, in PyTorch's first step too.
    """
    _begin(options, count, hyper)
    momentum, dampening, nesterov = options[4], options[5], options[6]
    take = 1.0 - dampening
    ahead, along = (1.0, momentum) if nesterov != 0.0 else (0.0, 1.0)
    faded = momentum ** (count[0] - 1)
    gain = ahead + along * (faded + take * (1.0 - faded) / (1.0 - momentum))
    first = count[0] == 1
    hyper[4] = 0.0 if first else momentum
    hyper[5] = 1.0 if first else take
    hyper[6] = ahead
    hyper[7] = along
    hyper[8] = gain


def _momentum(prox, count, keep):
    """buffer <- fade * buffer + take * g; direction = ahead * g + along * buffer; s = lr * gain.

    A steady gradient g becomes the direction gain * g. With s = lr the penalty would count
    1 - momentum times what it should.
    """

    wide = count + 2

    def momentum(grad, hyper, params, w, buffer, steps):
        lr, decay, coupled, sign, fade, take, ahead, along, gain = values(hyper, 9)
        q = values(params, wide)
        s = lr * gain
        shrink = type(lr)(1) - lr * (decay + q[0])
        for i in range(w.size):
            g = sign * grad[i] + coupled * w[i]
            b = fade * buffer[i] + take * g
            buffer[i] = b
            w[i] = prox(shrink * w[i] - lr * (ahead * g + along * b), s, *q[2:])
            if keep:
                steps[i] = s

    return momentum


@kernel("options:float64[k] -> count:int64[1] hyper[h]")
def tick_adam(options, count, hyper):
    """From beta1, beta2, eps: take1, beta2, take2, eps, and what corrects m and sqrt(v).

    take1 = 1 - beta1 and take2 = 1 - beta2 are taken here: in float32 1 - 0.999 is off by 5e-5.
    """
    _begin(options, count, hyper)
    beta1, beta2 = options[4], options[5]
    hyper[4] = 1.0 - beta1
    hyper[5] = beta2
    hyper[6] = 1.0 - beta2
    hyper[7] = options[6]
    hyper[8] = 1.0 / (1.0 - beta1 ** count[0])
    hyper[9] = 1.0 / math.sqrt(1.0 - beta2 ** count[0])


def _adam(prox, count, keep):
    """m, v: running means of g and g^2, corrected by 1 / (1 - beta1^t), 1 / sqrt(1 - beta2^t)."""

    wide = count + 2

    def adam(grad, hyper, params, w, m, v, steps):
        lr, decay, coupled, sign, take1, beta2, take2, eps, correction1, correction2 = values(
            hyper, 10
        )
        q = values(params, wide)
        shrink = type(lr)(1) - lr * (decay + q[0])
        for i in range(w.size):
            g = sign * grad[i] + coupled * w[i]
            mean = m[i] + take1 * (g - m[i])
            square = beta2 * v[i] + take2 * g * g
            m[i] = mean
            v[i] = square
            s = shorter(lr / (math.sqrt(square) * correction2 + eps), q[1])
            w[i] = prox(shrink * w[i] - s * (mean * correction1), s, *q[2:])
            if keep:
                steps[i] = s

    return adam


def _amsgrad(prox, count, keep):
    """Adam with the largest v so far in the place of v."""

    wide = count + 2

    def amsgrad(grad, hyper, params, w, m, v, largest, steps):
        lr, decay, coupled, sign, take1, beta2, take2, eps, correction1, correction2 = values(
            hyper, 10
        )
        q = values(params, wide)
        shrink = type(lr)(1) - lr * (decay + q[0])
        for i in range(w.size):
            g = sign * grad[i] + coupled * w[i]
            mean = m[i] + take1 * (g - m[i])
            square = beta2 * v[i] + take2 * g * g
            top = largest[i] if square <= largest[i] else square
            m[i] = mean
            v[i] = square
            largest[i] = top
            s = shorter(lr / (math.sqrt(top) * correction2 + eps), q[1])
            w[i] = prox(shrink * w[i] - s * (mean * correction1), s, *q[2:])
            if keep:
                steps[i] = s

    return amsgrad


@kernel("options:float64[k] -> count:int64[1] hyper[h]")
def tick_rmsprop(options, count, hyper):
    """From alpha, eps, momentum: alpha, take, eps, momentum, gain.

    gain is what momentum makes of a steady gradient 1.
    """
    _begin(options, count, hyper)
    alpha, momentum = options[4], options[6]
    hyper[4] = alpha
    hyper[5] = 1.0 - alpha
    hyper[6] = options[5]
    hyper[7] = momentum
    hyper[8] = (1.0 - momentum ** count[0]) / (1.0 - momentum)


def _rmsprop(prox, count, keep):
    """square: running mean of g^2; buffer <- momentum * buffer + g / (sqrt(square) + eps).

    A steady g / (sqrt(square) + eps) makes a buffer of gain times that.
    """

    wide = count + 2

    def rmsprop(grad, hyper, params, w, square, buffer, steps):
        lr, decay, coupled, sign, alpha, take, eps, momentum, gain = values(hyper, 9)
        q = values(params, wide)
        one = type(lr)(1)
        shrink = one - lr * (decay + q[0])
        longest = q[1] / (lr * gain)
        for i in range(w.size):
            g = sign * grad[i] + coupled * w[i]
            average = alpha * square[i] + take * g * g
            square[i] = average
            scale = shorter(one / (math.sqrt(average) + eps), longest)
            b = momentum * buffer[i] + g * scale
            buffer[i] = b
            s = lr * gain * scale
            w[i] = prox(shrink * w[i] - lr * b, s, *q[2:])
            if keep:
                steps[i] = s

    return rmsprop


def _centered(prox, count, keep):
    """RMSprop with the running variance of g, square - mean^2, in the place of its square."""

    wide = count + 2

    def centered(grad, hyper, params, w, square, mean, buffer, steps):
        lr, decay, coupled, sign, alpha, take, eps, momentum, gain = values(hyper, 9)
        q = values(params, wide)
        one = type(lr)(1)
        shrink = one - lr * (decay + q[0])
        longest = q[1] / (lr * gain)
        for i in range(w.size):
            g = sign * grad[i] + coupled * w[i]
            average = alpha * square[i] + take * g * g
            centre = mean[i] + take * (g - mean[i])
            square[i] = average
            mean[i] = centre
            scale = shorter(one / (math.sqrt(average - centre * centre) + eps), longest)
            b = momentum * buffer[i] + g * scale
            buffer[i] = b
            s = lr * gain * scale
            w[i] = prox(shrink * w[i] - lr * b, s, *q[2:])
            if keep:
                steps[i] = s

    return centered


@kernel("options:float64[k] -> count:int64[1] hyper[h]")
def tick_adagrad(options, count, hyper):
    """From lr_decay, eps: eps; lr becomes lr / (1 + (t - 1) * lr_decay)."""
    _begin(options, count, hyper)
    hyper[0] = options[0] / (1.0 + (count[0] - 1) * options[4])
    hyper[4] = options[5]


def _adagrad(prox, count, keep):
    """total <- total + g^2; s = lr / (sqrt(total) + eps)."""

    wide = count + 2

    def adagrad(grad, hyper, params, w, total, steps):
        lr, decay, coupled, sign, eps = values(hyper, 5)
        q = values(params, wide)
        shrink = type(lr)(1) - lr * (decay + q[0])
        for i in range(w.size):
            g = sign * grad[i] + coupled * w[i]
            total[i] += g * g
            s = shorter(lr / (math.sqrt(total[i]) + eps), q[1])
            w[i] = prox(shrink * w[i] - s * g, s, *q[2:])
            if keep:
                steps[i] = s

    return adagrad


class Rule(NamedTuple):
    """The loop over a parameter, the arrays of state it keeps, what begins a step, len(hyper)."""

    build: object
    state: tuple[str, ...]
    tick: Kernel
    hyper: int


RULES = {
    "sgd": Rule(_sgd, (), tick_sgd, 4),
    "momentum": Rule(_momentum, ("buffer",), tick_momentum, 9),
    "adam": Rule(_adam, ("m", "v"), tick_adam, 10),
    "amsgrad": Rule(_amsgrad, ("m", "v", "largest"), tick_adam, 10),
    "rmsprop": Rule(_rmsprop, ("square", "buffer"), tick_rmsprop, 9),
    "centered": Rule(_centered, ("square", "mean", "buffer"), tick_rmsprop, 9),
    "adagrad": Rule(_adagrad, ("total",), tick_adagrad, 5),
}


@functools.cache
def update_kernel(rule, prox, count, keep):
    """The kernel of a rule with a prox of `count` parameters fused in."""
    build, state, _, _ = RULES[rule]
    arrays = " ".join(f"{name}[n]" for name in state)
    signature = f"grad[n] hyper[h] params[k] -> w[n] {arrays} steps[n]"
    made = specialize(build(prox, count, keep), signature, [prox], split="n", far=FAR)
    made.name += "_keep" * keep
    made.untouched = () if keep else ("steps",)
    return made
