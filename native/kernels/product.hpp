// The matrix products, which are nearly all of the work; a tile of sums stays in registers while the operands stream by.
// In: matrices in panels. Out: C = A B, and C = Aᵀ B, tile by tile. Each sum runs over its terms in one fixed order,
// whatever the tile's height, so that no split of the work changes a bit.
#pragma once
#include <utility>

#include "panels.hpp"

namespace chainrule::CHAINRULE_ISA {

/// How a tile's sums start: at zero, at a row of biases, or where an earlier part of the sum left off.
enum class Start { zero, bias, resume };

/// Terms per part of a long sum; each part goes on where the one before left off, so that parts change no bit. One panel
/// of B fills half of the first cache in a part, and a block of rows of A less than half of the second.
inline constexpr std::int64_t terms_per_part = 256;
inline constexpr std::int64_t rows_per_block = 96;

/// The panels [from, to) of a matrix.
struct PanelRange {
    std::int64_t from, to;
};

template <class T, int R, int V>
using Accumulators = Vec<T>[R][V];

template <class T, int R, int V>
[[gnu::always_inline]] inline void begin(Accumulators<T, R, V>& sums, Start start, const T* bias, const T* C) {
    constexpr int n = lanes<T>;
#pragma GCC unroll 16
    for (int i = 0; i < R; ++i)
#pragma GCC unroll 2
        for (int v = 0; v < V; ++v)
            sums[i][v] =
                start == Start::zero ? Vec<T>{} : load(start == Start::bias ? bias + v * n : C + (i * V + v) * n);
}

template <class T, int R, int V>
[[gnu::always_inline]] inline void finish(const Accumulators<T, R, V>& sums, T* C) {
#pragma GCC unroll 16
    for (int i = 0; i < R; ++i)
#pragma GCC unroll 2
        for (int v = 0; v < V; ++v) store(C + (i * V + v) * lanes<T>, sums[i][v]);
}

/// Add `terms` terms of a product; the left factors lie `row` apart between tile rows and `step` apart between terms.
template <class T, int R, int V>
[[gnu::always_inline]] inline void add_terms(
    Accumulators<T, R, V>& sums, const T* A, std::int64_t row, std::int64_t step, const T* B, std::int64_t terms
) {
    constexpr int n = lanes<T>;
    for (std::int64_t k = 0; k < terms; ++k) {
        Vec<T> b[V];
#pragma GCC unroll 2
        for (int v = 0; v < V; ++v) b[v] = load(B + v * n);
#pragma GCC unroll 16
        for (int i = 0; i < R; ++i) {
            const Vec<T> a = all(A[i * row]);
#pragma GCC unroll 2
            for (int v = 0; v < V; ++v) sums[i][v] = multiply_add<T>(a, b[v], sums[i][v]);
        }
        A += step;
        B += V * n;
    }
}

/// Rows i .. i+R-1 of one panel of C = A B, over panels [from, to) of A.
template <class T, int R, int V>
void forward_tile(
    Panels<T> A, std::int64_t i, std::int64_t from, std::int64_t to, const T* B, Start start, const T* bias, T* C
) {
    constexpr std::int64_t wide = Panels<T>::wide, n = lanes<T>;
    Accumulators<T, R, V> sums;
    begin<T, R, V>(sums, start, bias, C);
    for (std::int64_t p = from; p < to; ++p) {
        const std::int64_t terms = A.used(p);
        if (A.width(p) == wide)
            add_terms<T, R, V>(sums, A.panel(p) + i * wide, wide, 1, B, terms);
        else
            add_terms<T, R, V>(sums, A.panel(p) + i * n, n, 1, B, terms);
        B += terms * V * n;
    }
    finish<T, R, V>(sums, C);
}

/// R rows of one block of C = Aᵀ B: columns of A at `A`, over `terms` rows of A and of the panel B.
template <class T, int R, int V>
void gradient_tile(const T* A, std::int64_t width, const T* B, std::int64_t terms, Start start, T* C) {
    constexpr std::int64_t wide = Panels<T>::wide, n = lanes<T>;
    Accumulators<T, R, V> sums;
    begin<T, R, V>(sums, start, C, C);
    if (width == wide)
        add_terms<T, R, V>(sums, A, 1, wide, B, terms);
    else
        add_terms<T, R, V>(sums, A, 1, n, B, terms);
    finish<T, R, V>(sums, C);
}

template <class T>
struct Tiles {
    using Forward = void (*)(Panels<T>, std::int64_t, std::int64_t, std::int64_t, const T*, Start, const T*, T*);
    using Gradient = void (*)(const T*, std::int64_t, const T*, std::int64_t, Start, T*);
    Forward forward[max_tile_rows + 1][3];
    Gradient gradient[max_tile_rows + 1][3];
};

template <class T, int... R>
constexpr Tiles<T> all_tiles(std::integer_sequence<int, R...>) {
    return {
        {{}, {nullptr, forward_tile<T, R + 1, 1>, forward_tile<T, R + 1, 2>}...},
        {{}, {nullptr, gradient_tile<T, R + 1, 1>, gradient_tile<T, R + 1, 2>}...},
    };
}

template <class T>
inline constexpr Tiles<T> tiles = all_tiles<T>(std::make_integer_sequence<int, max_tile_rows>{});

/// Height of the next tile with `left` rows left, so that all tiles of a matrix are nearly equally high.
inline std::int64_t tile_rows(std::int64_t left) {
    const std::int64_t count = (left + max_tile_rows - 1) / max_tile_rows;
    return (left + count - 1) / count;
}

/// Rows [first, last) of some panels of C = A B (+ bias). The same part of a block of A meets all panels of B in turn, so
/// that it stays in the second cache.
template <class T>
inline void multiply(
    Panels<T> A, Panels<T> B, const T* bias, Panels<T> C, PanelRange range, std::int64_t first, std::int64_t last
) {
    constexpr std::int64_t wide = Panels<T>::wide, panels_per_part = terms_per_part / wide;
    for (std::int64_t from = 0; from < A.count(); from += panels_per_part) {
        const std::int64_t to = std::min(from + panels_per_part, A.count());
        const Start start = from > 0 ? Start::resume : bias != nullptr ? Start::bias : Start::zero;
        for (std::int64_t q = range.from; q < range.to; ++q) {
            const std::int64_t width = B.width(q), V = width / lanes<T>;
            const T* const terms = B.panel(q) + from * wide * width;
            const T* const starts = bias == nullptr ? nullptr : bias + q * wide;
            for (std::int64_t i = first; i < last;) {
                const std::int64_t rows = tile_rows(last - i);
                tiles<T>.forward[rows][V](A, i, from, to, terms, start, starts, C.panel(q) + i * width);
                i += rows;
            }
        }
    }
}

/// Block (p, q) of C = Aᵀ B over the first n rows, stored row by row at `block`: A.used(p) rows of B.width(q) columns.
template <class T>
inline void multiply_transposed(Panels<T> A, std::int64_t p, Panels<T> B, std::int64_t q, T* block) {
    const std::int64_t width = B.width(q), V = width / lanes<T>, n = A.rows;
    for (std::int64_t from = 0; from < n; from += terms_per_part) {
        const std::int64_t terms = std::min(terms_per_part, n - from);
        const Start start = from > 0 ? Start::resume : Start::zero;
        for (std::int64_t j = 0; j < A.used(p);) {
            const std::int64_t rows = tile_rows(A.used(p) - j);
            tiles<T>.gradient[rows][V](A.row(p, from) + j, A.width(p), B.row(q, from), terms, start, block + j * width);
            j += rows;
        }
    }
}

}  // namespace chainrule::CHAINRULE_ISA
