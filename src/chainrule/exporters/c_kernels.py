"""The functions that an exported header may contain, each in C99 and with its equation; a header has those that it uses.

In the texts, `@` stands for the name that everything in the header begins with.
"""

from __future__ import annotations

from collections.abc import Iterable

_AFFINE = """\
/* Z = A W + b. W is stored column by column, so that each sum reads it in order; four partial sums round less than one. */
static inline void @_affine(const float *A, const float *W, const float *b, int d, int k, float *Z)
{
    int i, j;
    for (j = 0; j < k; j++, W += d) {
        float s0 = 0.0f, s1 = 0.0f, s2 = 0.0f, s3 = 0.0f;
        for (i = 0; i + 4 <= d; i += 4) {
            s0 += A[i] * W[i];
            s1 += A[i + 1] * W[i + 1];
            s2 += A[i + 2] * W[i + 2];
            s3 += A[i + 3] * W[i + 3];
        }
        for (; i < d; i++) s0 += A[i] * W[i];
        Z[j] = ((s0 + s1) + (s2 + s3)) + b[j];
    }
}
"""

_AFFINE_INT8 = """\
/* Z = (A Q) s + b, where column j of the weights is s[j] times whole numbers Q from -127 to 127. */
static inline void @_affine_int8(const float *A, const int8_t *Q, const float *s, const float *b, int d, int k, float *Z)
{
    int i, j;
    for (j = 0; j < k; j++, Q += d) {
        float s0 = 0.0f, s1 = 0.0f, s2 = 0.0f, s3 = 0.0f;
        for (i = 0; i + 4 <= d; i += 4) {
            s0 += A[i] * (float)Q[i];
            s1 += A[i + 1] * (float)Q[i + 1];
            s2 += A[i + 2] * (float)Q[i + 2];
            s3 += A[i + 3] * (float)Q[i + 3];
        }
        for (; i < d; i++) s0 += A[i] * (float)Q[i];
        Z[j] = ((s0 + s1) + (s2 + s3)) * s[j] + b[j];
    }
}
"""

_COPY = """\
static inline void @_copy(const float *A, int d, float *Y)
{
    int i;
    for (i = 0; i < d; i++) Y[i] = A[i];
}
"""

_MULTIPLY = """\
/* Y = A * s + t, column by column, in place. */
static inline void @_multiply(float *A, const float *s, const float *t, int d)
{
    int i;
    for (i = 0; i < d; i++) A[i] = A[i] * s[i] + t[i];
}
"""

_NORMALIZE = """\
/* Y = gamma * (Z - mean) / sqrt(variance + epsilon) + beta, mean and variance over the columns, in place. */
static inline void @_normalize(float *Z, const float *gamma, const float *beta, float epsilon, int d)
{
    float mean = 0.0f, variance = 0.0f, scale;
    int i;
    for (i = 0; i < d; i++) mean += Z[i];
    mean /= (float)d;
    for (i = 0; i < d; i++) variance += (Z[i] - mean) * (Z[i] - mean);
    scale = 1.0f / @_SQRTF(variance / (float)d + epsilon);
    for (i = 0; i < d; i++) Z[i] = gamma[i] * ((Z[i] - mean) * scale) + beta[i];
}
"""

_COSINES = """\
/* H = [x, cos(2 pi (x w + b))], Y = gamma * H + beta, for each of d features; m cosines. */
static inline void @_cosines(const float *x, const float *w, const float *b, const float *gamma, const float *beta,
                             int d, int m, float *Y)
{
    int i, t;
    for (i = 0; i < d; i++) {
        *Y++ = *gamma++ * x[i] + *beta++;
        for (t = 0; t < m; t++) {
            float U = 6.2831855f * (x[i] * *w++ + *b++);
            *Y++ = *gamma++ * @_COSF(U) + *beta++;
        }
    }
}
"""

_PERIODIC = """\
/* Y = [x, cos(2 pi x w + b) V + c], for each of d features; m cosines, u sums of them. */
static inline void @_periodic(const float *x, const float *w, const float *b, const float *V, const float *c,
                              int d, int m, int u, float *Y)
{
    int i, t, j;
    for (i = 0; i < d; i++) {
        *Y++ = x[i];
        for (j = 0; j < u; j++) Y[j] = 0.0f;
        for (t = 0; t < m; t++, V += u) {
            float H = @_COSF(6.2831855f * x[i] * *w++ + *b++);
            for (j = 0; j < u; j++) Y[j] += H * V[j];
        }
        for (j = 0; j < u; j++) *Y++ += *c++;
    }
}
"""

