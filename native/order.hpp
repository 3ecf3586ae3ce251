// The order of the rows in an epoch, identical to the reference engine's.
// In: the recipe's seed, batch size, rows and epoch. Out: row numbers.
#pragma once
#include <cstdint>
#include <vector>

#include "stream.hpp"

namespace chainrule {

/// Keeps the order of the latest epoch; the constructor allocates all memory.
class EpochOrder {
  public:
    /// `visited` are the numbers of the rows that take part, null for rows 0 .. rows - 1.
    EpochOrder(std::uint64_t seed, std::int64_t rows, bool shuffles, const std::uint32_t* visited);

    /// Row numbers of the epoch; valid until the next call.
    const std::uint32_t* of(std::int64_t epoch);

    bool shuffles() const { return shuffles_; }

  private:
    struct Entry {
        std::uint32_t word, row;
    };

    void sort_by_word(Stream stream);

    std::uint32_t number(std::size_t i) const { return visited_ ? visited_[i] : static_cast<std::uint32_t>(i); }

    Stream stream_;
    const std::uint32_t* visited_;
    bool shuffles_;
    std::int64_t epoch_ = -1;
    std::vector<Entry> entries_, scratch_;
    std::vector<std::uint32_t> order_;
};

}  // namespace chainrule
