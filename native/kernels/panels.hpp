// One layout for weights and rows alike, in which every product reads and writes memory in order, without packing.
// In: a matrix. Out: the same as column panels, each `panel_width` columns wide and stored row by row.
#pragma once
#include <algorithm>

#include "vector.hpp"

namespace chainrule::CHAINRULE_ISA {

/// A matrix (rows, columns) in panels. The last panel is one vector wide if that suffices; the columns that pad it are
/// zero in weights and gradients, and never read elsewhere.
template <class T>
struct Panels {
    T* data = nullptr;
    std::int64_t rows = 0, columns = 0;

    static constexpr std::int64_t wide = panel_width<T>;

    static constexpr std::int64_t padded(std::int64_t columns) {
        return (columns + lanes<T> - 1) / lanes<T> * lanes<T>;
    }

    std::int64_t count() const { return (columns + wide - 1) / wide; }
    std::int64_t width(std::int64_t p) const { return (p + 1) * wide <= padded(columns) ? wide : lanes<T>; }
    std::int64_t used(std::int64_t p) const { return columns - p * wide < wide ? columns - p * wide : wide; }
    T* panel(std::int64_t p) const { return data + p * wide * rows; }
    T* row(std::int64_t p, std::int64_t i) const { return panel(p) + i * width(p); }
    std::int64_t size() const { return rows * padded(columns); }
};

/// Copy from row-major memory.
template <class T>
inline void to_panels(const T* from, Panels<T> to) {
    for (std::int64_t p = 0; p < to.count(); ++p)
        for (std::int64_t i = 0; i < to.rows; ++i)
            for (std::int64_t j = 0; j < to.used(p); ++j)
                to.row(p, i)[j] = from[i * to.columns + p * Panels<T>::wide + j];
}

/// Copy to row-major memory.
template <class T>
inline void from_panels(Panels<T> from, T* to) {
    for (std::int64_t p = 0; p < from.count(); ++p)
        for (std::int64_t i = 0; i < from.rows; ++i)
            for (std::int64_t j = 0; j < from.used(p); ++j)
                to[i * from.columns + p * Panels<T>::wide + j] = from.row(p, i)[j];
}

/// Prefetch a row that lies anywhere in memory.
template <class T>
inline void prefetch_row(const T* row, std::int64_t columns) {
    for (std::int64_t j = 0; j < columns; j += 64 / static_cast<std::int64_t>(sizeof(T))) __builtin_prefetch(row + j);
}

/// Copy a row-major row to row i of `to`, padded with zeros.
template <class T>
inline void gather_row(const T* from, Panels<T> to, std::int64_t i) {
    for (std::int64_t p = 0; p < to.count(); ++p) {
        T* row = to.row(p, i);
        const std::int64_t used = to.used(p), whole = used / lanes<T> * lanes<T>;
        for (std::int64_t j = 0; j < whole; j += lanes<T>) store(row + j, load_loose(from + p * Panels<T>::wide + j));
        if (whole == used) continue;
        store(row + whole, load_first(from + p * Panels<T>::wide + whole, used - whole));
    }
}

/// Copy panel q of W (d, k) to its place in Wᵀ (k, d): rows q·wide .. of every panel of Wᵀ.
template <class T>
inline void transpose_panel(Panels<T> W, std::int64_t q, Panels<T> WT) {
    constexpr int n = lanes<T>;
    alignas(vector_bytes) T block[n * n];
    const std::int64_t width = W.width(q), first = q * Panels<T>::wide;
    for (std::int64_t d = 0; d < W.rows; d += n)
        for (std::int64_t j = 0; j < width; j += n) {
            const std::int64_t p = d / Panels<T>::wide, column = d % Panels<T>::wide;
            const std::int64_t high = std::min<std::int64_t>(n, W.rows - d),
                               wide = std::min<std::int64_t>(n, W.columns - first - j);
            if (wide <= 0) continue;
            const T* from = W.row(q, d) + j;
            T* to = WT.row(p, first + j) + column;
            if (high == n && wide == n) {
                transpose<T>(from, width, to, WT.width(p));
                continue;
            }
            for (int r = 0; r < n; ++r) store(block + r * n, r < high ? load(from + r * width) : Vec<T>{});
            for (std::int64_t c = 0; c < wide; ++c)
                for (int r = 0; r < n; ++r) to[c * WT.width(p) + r] = block[r * n + c];
        }
}

}  // namespace chainrule::CHAINRULE_ISA
