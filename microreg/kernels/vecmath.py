"""exp, tanh, sigmoid, log, erf and the normal distribution function, for vector code.

They have no branches, so that the compiler turns a loop over one of them into vector instructions.

Each is argument reduction, a polynomial and arithmetic on the bits of a float; the polynomials are
minimax fits (Remez). Infinities, NaN, signed zeros and denormal numbers come out as they should.

    exp      v = n ln 2 + r, |r| <= ln(2) / 2;  e^v = 2^n E(r)
    sigmoid  1 / (1 + e^-v); 0 where e^-v is not finite
    tanh     h / (h + 1), h = (e^(2|v|) - 1) / 2 = 2^n (s + s^2 H(s)) + (2^n - 1) / 2, s = r / 2;
             and the sign of v
    log      v = 2^e (1 + f), -1/3 <= f < 1/3;  log v = e ln 2 + log(1 + f)
    Phi      (1 + erf(v / sqrt 2)) / 2; in float32, for speed, 1/2 + v N(v^2), to 3e-7 absolute
    erf      v + v S(v^2) for small |v|, else 1 - exp(|v| C(|v|)), and the sign of v

The largest errors seen, in units in the last place: 0.9 for exp and log, 1.3 for erf, 2.4 for
sigmoid and 2.7 for tanh.
"""

import numpy as np

from ._jit import by_type, scalar
from ._native import bits_float, float_bits, fma, maximum, minimum, polynomial


def _floats(dtype, text):
    return tuple(dtype(t) for t in text.split())


_EXP_32 = _floats(
    np.float32,
    "1 1 0.49999993412672982 0.16666520111702958 0.041668394200722124 0.0083687800308039967"
    " 0.0013814466375514014",
)
_TANH_32 = tuple(np.float32(2 ** (k + 1)) * c for k, c in enumerate(_EXP_32[2:]))
_LOG_32 = _floats(
    np.float32,
    "0.33333215993228866 -0.24999797668495659 0.20010405261980725 -0.16680487421838531"
    " 0.14005879730404218 -0.12184262277319231 0.13984384883904615 -0.12891670537186356",
)
_ERF_32 = _floats(
    np.float32,
    "0.1283791495565170 -0.37612493690544379 0.11281816206416723 -0.026766617691004563"
    " 0.0049931824150972993 -0.00059908648678447929",
)
_ERFC_32 = _floats(
    np.float32,
    "-1.1285137777558151 -0.6357202815495808 -0.10525925910157101 0.02288831092470379"
    " -0.0032144408990185096 0.0002139225929659601",
)
_EXP_64 = _floats(
    np.float64,
    "1 1 0.50000000000000107212 0.16666666666666410207 0.041666666666529186474"
    " 0.0083333333334956334666 0.0013888888943923293258 0.00019841269504756045174"
    " 0.000024801492762092470629 2.7557587344426430879e-6 2.763037886216769605e-7"
    " 2.499996565638259725e-8",
)
_TANH_64 = tuple(np.float64(2 ** (k + 1)) * c for k, c in enumerate(_EXP_64[2:]))
_LOG_64 = _floats(
    np.float64,
    "0.66666666666666596765 0.40000000000056345608 0.28571428555911652849"
    " 0.22222224286840272555 0.18181666459151895226 0.15391092773586914898"
    " 0.13173922687867987467 0.13840846952417341658",
)
_ERF_64 = _floats(
    np.float64,
    "0.1283791670955125657 -0.37612638903183519601 0.11283791670944186898"
    " -0.026866170643111783713 0.0052239776061209123257 -0.00085483259294256871951"
    " 0.00012055293580077549283 -0.000014924712360381853315 1.6447132260337179347e-6"
    " -1.6206318808751578248e-7 1.3711001316367914153e-8 -7.7795059154887151937e-10",
)
_ERFC_64 = _floats(
    np.float64,
    "-1.1283788643052050453 -0.63662257483461602319 -0.10276067348254379684"
    " 0.019097597470231670689 0.00026295130351611493823 -0.0017619796041831101896"
    " 0.0006463251686022056089 -0.000056355608502389247544 -0.000059537887873888229397"
    " 0.00003827066448271616428 -0.000013429774847431169386 3.2722717411133870442e-6"
    " -5.7886200155320481862e-7 7.3630096584477888746e-8 -6.4176539023829735321e-9"
    " 3.440745862116904984e-10 -8.5659640792011667443e-12",
)

