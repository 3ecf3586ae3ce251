// Passes over streamed rows. This file is compiled once for each instruction set, and everything it defines lies in that
// set's own namespace.
// In: CHAINRULE_ISA and the target flags. Out: moments, facts and counts of columns.
#include "columns.hpp"

namespace chainrule::CHAINRULE_ISA {

namespace {

template <class T, class S>
bool scaled(const ColumnScaling& given, void* to) {
    constexpr std::int64_t chunk = 128;  // rows whose columns are all scaled before the next
    ColumnScaler<T, S> scaler(given);
    bool within = true;
    for (std::int64_t first = 0; first < given.count; first += chunk)
        within = scaler.run(first, std::min(given.count, first + chunk), static_cast<T*>(to)) && within;
    return within;
}

}  // namespace

bool scale_columns_float32(const ColumnScaling& given, void* to) {
    return given.single ? scaled<float, float>(given, to) : scaled<float, double>(given, to);
}

bool scale_columns_float64(const ColumnScaling& given, void* to) {
    return given.single ? scaled<double, float>(given, to) : scaled<double, double>(given, to);
}

double add_moments(const MomentsBlock& block) {
    return block.rows.single ? MomentsOf<float>(block).run() : MomentsOf<double>(block).run();
}

void add_facts(const NumberColumn& column, NumberFacts& facts, std::int64_t* counts) {
    if (column.single)
        FactsOf<float>(facts, counts).add(static_cast<const float*>(column.data), column.count);
    else
        FactsOf<double>(facts, counts).add(static_cast<const double*>(column.data), column.count);
}

std::int64_t with_leading(const NumberColumn& column, std::uint32_t leading, double* to) {
    return column.single ? select_leading(static_cast<const float*>(column.data), column.count, leading, to)
                         : select_leading(static_cast<const double*>(column.data), column.count, leading, to);
}

}  // namespace chainrule::CHAINRULE_ISA