_PIECEWISE = """\
/* Y = x a + c + F P, for each of d features; F_t = (x - q_t) / width_t limited to [0, 1], the first of T bins not below
   and the last one not above. Bins above x add nothing. */
static inline void @_piecewise(const float *x, const float *q, const float *width, const float *a, const float *c,
                               const float *P, int d, int T, int u, float *Y)
{
    int i, t, j;
    for (i = 0; i < d; i++, P += T * u, a += u, c += u, Y += u) {
        for (j = 0; j < u; j++) Y[j] = 0.0f;
        for (t = 0; t < T; t++) {
            float F = (x[i] - q[t]) / width[t];
            if (t > 0 && F <= 0.0f) break;
            if (t < T - 1 && F > 1.0f) F = 1.0f;
            for (j = 0; j < u; j++) Y[j] += F * P[t * u + j];
        }
        for (j = 0; j < u; j++) Y[j] += x[i] * a[j] + c[j];
    }
}
"""

_LOOKUP = """\
/* The row of a table that a code names; a code outside of the table counts as 0. */
static inline void @_lookup(float code, const float *table, int size, int u, float *Y)
{
    int j, row = code >= 0.0f && code < (float)size ? (int)code : 0;
    for (j = 0; j < u; j++) Y[j] = table[row * u + j];
}
"""

_STANDARDIZE = """\
/* X = (x - mean) / scale; the mean is the sum of two numbers, so that little is lost where x and mean are large. */
static inline void @_standardize(const float *x, const float *mean, const float *rest, const float *by, int d, float *X)
{
    int i;
    for (i = 0; i < d; i++) X[i] = ((x[i] - mean[i]) - rest[i]) * by[i];
}
"""

_STANDARDIZE_DOUBLE = """\
/* X = (F - mean) / scale, in double. */
static inline void @_standardize_double(const double *F, const double *mean, const double *scale, int d, float *X)
{
    int i;
    for (i = 0; i < d; i++) X[i] = (float)((F[i] - mean[i]) / scale[i]);
}
"""

_QUANTILE = """\
/* z between the nodes of a column's quantile map, the ends beyond them, 0 for a gap. */
static inline float @_quantile(float x, const double *value, const double *image, int nodes)
{
    int low = 0, high = nodes - 1;
    if (isnan(x)) return 0.0f;
    if (x >= value[high]) return (float)image[high];
    if (x < value[0]) return (float)image[0];
    while (high - low > 1) {
        int middle = (low + high) / 2;
        if (value[middle] <= x) low = middle;
        else high = middle;
    }
    return (float)((image[high] - image[low]) / (value[high] - value[low]) * (x - value[low]) + image[low]);
}
"""

_ROBUST = """\
/* u = (x - median) * factor, z = u / sqrt(1 + (u / 3)^2), 0 for a gap. */
static inline float @_robust(float x, double median, double factor)
{
    double u = (x - median) * factor, t;
    if (isnan(u)) return 0.0f;
    u = u > 1e9 ? 1e9 : u < -1e9 ? -1e9 : u;
    t = u / 3.0;
    return (float)(u / @_SQRT(1.0 + t * t));
}
"""

_NUMBER = """\
/* clip((x - center) / scale, -limit, limit); a gap or infinity becomes `gap`. */
static inline double @_number(double x, double center, double scale, double limit, double gap)
{
    double z = (x - center) / scale;
    if (!isfinite(x)) return gap;
    return z > limit ? limit : z < -limit ? -limit : z;
}
"""

_DAYS = """\
/* Days since the origin, NAN for a gap; dates are microseconds since 1970. */
static inline double @_days(int64_t at, double origin)
{
    return at == @_NO_DATE ? (double)NAN : ((double)at - origin) / 86400e6;
}
"""

_WHOLE_DAYS = """\
static inline int64_t @_whole_days(int64_t at)
{
    return at / 86400000000 - (at % 86400000000 < 0);
}
"""

_HOUR = """\
static inline double @_hour(int64_t at)
{
    return at == @_NO_DATE ? (double)NAN : (double)(at - @_whole_days(at) * 86400000000) / 3600e6;
}
"""

_WEEKDAY = """\
/* 1 for Monday to 7 for Sunday. */
static inline double @_weekday(int64_t at)
{
    return at == @_NO_DATE ? (double)NAN : (double)(((@_whole_days(at) + 3) % 7 + 7) % 7 + 1);
}
"""

_CIVIL = """\
/* Month and day of the month: years begin in March, so that a leap day is the last of its year. */
static inline double @_civil(int64_t at, int want_month)
{
    int64_t days = @_whole_days(at) + 719468;
    int64_t era = (days >= 0 ? days : days - 146096) / 146097;
    int64_t in_era = days - era * 146097;
    int64_t year = (in_era - in_era / 1460 + in_era / 36524 - in_era / 146096) / 365;
    int64_t in_year = in_era - (365 * year + year / 4 - year / 100);
    int64_t month = (5 * in_year + 2) / 153;
    if (at == @_NO_DATE) return (double)NAN;
    return (double)(want_month ? (month < 10 ? month + 3 : month - 9) : in_year - (153 * month + 2) / 5 + 1);
}
"""

_SOFTMAX = """\
/* P = exp(Z - max) / sum, in place. */
static inline void @_softmax(float *Z, int k)
{
    float most = Z[0], sum = 0.0f;
    int j;
    for (j = 1; j < k; j++) most = Z[j] > most ? Z[j] : most;
    for (j = 0; j < k; j++) sum += Z[j] = @_EXPF(Z[j] - most);
    for (j = 0; j < k; j++) Z[j] /= sum;
}
"""

