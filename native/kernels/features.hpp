// How the parameters of an embedding lie in memory: shifted and padded so that they meet the vectors of the output.
// In: a group of features from the plan. Out: sizes of its slots, its tasks, and the runs that Python's vectors consist of.
#pragma once
#include <array>
#include <vector>

#include "optimizers.hpp"
#include "panels.hpp"

namespace chainrule::CHAINRULE_ISA {

inline constexpr int most_slots = 4;               // parameters of one kind of embedding
inline constexpr std::int64_t feature_rows = 128;  // rows of a batch that pass through all features together
inline constexpr std::int64_t sum_rows = 256;      // rows of a partial sum, which bounds the rounding error

/// One column of a matrix in panels, row after row.
template <class T>
struct Column {
    T* at = nullptr;
    std::int64_t stride = 0;
};

template <class T>
inline Column<T> column(Panels<T> A, std::int64_t j) {
    const std::int64_t p = j / Panels<T>::wide;
    return {A.panel(p) + j % Panels<T>::wide, A.width(p)};
}

/// Write the owned lanes of a vector; the others belong to other features.
template <class T>
inline void store_lanes(T* at, Ints<T> owned, Vec<T> x) {
    store(at, owned ? x : load(at));
}

/// A group of features and where its numbers are. The columns of the output belong to vectors of `lanes` columns; parameters
/// of whole columns (s; w, b, γ, β; rows of a, c, P, E) keep each its column's lane, and are zero in all other lanes.
template <class T>
struct FeatureSlots {
    FeatureGroup plan;
    std::array<Slot<T>, most_slots> slots{};
    T* scratch = nullptr;              // room for gradients, in the order of the slots
    std::vector<std::int64_t> starts;  // of each feature's tables, in vectors
    std::int64_t tables = 0;           // vectors of all tables
    std::vector<T> bin_starts, bin_scales;  // lower edges, and 1 / width
    T* through = nullptr;                   // room for sums of gradients by bin

    explicit FeatureSlots(const FeatureGroup& group) : plan(group) {
        for (std::int64_t f = 0; f < group.count; ++f) {
            starts.push_back(tables);
            const bool category = group.kind == FeatureKind::category;
            tables += vectors(f) * (category ? group.sizes[static_cast<std::size_t>(f)] : 1);
        }
        for (std::size_t t = 1; t < group.edges.size(); ++t) {
            bin_starts.push_back(static_cast<T>(group.edges[t - 1]));
            bin_scales.push_back(static_cast<T>(1 / (group.edges[t] - group.edges[t - 1])));
        }
    }

    std::int64_t bins() const { return static_cast<std::int64_t>(bin_starts.size()); }

    /// One past the last vector that a column before `column` is in.
    static std::int64_t end_vector(std::int64_t column) { return (column + lanes<T> - 1) / lanes<T>; }

    std::int64_t first_column(std::int64_t f) const { return plan.output + f * plan.width; }
    std::int64_t first_vector(std::int64_t f) const { return first_column(f) / lanes<T>; }
    std::int64_t vectors(std::int64_t f) const { return end_vector(first_column(f + 1)) - first_vector(f); }
    std::int64_t vectors() const { return end_vector(plan.end()) - first_vector(0); }

    /// First lane of feature f's row in a table.
    std::int64_t shift(std::int64_t f) const { return first_column(f) % lanes<T>; }

    /// Lanes of vector k after the first of feature f that belong to the feature.
    Ints<T> mask(std::int64_t f, std::int64_t k) const {
        const std::int64_t at = first_column(f) - (first_vector(f) + k) * lanes<T>;
        return lanes_between<T>(at, at + plan.width);
    }

    T* table(int slot, std::int64_t f, std::int64_t rows) const {
        return slots[slot].w + rows * starts[static_cast<std::size_t>(f)] * lanes<T>;
    }

