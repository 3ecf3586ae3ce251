// The embeddings of nn/layers, feature by feature; equations and letters are the same.
// In: a group of features, the rows X. Out: the group's columns of Y; from dY the gradients of its parameters. Every sum
// over the rows lies within one task and runs in one fixed order.
#pragma once
#include "pbld.hpp"
#include "piecewise_linear.hpp"

namespace chainrule::CHAINRULE_ISA {

/// The inputs of one vector of columns: which feature each lane reads.
template <class T>
struct LaneInputs {
    Column<T> features[lanes<T> + 1];
    Ints<T> masks[lanes<T> + 1];
    int count = 0;
    Ints<T> owned{};   // lanes of the group
    Ints<T> linear{};  // lanes that hold a feature itself: the first column of each

    LaneInputs(const FeatureSlots<T>& group, Panels<T> X, std::int64_t vector) {
        const FeatureGroup& g = group.plan;
        const std::int64_t first = vector * lanes<T>, last = first + lanes<T> - 1;
        owned = lanes_between<T>(g.output - first, g.end() - first);
        const std::int64_t lowest = std::max<std::int64_t>(0, (first - g.output) / g.width);
        const std::int64_t highest = std::min(g.count - 1, (last - g.output) / g.width);
        for (std::int64_t f = lowest; f <= highest; ++f) {
            const std::int64_t at = group.first_column(f) - first;
            features[count] = column(X, g.input + f);
            masks[count++] = lanes_between<T>(at, at + g.width);
            linear = linear | lanes_between<T>(at, at + 1);
        }
    }