_NORMAL_32 = (  # (Phi(v) - 1/2) / v in v^2 up to 5.3^2: numerator, denominator
    _floats(
        np.float32,
        "0.39893938159835485 0.06139663720082176 0.006353728876746889 0.00044971952770986307"
        " 8.224597473143456e-6",
    ),
    _floats(
        np.float32,
        "1 0.32053521953905334 0.04439076712785772 0.003459694740934966 0.00016388606257999918"
        " 6.770817784013384e-7",
    ),
)
_GELU_SLOPE_32 = (  # (Phi(v) + v phi(v) - 1/2) / v in v^2 up to 5.7^2: numerator, denominator
    _floats(
        np.float32,
        "0.7978853581905284 -0.030991744569508293 0.014229506752277157 1.9324448952991686e-5"
        " 3.594546625985895e-5 1.9278820602390637e-7",
    ),
    _floats(
        np.float32,
        "1 0.29449916332002074 0.04098098081241588 0.003522974930561008 0.00019204108928362495"
        " 8.947920392954874e-6",
    ),
)

# Adding ROUND = 1.5 * 2^(bits of the fraction) rounds to an integer and leaves it in the last bits.

_ROUND_32, _ROUND_64 = np.float32(1.5 * 2**23), np.float64(1.5 * 2**52)
_LOG2E_32, _LOG2E_64 = np.float32(1.44269504088896341), np.float64(1.44269504088896341)
_LN2_32, _LN2_64 = np.float32(0.693147180559945309), np.float64(0.693147180559945309)
_LN2_HIGH_32, _LN2_LOW_32 = np.float32(0.693145751953125), np.float32(1.42860682030941723e-6)
_LN2_HIGH_64, _LN2_LOW_64 = np.float64(0.69314718036912382), np.float64(1.9082149292705877e-10)
_LOG_BASE_32, _LOG_BASE_64 = np.int32(0x3F2AAAAB), np.int64(0x3FE5555555555555)  # 2/3


@scalar
def _power_32(n):
    """2^n, -127 <= n <= 128; 0 and inf at the ends. Only the last bits of n count."""
    return bits_float(np.int32(np.int32(n << 23) + np.int32(0x3F800000)))


@scalar
def _power_64(n):
    """2^n, -1023 <= n <= 1024; 0 and inf at the ends. Only the last bits of n count."""
    return bits_float((n << 52) + np.int64(0x3FF0000000000000))


@scalar
def _reduce_32(v):
    """(bits that end in n, e^r): e^v = 2^n e^r."""
    rounded = fma(v, _LOG2E_32, _ROUND_32)
    n = rounded - _ROUND_32
    r = fma(n, -_LN2_LOW_32, fma(n, -_LN2_HIGH_32, v))
    return float_bits(rounded), polynomial(r, _EXP_32)


@scalar
def _reduce_64(v):
    """(bits that end in n, e^r): e^v = 2^n e^r."""
    rounded = fma(v, _LOG2E_64, _ROUND_64)
    n = rounded - _ROUND_64
    r = fma(n, -_LN2_LOW_64, fma(n, -_LN2_HIGH_64, v))
    return float_bits(rounded), polynomial(r, _EXP_64)


def _exp_32(v):
    """e^v."""
    v = maximum(minimum(v, np.float32(104)), np.float32(-104))
    bits, e = _reduce_32(v)
    n = np.int32(bits - np.int32(0x4B400000))
    half = np.int32(n >> 1)  # two factors: either end of the range needs more than one power of 2
    return e * _power_32(half) * _power_32(np.int32(n - half))


