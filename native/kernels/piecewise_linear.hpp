// The piecewise linear embedding; equations and letters are those of nn/layers. A row meets one bin only: what the bins below
// it add is a sum over rows of P that all rows share, so that a row costs the same however many bins there are.
// In: a group of features, the rows X. Out: columns of Y; da, dc, dP from dY.
#pragma once
#include "features.hpp"

namespace chainrule::CHAINRULE_ISA {

/// Rows of one feature: their values, bins, and how far each has come through its bin.
template <class T>
struct BinnedRows {
    alignas(vector_bytes) T values[feature_rows] = {};
    alignas(vector_bytes) typename Number<T>::Int bins[feature_rows];
    T fractions[feature_rows];

    void read(const FeatureSlots<T>& group, Column<T> x, std::int64_t first, std::int64_t count) {
        const T *const lower = group.bin_starts.data(), *const scales = group.bin_scales.data();
        const std::int64_t last = group.bins() - 1;
        for (std::int64_t i = 0; i < count; ++i) values[i] = x.at[(first + i) * x.stride];
        for (std::int64_t i = 0; i < count; i += lanes<T>) {
            const Vec<T> value = load(values + i);
            Ints<T> bin{};
            for (std::int64_t t = 1; t <= last; ++t) bin -= value >= lower[t];  // true is -1
            *reinterpret_cast<Ints<T>*>(bins + i) = bin;
        }
        for (std::int64_t i = 0; i < count; ++i) {
            const T fraction = (values[i] - lower[bins[i]]) * scales[bins[i]];
            fractions[i] = bins[i] < last && fraction > T(1) ? T(1) : fraction;
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
    const std::int64_t stride = group.vectors(f) * lanes<T>;
    T* rooms[3];
    for (int slot = 0; slot < 3; ++slot) {
        const auto [offset, size] = group.part(slot, f);
        rooms[slot] = group.room(slot, offset);
        std::fill(rooms[slot], rooms[slot] + size, T(0));
    }
    T* const through = group.through + group.part(2, f).offset;  // Σ dY over the rows that end in each bin
    std::fill(through, through + group.bins() * stride, T(0));
    BinnedRows<T> rows;
    for (std::int64_t start = 0; start < G.rows; start += feature_rows) {
        const std::int64_t count = std::min(feature_rows, G.rows - start);
        rows.read(group, column(X, group.plan.input + f), start, count);
        for (std::int64_t k = 0; k < group.vectors(f); ++k) {
            const Column<T> g = column(G, (group.first_vector(f) + k) * lanes<T>);
            const Ints<T> owned = group.mask(f, k);
            T *const da = rooms[0] + k * lanes<T>, *const dc = rooms[1] + k * lanes<T>, *const dP = rooms[2] + k * lanes<T>;
            Vec<T> part_a{}, part_c{};
            for (std::int64_t i = 0; i < count; ++i) {
                const Vec<T> dy = owned ? load(g.at + (start + i) * g.stride) : Vec<T>{};
                T* const whole = through + rows.bins[i] * stride + k * lanes<T>;
                T* const partly = dP + rows.bins[i] * stride;
                part_a += rows.values[i] * dy;
                part_c += dy;
                store(whole, load(whole) + dy);
                store(partly, load(partly) + rows.fractions[i] * dy);
            }
            store(da, load(da) + part_a);
            store(dc, load(dc) + part_c);
        }
    }
    for (std::int64_t k = 0; k < stride; k += lanes<T>) {
        Vec<T> above{};
        for (std::int64_t t = group.bins() - 1; t >= 0; --t) {
            T* const dP = rooms[2] + t * stride + k;
            store(dP, load(dP) + above);
            above += load(through + t * stride + k);
        }
    }
}

}  // namespace chainrule::CHAINRULE_ISA