    /// The input of each lane in row i; R is the number of features where it is 1 or 2, otherwise 0.
    template <int R>
    Vec<T> at(std::int64_t i) const {
        const auto value = [&](int k) { return all(features[k].at[i * features[k].stride]); };
        if constexpr (R == 1) return value(0);
        if constexpr (R == 2) return masks[0] ? value(0) : value(1);
        Vec<T> x = value(0);
        for (int k = 1; k < count; ++k) x = masks[k] ? value(k) : x;
        return x;
    }
};

/// Call f with the number of features of a vector as a constant.
template <class T, class F>
inline void with_features(const LaneInputs<T>& x, F&& f) {
    if (x.count == 1) return f(std::integral_constant<int, 1>{});
    if (x.count == 2) return f(std::integral_constant<int, 2>{});
    f(std::integral_constant<int, 0>{});
}

// ---- identity: the columns as they are

template <class T>
inline void copy_columns(const FeatureGroup& g, Panels<T> X, Panels<T> Y, std::int64_t first, std::int64_t last) {
    constexpr std::int64_t wide = Panels<T>::wide, n = lanes<T>;
    for (std::int64_t j = 0, run; j < g.count; j += run) {
        const std::int64_t from = g.input + j, to = g.output + j;
        run = std::min({g.count - j, wide - from % wide, wide - to % wide});
        const Column<T> x = column(X, from), y = column(Y, to);
        for (std::int64_t i = first; i < last; ++i) {
            const T* const a = x.at + i * x.stride;
            T* const b = y.at + i * y.stride;
            std::int64_t k = 0;
            for (; k + n <= run; k += n) *reinterpret_cast<typename VectorOf<T>::loose*>(b + k) = load_loose(a + k);
            for (; k < run; ++k) b[k] = a[k];
        }
    }
}

// ---- scale: Y = X ⊙ s

template <class T>
inline void scale_forward(
    const FeatureSlots<T>& group, std::int64_t task, Panels<T> X, Panels<T> Y, std::int64_t first, std::int64_t last,
    std::ptrdiff_t shift
) {
    const LaneInputs<T> x(group, X, group.first_vector(0) + task);
    const Column<T> y = column(Y, (group.first_vector(0) + task) * lanes<T>);
    const Vec<T> s = load(group.slots[0].w + shift + task * lanes<T>);
    for (std::int64_t i = first; i < last; ++i)
        store_lanes<T>(y.at + i * y.stride, x.owned, s * x.template at<0>(i));
}

template <class T>
inline void scale_gradient(const FeatureSlots<T>& group, std::int64_t task, Panels<T> X, Panels<T> G) {
    const LaneInputs<T> x(group, X, group.first_vector(0) + task);
    const Column<T> g = column(G, (group.first_vector(0) + task) * lanes<T>);
    Vec<T> total{};
    for (std::int64_t start = 0; start < G.rows; start += sum_rows) {
        Vec<T> part{};
        for (std::int64_t i = start; i < std::min(G.rows, start + sum_rows); ++i)
            part += load(g.at + i * g.stride) * x.template at<0>(i);
        total += part;
    }
    store(group.room(0, task * lanes<T>), x.owned ? total : Vec<T>{});
}

// ---- cosine: Y = γ ⊙ [X, cos 2π (w x + b)] + β

template <class T>
inline void cosine_forward(
    const FeatureSlots<T>& group, std::int64_t task, Panels<T> X, Panels<T> Y, std::int64_t first, std::int64_t last,
    std::ptrdiff_t shift
) {
    const LaneInputs<T> x(group, X, group.first_vector(0) + task);
    const Column<T> y = column(Y, (group.first_vector(0) + task) * lanes<T>);
    const auto number = [&](int slot) { return load(group.slots[slot].w + shift + task * lanes<T>); };
    const Vec<T> w = number(0), b = number(1), gamma = number(2), beta = number(3);
    with_features(x, [&]<int R>(std::integral_constant<int, R>) {
        for (std::int64_t i = first; i < last; ++i) {
            const Vec<T> a = x.template at<R>(i), h = cos_turns<T>(w * a + b);
            store_lanes<T>(y.at + i * y.stride, x.owned, gamma * (x.linear ? a : h) + beta);
        }
    });
}

template <class T>
inline void cosine_gradient(const FeatureSlots<T>& group, std::int64_t task, Panels<T> X, Panels<T> G) {
    constexpr T turn = T(6.283185307179586477);
    const std::int64_t at = task * lanes<T>;
    const LaneInputs<T> x(group, X, group.first_vector(0) + task);
    const Column<T> g = column(G, (group.first_vector(0) + task) * lanes<T>);
    const Vec<T> w = load(group.slots[0].w + at), b = load(group.slots[1].w + at);
    Vec<T> dw{}, db{}, dgamma{}, dbeta{};
    with_features(x, [&]<int R>(std::integral_constant<int, R>) {
        for (std::int64_t start = 0; start < G.rows; start += sum_rows) {
            Vec<T> part_w{}, part_b{}, part_gamma{}, part_beta{};
            for (std::int64_t i = start; i < std::min(G.rows, start + sum_rows); ++i) {
                const Vec<T> dy = load(g.at + i * g.stride), a = x.template at<R>(i);
                const Circle<T> u = circle_turns<T>(w * a + b);
                const Vec<T> through = dy * u.sin;
                part_gamma += dy * (x.linear ? a : u.cos);
                part_beta += dy;
                part_w += through * a;
                part_b += through;
            }
            dw += part_w;
            db += part_b;
            dgamma += part_gamma;
            dbeta += part_beta;
        }
    });
    const Vec<T> factor = -turn * load(group.slots[2].w + at);
    const Ints<T> waves = x.owned & ~x.linear;
    store(group.room(0, at), waves ? factor * dw : Vec<T>{});
    store(group.room(1, at), waves ? factor * db : Vec<T>{});
    store(group.room(2, at), x.owned ? dgamma : Vec<T>{});
    store(group.room(3, at), x.owned ? dbeta : Vec<T>{});
}

// ---- category: the rows of a table

/// The codes of rows first .. first + count - 1; what is no code counts as 0.
template <class T>
inline void read_codes(Column<T> x, std::int64_t first, std::int64_t count, std::int64_t size, std::int32_t* codes) {
    for (std::int64_t i = 0; i < count; ++i) {
        const T code = x.at[(first + i) * x.stride];
        codes[i] = code >= T(0) && code < static_cast<T>(size) ? static_cast<std::int32_t>(code) : 0;
    }
}

template <class T>
inline void category_forward(
    const FeatureSlots<T>& group, std::int64_t f, Panels<T> X, Panels<T> Y, std::int64_t first, std::int64_t last,
    std::ptrdiff_t shift
) {
    std::int32_t codes[feature_rows];
    const std::int64_t stride = group.vectors(f) * lanes<T>;
    read_codes(column(X, group.plan.input + f), first, last - first, group.size(f), codes);
    for (std::int64_t k = 0; k < group.vectors(f); ++k) {
        const T* const E = group.table(0, f, 1) + shift + k * lanes<T>;
        const Column<T> y = column(Y, (group.first_vector(f) + k) * lanes<T>);
        const Ints<T> owned = group.mask(f, k);
        for (std::int64_t i = first; i < last; ++i)
            store_lanes<T>(y.at + i * y.stride, owned, load(E + codes[i - first] * stride));
    }
}

template <class T>
inline void category_gradient(const FeatureSlots<T>& group, std::int64_t f, Panels<T> X, Panels<T> G) {
    std::int32_t codes[feature_rows];
    const std::int64_t stride = group.vectors(f) * lanes<T>;
    const auto [offset, size] = group.part(0, f);
    T* const dE = group.room(0, offset);
    std::fill(dE, dE + size, T(0));
    for (std::int64_t start = 0; start < G.rows; start += feature_rows) {
        const std::int64_t count = std::min(feature_rows, G.rows - start);
        read_codes(column(X, group.plan.input + f), start, count, group.size(f), codes);
        for (std::int64_t k = 0; k < group.vectors(f); ++k) {
            const Column<T> g = column(G, (group.first_vector(f) + k) * lanes<T>);
            const Ints<T> owned = group.mask(f, k);
            for (std::int64_t i = 0; i < count; ++i) {
                T* const to = dE + codes[i] * stride + k * lanes<T>;
                store(to, load(to) + (owned ? load(g.at + (start + i) * g.stride) : Vec<T>{}));
            }
        }
    }
}

// ---- all kinds

/// Rows [first, last) of a group's columns of Y; `shift` is the distance from a parameter to the number used for it.
template <class T>
inline void embed(
    const FeatureSlots<T>& group, Panels<T> X, Panels<T> Y, std::int64_t first, std::int64_t last, std::ptrdiff_t shift
) {
    using enum FeatureKind;
    if (group.plan.kind == identity) return copy_columns<T>(group.plan, X, Y, first, last);
    for (std::int64_t task = 0; task < group.tasks(); ++task)
        switch (group.plan.kind) {
            case scale: scale_forward<T>(group, task, X, Y, first, last, shift); break;
            case cosine: cosine_forward<T>(group, task, X, Y, first, last, shift); break;
            case pbld: pbld_forward<T>(group, task, X, Y, first, last, shift); break;
            case piecewise_linear: piecewise_linear_forward<T>(group, task, X, Y, first, last, shift); break;
            case category: category_forward<T>(group, task, X, Y, first, last, shift); break;
            case identity: break;
        }
}

/// Rows [first, last) of Y, all groups.
template <class T>
inline void embed(
    const std::vector<FeatureSlots<T>>& groups, Panels<T> X, Panels<T> Y, std::int64_t first, std::int64_t last,
    std::ptrdiff_t shift
) {
    for (std::int64_t i = first; i < last; i += feature_rows)
        for (const FeatureSlots<T>& group : groups) embed<T>(group, X, Y, i, std::min(last, i + feature_rows), shift);
}

/// Compute one task's gradients in the rooms of the group's slots, then call finish(slot, block, offset, g, size) for each.
template <class T, class F>
inline void embedding_gradient(
    const FeatureSlots<T>& group, std::int64_t task, Panels<T> X, Panels<T> G, F&& finish
) {
    switch (group.plan.kind) {
        using enum FeatureKind;
        case scale: scale_gradient<T>(group, task, X, G); break;
        case cosine: cosine_gradient<T>(group, task, X, G); break;
        case pbld: pbld_gradient<T>(group, task, X, G); break;
        case piecewise_linear: piecewise_linear_gradient<T>(group, task, X, G); break;
        case category: category_gradient<T>(group, task, X, G); break;
        case identity: break;
    }
    for (int i = 0; i < group.slot_count(); ++i) {
        const auto [offset, size] = group.part(i, task);
        finish(group.slots[i], task, offset, group.room(i, offset), size);
    }
}

}  // namespace chainrule::CHAINRULE_ISA