def _exp_64(v):
    """e^v."""
    v = maximum(minimum(v, 746.0), -746.0)
    bits, e = _reduce_64(v)
    n = bits - np.int64(0x4338000000000000)
    half = n >> 1  # two factors: either end of the range needs more than one power of 2
    return e * _power_64(half) * _power_64(n - half)


def _sigmoid_32(v):
    """1 / (1 + 2^n e^r)."""
    v = maximum(minimum(v, np.float32(87)), np.float32(-88.7))
    bits, e = _reduce_32(-v)
    return np.float32(1) / fma(_power_32(bits), e, np.float32(1))


def _sigmoid_64(v):
    """1 / (1 + 2^n e^r)."""
    v = maximum(minimum(v, 708.0), -709.7)
    bits, e = _reduce_64(-v)
    return 1.0 / fma(_power_64(bits), e, 1.0)


@scalar
def _with_sign_32(magnitude, v):
    """A magnitude with the sign of v."""
    return bits_float(np.int32(float_bits(magnitude) | (float_bits(v) & np.int32(-(2**31)))))


@scalar
def _with_sign_64(magnitude, v):
    """A magnitude with the sign of v."""
    return bits_float(float_bits(magnitude) | (float_bits(v) & np.int64(-(2**63))))


def _tanh_32(v):
    """h / (h + 1); 1 from 10 on."""
    u = minimum(abs(v), np.float32(10))
    half = np.float32(0.5)
    rounded = fma(u, np.float32(2) * _LOG2E_32, _ROUND_32)
    s = fma(rounded - _ROUND_32, -half * _LN2_32, u)
    power = _power_32(float_bits(rounded))
    h = fma(power, fma(s * s, polynomial(s, _TANH_32), s), fma(power, half, -half))
    return _with_sign_32(h / (h + np.float32(1)), v)


def _tanh_64(v):
    """h / (h + 1); 1 from 20 on."""
    u = minimum(abs(v), 20.0)
    rounded = fma(u, 2.0 * _LOG2E_64, _ROUND_64)
    s = fma(rounded - _ROUND_64, -0.5 * _LN2_64, u)
    power = _power_64(float_bits(rounded))
    h = fma(power, fma(s * s, polynomial(s, _TANH_64), s), fma(power, 0.5, -0.5))
    return _with_sign_64(h / (h + 1.0), v)


def _log_32(v):
    """log(1 + f) = f - f^2 / 2 + f^3 L(f); -inf at zero, NaN below."""
    small = v < np.float32(2**-126)
    scaled = v * np.float32(2**23) if small else v
    bits = np.int32(float_bits(scaled) - _LOG_BASE_32)
    e = np.float32(np.int32(bits >> 23)) - (np.float32(23) if small else np.float32(0))
    f = bits_float(np.int32((bits & np.int32(2**23 - 1)) + _LOG_BASE_32)) - np.float32(1)
    square = f * f
    tail = fma(square * f, polynomial(f, _LOG_32), np.float32(-0.5) * square)
    result = fma(e, _LN2_32, f + tail)
    result = result if v < np.float32(np.inf) else v
    outside = np.float32(-np.inf) if v == np.float32(0) else np.float32(np.nan)
    return outside if v <= np.float32(0) else result


def _log_64(v):
    """log(1 + f) = f - (f^2/2 - s (f^2/2 + s^2 L(s^2))), s = f / (2 + f); -inf at 0, NaN below."""
    small = v < 2.0**-1022
    bits = float_bits(v * 2.0**52 if small else v) - _LOG_BASE_64
    e = float(bits >> 52) - (52.0 if small else 0.0)
    f = bits_float((bits & np.int64(2**52 - 1)) + _LOG_BASE_64) - 1.0
    s = f / (2.0 + f)
    square, half = s * s, 0.5 * f * f
    tail = fma(s, fma(square, polynomial(square, _LOG_64), half), e * _LN2_LOW_64)
    result = fma(e, _LN2_HIGH_64, f - (half - tail))
    result = result if v < np.inf else v
    outside = -np.inf if v == 0.0 else np.nan
    return outside if v <= 0.0 else result


