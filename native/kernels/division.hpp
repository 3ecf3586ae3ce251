// How the products of a step are split into tasks, so that operands stay in a core's caches and all threads have work.
// In: threads, rows of the batch, numbers of panels. Out: parts of the rows, groups of panels, squares of blocks.
#pragma once
#include "product.hpp"

namespace chainrule::CHAINRULE_ISA {

inline std::int64_t ceiling(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

inline constexpr std::int64_t tasks_per_member = 8;
inline constexpr std::int64_t cached_bytes = std::int64_t{1} << 18;  // of a product that waits for its tail
inline constexpr std::int64_t most_panels = 8;  // of A and of G whose blocks of dW are computed together

/// Blocks of dW as squares of `side` panels, each one a task.
struct Squares {
    std::int64_t side, across, down;

    std::int64_t count() const { return across * down; }
};

template <class T>
struct Division {
    std::int64_t members = 1, rows = 0;

    /// Parts of the rows of a product: one if a column's sum needs all rows, otherwise enough for all threads.
    std::int64_t parts(bool sums_columns) const {
        if (sums_columns || members == 1) return 1;
        return std::min(std::max(members, ceiling(rows, rows_per_block)), ceiling(rows, 4 * max_tile_rows));
    }

    /// Groups that the panels of a product are split into: each group of each part of the rows is a task.
    std::int64_t groups(bool sums_columns, std::int64_t panels) const {
        const std::int64_t waiting = sums_columns ? rows : std::min(rows, rows_per_block);
        const std::int64_t bytes = panels * waiting * panel_width<T> * static_cast<std::int64_t>(sizeof(T));
        const std::int64_t shared = members == 1 ? 1 : ceiling(tasks_per_member * members, parts(sums_columns));
        return std::min(panels, std::max(shared, ceiling(bytes, cached_bytes)));
    }

    std::int64_t tasks(bool sums_columns, std::int64_t panels) const {
        return parts(sums_columns) * groups(sums_columns, panels);
    }

    /// First row of a part; a multiple of a tile's rows.
    std::int64_t start(std::int64_t part, std::int64_t count) const {
        return std::min(rows, ceiling(ceiling(rows, count), max_tile_rows) * max_tile_rows * part);
    }

    /// The rows and panels of a task.
    struct Task {
        std::int64_t part, first, last;
        PanelRange range;
    };

    Task task(std::int64_t number, bool sums_columns, std::int64_t panels) const {
        const std::int64_t count = parts(sums_columns), part = number % count, group = number / count;
        const std::int64_t of = groups(sums_columns, panels);
        return {part, start(part, count), start(part + 1, count), {panels * group / of, panels * (group + 1) / of}};
    }

    /// The squares of a gradient of `across` by `down` blocks; smaller ones where there are too few for all threads.
    Squares squares(std::int64_t across, std::int64_t down) const {
        std::int64_t side = most_panels;
        const auto count = [&] { return ceiling(across, side) * ceiling(down, side); };
        while (members > 1 && side > 1 && count() < tasks_per_member * members) side /= 2;
        return {side, ceiling(across, side), ceiling(down, side)};
    }
};

}  // namespace chainrule::CHAINRULE_ISA
