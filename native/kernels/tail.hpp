// Activation and dropout after a product or normalization, run on rows that are still in the nearest cache.
// In: rows [first, last) of one panel of Z. Out: Y in the same place, and the factor S where the backward pass needs it.
#pragma once
#include "../stream.hpp"
#include "activations.hpp"
#include "panels.hpp"

namespace chainrule::CHAINRULE_ISA {

/// Dropout's mask: entry (row, column) is kept if its word of the stream is not below the threshold.
template <class T>
struct Mask {
    bool active = false;
    Stream stream{};
    std::uint32_t threshold = 0;
    T scale = 1;

    /// The factor 0 or `scale` for the entries from `index` on.
    Vec<T> factor(std::uint32_t index) const {
        const Words<T> words = stream.word(iota<Words<T>, lanes<T>>() + index);
        const auto kept = words >= threshold;
        if constexpr (sizeof(T) == 4)
            return kept ? all(scale) : Vec<T>{};
        else
            return __builtin_convertvector(kept, Ints<T>) ? all(scale) : Vec<T>{};
    }
};

/// Y = g(Z) ⊙ mask in place over rows [first, last) of panel p; S = dY/dZ where `S` has room for it.
template <class T>
inline void forward_tail(
    Panels<T> Z, Panels<T> S, std::int64_t p, std::int64_t first, std::int64_t last, ActivationKind g, T a,
    const Mask<T>& mask
) {
    constexpr int n = lanes<T>;
    const std::int64_t width = Z.width(p);
    T* const z = Z.row(p, first);
    const std::int64_t size = (last - first) * width;
    if (!mask.active && S.data == nullptr) {
        if (g == ActivationKind::identity) return;
        with_function<T>(g, [&]<class F>(F) {
            for (std::int64_t i = 0; i < size; i += n) store(z + i, F::value(load(z + i), a));
        });
        return;
    }
    T* const s = S.data == nullptr ? nullptr : S.row(p, first);
    with_function<T>(g, [&]<class F>(F) {
        for (std::int64_t r = 0; r < last - first; ++r)
            for (std::int64_t j = 0; j < width; j += n) {
                const std::int64_t i = r * width + j;
                const Vec<T> in = load(z + i), value = F::value(in, a);
                const auto index = static_cast<std::uint32_t>((first + r) * Z.columns + p * Panels<T>::wide + j);
                const Vec<T> factor = mask.active ? mask.factor(index) : all(T(1));
                // Selected, not multiplied: 0 x infinity is not 0.
                store(z + i, factor > T(0) ? value * factor : Vec<T>{});
                if (s != nullptr)
                    store(s + i, factor > T(0) ? F::derivative(F::reads_Z ? in : value, a) * factor : Vec<T>{});
            }
    });
}

/// Y = (Z + α ⊙ (g(Z) - Z)) ⊙ mask in place over rows [first, last) of panel p; S = dY/dZ and D = dY/dα where there is room.
template <class T>
inline void parametric_tail(
    Panels<T> Z, Panels<T> S, Panels<T> D, std::int64_t p, std::int64_t first, std::int64_t last, ActivationKind g, T a,
    const T* alpha, const Mask<T>& mask
) {
    const std::int64_t width = Z.width(p);
    with_function<T>(g, [&]<class F>(F) {
        for (std::int64_t r = first; r < last; ++r)
            for (std::int64_t j = 0; j < width; j += lanes<T>) {
                T* const z = Z.row(p, r) + j;
                const Vec<T> share = load(alpha + p * Panels<T>::wide + j);
                const Vec<T> in = load(z), value = F::value(in, a), difference = value - in;
                const auto index = static_cast<std::uint32_t>(r * Z.columns + p * Panels<T>::wide + j);
                const Vec<T> factor = mask.active ? mask.factor(index) : all(T(1));
                store(z, factor > T(0) ? (in + share * difference) * factor : Vec<T>{});
                if (S.data == nullptr) continue;
                const Vec<T> slope = T(1) + share * (F::derivative(F::reads_Z ? in : value, a) - T(1));
                store(S.row(p, r) + j, factor > T(0) ? slope * factor : Vec<T>{});
                store(D.row(p, r) + j, factor > T(0) ? difference * factor : Vec<T>{});
            }
    });
}

/// G ⊙ dY/dZ in place over rows [first, last) of panel p, from Y or from the factor that the forward pass kept.
template <class T>
inline void backward_tail(
    Panels<T> G, Panels<T> Y, Panels<T> S, std::int64_t p, std::int64_t first, std::int64_t last, const FusedStage& stage
) {
    constexpr int n = lanes<T>;
    const std::int64_t size = (last - first) * G.width(p);
    T* const g = G.row(p, first);
    if (stage.derivative_source == DerivativeSource::none) return;
    if (stage.derivative_source == DerivativeSource::kept) {
        const T* const s = S.row(p, first);
        for (std::int64_t i = 0; i < size; i += n) store(g + i, load(g + i) * load(s + i));
        return;
    }
    const T* const y = Y.row(p, first);
    const T a = static_cast<T>(stage.activation_parameter), scale = static_cast<T>(stage.keep_scale);
    with_function<T>(stage.activation, [&]<class F>(F) {
        if constexpr (!F::reads_Z)
            for (std::int64_t i = 0; i < size; i += n) store(g + i, load(g + i) * (F::derivative(load(y + i), a) * scale));
    });
}

}  // namespace chainrule::CHAINRULE_ISA