def _erf_32(v):
    """v + v S(v^2) below 0.92; above, 1 - e^p, p = |v| C(|v|), reduced in one step; 1 from 3.95."""
    u = abs(v)
    clipped = minimum(u, np.float32(3.95))
    p = clipped * polynomial(clipped, _ERFC_32)
    rounded = fma(p, _LOG2E_32, _ROUND_32)
    r = fma(rounded - _ROUND_32, -_LN2_32, p)
    e = polynomial(r, _EXP_32)
    outer = fma(-_power_32(float_bits(rounded)), e, np.float32(1))
    return _with_sign_32(
        outer if u > np.float32(0.92) else fma(u, polynomial(u * u, _ERF_32), u), v
    )


def _erf_64(v):
    """v + v S(v^2) below 1; above, 1 - e^p, p = |v| C(|v|), reduced in one step; 1 from 5.95."""
    u = abs(v)
    clipped = minimum(u, 5.95)
    p = clipped * polynomial(clipped, _ERFC_64)
    rounded = fma(p, _LOG2E_64, _ROUND_64)
    r = fma(rounded - _ROUND_64, -_LN2_64, p)
    e = polynomial(r, _EXP_64)
    outer = fma(-_power_64(float_bits(rounded)), e, 1.0)
    return _with_sign_64(outer if u > 1.0 else fma(u, polynomial(u * u, _ERF_64), u), v)


@scalar
def _ratio_32(z, fraction):
    """A quotient of two polynomials."""
    return polynomial(z, fraction[0]) / polynomial(z, fraction[1])


def _normal_cdf_32(v):
    """Phi(v), exactly 0 and 1 far out."""
    z = minimum(v * v, np.float32(5.3**2))
    p = minimum(fma(v, _ratio_32(z, _NORMAL_32), np.float32(0.5)), np.float32(1))
    return np.float32(0) if p <= np.float32(0) else p


def _normal_cdf_64(v):
    """Phi(v)."""
    return fma(0.5, erf(v * 0.5**0.5), 0.5)


def _gelu_slope_32(v):
    """(v Phi(v))', to 4e-7 absolute, constant from 5.7 on."""
    v = maximum(minimum(v, np.float32(5.7)), np.float32(-5.7))
    return fma(v, _ratio_32(v * v, _GELU_SLOPE_32), np.float32(0.5))


def _gelu_slope_64(v):
    """The derivative of v Phi(v): Phi(v) + v e^(-v^2 / 2) / sqrt(2 pi)."""
    return fma(v * exp(-0.5 * v * v), 0.3989422804014327, normal_cdf(v))


exp = by_type(_exp_32, _exp_64)
log = by_type(_log_32, _log_64)
tanh = by_type(_tanh_32, _tanh_64)
sigmoid = by_type(_sigmoid_32, _sigmoid_64)
erf = by_type(_erf_32, _erf_64)
normal_cdf = by_type(_normal_cdf_32, _normal_cdf_64)
gelu_slope = by_type(_gelu_slope_32, _gelu_slope_64)


@scalar
def log1p(v):
    """log(1 + v): the logarithm of the rounded sum, put right by what rounding it lost."""
    u = type(v)(1) + v
    corrected = log(u) - ((u - type(v)(1)) - v) / u
    return corrected if u < type(v)(np.inf) and u != type(v)(0) else log(u)


@scalar
def expm1(v):
    """e^v - 1; near 0 that is 2 t / (1 - t), t = tanh(v / 2)."""
    t = tanh(v * type(v)(0.5))
    near = (t + t) / (type(v)(1) - t)
    return near if abs(v) < type(v)(1) else exp(v) - type(v)(1)
