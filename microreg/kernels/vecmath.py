"""exp, tanh, sigmoid, log and erf without branches, so that loops over them are vectorised.

Each is argument reduction, a polynomial and arithmetic on the bits of a float; the polynomials are
minimax fits (Remez). Infinities, NaN, signed zeros and denormal numbers come out as they should.

    exp      v = n ln 2 + r, |r| <= ln(2) / 2;  e^v = 2^n (1 + r + r^2 P(r))
    tanh     t / (t + 2), t = e^(2|v|) - 1 = 2^n (r + r^2 P(r)) + (2^n - 1), and the sign of v
    sigmoid  1 / (1 + e^-v)
    log      v = 2^e (1 + f), -1/3 <= f < 1/3;  log v = e ln 2 + log(1 + f)
    erf      v P(v^2) for small |v|, else 1 - exp(|v| P(|v|)), and the sign of v
"""

import numpy as np

from ._jit import by_type, scalar
from ._native import bits_float, float_bits, fma, polynomial


def _floats(dtype, text):
    return tuple(dtype(t) for t in text.split())


# n is read from the bits of v / ln 2 + 1.5 * 2^(bits of the mantissa), whose last bits are n

_ROUND_32 = np.float32(1.5 * 2**23)
_ROUND_BITS_32 = np.int32(0x4B400000)
_LOG2E_32, _LN2_32 = np.float32(1.44269504088896341), np.float32(0.693147180559945309)
_LN2_HIGH_32, _LN2_LOW_32 = np.float32(0.693145751953125), np.float32(1.42860677e-6)
_EXP_32 = _floats(
    np.float32, "0.49999993412672982 0.16666520111702958 0.041668394200722124 0.0083687800308039967"
    " 0.0013814466375514014"
)
_LOG_32 = _floats(
    np.float32, "0.33333215993228866 -0.24999797668495659 0.20010405261980725 -0.16680487421838531"
    " 0.14005879730404218 -0.12184262277319231 0.13984384883904615 -0.12891670537186356"
)
_ERF_32 = _floats(
    np.float32, "1.1283791495565170 -0.37612493690544379 0.11281816206416723 -0.026766617691004563"
    " 0.0049931824150972993 -0.00059908648678447929"
)
_ERFC_32 = _floats(
    np.float32, "-1.1285137777558151 -0.6357202815495808 -0.10525925910157101 0.02288831092470379"
    " -0.0032144408990185096 0.0002139225929659601"
)


@scalar
def _pow2_32(n):
    """2^n, -126 <= n <= 128; 2^128 is inf."""
    return bits_float(np.int32((n + 127) << 23))


@scalar
def _reduce_32(v):
    """(n, q) with e^v = 2^n (1 + q), |q| < 0.42."""
    rounded = fma(v, _LOG2E_32, _ROUND_32)
    n = rounded - _ROUND_32
    r = fma(n, -_LN2_LOW_32, fma(n, -_LN2_HIGH_32, v))
    return np.int32(float_bits(rounded) - _ROUND_BITS_32), fma(r * r, polynomial(r, _EXP_32), r)


def _exp_32(v):
    """e^v."""
    v = np.float32(104) if v > np.float32(104) else v
    v = np.float32(-104) if v < np.float32(-104) else v
    n, q = _reduce_32(v)
    half = np.int32(n >> 1)  # two factors, for results that are denormal and for 2^128
    return (np.float32(1) + q) * _pow2_32(half) * _pow2_32(np.int32(n - half))


@scalar
def _exp_normal_32(v):
    """e^v for -87 <= v; inf from 88.4 on."""
    n, q = _reduce_32(np.float32(88.7) if v > np.float32(88.7) else v)
    return (np.float32(1) + q) * _pow2_32(n)


def _sigmoid_32(v):
    """1 / (1 + e^-v)."""
    v = np.float32(87) if v > np.float32(87) else v
    return np.float32(1) / (np.float32(1) + _exp_normal_32(-v))


@scalar
def _with_sign_32(magnitude, v):
    """A magnitude with the sign of v."""
    return bits_float(np.int32(float_bits(magnitude) | (float_bits(v) & np.int32(-(2**31)))))


def _tanh_32(v):
    """(e^2v - 1) / (e^2v + 1); 1 from 10 on."""
    u = abs(v)
    u = np.float32(10) if u > np.float32(10) else u
    n, q = _reduce_32(u + u)
    power = _pow2_32(n)
    t = fma(power, q, power - np.float32(1))
    return _with_sign_32(t / (t + np.float32(2)), v)


def _log_32(v):
    """The natural logarithm; log(0) = -inf, NaN below."""
    small = v < np.float32(1.17549435e-38)
    bits = np.int32(float_bits(v * np.float32(2**23) if small else v) - np.int32(0x3F2AAAAB))  # 2/3
    e = np.float32(np.int32(bits >> 23)) - (np.float32(23) if small else np.float32(0))
    f = bits_float(np.int32((bits & np.int32(0x007FFFFF)) + np.int32(0x3F2AAAAB))) - np.float32(1)
    square = f * f
    tail = fma(square * f, polynomial(f, _LOG_32), np.float32(-0.5) * square)
    result = fma(e, _LN2_32, f + tail)
    result = result if v < np.float32(np.inf) else v
    negative = np.float32(-np.inf) if v == np.float32(0) else np.float32(np.nan)
    return negative if v <= np.float32(0) else result


def _erf_32(v):
    """2 / sqrt(pi) times the integral of e^(-t^2) from 0 to v."""
    u = abs(v)
    clipped = np.float32(3.95) if u > np.float32(3.95) else u
    complement = _exp_normal_32(clipped * polynomial(clipped, _ERFC_32))
    inner = u * polynomial(u * u, _ERF_32)
    return _with_sign_32(inner if u < np.float32(0.921875) else np.float32(1) - complement, v)


