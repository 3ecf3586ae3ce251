// Passes over streamed rows as Python sees them.
// In: arrays from Python, checked. Out: running figures of columns, written into arrays of the caller.
#pragma once
#include <memory>

#include "arguments.hpp"
#include "dispatch.hpp"
#include "prediction.hpp"

namespace chainrule {

/// A list of columns of one type and length, each contiguous.
class KeptColumns {
  public:
    KeptColumns(const nb::list& given, std::int64_t columns) {
        require(static_cast<std::int64_t>(given.size()) == columns && columns > 0, "X", "of as many columns as are used", given.size());
        nb::dlpack::dtype type{};
        std::int64_t n = any_length;
        for (const nb::handle each : given) {
            kept_.push_back(array_of<Array>(each, "X", type, {n}));
            type = kept_.back().dtype();
            n = static_cast<std::int64_t>(kept_.back().shape(0));
            at_.push_back(kept_.back().data());
        }
    }

    const void* const* at() const { return at_.data(); }
    std::int64_t count() const { return static_cast<std::int64_t>(kept_[0].shape(0)); }
    bool single() const { return kept_[0].dtype() == nb::dtype<float>(); }

    void require_apart_from(const Writable& into, const char* name) const {
        for (const Array& each : kept_) require_apart(each, into, name);
    }

  private:
    std::vector<Array> kept_;
    std::vector<const void*> at_;
};

/// Scale columns, or those of their rows that `visited` numbers, into the rows Z; false if a number is out of range.
inline bool scale_columns(nb::handle columns, nb::handle visited, nb::handle mean, nb::handle scale, nb::handle into) {
    const Writable Z = array_of<Writable>(into, "Z", nb::dlpack::dtype{}, {any_length, any_length});
    const auto d = static_cast<std::int64_t>(Z.shape(1));
    const KeptColumns X(value_of<nb::list>(columns, "X", "a list of columns"), d);
    const KeptScaling scaling(mean, scale, d);
    ColumnScaling given{X.at(), d, X.count(), nullptr, scaling.get(), X.single()};
    Array numbers;
    if (!visited.is_none()) {
        numbers = array_of<Array>(visited, "visited", nb::dtype<std::uint32_t>(), {any_length});
        given.visited = static_cast<const std::uint32_t*>(numbers.data());
        for (std::size_t i = 0; i < numbers.size(); ++i)
            require(given.visited[i] < given.count, "visited", "of numbers of rows", given.visited[i]);
        given.count = static_cast<std::int64_t>(numbers.size());
        require_apart(numbers, Z, "Z");
    }
    require(static_cast<std::int64_t>(Z.shape(0)) == given.count, "Z", "of as many rows as are read", Z.shape(0));
    X.require_apart_from(Z, "Z");
    const Isa isa = chosen_isa();
    const auto run = Z.dtype() == nb::dtype<float>() ? isa.scale_columns_float32 : isa.scale_columns_float64;
    nb::gil_scoped_release released;
    return run(given, Z.data());
}

/// Numbers of one column, contiguous.
inline NumberColumn column_of(nb::handle given, Array& kept) {
    kept = array_of<Array>(given, "values", nb::dlpack::dtype{}, {any_length});
    return {kept.data(), static_cast<std::int64_t>(kept.size()), kept.dtype() == nb::dtype<float>()};
}

/// Add rows to running moments `state` (5, d); return the weight of all rows so far, -1 where a number is out of range.
inline double add_moments(
    nb::handle rows, nb::handle used, nb::handle weights, nb::handle first, nb::handle weight, nb::handle state,
    nb::handle hashes
) {
    const Writable into = array_of<Writable>(state, "state", nb::dtype<double>(), {5, any_length});
    const auto d = static_cast<std::int64_t>(into.shape(1));
    std::unique_ptr<KeptColumns> apart;
    RowSource source{};
    if (nb::isinstance<nb::list>(rows)) {
        apart = std::make_unique<KeptColumns>(nb::borrow<nb::list>(rows), d);
        source = {apart->at()[0], apart->count(), 1, 1, apart->single()};
        apart->require_apart_from(into, "state");
    } else {
        source = source_of(rows_of(rows, d));
    }
    const std::int64_t n = source.count;
    const Array shifts = array_of<Array>(first, "first", nb::dtype<double>(), {d});
    Array mask, each;
    Writable hashed;
    if (!used.is_none()) mask = array_of<Array>(used, "used", nb::dtype<std::uint8_t>(), {n});
    if (!weights.is_none()) each = array_of<Array>(weights, "weights", nb::dtype<double>(), {n});
    if (!hashes.is_none()) hashed = array_of<Writable>(hashes, "hashes", nb::dtype<std::uint64_t>(), {n});
    const auto before = value_of<double>(weight, "weight", "a number");
    require_finite(before, "weight");
    auto* const at = static_cast<double*>(into.data());
    const MomentsBlock block{
        source,
        d,
        apart ? apart->at() : nullptr,
        used.is_none() ? nullptr : static_cast<const std::uint8_t*>(mask.data()),
        weights.is_none() ? nullptr : static_cast<const double*>(each.data()),
        static_cast<const double*>(shifts.data()),
        before,
        at,
        at + d,
        at + 2 * d,
        at + 3 * d,
        at + 4 * d,
        hashes.is_none() ? nullptr : static_cast<std::uint64_t*>(hashed.data()),
    };
    const Isa isa = chosen_isa();
    nb::gil_scoped_release released;
    return isa.add_moments(block);
}

/// Continue the facts of a column (filled, infinite, lowest, highest, last, whole, steps, rising) and the counts of leading bits.
inline void add_facts(nb::handle values, nb::handle facts, nb::handle counts) {
    Array kept;
    const NumberColumn column = column_of(values, kept);
    const Writable own = array_of<Writable>(facts, "facts", nb::dtype<double>(), {8});
    const Writable bins = array_of<Writable>(counts, "counts", nb::dtype<std::int64_t>(), {leading_bins});
    require_apart(kept, own, "facts");
    require_apart(kept, bins, "counts");
    auto* const at = static_cast<double*>(own.data());
    const Isa isa = chosen_isa();
    nb::gil_scoped_release released;
    NumberFacts found{0, 0, at[2], at[3], at[4], at[5] != 0, at[6] != 0, at[7] != 0};
    isa.add_facts(column, found, static_cast<std::int64_t*>(bins.data()));
    at[0] += static_cast<double>(found.filled);
    at[1] += static_cast<double>(found.infinite);
    at[2] = found.lowest;
    at[3] = found.highest;
    at[4] = found.last;
    at[5] = found.whole;
    at[6] = found.steps;
    at[7] = found.rising;
}

/// Copy the numbers of a column whose leading bits are these to the beginning of `into` (n); return how many they are.
inline std::int64_t with_leading(nb::handle values, nb::handle leading, nb::handle into) {
    Array kept;
    const NumberColumn column = column_of(values, kept);
    const Writable to = array_of<Writable>(into, "into", nb::dtype<double>(), {column.count});
    require_apart(kept, to, "into");
    const auto bits = static_cast<std::uint32_t>(whole_number(leading, "leading", 0, leading_bins - 1));
    const Isa isa = chosen_isa();
    nb::gil_scoped_release released;
    return isa.with_leading(column, bits, static_cast<double*>(to.data()));
}

}  // namespace chainrule
