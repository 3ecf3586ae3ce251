// exp, log, tanh, cosine and sine of whole vectors with a known error; the C library computes one number at a time.
// In: any numbers. Out: results within a few units in the last place; infinities and NaN are handled correctly.
#pragma once
#include "vector.hpp"

namespace chainrule::CHAINRULE_ISA {

/// Constants of exp: ln 2 in two parts (the first exact in few bits), and the x beyond which results leave the range.
template <class T>
struct ExpRange;

template <>
struct ExpRange<float> {
    static constexpr float log2e = 1.44269504f, ln2_high = 0.693359375f, ln2_low = -2.12194440e-4f;
    static constexpr float lowest = -104.0f, highest = 89.0f, minus_one_below = -20.0f;
    static constexpr int terms = 7;
};

template <>
struct ExpRange<double> {
    static constexpr double log2e = 1.4426950408889634, ln2_high = 6.93147180369123816490e-01;
    static constexpr double ln2_low = 1.90821492927058770002e-10;
    static constexpr double lowest = -746.0, highest = 710.0, minus_one_below = -40.0;
    static constexpr int terms = 13;
};

/// 1/i!.
template <class T>
constexpr T inverse_factorial(int i) {
    double product = 1;
    for (int j = 2; j <= i; ++j) product *= j;
    return static_cast<T>(1 / product);
}

/// x = n ln 2 + r with |r| <= ln 2 / 2, and q with exp(r) = 1 + r + r² q.
template <class T>
struct Reduced {
    Vec<T> r, q;
    Ints<T> n;
};

template <class T>
CHAINRULE_INLINED Reduced<T> reduce(Vec<T> x) {
    using Range = ExpRange<T>;
    const Vec<T> shifted = x * Range::log2e + Number<T>::to_integer;
    const Vec<T> n = shifted - Number<T>::to_integer;
    const Vec<T> r = (x - n * Range::ln2_high) - n * Range::ln2_low;
    Vec<T> q = all(inverse_factorial<T>(Range::terms));
#pragma GCC unroll 16
    for (int i = Range::terms - 1; i >= 2; --i) q = q * r + inverse_factorial<T>(i);
    return {r, q, bits<T>(shifted) - bits<T>(all(Number<T>::to_integer))};
}

template <class T>
CHAINRULE_INLINED Vec<T> power_of_two(Ints<T> n) {
    return from_bits<T>((n + Number<T>::exponent_bias) << Number<T>::mantissa_bits);
}

/// exp(x), 1 ulp; 0 and infinity beyond the range.
template <class T>
CHAINRULE_INLINED Vec<T> exp(Vec<T> x) {
    using Range = ExpRange<T>;
    x = x < Range::lowest ? all(Range::lowest) : x;
    x = x > Range::highest ? all(Range::highest) : x;
    const Reduced<T> part = reduce<T>(x);
    const Vec<T> value = T(1) + (part.r + part.r * part.r * part.q);
    const Ints<T> half = part.n >> 1;  // two factors, since 2ⁿ alone may leave the range where the product does not
    return value * power_of_two<T>(half) * power_of_two<T>(part.n - half);
}

/// exp(x) for x <= 0; results below the smallest normal number are 0.
template <class T>
CHAINRULE_INLINED Vec<T> exp_negative(Vec<T> x) {
    constexpr T lowest = sizeof(T) == 4 ? T(-87) : T(-708);
    const Ints<T> vanishes = x < lowest;
    x = vanishes ? all(lowest) : x;
    const Reduced<T> part = reduce<T>(x);
    const Vec<T> value = T(1) + (part.r + part.r * part.r * part.q);
    return vanishes ? Vec<T>{} : value * power_of_two<T>(part.n);
}

/// exp(x) - 1 for x <= 0, 2 ulp, small x included.
template <class T>
CHAINRULE_INLINED Vec<T> expm1_negative(Vec<T> x) {
    x = x < ExpRange<T>::minus_one_below ? all(ExpRange<T>::minus_one_below) : x;
    const Reduced<T> part = reduce<T>(x);
    const Vec<T> scale = power_of_two<T>(part.n);
    return scale * (part.r + part.r * part.r * part.q) + (scale - T(1));
}

/// 2 artanh(s) = log((1 + s) / (1 - s)) for |s| <= 1/3, by its series.
template <class T>
CHAINRULE_INLINED Vec<T> twice_artanh(Vec<T> s) {
    constexpr int terms = sizeof(T) == 4 ? 9 : 18;
    const Vec<T> square = s * s;
    Vec<T> series = all(T(1) / T(2 * terms - 1));
#pragma GCC unroll 18
    for (int i = terms - 2; i >= 1; --i) series = series * square + T(1) / T(2 * i + 1);
    return T(2) * (s + s * (square * series));
}

/// log(1 + x) for x in [0, 1], 2 ulp.
template <class T>
CHAINRULE_INLINED Vec<T> log1p_unit(Vec<T> x) {
    return twice_artanh<T>(x / (x + T(2)));
}

/// log(1 + x) for x >= 0, 3 ulp: where 1 + x needs no halving, x itself is the distance from 1, with all its digits.
template <class T>
CHAINRULE_INLINED Vec<T> log1p(Vec<T> x) {
    constexpr T half_root = T(0.70710678118654752);
    const Vec<T> u = T(1) + x;
    const Ints<T> shift = (bits<T>(u) - bits<T>(all(half_root))) >> Number<T>::mantissa_bits;
    const Vec<T> m = from_bits<T>(bits<T>(u) - (shift << Number<T>::mantissa_bits));  // in [√½, √2)
    const Vec<T> n = __builtin_convertvector(shift, Vec<T>);
    const Vec<T> f = shift == 0 ? x : m - T(1);
    return n * ExpRange<T>::ln2_high + (twice_artanh<T>(f / (f + T(2))) + n * ExpRange<T>::ln2_low);
}

/// tanh(x), 3 ulp.
template <class T>
CHAINRULE_INLINED Vec<T> tanh(Vec<T> x) {
    const Ints<T> sign = bits<T>(x) & bits<T>(-Vec<T>{});
    const Vec<T> t = expm1_negative<T>(T(-2) * absolute<T>(x));
    return from_bits<T>(bits<T>(-t / (t + T(2))) | sign);
}

/// The cosine and sine of an angle.
template <class T>
struct Circle {
    Vec<T> cos, sin;
};

/// Coefficients of sin(2π s) / s in powers of s² for |s| <= ¼, the best in the absolute error of the sine (Remez), which is
/// 3e-9 with 5 of them and 2e-19 with 9.
template <class T>
struct SineSeries;

template <>
struct SineSeries<float> {
    static constexpr float c[] = {6.2831851600882747f, -41.341655031205214f, 81.601004064254198f, -76.54978214926831f, 39.536705259640556f};
};

template <>
struct SineSeries<double> {
    static constexpr double c[] = {6.2831853071795862, -41.341702240399748, 81.605249276071717,
                                   -76.705859752634623, 42.058693915280934, -15.09464136914489,
                                   3.819922805474472, -0.71768544281489, 0.1007149504577949};
};

/// sin(2π s) for |s| <= ¼.
template <class T>
inline Vec<T> sine_of_quarter(Vec<T> s) {
    using Series = SineSeries<T>;
    constexpr int terms = sizeof(Series::c) / sizeof(T);
    const Vec<T> square = s * s;
    Vec<T> q = all(Series::c[terms - 1]);
#pragma GCC unroll 16
    for (int i = terms - 2; i >= 0; --i) q = q * square + Series::c[i];
    return s * q;
}

/// cos(2π t): t is counted in turns, so that taking off whole ones is exact. Absolute error 1.5 ulp of 1.
template <class T>
inline Vec<T> cos_turns(Vec<T> t) {
    return sine_of_quarter<T>(T(0.25) - absolute<T>(t - nearest<T>(t)));
}

/// cos(2π t) and sin(2π t), each with an absolute error of 1.5 ulp of 1.
template <class T>
inline Circle<T> circle_turns(Vec<T> t) {
    const Vec<T> r = t - nearest<T>(t), size = absolute<T>(r);
    const Ints<T> sign = bits<T>(r) & bits<T>(-Vec<T>{});
    const Vec<T> sine = sine_of_quarter<T>(smaller<T>(size, T(0.5) - size));
    return {sine_of_quarter<T>(T(0.25) - size), from_bits<T>(bits<T>(sine) ^ sign)};
}

}  // namespace chainrule::CHAINRULE_ISA