_ROUND_64 = np.float64(1.5 * 2**52)
_ROUND_BITS_64 = np.int64(0x4338000000000000)
_LOG2E_64 = np.float64(1.44269504088896341)
_LN2_HIGH_64, _LN2_LOW_64 = np.float64(6.93147180369123816490e-01), np.float64(1.90821492927058770002e-10)
_EXP_64 = _floats(
    np.float64, "0.50000000000000107212 0.16666666666666410207 0.041666666666529186474"
    " 0.0083333333334956334666 0.0013888888943923293258 0.00019841269504756045174"
    " 0.000024801492762092470629 2.7557587344426430879e-6 2.763037886216769605e-7"
    " 2.499996565638259725e-8"
)
_LOG_64 = _floats(
    np.float64, "0.66666666666666596765 0.40000000000056345608 0.28571428555911652849"
    " 0.22222224286840272555 0.18181666459151895226 0.15391092773586914898"
    " 0.13173922687867987467 0.13840846952417341658"
)
_ERF_64 = _floats(
    np.float64, "1.1283791670955125657 -0.37612638903183519601 0.11283791670944186898"
    " -0.026866170643111783713 0.0052239776061209123257 -0.00085483259294256871951"
    " 0.00012055293580077549283 -0.000014924712360381853315 1.6447132260337179347e-6"
    " -1.6206318808751578248e-7 1.3711001316367914153e-8 -7.7795059154887151937e-10"
)
_ERFC_64 = _floats(
    np.float64, "-1.1283788643052050453 -0.63662257483461602319 -0.10276067348254379684"
    " 0.019097597470231670689 0.00026295130351611493823 -0.0017619796041831101896"
    " 0.0006463251686022056089 -0.000056355608502389247544 -0.000059537887873888229397"
    " 0.00003827066448271616428 -0.000013429774847431169386 3.2722717411133870442e-6"
    " -5.7886200155320481862e-7 7.3630096584477888746e-8 -6.4176539023829735321e-9"
    " 3.440745862116904984e-10 -8.5659640792011667443e-12"
)


@scalar
def _pow2_64(n):
    """2^n, -1022 <= n <= 1024; 2^1024 is inf."""
    return bits_float((n + 1023) << 52)


@scalar
def _reduce_64(v):
    """(n, q) with e^v = 2^n (1 + q), |q| < 0.42."""
    rounded = fma(v, _LOG2E_64, _ROUND_64)
    n = rounded - _ROUND_64
    r = fma(n, -_LN2_LOW_64, fma(n, -_LN2_HIGH_64, v))
    return float_bits(rounded) - _ROUND_BITS_64, fma(r * r, polynomial(r, _EXP_64), r)


def _exp_64(v):
    """e^v."""
    v = 746.0 if v > 746.0 else v
    v = -746.0 if v < -746.0 else v
    n, q = _reduce_64(v)
    half = n >> 1  # two factors, for results that are denormal and for 2^1024
    return (1.0 + q) * _pow2_64(half) * _pow2_64(n - half)


@scalar
def _exp_normal_64(v):
    """e^v for -708 <= v; inf from 709.5 on."""
    n, q = _reduce_64(709.7 if v > 709.7 else v)
    return (1.0 + q) * _pow2_64(n)


def _sigmoid_64(v):
    """1 / (1 + e^-v)."""
    return 1.0 / (1.0 + _exp_normal_64(-(708.0 if v > 708.0 else v)))


@scalar
def _with_sign_64(magnitude, v):
    """A magnitude with the sign of v."""
    return bits_float(float_bits(magnitude) | (float_bits(v) & np.int64(-(2**63))))


def _tanh_64(v):
    """(e^2v - 1) / (e^2v + 1); 1 from 20 on."""
    u = abs(v)
    u = 20.0 if u > 20.0 else u
    n, q = _reduce_64(u + u)
    power = _pow2_64(n)
    t = fma(power, q, power - 1.0)
    return _with_sign_64(t / (t + 2.0), v)


def _log_64(v):
    """The natural logarithm; log(0) = -inf, NaN below."""
    small = v < 2.2250738585072014e-308
    bits = float_bits(v * 2.0**52 if small else v) - np.int64(0x3FE5555555555555)  # 2/3
    e = float(bits >> 52) - (52.0 if small else 0.0)
    f = bits_float((bits & np.int64(2**52 - 1)) + np.int64(0x3FE5555555555555)) - 1.0
    s = f / (2.0 + f)  # log(1 + f) = 2 artanh(s) = f - (f^2/2 - s (f^2/2 + s^2 P(s^2)))
    square, half = s * s, 0.5 * f * f
    inner = fma(s, fma(square, polynomial(square, _LOG_64), half), e * _LN2_LOW_64)
    result = fma(e, _LN2_HIGH_64, f - (half - inner))
    result = result if v < np.inf else v
    return (-np.inf if v == 0.0 else np.nan) if v <= 0.0 else result


def _erf_64(v):
    """2 / sqrt(pi) times the integral of e^(-t^2) from 0 to v."""
    u = abs(v)
    clipped = 5.95 if u > 5.95 else u
    complement = _exp_normal_64(clipped * polynomial(clipped, _ERFC_64))
    inner = u * polynomial(u * u, _ERF_64)
    return _with_sign_64(inner if u < 1.0 else 1.0 - complement, v)


exp = by_type(_exp_32, _exp_64)
log = by_type(_log_32, _log_64)
tanh = by_type(_tanh_32, _tanh_64)
sigmoid = by_type(_sigmoid_32, _sigmoid_64)
erf = by_type(_erf_32, _erf_64)
