// Batch norm, column by column, so one panel at a time right after the product that made it; layer norm, row by row.
// In: Z in panels. Out: Ẑ and Y; gradients. The equations are those of nn/layers/norms.py.
#pragma once
#include <cmath>

#include "panels.hpp"

namespace chainrule::CHAINRULE_ISA {

inline constexpr std::int64_t rows_per_sum = 512;  // which bounds the rounding error

/// Call f(i, i mod 4) for the rows of one part; with four partial sums the next addition need not wait for the one before.
template <class F>
[[gnu::always_inline]] inline void in_fours(std::int64_t start, std::int64_t stop, F&& f) {
    std::int64_t i = start;
    for (; i + 4 <= stop; i += 4)
#pragma GCC unroll 4
        for (int r = 0; r < 4; ++r) f(i + r, r);
#pragma GCC unroll 4
    for (int r = 0; r < 4; ++r)
        if (i + r < stop) f(i + r, r);
}

/// Σᵢ of each column of a panel, and Σᵢ of its product with another where there is one.
template <class T>
inline void column_sums(const T* G, const T* H, std::int64_t rows, std::int64_t width, T* sums, T* products) {
    for (std::int64_t j = 0; j < width; j += lanes<T>) {
        Vec<T> sum{}, product{};
        for (std::int64_t start = 0; start < rows; start += rows_per_sum) {
            Vec<T> s[4] = {}, q[4] = {};
            const std::int64_t stop = std::min(start + rows_per_sum, rows);
            if (H == nullptr)
                in_fours(start, stop, [&](std::int64_t i, int r) { s[r] += load(G + i * width + j); });
            else
                in_fours(start, stop, [&](std::int64_t i, int r) {
                    const Vec<T> g = load(G + i * width + j);
                    s[r] += g;
                    q[r] += g * load(H + i * width + j);
                });
            sum += (s[0] + s[1]) + (s[2] + s[3]);
            product += (q[0] + q[1]) + (q[2] + q[3]);
        }
        store(sums + j, sum);
        if (H != nullptr) store(products + j, product);
    }
}

/// Shrink the columns of panel p of W to a length of at most `limit`.
template <class T>
inline void bound_columns(Panels<T> W, std::int64_t p, T limit) {
    constexpr int n = lanes<T>;
    alignas(vector_bytes) T sums[panel_width<T>], squares[panel_width<T>];
    const std::int64_t width = W.width(p);
    T* const w = W.panel(p);
    column_sums<T>(w, w, W.rows, width, sums, squares);
    for (std::int64_t j = 0; j < width; j += n) {
        const Vec<T> factor = limit / larger<T>(sqrt<T>(load(squares + j)), all(limit));
        for (std::int64_t i = 0; i < W.rows; ++i) store(w + i * width + j, load(w + i * width + j) * factor);
    }
}

/// Vectors of a normalization, each with one entry per column (padded).
template <class T>
struct NormVectors {
    T *gamma, *beta, *mean, *variance, *deviation;  // deviation: s of the latest batch
};

/// Batch norm in training over panel p: Ẑ (if kept), Y in place of Z, running statistics that keep `share` of themselves.
template <class T>
inline void batch_norm_forward(
    Panels<T> Z, Panels<T> Zhat, std::int64_t p, const NormVectors<T>& v, double share, T epsilon
) {
    constexpr int n = lanes<T>;
    const std::int64_t width = Z.width(p), at = p * Panels<T>::wide, rows = Z.rows;
    const T count = static_cast<T>(rows), old = static_cast<T>(share), fresh = static_cast<T>(1 - share);
    alignas(vector_bytes) T mean[panel_width<T>];
    T* const z = Z.panel(p);
    T* const h = Zhat.panel(p);
    column_sums<T>(z, nullptr, rows, width, mean, nullptr);
    for (std::int64_t j = 0; j < width; j += n) {
        const Vec<T> mu = load(mean + j) / count;
        Vec<T> total{};
        for (std::int64_t start = 0; start < rows; start += rows_per_sum) {
            Vec<T> s[4] = {};
            in_fours(start, std::min(start + rows_per_sum, rows), [&](std::int64_t i, int r) {
                const Vec<T> centered = load(z + i * width + j) - mu;
                s[r] += centered * centered;
            });
            total += (s[0] + s[1]) + (s[2] + s[3]);
        }
        const Vec<T> variance = total / count, s = sqrt<T>(variance + epsilon), inverse = T(1) / s;
        store(v.deviation + at + j, s);
        store(v.mean + at + j, old * load(v.mean + at + j) + fresh * mu);
        store(v.variance + at + j, old * load(v.variance + at + j) + fresh * variance);
        const Vec<T> gamma = load(v.gamma + at + j), beta = load(v.beta + at + j);
        for (std::int64_t i = 0; i < rows; ++i) {
            const Vec<T> hat = (load(z + i * width + j) - mu) * inverse;
            store(h + i * width + j, hat);
            store(z + i * width + j, gamma * hat + beta);
        }
    }
}

/// Batch norm in inference over rows [first, last) of panel p.
template <class T>
inline void batch_norm_infer(
    Panels<T> Z, std::int64_t p, std::int64_t first, std::int64_t last, const NormVectors<T>& v, T epsilon
) {
    constexpr int n = lanes<T>;
    const std::int64_t width = Z.width(p), at = p * Panels<T>::wide;
    for (std::int64_t j = 0; j < width; j += n) {
        const Vec<T> mean = load(v.mean + at + j), inverse = T(1) / sqrt<T>(load(v.variance + at + j) + epsilon);
        const Vec<T> gamma = load(v.gamma + at + j), beta = load(v.beta + at + j);
        for (std::int64_t i = first; i < last; ++i) {
            T* const z = Z.row(p, i) + j;
            store(z, gamma * ((load(z) - mean) * inverse) + beta);
        }
    }
}

/// dZ in place of G = dY over panel p, given Σ dY and Σ dY ⊙ Ẑ.
template <class T>
inline void batch_norm_backward(
    Panels<T> G, Panels<T> Zhat, std::int64_t p, const NormVectors<T>& v, const T* dbeta, const T* dgamma
) {
    constexpr int n = lanes<T>;
    const std::int64_t width = G.width(p), at = p * Panels<T>::wide;
    const T count = static_cast<T>(G.rows);
    for (std::int64_t j = 0; j < width; j += n) {
        const Vec<T> factor = load(v.gamma + at + j) / load(v.deviation + at + j);
        const Vec<T> mean = load(dbeta + j) / count, inner = load(dgamma + j) / count;
        for (std::int64_t i = 0; i < G.rows; ++i) {
            T* const g = G.row(p, i) + j;
            store(g, factor * (load(g) - mean - load(Zhat.row(p, i) + j) * inner));
        }
    }
}

/// Y = Z ⊙ s in place over rows [first, last) of panel p; Z is copied where there is room for it.
template <class T>
inline void scale_rows(Panels<T> Z, Panels<T> kept, std::int64_t p, std::int64_t first, std::int64_t last, const T* s) {
    const std::int64_t width = Z.width(p);
    s += p * Panels<T>::wide;
    for (std::int64_t i = first; i < last; ++i)
        for (std::int64_t j = 0; j < width; j += lanes<T>) {
            T* const z = Z.row(p, i) + j;
            if (kept.data != nullptr) store(kept.row(p, i) + j, load(z));
            store(z, load(z) * load(s + j));
        }
}

/// Which lanes of vector j of panel p are columns of the matrix; the others only pad the panel.
template <class T>
inline Ints<T> real(Panels<T> Z, std::int64_t p, std::int64_t j) {
    Ints<T> mask = ~Ints<T>{};
    const std::int64_t left = Z.used(p) - j;
    if (left < lanes<T>)
        for (std::int64_t i = std::max<std::int64_t>(left, 0); i < lanes<T>; ++i) mask[i] = 0;
    return mask;
}

/// Σⱼ f(vector at (p, j)) over the columns of one row.
template <class T, class F>
inline T row_sum(Panels<T> Z, F&& f) {
    Vec<T> total{};
    for (std::int64_t p = 0; p < Z.count(); ++p)
        for (std::int64_t j = 0; j < Z.width(p); j += lanes<T>) total += real(Z, p, j) ? f(p, j) : Vec<T>{};
    return sum<T>(total);
}

/// Layer norm of row i: Y in place of Z, Ẑ if there is room for it, s in `deviation`.
template <class T>
inline void layer_norm_forward(
    Panels<T> Z, Panels<T> Zhat, std::int64_t i, const NormVectors<T>& v, T epsilon, T* deviation
) {
    constexpr int n = lanes<T>;
    const T d = static_cast<T>(Z.columns);
    const T mean = row_sum(Z, [&](auto p, auto j) { return load(Z.row(p, i) + j); }) / d;
    const T variance = row_sum(
                           Z,
                           [&](auto p, auto j) {
                               const Vec<T> centered = load(Z.row(p, i) + j) - mean;
                               return centered * centered;
                           }
                       )
                       / d;
    const T s = std::sqrt(variance + epsilon);
    if (deviation != nullptr) deviation[i] = s;
    for (std::int64_t p = 0; p < Z.count(); ++p)
        for (std::int64_t j = 0; j < Z.width(p); j += n) {
            const std::int64_t at = p * Panels<T>::wide + j;
            const Vec<T> hat = (load(Z.row(p, i) + j) - mean) / s;
            if (Zhat.data != nullptr) store(Zhat.row(p, i) + j, hat);
            store(Z.row(p, i) + j, load(v.gamma + at) * hat + load(v.beta + at));
        }
}

/// Row i of dZ from dY = G.
template <class T>
inline void layer_norm_backward(
    Panels<T> G, Panels<T> Zhat, std::int64_t i, const NormVectors<T>& v, T s, Panels<T> dZ
) {
    constexpr int n = lanes<T>;
    const T d = static_cast<T>(G.columns);
    const auto dZhat = [&](auto p, auto j) { return load(G.row(p, i) + j) * load(v.gamma + p * Panels<T>::wide + j); };
    const T mean = row_sum(G, dZhat) / d;
    const T inner = row_sum(G, [&](auto p, auto j) { return dZhat(p, j) * load(Zhat.row(p, i) + j); }) / d;
    for (std::int64_t p = 0; p < G.count(); ++p)
        for (std::int64_t j = 0; j < G.width(p); j += n) {
            const Vec<T> hat = load(Zhat.row(p, i) + j);
            store(dZ.row(p, i) + j, real(G, p, j) ? (dZhat(p, j) - mean - hat * inner) / s : Vec<T>{});
        }
}

}  // namespace chainrule::CHAINRULE_ISA
