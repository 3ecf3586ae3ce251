"""The functions of the C library that an exported header calls, behind macros, and own ones for machines without it.

In the texts, `@` stands for the name that everything in the header begins with.
"""

from __future__ import annotations

import re

LIBRARY = {
    "EXPF": "expf",
    "EXPM1F": "expm1f",
    "LOGF": "logf",
    "LOG1PF": "log1pf",
    "TANHF": "tanhf",
    "COSF": "cosf",
    "SQRTF": "sqrtf",
    "SQRT": "sqrt",
}
"""The function of math.h behind each macro."""

_BITS = """\
/* The bits of a float, and the float of some bits. */
static inline uint32_t @_bits(float value)
{
    union { float f; uint32_t u; } both;
    both.f = value;
    return both.u;
}
static inline float @_float(uint32_t bits)
{
    union { float f; uint32_t u; } both;
    both.u = bits;
    return both.f;
}
"""

_EXP_TAIL = """\
/* exp(r) - 1 - r for |r| < 0.36. */
static inline float @_exp_tail(float r)
{
    float p = 1.9875691e-4f;
    p = p * r + 1.3982e-3f;
    p = p * r + 8.333452e-3f;
    p = p * r + 4.1665796e-2f;
    p = p * r + 1.6666666e-1f;
    p = p * r + 0.5f;
    return p * r * r;
}
"""

_EXPF = """\
static inline float @_own_expf(float x)
{
    int n;
    float r;
    if (x > 88.72283f) return INFINITY;
    if (!(x > -87.33654f)) return isnan(x) ? x : 0.0f;
    n = (int)(x * 1.442695f + (x < 0.0f ? -0.5f : 0.5f));
    r = (x - (float)n * 0.693359375f) + (float)n * 2.1219444e-4f;
    r = @_exp_tail(r) + r + 1.0f;
    return r * @_float((uint32_t)(n / 2 + 127) << 23) * @_float((uint32_t)(n - n / 2 + 127) << 23);
}
"""

_EXPM1F = """\
static inline float @_own_expm1f(float x)
{
    return x > -0.35f && x < 0.35f ? @_exp_tail(x) + x : @_own_expf(x) - 1.0f;
}
"""

_LOGF = """\
static inline float @_own_logf(float x)
{
    uint32_t bits;
    int n;
    float m, p, z;
    if (!(x > 0.0f)) return x == 0.0f ? -INFINITY : NAN;
    if (x > 3.4e38f) return x;
    n = x < 1.17549435e-38f ? -24 : 0;
    bits = @_bits(n ? x * 16777216.0f : x);
    n += (int)(bits >> 23) - 126;
    m = @_float((bits & 0x7FFFFFu) | 0x3F000000u);
    if (m < 0.70710678f) { m += m; n--; }
    m -= 1.0f;
    z = m * m;
    p = 7.0376836e-2f;
    p = p * m - 1.1514610e-1f;
    p = p * m + 1.1676998e-1f;
    p = p * m - 1.2420141e-1f;
    p = p * m + 1.4249323e-1f;
    p = p * m - 1.6668057e-1f;
    p = p * m + 2.0000714e-1f;
    p = p * m - 2.4999994e-1f;
    p = p * m + 3.3333331e-1f;
    p = p * m * z - 2.1219444e-4f * (float)n - 0.5f * z;
    return m + p + 0.693359375f * (float)n;
}
"""

_LOG1PF = """\
static inline float @_own_log1pf(float x)
{
    float u = 1.0f + x;
    return u == 1.0f ? x : @_own_logf(u) * (x / (u - 1.0f));
}
"""

_TANHF = """\
static inline float @_own_tanhf(float x)
{
    float a = fabsf(x), z = x * x, p;
    if (a >= 0.625f) {
        p = 1.0f - 2.0f / (@_own_expf(a + a) + 1.0f);
        return x < 0.0f ? -p : p;
    }
    p = -5.7049887e-3f;
    p = p * z + 2.0639088e-2f;
    p = p * z - 5.3739715e-2f;
    p = p * z + 1.3331442e-1f;
    p = p * z - 3.3333282e-1f;
    return p * z * x + x;
}
"""

_COSF = """\
/* For |x| up to 8192; digits are lost beyond. */
static inline float @_own_cosf(float x)
{
    float a = fabsf(x), z, p;
    int octant = (int)(a * 1.2732395f), quarter = (octant + 1) / 2;
    float n = (float)(2 * quarter);
    a = ((a - n * 0.78515625f) - n * 2.4187564e-4f) - n * 3.7748977e-8f;
    z = a * a;
    if (quarter & 1) p = ((-1.9515296e-4f * z + 8.3321609e-3f) * z - 1.6666655e-1f) * z * a + a;
    else p = ((2.4433157e-5f * z - 1.3887316e-3f) * z + 4.1666646e-2f) * z * z - 0.5f * z + 1.0f;
    return (quarter + 1) & 2 ? -p : p;
}
"""

_SQRTF = """\
static inline float @_own_sqrtf(float x)
{
    float y = @_float((@_bits(x) >> 1) + 0x1FBD1DF5u);
    int i;
    if (!(x > 0.0f) || x > 3.4e38f) return x;
    for (i = 0; i < 4; i++) y = 0.5f * (y + x / y);
    return y;
}
"""

_SQRT = """\
static inline double @_own_sqrt(double x)
{
    double y = x > 1.0 ? x : 1.0;
    int i;
    if (x < 1e30) y = (double)@_own_sqrtf((float)x);
    for (i = 0; i < (x < 1e30 ? 2 : 600); i++) y = 0.5 * (y + x / y);
    return y;
}
"""

_OWN = {
    "bits": _BITS,
    "exp_tail": _EXP_TAIL,
    "own_expf": _EXPF,
    "own_expm1f": _EXPM1F,
    "own_logf": _LOGF,
    "own_log1pf": _LOG1PF,
    "own_tanhf": _TANHF,
    "own_cosf": _COSF,
    "own_sqrtf": _SQRTF,
    "own_sqrt": _SQRT,
}
"""Own functions, each after those that it calls."""


def math_text(name: str, text: str) -> str:
    """Return the macros for the functions of math.h that a header's text calls, "" where it calls none."""
    used = [macro for macro in LIBRARY if re.search(rf"\b{re.escape(name)}_{macro}\b", text)]
    if not used:
        return ""
    needed = {f"own_{LIBRARY[macro]}" for macro in used}
    for own in reversed(_OWN):
        if own in needed:
            needed |= {each for each in _OWN if f"@_{each}(" in _OWN[own]} | (
                {"bits"} if "@_float(" in _OWN[own] else set()
            )
    functions = "\n".join(_OWN[own] for own in _OWN if own in needed)
    own = "\n".join(f"#define @_{macro} @_own_{LIBRARY[macro]}" for macro in used)
    usual = "\n".join(f"#define @_{macro} {LIBRARY[macro]}" for macro in used)
    about = (
        "/* The C library's functions, unless @_NO_LIBM is defined: then the header has its own, good to about 1e-7,\n"
        "   and needs no library at all. */"
    )
    return f"{about}\n#ifdef @_NO_LIBM\n\n{functions}\n{own}\n#else\n{usual}\n#endif\n".replace("@", name)