    std::int64_t size(std::int64_t f) const { return plan.sizes[static_cast<std::size_t>(f)]; }

    /// Where slot i's gradient from `offset` on is computed.
    T* room(int i, std::int64_t offset) const {
        return slots[i].gradient != nullptr ? slots[i].gradient + offset : scratch + (slots[i].w - slots[0].w) + offset;
    }

    /// Number of tasks of the gradient: one for each vector of columns, or one for each feature.
    std::int64_t tasks() const {
        switch (plan.kind) {
            using enum FeatureKind;
            case identity: return 0;
            case scale:
            case cosine: return vectors();
            default: return plan.count;
        }
    }

    /// Numbers in slot i, padding included.
    std::int64_t slot_size(int i) const {
        constexpr std::int64_t n = lanes<T>;
        const std::int64_t m = plan.frequencies, units = plan.width - 1;
        switch (plan.kind) {
            using enum FeatureKind;
            case identity: return 0;
            case scale:
            case cosine: return vectors() * n;
            case pbld: return plan.count * Panels<T>::padded(i < 2 ? m : i == 2 ? m * units : units);
            case piecewise_linear: return tables * n * (i < 2 ? 1 : bins());
            case category: return tables * n;
        }
        return 0;
    }

    /// The part of a slot that one task of the gradient writes.
    struct Part {
        std::int64_t offset, size;
    };

    Part part(int i, std::int64_t task) const {
        constexpr std::int64_t n = lanes<T>;
        switch (plan.kind) {
            using enum FeatureKind;
            case scale:
            case cosine: return {task * n, n};
            case pbld: return {task * (slot_size(i) / plan.count), slot_size(i) / plan.count};
            default: break;
        }
        const bool category = plan.kind == FeatureKind::category;
        const std::int64_t rows = category ? size(task) : i < 2 ? 1 : bins();
        return {table(i, task, category ? 1 : rows) - slots[i].w, rows * vectors(task) * n};
    }

    int slot_count() const { return static_cast<int>(plan.offsets.size()); }

    std::int64_t size() const {
        std::int64_t total = 0;
        for (int i = 0; i < slot_count(); ++i) total += slot_size(i);
        return total;
    }

    /// Call f(offset in Python's vector, array here, rows, columns, distance of the rows here) for each run of numbers.
    template <class F>
    void each_run(F&& f) const {
        using enum FeatureKind;
        const std::int64_t m = plan.frequencies, count = plan.count;
        if (plan.kind == scale) f(plan.offsets[0], slots[0].w + shift(0), std::int64_t{1}, count, count);
        if (plan.kind == cosine)
            for (int i = 0; i < 4; ++i)
                f(plan.offsets[i], slots[i].w + shift(0) + (i < 2 ? 1 : 0), count, i < 2 ? m : m + 1, m + 1);
        if (plan.kind == pbld)
            for (int i = 0; i < 4; ++i) {
                const std::int64_t units = plan.width - 1, columns = i < 2 ? m : i == 2 ? m * units : units;
                f(plan.offsets[i], slots[i].w, count, columns, Panels<T>::padded(columns));
            }
        std::int64_t above = 0;  // rows of the features before
        for (std::int64_t feature = 0; feature < count; ++feature) {
            const std::int64_t stride = vectors(feature) * lanes<T>;
            const auto rows = [&](int i, std::int64_t number) {
                const std::int64_t before = plan.kind == category ? above : feature * number;
                T* const to = table(i, feature, plan.kind == category ? 1 : number) + shift(feature);
                f(plan.offsets[i] + before * plan.width, to, number, plan.width, stride);
            };
            if (plan.kind == piecewise_linear)
                for (int i = 0; i < 3; ++i) rows(i, i < 2 ? 1 : bins());
            if (plan.kind == category) {
                rows(0, size(feature));
                above += size(feature);
            }
        }
    }
};

}  // namespace chainrule::CHAINRULE_ISA
