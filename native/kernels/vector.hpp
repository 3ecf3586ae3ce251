// Vector arithmetic written once for every instruction set, on the compiler's own vector types.
// In: CHAINRULE_ISA, the name of the instruction set; the compiler's target flags. Out: Vec<T> and a few operations.
#pragma once
#include <cstddef>
#include <cstdint>
#include <utility>

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#elif defined(__wasm_simd128__)
#include <wasm_simd128.h>
#endif

/// Functions of whole vectors, whose constants a loop then keeps in registers; the engine of a page stays small without.
#if defined(CHAINRULE_PAGE)
#define CHAINRULE_INLINED inline
#else
#define CHAINRULE_INLINED [[gnu::always_inline]] inline
#endif

namespace chainrule::CHAINRULE_ISA {

#if defined(__AVX512F__)
inline constexpr int vector_bytes = 64;
inline constexpr int max_tile_rows = 12;  // 24 sums of 32 registers
#elif defined(__AVX2__)
inline constexpr int vector_bytes = 32;
inline constexpr int max_tile_rows = 6;  // 12 sums of 16 registers
#elif defined(__aarch64__)
inline constexpr int vector_bytes = 16;
inline constexpr int max_tile_rows = 8;  // 16 sums of 32 registers
#else
inline constexpr int vector_bytes = 16;
inline constexpr int max_tile_rows = 4;  // 8 sums of 16 registers; no fused multiply-add
#endif

template <class T>
inline constexpr int lanes = vector_bytes / static_cast<int>(sizeof(T));

/// Columns of a panel: two vectors.
template <class T>
inline constexpr int panel_width = 2 * lanes<T>;

template <class T>
struct Number;

template <>
struct Number<float> {
    using Int = std::int32_t;
    static constexpr int mantissa_bits = 23;
    static constexpr Int exponent_bias = 127;
    static constexpr float to_integer = 12582912.0f;  // 1.5 · 2^23: adding it rounds to a whole number
    static constexpr float tiny = 1.17549435e-38f;
};

template <>
struct Number<double> {
    using Int = std::int64_t;
    static constexpr int mantissa_bits = 52;
    static constexpr Int exponent_bias = 1023;
    static constexpr double to_integer = 6755399441055744.0;  // 1.5 · 2^52
    static constexpr double tiny = 2.2250738585072014e-308;
};

template <class T>
struct VectorOf {
    typedef T type __attribute__((vector_size(vector_bytes), may_alias));
    typedef T loose __attribute__((vector_size(vector_bytes), may_alias, aligned(sizeof(T))));
    typedef typename Number<T>::Int integers __attribute__((vector_size(vector_bytes), may_alias));
    typedef std::uint32_t words __attribute__((vector_size(4 * lanes<T>)));
    typedef std::int32_t halves __attribute__((vector_size(4 * lanes<T>)));
};

template <class T>
using Vec = typename VectorOf<T>::type;
template <class T>
using Ints = typename VectorOf<T>::integers;
/// One 32-bit word per lane.
template <class T>
using Words = typename VectorOf<T>::words;

template <class T>
inline Vec<T> load(const T* at) {
    return *reinterpret_cast<const Vec<T>*>(at);
}

template <class T>
inline Vec<T> load_loose(const T* at) {
    return *reinterpret_cast<const typename VectorOf<T>::loose*>(at);
}

/// 0, 1, 2, ... in the lanes.
template <class V, int N>
inline V iota() {
    V x{};
    for (int i = 0; i < N; ++i) x[i] = static_cast<std::uint32_t>(i);
    return x;
}

/// The first `count` numbers, with zeros behind them; nothing behind them is read.
template <class T>
inline Vec<T> load_first(const T* at, std::int64_t count) {
#if defined(__AVX512F__)
    const auto first = static_cast<std::uint16_t>((1u << count) - 1);
    if constexpr (sizeof(T) == 4)
        return (Vec<T>)_mm512_maskz_loadu_ps(first, at);
    else
        return (Vec<T>)_mm512_maskz_loadu_pd(static_cast<std::uint8_t>(first), at);
#elif defined(__AVX2__)
    using Int = typename Number<T>::Int;
    const Ints<T> first = iota<Ints<T>, lanes<T>>() < static_cast<Int>(count);
    if constexpr (sizeof(T) == 4)
        return (Vec<T>)_mm256_maskload_ps(at, (__m256i)first);
    else
        return (Vec<T>)_mm256_maskload_pd(at, (__m256i)first);
#else
    alignas(vector_bytes) T numbers[lanes<T>] = {};
    for (std::int64_t j = 0; j < count; ++j) numbers[j] = at[j];
    return *reinterpret_cast<const Vec<T>*>(numbers);
#endif
}

template <class T>
inline void store(T* at, Vec<T> x) {
    *reinterpret_cast<Vec<T>*>(at) = x;
}

template <class T>
inline Vec<T> all(T x) {
    return x - Vec<T>{};
}

template <class T>
inline Ints<T> bits(Vec<T> x) {
    return reinterpret_cast<Ints<T>>(x);
}

template <class T>
inline Vec<T> from_bits(Ints<T> x) {
    return reinterpret_cast<Vec<T>>(x);
}

template <class T>
inline Vec<T> sqrt(Vec<T> x) {
#if defined(__AVX512F__)
    if constexpr (sizeof(T) == 4)
        return (Vec<T>)_mm512_sqrt_ps((__m512)x);
    else
        return (Vec<T>)_mm512_sqrt_pd((__m512d)x);
#elif defined(__AVX2__)
    if constexpr (sizeof(T) == 4)
        return (Vec<T>)_mm256_sqrt_ps((__m256)x);
    else
        return (Vec<T>)_mm256_sqrt_pd((__m256d)x);
#elif defined(__x86_64__)
    if constexpr (sizeof(T) == 4)
        return (Vec<T>)_mm_sqrt_ps((__m128)x);
    else
        return (Vec<T>)_mm_sqrt_pd((__m128d)x);
#elif defined(__wasm_simd128__)
    if constexpr (sizeof(T) == 4)
        return (Vec<T>)wasm_f32x4_sqrt((v128_t)x);
    else
        return (Vec<T>)wasm_f64x2_sqrt((v128_t)x);
#else
    if constexpr (sizeof(T) == 4)
        return (Vec<T>)vsqrtq_f32((float32x4_t)x);
    else
        return (Vec<T>)vsqrtq_f64((float64x2_t)x);
#endif
}

/// a b + c, rounded once where the instruction set can. Compilers fuse products into sums as they like, and of a b + c d they
/// choose one; what must give the same bits in two places is written with this.
template <class T>
inline Vec<T> multiply_add(Vec<T> a, Vec<T> b, Vec<T> c) {
#if defined(__AVX512F__)
    if constexpr (sizeof(T) == 4)
        return (Vec<T>)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
    else
        return (Vec<T>)_mm512_fmadd_pd((__m512d)a, (__m512d)b, (__m512d)c);
#elif defined(__AVX2__)
    if constexpr (sizeof(T) == 4)
        return (Vec<T>)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
    else
        return (Vec<T>)_mm256_fmadd_pd((__m256d)a, (__m256d)b, (__m256d)c);
#elif defined(__aarch64__)
    if constexpr (sizeof(T) == 4)
        return (Vec<T>)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b);
    else
        return (Vec<T>)vfmaq_f64((float64x2_t)c, (float64x2_t)a, (float64x2_t)b);
#else
    return a * b + c;
#endif
}

