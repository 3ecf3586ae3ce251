// A shuffle: the order that sorts n distinct random words. A radix sort finds it in time proportional to n.
// In: words of the counter stream. Out: the permutation.
#include "order.hpp"

#include <algorithm>
#include <array>
#include <cstddef>

namespace chainrule {

namespace {
constexpr int digit_bits = 11;
constexpr std::uint32_t digits = 1u << digit_bits;
constexpr int passes = 3;

/// Sort a few entries: one pass by as many of the leading bits as there are entries leaves little to move.
template <class Entry>
void sort_few(std::vector<Entry>& entries, std::vector<Entry>& scratch) {
    const std::size_t n = entries.size();
    int bits = 1;
    while ((std::size_t{1} << bits) < n) ++bits;
    const int shift = 32 - bits;
    std::array<std::uint32_t, digits + 1> first;
    std::fill_n(first.begin(), (std::size_t{1} << bits) + 1, 0u);
    for (const Entry& entry : entries) ++first[(entry.word >> shift) + 1];
    for (std::size_t digit = 0; digit < std::size_t{1} << bits; ++digit) first[digit + 1] += first[digit];
    for (const Entry& entry : entries) scratch[first[entry.word >> shift]++] = entry;
    for (std::size_t i = 1; i < n; ++i) {
        const Entry entry = scratch[i];
        std::size_t place = i;
        for (; place > 0 && scratch[place - 1].word > entry.word; --place) scratch[place] = scratch[place - 1];
        scratch[place] = entry;
    }
    entries.swap(scratch);
}
}  // namespace

EpochOrder::EpochOrder(std::uint64_t seed, std::int64_t rows, bool shuffles, const std::uint32_t* visited)
    : stream_(Stream::from_seed(seed).fold(Purpose::shuffle)),
      visited_(visited),
      shuffles_(shuffles),
      order_(static_cast<std::size_t>(rows)) {
    for (std::size_t i = 0; i < order_.size(); ++i) order_[i] = number(i);
    if (shuffles_) {
        entries_.resize(order_.size());
        scratch_.resize(order_.size());
    }
}

const std::uint32_t* EpochOrder::of(std::int64_t epoch) {
    if (shuffles_ && epoch != epoch_) {
        sort_by_word(stream_.fold(static_cast<std::uint32_t>(epoch)));
        epoch_ = epoch;
    }
    return order_.data();
}

void EpochOrder::sort_by_word(Stream stream) {
    for (std::size_t i = 0; i < entries_.size(); ++i) {
        const auto row = static_cast<std::uint32_t>(i);
        entries_[i] = {stream.word(row), row};
    }
    const bool few = entries_.size() <= digits;
    if (few) sort_few(entries_, scratch_);
    for (int pass = 0; pass < passes && !few; ++pass) {
        const int shift = pass * digit_bits;
        std::array<std::uint32_t, digits + 1> first{};
        for (const Entry& entry : entries_) ++first[((entry.word >> shift) & (digits - 1)) + 1];
        for (std::uint32_t digit = 0; digit < digits; ++digit) first[digit + 1] += first[digit];
        for (const Entry& entry : entries_) scratch_[first[(entry.word >> shift) & (digits - 1)]++] = entry;
        entries_.swap(scratch_);
    }
    for (std::size_t i = 0; i < entries_.size(); ++i) order_[i] = number(entries_[i].row);
}

}  // namespace chainrule