_ARGMAX = """\
/* Place of the largest number, the first of equals. */
static inline int @_argmax(const float *P, int k)
{
    int j, best = 0;
    for (j = 1; j < k; j++) best = P[j] > P[best] ? j : best;
    return best;
}
"""

_SORT = """\
/* In ascending order, in place. */
static inline void @_sort(float *Q, int q)
{
    int i, j;
    for (i = 1; i < q; i++) {
        float value = Q[i];
        for (j = i; j > 0 && Q[j - 1] > value; j--) Q[j] = Q[j - 1];
        Q[j] = value;
    }
}
"""

_LOGIT = """\
/* log(p / (1 - p)), p kept off 0 and 1. */
static inline float @_logit(float p)
{
    p = p < 1.17549435e-38f ? 1.17549435e-38f : p > 0.99999994f ? 0.99999994f : p;
    return @_LOGF(p) - @_LOG1PF(-p);
}
"""


def _scalar(name: str, equation: str, body: str, arguments: str = "float z") -> str:
    return f"/* {equation} */\nstatic inline float @_{name}({arguments})\n{{\n    {body}\n}}\n"


_EXPM1 = "@_EXPM1F(z < 0.0f ? z : 0.0f)"

KERNELS = {
    "copy": _COPY,
    "affine": _AFFINE,
    "affine_int8": _AFFINE_INT8,
    "multiply": _MULTIPLY,
    "normalize": _NORMALIZE,
    "cosines": _COSINES,
    "periodic": _PERIODIC,
    "piecewise": _PIECEWISE,
    "lookup": _LOOKUP,
    "standardize": _STANDARDIZE,
    "standardize_double": _STANDARDIZE_DOUBLE,
    "quantile": _QUANTILE,
    "robust": _ROBUST,
    "number": _NUMBER,
    "days": _DAYS,
    "whole_days": _WHOLE_DAYS,
    "hour": _HOUR,
    "weekday": _WEEKDAY,
    "civil": _CIVIL,
    "sigmoid": _scalar(
        "sigmoid", "1 / (1 + exp(-z))", "float e = @_EXPF(-fabsf(z));\n    return (z >= 0.0f ? 1.0f : e) / (1.0f + e);"
    ),
    "tanh": _scalar("tanh", "tanh(z)", "return @_TANHF(z);"),
    "relu": _scalar("relu", "max(0, z)", "return z > 0.0f ? z : 0.0f;"),
    "leaky_relu": _scalar("leaky_relu", "z where z > 0, else a z", "return z > 0.0f ? z : a * z;", "float z, float a"),
    "elu": _scalar(
        "elu", "z where z > 0, else a (exp(z) - 1)", f"return z > 0.0f ? z : a * {_EXPM1};", "float z, float a"
    ),
    "selu": _scalar(
        "selu",
        "lambda z where z > 0, else lambda a (exp(z) - 1)",
        f"return 1.050701f * (z > 0.0f ? z : 1.6732632f * {_EXPM1});",
    ),
    "gelu": _scalar(
        "gelu",
        "z (1 + tanh(sqrt(2 / pi) (z + 0.044715 z^3))) / 2",
        "return 0.5f * z * (1.0f + @_TANHF(0.7978846f * (z + 0.044715f * z * z * z)));",
    ),
    "silu": _scalar("silu", "z sigmoid(z)", "return z * @_sigmoid(z);"),
    "softplus": _scalar(
        "softplus",
        "log(1 + exp(z)) = max(z, 0) + log(1 + exp(-|z|))",
        "return (z > 0.0f ? z : 0.0f) + @_LOG1PF(@_EXPF(-fabsf(z)));",
    ),
    "mish": _scalar("mish", "z tanh(softplus(z))", "return z * @_TANHF(@_softplus(z));"),
    "exp": _scalar("exp", "exp(z)", "return @_EXPF(z);"),
    "softmax": _SOFTMAX,
    "argmax": _ARGMAX,
    "sort": _SORT,
    "logit": _LOGIT,
}
"""Every kernel by name, each after those that it calls."""

CALLS = {
    "hour": ("whole_days",),
    "weekday": ("whole_days",),
    "civil": ("whole_days",),
    "silu": ("sigmoid",),
    "mish": ("softplus",),
}
"""Kernels that a kernel calls."""


def with_calls(used: Iterable[str]) -> list[str]:
    """Return the kernels that a header needs, in their order.

    >>> with_calls(["mish", "affine"])
    ['affine', 'softplus', 'mish']
    """
    needed = {name for kernel in used for name in (kernel, *CALLS.get(kernel, ()))}
    return [name for name in KERNELS if name in needed]


def kernel_text(name: str, kernels: Iterable[str]) -> str:
    """Return the text of these kernels for a header of this name."""
    return "\n".join(KERNELS[each].replace("@", name) for each in kernels)
