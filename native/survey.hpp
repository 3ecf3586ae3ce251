// What passes over streamed rows compute of each column: moments, extremes, counts by leading bits, hashes of rows.
// In: blocks of rows as they were decoded, float32 or float64. Out: running figures, which the next block continues.
#pragma once
#include <cstdint>

#include "predictor.hpp"

namespace chainrule {

/// Rows whose columns are added to running moments.
struct MomentsBlock {
    RowSource rows;                  // `visited` is not used
    std::int64_t columns;
    const void* const* at;           // (columns): where each column lies, one number after another; null: in `rows`
    const std::uint8_t* used;        // rows that count (n); null: all
    const double* weights;           // of all rows (n); null: 1
    const double* first;             // (columns): numbers are taken as distances from these
    double weight;                   // of all rows before
    double* filled;                  // (columns): weight of numbers that are not 0
    double* lowest;                  // (columns)
    double* highest;                 // (columns)
    double* mean;                    // (columns), of distances
    double* squares;                 // (columns): weighted squares of distances from the mean
    std::uint64_t* hashes;           // (n), of all rows, written; null: none
};

/// Columns that lie apart, of `count` rows or of those that are visited, and their scaling.
struct ColumnScaling {
    const void* const* at;
    std::int64_t columns, count;
    const std::uint32_t* visited;  // null: all
    Scaling scaling;
    bool single;                   // float32, otherwise float64
};

/// Stands for rows with a number that is not finite or larger than `largest_number`.
inline constexpr double faulty_rows = -1;

/// What a column of numbers is, so far; a number that is not finite is a gap.
struct NumberFacts {
    std::int64_t filled, infinite;
    double lowest, highest, last;
    bool whole, steps, rising;
};

inline constexpr std::int64_t leading_bins = std::int64_t{1} << 16;

/// Numbers of a column, float32 or float64, one after another.
struct NumberColumn {
    const void* data;
    std::int64_t count;
    bool single;
};

}  // namespace chainrule
