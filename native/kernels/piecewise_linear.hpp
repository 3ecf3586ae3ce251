// The piecewise linear embedding; equations and letters are those of nn/layers. A row meets one bin only: what the bins below
// it add is a sum over rows of P that all rows share, so that a row costs the same however many bins there are.
// In: a group of features, the rows X. Out: columns of Y; da, dc, dP from dY.
#pragma once
#include "features.hpp"

namespace chainrule::CHAINRULE_ISA {

inline constexpr std::int64_t most_bins = 256;

/// Rows of one feature: their values, bins, and how far each has come through its bin.
template <class T>
struct BinnedRows {
    T values[feature_rows], fractions[feature_rows];
    std::int32_t bins[feature_rows];

    void read(const FeatureSlots<T>& group, Column<T> x, std::int64_t first, std::int64_t count) {
        const T *const lower = group.bin_starts.data(), *const widths = group.bin_widths.data();
        const auto last = static_cast<std::int32_t>(group.bins() - 1);
        for (std::int64_t i = 0; i < count; ++i) {
            const T value = x.at[(first + i) * x.stride];
            std::int32_t bin = 0;
            for (std::int32_t left = last; left > 0;) {  // the last bin that starts at or below the value
                const std::int32_t half = (left + 1) / 2;
                bin += value >= lower[bin + half] ? half : 0;
                left -= half;
            }
            const T fraction = (value - lower[bin]) / widths[bin];
            values[i] = value;
            bins[i] = bin;
            fractions[i] = bin < last && fraction > T(1) ? T(1) : fraction;
        }
    }
};

template <class T>
inline void piecewise_linear_forward(
    const FeatureSlots<T>& group, std::int64_t f, Panels<T> X, Panels<T> Y, std::int64_t first, std::int64_t last,
    std::ptrdiff_t shift
) {
    alignas(vector_bytes) T below[most_bins * lanes<T>];  // c + the rows of P of all bins below
    BinnedRows<T> rows;
    rows.read(group, column(X, group.plan.input + f), first, last - first);
    const std::int64_t stride = group.vectors(f) * lanes<T>;
    for (std::int64_t k = 0; k < group.vectors(f); ++k) {
        const auto table = [&](int slot, std::int64_t height) { return group.table(slot, f, height) + shift + k * lanes<T>; };
        const T* const P = table(2, group.bins());
        const Vec<T> a = load(table(0, 1));
        Vec<T> total = load(table(1, 1));
        for (std::int64_t t = 0; t < group.bins(); ++t) {
            store(below + t * lanes<T>, total);
            total += load(P + t * stride);
        }
        const Column<T> y = column(Y, (group.first_vector(f) + k) * lanes<T>);
        const Ints<T> owned = group.mask(f, k);
        for (std::int64_t i = first; i < last; ++i) {
            const std::int64_t r = i - first, bin = rows.bins[r];
            const Vec<T> line = load(below + bin * lanes<T>) + rows.values[r] * a;
            store_lanes<T>(y.at + i * y.stride, owned, line + rows.fractions[r] * load(P + bin * stride));
        }
    }
}

template <class T>
inline void piecewise_linear_gradient(const FeatureSlots<T>& group, std::int64_t f, Panels<T> X, Panels<T> G) {
    alignas(vector_bytes) T through[most_bins * lanes<T>];  // Σ dY over the rows that end in each bin
    BinnedRows<T> rows;
    const std::int64_t stride = group.vectors(f) * lanes<T>;
    for (std::int64_t k = 0; k < group.vectors(f); ++k) {
        const auto room = [&](int slot) { return group.room(slot, group.part(slot, f).offset) + k * lanes<T>; };
        T* const dP = room(2);
        for (std::int64_t t = 0; t < group.bins(); ++t) {
            store(through + t * lanes<T>, Vec<T>{});
            store(dP + t * stride, Vec<T>{});
        }
        const Column<T> g = column(G, (group.first_vector(f) + k) * lanes<T>);
        const Ints<T> owned = group.mask(f, k);
        Vec<T> da{}, dc{};
        for (std::int64_t start = 0; start < G.rows; start += feature_rows) {
            const std::int64_t count = std::min(feature_rows, G.rows - start);
            rows.read(group, column(X, group.plan.input + f), start, count);
            Vec<T> part_a{}, part_c{};
            for (std::int64_t i = 0; i < count; ++i) {
                const Vec<T> dy = owned ? load(g.at + (start + i) * g.stride) : Vec<T>{};
                T* const whole = through + rows.bins[i] * lanes<T>;
                T* const partly = dP + rows.bins[i] * stride;
                part_a += rows.values[i] * dy;
                part_c += dy;
                store(whole, load(whole) + dy);
                store(partly, load(partly) + rows.fractions[i] * dy);
            }
            da += part_a;
            dc += part_c;
        }
        Vec<T> above{};
        for (std::int64_t t = group.bins() - 1; t >= 0; --t) {
            store(dP + t * stride, load(dP + t * stride) + above);
            above += load(through + t * lanes<T>);
        }
        store(room(0), da);
        store(room(1), dc);
    }
}

}  // namespace chainrule::CHAINRULE_ISA
