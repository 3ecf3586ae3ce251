// Loss, score and gradient of each row, computed together because they need the same few numbers.
// In: logits in panels, targets, weights. Out: G = c/C dL/dZ, zero in the columns that pad a panel; Σ c L, Σ c score.
#pragma once
#include <type_traits>

#include "activations.hpp"
#include "norms.hpp"

namespace chainrule::CHAINRULE_ISA {

template <class T>
using Class = typename Number<T>::Int;

/// The targets of a batch: classes for softmax, otherwise Y.
template <class T>
struct Targets {
    Class<T>* classes = nullptr;
    Panels<T> Y;
    T* c = nullptr;
    T total = 0;  // C = Σ c, or 1 if that is 0
    T *levels = nullptr, *scored = nullptr;  // of quantiles, column by column: q; the share of the score, times k
};

struct Measured {
    double loss = 0, score = 0;
};

/// A - Y for A = f(Z), exact also where f nears an end of its range: the distance to that end keeps its digits.
template <class T, class Link>
inline Vec<T> residual(Vec<T> Z, Vec<T> A, Vec<T> Y) {
    if constexpr (std::is_same_v<Link, Function<T, ActivationKind::sigmoid>>) {
        return Z > T(0) ? (T(1) - Y) - sigmoid<T>(-Z) : A - Y;
    } else if constexpr (std::is_same_v<Link, Function<T, ActivationKind::tanh>>) {
        const Vec<T> gap = T(2) * sigmoid<T>(T(-2) * absolute<T>(Z));
        const Vec<T> far = Z > T(0) ? (T(1) - Y) - gap : (T(-1) - Y) + gap;
        return absolute<T>(Z) > T(0.5) ? far : A - Y;
    } else {
        return A - Y;
    }
}

/// f'(Z), exact there too.
template <class T, class Link>
inline Vec<T> slope(Vec<T> Z, Vec<T> A) {
    if constexpr (std::is_same_v<Link, Function<T, ActivationKind::sigmoid>>) {
        const Vec<T> gap = sigmoid<T>(-absolute<T>(Z));
        return gap * (T(1) - gap);
    } else if constexpr (std::is_same_v<Link, Function<T, ActivationKind::tanh>>) {
        const Vec<T> gap = T(2) * sigmoid<T>(T(-2) * absolute<T>(Z));
        return absolute<T>(Z) > T(0.5) ? gap * (T(2) - gap) : T(1) - A * A;
    } else {
        return Link::derivative(A, T(0));
    }
}

/// Loss and dL/dZ of one entry, without the mean over k.
template <class T>
struct Entry {
    Vec<T> loss, gradient;
};

template <class T, LossKind kind, class Link>
inline Entry<T> entry(Vec<T> Z, Vec<T> A, Vec<T> Y, T delta, Vec<T> level) {
    if constexpr (kind == LossKind::binary_cross_entropy) {
        const Vec<T> e = exp_negative<T>(-absolute<T>(Z)), gap = e / (T(1) + e);
        const Vec<T> distance = Z > T(0) ? T(1) - Y : Y;
        return {log1p_unit<T>(e) + distance * absolute<T>(Z), Z > T(0) ? distance - gap : gap - distance};
    } else if constexpr (kind == LossKind::poisson) {
        return {multiply_add<T>(-Y, Z, A), A - Y};
    } else {
        const Vec<T> r = residual<T, Link>(Z, A, Y), derivative = slope<T, Link>(Z, A);
        if constexpr (kind == LossKind::quantile) {
            const Vec<T> side = r < T(0) ? -level : r > T(0) ? T(1) - level : r;
            return {r < T(0) ? -level * r : (T(1) - level) * r, side * derivative};
        } else if constexpr (kind == LossKind::mean_squared_error) {
            return {r * r, T(2) * r * derivative};
        } else if constexpr (kind == LossKind::mean_absolute_error) {
            const Vec<T> sign = r > T(0) ? all(T(1)) : r < T(0) ? all(T(-1)) : r;
            return {absolute<T>(r), sign * derivative};
        } else {
            const Vec<T> size = absolute<T>(r), q = size > delta ? all(delta) : size;
            const Vec<T> cut = r > delta ? all(delta) : r < -delta ? all(-delta) : r;
            return {q * (size - T(0.5) * q), cut * derivative};
        }
    }
}

/// Rows [first, last) of a loss that is a mean over columns.
template <class T, LossKind kind, class Link>
inline Measured columnwise(
    Panels<T> Z, const Targets<T>& targets, Panels<T> G, std::int64_t first, std::int64_t last, T delta
) {
    Measured measured;
    const T k = static_cast<T>(Z.columns);
    for (std::int64_t p = 0; p < Z.count(); ++p)
        for (std::int64_t j = 0; j < Z.width(p); j += lanes<T>) {
            const Ints<T> mask = real(Z, p, j);
            Vec<T> loss{}, error{}, level{}, scored{};
            if constexpr (kind == LossKind::quantile) {
                level = load(targets.levels + p * Panels<T>::wide + j);
                scored = load(targets.scored + p * Panels<T>::wide + j);
            }
            for (std::int64_t i = first; i < last; ++i) {
                const Vec<T> z = load(Z.row(p, i) + j), y = load(targets.Y.row(p, i) + j), A = Link::value(z, T(0));
                const Entry<T> at = entry<T, kind, Link>(z, A, y, delta, level);
                const T c = targets.c[i];
                loss = mask ? multiply_add<T>(c, at.loss, loss) : loss;
                if constexpr (kind == LossKind::quantile)
                    error += scored > T(0) ? (A - y) * (A - y) * (c * scored) : Vec<T>{};
                else
                    error = mask ? multiply_add<T>(c, (A - y) * (A - y), error) : error;
                store(G.row(p, i) + j, mask ? at.gradient * (c / targets.total / k) : Vec<T>{});
            }
            measured.loss += wide_sum<T>(loss) / static_cast<double>(Z.columns);
            measured.score += wide_sum<T>(error) / static_cast<double>(Z.columns);
        }
    return measured;
}

/// Σ c over the rows whose labels are all predicted correctly.
template <class T>
inline double all_right(Panels<T> Z, const Targets<T>& targets, std::int64_t first, std::int64_t last) {
    double score = 0;
    for (std::int64_t i = first; i < last; ++i) {
        T wrong = 0;
        for (std::int64_t p = 0; p < Z.count(); ++p)
            for (std::int64_t j = 0; j < Z.used(p); ++j)
                wrong += (Z.row(p, i)[j] > T(0)) != (targets.Y.row(p, i)[j] > T(0.5)) ? T(1) : T(0);
        score += wrong == T(0) ? static_cast<double>(targets.c[i]) : 0.0;
    }
    return score;
}

/// Softmax cross-entropy of rows [first, last), one at a time, for any number of classes.
template <class T>
inline Measured softmax_rows(
    Panels<T> Z, const Targets<T>& targets, Panels<T> G, std::int64_t first, std::int64_t last, T smoothing
) {
    constexpr int n = lanes<T>;
    Measured measured;
    const std::int64_t k = Z.columns;
    const T even = smoothing / static_cast<T>(k);
    for (std::int64_t i = first; i < last; ++i) {
        const auto at = [&](std::int64_t j) { return Z.row(j / Panels<T>::wide, i)[j % Panels<T>::wide]; };
        const std::int64_t y = targets.classes[i];
        Vec<T> highest = all(at(0));
        for (std::int64_t p = 0; p < Z.count(); ++p)
            for (std::int64_t j = 0; j < Z.width(p); j += n) {
                const Vec<T> z = load(Z.row(p, i) + j);
                highest = (real(Z, p, j) & (z > highest)) ? z : highest;
            }
        T top = highest[0];
        for (int lane = 1; lane < n; ++lane) top = highest[lane] > top ? highest[lane] : top;
        const T below = row_sum(Z, [&](auto p, auto j) {
            const Vec<T> z = load(Z.row(p, i) + j), e = exp_negative<T>(z - top);
            store(G.row(p, i) + j, e);
            return z == top ? Vec<T>{} : e;
        });
        const T ties = row_sum(Z, [&](auto p, auto j) { return load(Z.row(p, i) + j) == top ? all(T(1)) : Vec<T>{}; });
        const T rest = below + (ties - T(1)), total = T(1) + rest;  // of all exponentials but one that is the largest
        T loss = std::log1p(rest) - (T(1) - smoothing) * (at(y) - top);
        if (smoothing > T(0)) loss -= even * row_sum(Z, [&](auto p, auto j) { return load(Z.row(p, i) + j) - top; });
        const T c = targets.c[i], share = c / targets.total;
        for (std::int64_t p = 0; p < Z.count(); ++p)
            for (std::int64_t j = 0; j < Z.width(p); j += n)
                store(G.row(p, i) + j, real(Z, p, j) ? share * (load(G.row(p, i) + j) / total - even) : Vec<T>{});
        T& own = G.row(y / Panels<T>::wide, i)[y % Panels<T>::wide];
        own = at(y) == top ? share * ((smoothing - even) - rest / total) : own - share * (T(1) - smoothing);
        bool right = at(y) == top;
        for (std::int64_t j = 0; right && j < y; ++j) right = at(j) < top;
        measured.loss += static_cast<double>(c) * static_cast<double>(loss);
        measured.score += right ? static_cast<double>(c) : 0.0;
    }
    return measured;
}

/// Softmax cross-entropy of a row in each lane: column j of the logits, at `columns` + j lanes, becomes that of the gradient.
template <class T>
[[gnu::always_inline]] inline void softmax_lanes(
    T* columns, int k, Ints<T> y, Vec<T> c, Vec<T> share, T smoothing, Vec<T>& loss, Vec<T>& score
) {
    constexpr int n = lanes<T>;
    const T even = smoothing / static_cast<T>(k);
    Vec<T> top = load(columns), own{}, shifted_sum{}, rest{};  // rest: all exponentials but the largest
    Ints<T> best{};
    for (int j = 1; j < k; ++j) {
        const Vec<T> z = load(columns + j * n);
        best = z > top ? Ints<T>{} + j : best;
        top = z > top ? z : top;
    }
    for (int j = 0; j < k; ++j) {
        const Vec<T> z = load(columns + j * n) - top, e = exp_negative<T>(z);
        own = y == Class<T>(j) ? z : own;
        shifted_sum += z;
        rest += best == Class<T>(j) ? Vec<T>{} : e;
        store(columns + j * n, e);
    }
    const Vec<T> inverse = share / (T(1) + rest), right = multiply_add<T>(-rest, inverse, share * (smoothing - even));
    for (int j = 0; j < k; ++j) {
        const Ints<T> is_own = y == Class<T>(j);
        const Vec<T> target = is_own ? all(T(1) - smoothing + even) : all(even);
        const Vec<T> plain = multiply_add<T>(load(columns + j * n), inverse, -(share * target));
        store(columns + j * n, is_own & (best == y) ? right : plain);
    }
    const Vec<T> kept = multiply_add<T>(smoothing - T(1), own, log1p<T>(rest));
    loss = multiply_add<T>(c, multiply_add<T>(-even, shifted_sum, kept), loss);
    score += best == y ? c : Vec<T>{};
}

/// The same if one panel of V vectors holds a row: as many rows at once as a vector has lanes.
template <class T, int V>
inline Measured softmax_narrow(
    Panels<T> Z, const Targets<T>& targets, Panels<T> G, std::int64_t first, std::int64_t last, T smoothing
) {
    constexpr int n = lanes<T>;
    const int k = static_cast<int>(Z.columns);
    alignas(vector_bytes) T rows[n * V * n], columns[V * n * n], weights[n];
    alignas(vector_bytes) Class<T> classes[n];
    Vec<T> loss{}, score{};
    for (std::int64_t i = first; i < last; i += n) {
        const int count = static_cast<int>(std::min<std::int64_t>(n, last - i));
        const T* source = Z.row(0, i);
        if (count < n) {
            for (int r = 0; r < n * V; ++r) store(rows + r * n, r < count * V ? load(source + r * n) : Vec<T>{});
            source = rows;
        }
        for (int r = 0; r < n; ++r) {
            weights[r] = r < count ? targets.c[i + r] : T(0);
            classes[r] = r < count ? targets.classes[i + r] : 0;
        }
        for (int v = 0; v < V; ++v) transpose<T>(source + v * n, V * n, columns + v * n * n, n);
        const Vec<T> c = load(weights);
        const Ints<T> y = *reinterpret_cast<const Ints<T>*>(classes);
        softmax_lanes<T>(columns, k, y, c, c / targets.total, smoothing, loss, score);
        for (int j = k; j < V * n; ++j) store(columns + j * n, Vec<T>{});
        T* const gradient = count < n ? rows : G.row(0, i);
        for (int v = 0; v < V; ++v) transpose<T>(columns + v * n * n, n, gradient + v * n, V * n);
        for (int r = 0; count < n && r < count * V; ++r) store(G.row(0, i) + r * n, load(rows + r * n));
    }
    return {wide_sum<T>(loss), wide_sum<T>(score)};
}

/// Softmax cross-entropy of several heads, block by block of each row of [first, last).
template <class T>
inline Measured softmax_heads(
    Panels<T> Z, const Targets<T>& targets, Panels<T> G, std::int64_t first, std::int64_t last, const TrainingSettings& s
) {
    Measured measured;
    const T smoothing = static_cast<T>(s.label_smoothing), heads = static_cast<T>(s.head_sizes.size());
    for (std::int64_t i = first; i < last; ++i) {
        const auto at = [&](Panels<T> M, std::int64_t j) -> T& {
            return M.row(j / Panels<T>::wide, i)[j % Panels<T>::wide];
        };
        const T c = targets.c[i], share = c / targets.total / heads;
        T loss = 0;
        bool right = true;
        std::int64_t start = 0;
        for (const std::int64_t size : s.head_sizes) {
            std::int64_t top = start, own = start;
            for (std::int64_t j = start + 1; j < start + size; ++j) {
                if (at(Z, j) > at(Z, top)) top = j;
                if (at(targets.Y, j) > at(targets.Y, own)) own = j;
            }
            right = right && top == own;
            for (std::int64_t j = start; j < start + size; ++j) {
                const T target = (T(1) - smoothing) * at(targets.Y, j) + smoothing / static_cast<T>(size);
                const T shifted = at(Z, j) - at(Z, top);
                at(G, j) = shifted;
                loss -= target * shifted;
            }
            start += size;
        }
        for (std::int64_t p = 0; p < Z.count(); ++p)
            for (std::int64_t j = 0; j < Z.width(p); j += lanes<T>)
                store(G.row(p, i) + j, real(Z, p, j) ? exp_negative<T>(load(G.row(p, i) + j)) : Vec<T>{});
        start = 0;
        for (const std::int64_t size : s.head_sizes) {
            std::int64_t top = start;
            for (std::int64_t j = start + 1; j < start + size; ++j)
                if (at(Z, j) > at(Z, top)) top = j;
            T rest = 0;
            for (std::int64_t j = start; j < start + size; ++j) rest += j == top ? T(0) : at(G, j);
            for (std::int64_t j = start; j < start + size; ++j) {
                const T target = (T(1) - smoothing) * at(targets.Y, j) + smoothing / static_cast<T>(size);
                const bool near = j == top && target > T(0.5);
                at(G, j) = share * (near ? (T(1) - target) - rest / (T(1) + rest) : at(G, j) / (T(1) + rest) - target);
            }
            loss += std::log1p(rest);
            start += size;
        }
        measured.loss += static_cast<double>(c) * static_cast<double>(loss / heads);
        measured.score += right ? static_cast<double>(c) : 0.0;
    }
    return measured;
}

template <class T, LossKind kind>
inline Measured through_link(
    Panels<T> Z, const Targets<T>& targets, Panels<T> G, std::int64_t first, std::int64_t last, const TrainingSettings& s
) {
    const T delta = static_cast<T>(s.delta);
    if constexpr (for_page)
        return columnwise<T, kind, Function<T, ActivationKind::identity>>(Z, targets, G, first, last, delta);
    switch (s.link) {
        case ActivationKind::sigmoid:
            return columnwise<T, kind, Function<T, ActivationKind::sigmoid>>(Z, targets, G, first, last, delta);
        case ActivationKind::tanh:
            return columnwise<T, kind, Function<T, ActivationKind::tanh>>(Z, targets, G, first, last, delta);
        case ActivationKind::relu:
            return columnwise<T, kind, Function<T, ActivationKind::relu>>(Z, targets, G, first, last, delta);
        case ActivationKind::exp:
            return columnwise<T, kind, Function<T, ActivationKind::exp>>(Z, targets, G, first, last, delta);
        default: return columnwise<T, kind, Function<T, ActivationKind::identity>>(Z, targets, G, first, last, delta);
    }
}

/// Rows [first, last) of any loss.
template <class T>
inline Measured apply_loss(
    Panels<T> Z, const Targets<T>& targets, Panels<T> G, std::int64_t first, std::int64_t last, const TrainingSettings& s
) {
    const T smoothing = static_cast<T>(s.label_smoothing);
    switch (s.loss) {
        case LossKind::softmax_cross_entropy:
            if (Z.columns <= lanes<T>) return softmax_narrow<T, 1>(Z, targets, G, first, last, smoothing);
            if (Z.columns <= panel_width<T>) return softmax_narrow<T, 2>(Z, targets, G, first, last, smoothing);
            return softmax_rows<T>(Z, targets, G, first, last, smoothing);
        case LossKind::binary_cross_entropy: {
            using Link = Function<T, ActivationKind::sigmoid>;
            Measured measured = columnwise<T, LossKind::binary_cross_entropy, Link>(Z, targets, G, first, last, T(0));
            measured.score = all_right<T>(Z, targets, first, last);
            return measured;
        }
        case LossKind::mean_squared_error: return through_link<T, LossKind::mean_squared_error>(Z, targets, G, first, last, s);
        default: break;
    }
    if constexpr (for_page) return {};
    switch (s.loss) {
        case LossKind::poisson:
            return columnwise<T, LossKind::poisson, Function<T, ActivationKind::exp>>(Z, targets, G, first, last, T(0));
        case LossKind::mean_absolute_error: return through_link<T, LossKind::mean_absolute_error>(Z, targets, G, first, last, s);
        case LossKind::huber: return through_link<T, LossKind::huber>(Z, targets, G, first, last, s);
        case LossKind::quantile: return through_link<T, LossKind::quantile>(Z, targets, G, first, last, s);
        case LossKind::multi_softmax_cross_entropy: return softmax_heads<T>(Z, targets, G, first, last, s);
        default: return {};
    }
}

}  // namespace chainrule::CHAINRULE_ISA