template <class T>
inline Vec<T> multiply_add(T a, Vec<T> b, Vec<T> c) {
    return multiply_add<T>(all(a), b, c);
}

/// x / (√y + ε), for y >= 0. In float32 with AVX-512 the division is the processor's estimate and one Newton step (2 ulp),
/// which keeps the slow divider free for the root.
template <class T>
inline Vec<T> over_root(Vec<T> x, Vec<T> y, T epsilon) {
#if defined(__AVX512F__)
    if constexpr (sizeof(T) == 4) {
        const Vec<T> divisor = sqrt<T>(y) + epsilon;
        Vec<T> quotient = (Vec<T>)_mm512_rcp14_ps((__m512)divisor);
        quotient = quotient * (T(2) - divisor * quotient);
        return x * quotient;
    }
#endif
    return x / (sqrt<T>(y) + epsilon);
}

/// The nearest whole number; exact for every x, where adding and subtracting `to_integer` needs |x| < 2^22 or 2^51.
template <class T>
inline Vec<T> nearest(Vec<T> x) {
#if defined(__AVX512F__)
    if constexpr (sizeof(T) == 4)
        return (Vec<T>)_mm512_roundscale_ps((__m512)x, 0);
    else
        return (Vec<T>)_mm512_roundscale_pd((__m512d)x, 0);
#elif defined(__AVX2__)
    if constexpr (sizeof(T) == 4)
        return (Vec<T>)_mm256_round_ps((__m256)x, 0);
    else
        return (Vec<T>)_mm256_round_pd((__m256d)x, 0);
#elif defined(__x86_64__)
    if constexpr (sizeof(T) == 4)
        return (Vec<T>)_mm_round_ps((__m128)x, 0);
    else
        return (Vec<T>)_mm_round_pd((__m128d)x, 0);
#elif defined(__wasm_simd128__)
    if constexpr (sizeof(T) == 4)
        return (Vec<T>)wasm_f32x4_nearest((v128_t)x);
    else
        return (Vec<T>)wasm_f64x2_nearest((v128_t)x);
#else
    if constexpr (sizeof(T) == 4)
        return (Vec<T>)vrndnq_f32((float32x4_t)x);
    else
        return (Vec<T>)vrndnq_f64((float64x2_t)x);
#endif
}

template <class T>
inline T sum(Vec<T> x) {
    T total = 0;
    for (int i = 0; i < lanes<T>; ++i) total += x[i];
    return total;
}

template <class T>
inline double wide_sum(Vec<T> x) {
    double total = 0;
    for (int i = 0; i < lanes<T>; ++i) total += static_cast<double>(x[i]);
    return total;
}

/// The larger of the two, x if either is not a number.
template <class T>
inline Vec<T> larger(Vec<T> x, Vec<T> y) {
    return y > x ? y : x;
}

template <class T>
inline Vec<T> smaller(Vec<T> x, Vec<T> y) {
    return y < x ? y : x;
}

template <class T>
inline Vec<T> absolute(Vec<T> x) {
    return from_bits<T>(bits<T>(x) & ~bits<T>(-Vec<T>{}));
}

/// The lanes from `first` to before `last`; any whole numbers.
template <class T>
inline Ints<T> lanes_between(std::int64_t first, std::int64_t last) {
    using Int = typename Number<T>::Int;
    constexpr std::int64_t n = lanes<T>;
    const auto within = [](std::int64_t lane) { return static_cast<Int>(lane < 0 ? 0 : lane > n ? n : lane); };
    const Ints<T> lane = iota<Ints<T>, lanes<T>>();
    return (lane >= within(first)) & (lane < within(last));
}

/// The first (half = 0) or second halves of two vectors, lane by lane in turn.
template <class T, int half, int... lane>
inline Vec<T> interleave(Vec<T> x, Vec<T> y, std::integer_sequence<int, lane...>) {
    constexpr int n = lanes<T>;
    return __builtin_shufflevector(x, y, (lane % 2 * n + half * n / 2 + lane / 2)...);
}

/// Transpose a block of lanes x lanes numbers in registers: log2(lanes) rounds, each of which interleaves row i with the
/// row half a block further down.
template <class T>
[[gnu::always_inline]] inline void transpose(Vec<T> (&rows)[lanes<T>]) {
    constexpr int n = lanes<T>;
    constexpr auto all_lanes = std::make_integer_sequence<int, n>{};
#pragma GCC unroll 4
    for (int round = 1; round < n; round *= 2) {
        Vec<T> next[n];
#pragma GCC unroll 16
        for (int i = 0; i < n / 2; ++i) {
            next[2 * i] = interleave<T, 0>(rows[i], rows[i + n / 2], all_lanes);
            next[2 * i + 1] = interleave<T, 1>(rows[i], rows[i + n / 2], all_lanes);
        }
#pragma GCC unroll 16
        for (int i = 0; i < n; ++i) rows[i] = next[i];
    }
}

/// Transpose a block in memory.
template <class T>
inline void transpose(const T* from, std::int64_t from_stride, T* to, std::int64_t to_stride) {
    constexpr int n = lanes<T>;
    Vec<T> rows[n];
#pragma GCC unroll 16
    for (int i = 0; i < n; ++i) rows[i] = load_loose(from + i * from_stride);
    transpose<T>(rows);
#pragma GCC unroll 16
    for (int i = 0; i < n; ++i) *reinterpret_cast<typename VectorOf<T>::loose*>(to + i * to_stride) = rows[i];
}

}  // namespace chainrule::CHAINRULE_ISA
