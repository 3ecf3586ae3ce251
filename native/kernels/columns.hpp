// Running figures of columns, a few rows at a time so that they stay in the L1 cache.
// In: blocks of rows in any order in memory. Out: moments (data/stream/moments.py), facts and counts (quantiles.py), hashes.
#pragma once
#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "../survey.hpp"
#include "vector.hpp"

namespace chainrule::CHAINRULE_ISA {

inline constexpr std::int64_t survey_rows = 1024;

/// Rows of S, added to running moments and hashed.
template <class S>
class MomentsOf {
  public:
    explicit MomentsOf(const MomentsBlock& block) : block_(block), weight_(block.weight) {}

    double run() {
        for (std::int64_t first = 0; first < block_.rows.count; first += survey_rows) {
            const std::int64_t n = std::min(survey_rows, block_.rows.count - first);
            choose(first, n);
            if (block_.hashes != nullptr) std::fill(hashes_, hashes_ + n, std::uint64_t{0x9E3779B97F4A7C15});
            for (std::int64_t j = 0; j < block_.columns; ++j) {
                const S* const at = column(j) + first * block_.rows.row_stride;
                if (block_.hashes != nullptr) hash(at, n);
                if (count_ > 0 && !add(at, j)) return faulty_rows;
            }
            if (block_.hashes != nullptr) std::copy(hashes_, hashes_ + n, block_.hashes + first);
            weight_ += added_;
        }
        return weight_;
    }

  private:
    const S* column(std::int64_t j) const {
        const RowSource& rows = block_.rows;
        return block_.at == nullptr ? static_cast<const S*>(rows.data) + j * rows.column_stride : static_cast<const S*>(block_.at[j]);
    }

    /// Find the rows that count, and their weights.
    void choose(std::int64_t first, std::int64_t n) {
        count_ = 0;
        added_ = 0;
        for (std::int64_t i = 0; i < n; ++i) {
            places_[count_] = static_cast<std::int32_t>(i);
            const bool used = block_.used == nullptr || block_.used[first + i] != 0;
            if (block_.weights != nullptr) {
                weights_[count_] = block_.weights[first + i];
                count_ += used && weights_[count_] > 0;
            } else {
                count_ += used;
            }
        }
        if (block_.weights == nullptr) added_ = static_cast<double>(count_);
        else for (std::int64_t i = 0; i < count_; ++i) added_ += weights_[i];
        dense_ = count_ == n && block_.rows.row_stride == 1;
    }

    void hash(const S* at, std::int64_t n) {
        const std::int64_t stride = block_.rows.row_stride;
        const auto mixed = [](std::uint64_t h, double x) {
            x = x == x ? x + 0.0 : std::numeric_limits<double>::quiet_NaN();
            h ^= std::bit_cast<std::uint64_t>(x);
            h *= 0xBF58476D1CE4E5B9;
            h ^= h >> 32;
            h *= 0x94D049BB133111EB;
            return h ^ (h >> 32);
        };
        if (stride == 1)
            for (std::int64_t i = 0; i < n; ++i) hashes_[i] = mixed(hashes_[i], static_cast<double>(at[i]));
        else
            for (std::int64_t i = 0; i < n; ++i) hashes_[i] = mixed(hashes_[i], static_cast<double>(at[i * stride]));
    }

    /// Add the rows that count of column j; false where one is out of range.
    bool add(const S* at, std::int64_t j) {
        const std::int64_t n = count_, stride = block_.rows.row_stride;
        if (dense_)
            for (std::int64_t i = 0; i < n; ++i) x_[i] = static_cast<double>(at[i]);
        else
            for (std::int64_t i = 0; i < n; ++i) x_[i] = static_cast<double>(at[places_[i] * stride]);
        if (!shift(n, j)) return false;
        const double mean = total_ / added_, squares = squared(n, mean);
        const double whole = weight_ + added_, delta = mean - block_.mean[j];
        block_.mean[j] += delta * (added_ / whole);
        block_.squares[j] += squares + delta * delta * (weight_ * added_ / whole);
        return true;
    }

    /// Make distances of the numbers; sum them, and find extremes. False where a number is out of range.
    bool shift(std::int64_t n, std::int64_t j) {
        constexpr std::int64_t k = lanes<double>;
        const double first = block_.first[j];
        double lowest = block_.lowest[j], highest = block_.highest[j];
        Vec<double> low = all(lowest), high = all(highest), far{}, sums{}, full{};
        const bool weighted = block_.weights != nullptr;
        std::int64_t i = 0;
        for (; i + k <= n; i += k) {
            const Vec<double> x = load(x_ + i), d = x - first, one = weighted ? load(weights_ + i) : all(1.0);
            const Vec<double> size = absolute<double>(x);
            far = size > far || size != size ? size : far;
            full += x != 0.0 ? one : Vec<double>{};
            low = smaller<double>(low, d);
            high = larger<double>(high, d);
            sums += one * d;
            store(x_ + i, d);
        }
        for (int lane = 0; lane < k; ++lane) {
            if (!(far[lane] <= largest_number)) return false;
            lowest = std::min(lowest, low[lane]);
            highest = std::max(highest, high[lane]);
        }
        double filled = sum<double>(full), total = sum<double>(sums);
        for (; i < n; ++i) {
            const double x = x_[i], one = weighted ? weights_[i] : 1.0;
            if (!(std::fabs(x) <= largest_number)) return false;
            filled += x != 0 ? one : 0;
            x_[i] = x - first;
            lowest = std::min(lowest, x_[i]);
            highest = std::max(highest, x_[i]);
            total += one * x_[i];
        }
        block_.lowest[j] = lowest;
        block_.highest[j] = highest;
        block_.filled[j] += filled;
        total_ = total;
        return true;
    }

    double squared(std::int64_t n, double mean) const {
        constexpr std::int64_t k = lanes<double>;
        const bool weighted = block_.weights != nullptr;
        Vec<double> squares{};
        std::int64_t i = 0;
        for (; i + k <= n; i += k) {
            const Vec<double> d = load(x_ + i) - mean;
            squares += weighted ? load(weights_ + i) * d * d : d * d;
        }
        double found = sum<double>(squares);
        for (; i < n; ++i) found += (weighted ? weights_[i] : 1.0) * (x_[i] - mean) * (x_[i] - mean);
        return found;
    }

    const MomentsBlock& block_;
    double weight_, added_ = 0, total_ = 0;
    std::int64_t count_ = 0;
    bool dense_ = false;
    alignas(64) double x_[survey_rows];
    alignas(64) double weights_[survey_rows];
    alignas(64) std::uint64_t hashes_[survey_rows];
    std::int32_t places_[survey_rows];
};

/// Scales columns that lie apart into rows: a tile of both is turned around in registers, so that each line of memory is
/// read and written once.
template <class T, class S>
class ColumnScaler {
  public:
    explicit ColumnScaler(const ColumnScaling& given) : given_(given) {}

    /// Rows first .. last - 1 into a row-major matrix that begins with row 0; false where a number is out of range.
    bool run(std::int64_t first, std::int64_t last, T* to) {
        for (std::int64_t j = 0; j < given_.columns; j += wide)
            for (std::int64_t i = first; i < last; i += high) {
                const std::int64_t rows = std::min(high, last - i), used = std::min(wide, given_.columns - j);
                if (rows == high && used == wide && given_.visited == nullptr) turn(i, j);
                else copy(i, rows, j, used);
                scale(rows, j, used, to + i * given_.columns + j);
            }
        bool within = rest_largest_ <= largest_number && rest_spoiled_ == 0;
        for (int k = 0; k < lanes<double>; ++k) within = within && largest_[k] <= largest_number && spoiled_[k] == 0;
        return within;
    }

  private:
    static constexpr std::int64_t n = lanes<S>, wide = 16, high = 16;

    const S* column(std::int64_t j) const { return static_cast<const S*>(given_.at[j]); }

    void turn(std::int64_t i, std::int64_t j) {
        S turned[n][n];
        for (std::int64_t c = 0; c < wide; c += n)
            for (std::int64_t r = 0; r < high; r += n) {
                for (std::int64_t k = 0; k < n; ++k) std::copy_n(column(j + c + k) + i + r, n, turned[k]);
                transpose(turned[0], n, tile_[r] + c, wide);
            }
    }

    void copy(std::int64_t i, std::int64_t rows, std::int64_t j, std::int64_t used) {
        for (std::int64_t r = 0; r < rows; ++r) {
            const std::int64_t at = given_.visited == nullptr ? i + r : given_.visited[i + r];
            for (std::int64_t c = 0; c < used; ++c) tile_[r][c] = column(j + c)[at];
        }
    }

    /// As RowScaler::scale, to the same bits.
    void scale(std::int64_t rows, std::int64_t j, std::int64_t used, T* to) {
        typedef S PartS __attribute__((vector_size(sizeof(S) * lanes<double>), may_alias, aligned(sizeof(S))));
        typedef T PartT __attribute__((vector_size(sizeof(T) * lanes<double>)));
        typedef T LooseT __attribute__((vector_size(sizeof(T) * lanes<double>), may_alias, aligned(sizeof(T))));
        constexpr std::int64_t k = lanes<double>;
        std::int64_t c = 0;
        for (; c + k <= used; c += k) {
            const Vec<double> shift = load_loose(given_.scaling.mean + j + c), by = load_loose(given_.scaling.scale + j + c);
            for (std::int64_t r = 0; r < rows; ++r) {
                const Vec<double> x = __builtin_convertvector(*reinterpret_cast<const PartS*>(tile_[r] + c), Vec<double>);
                const PartT z = __builtin_convertvector((x - shift) / by, PartT);
                largest_ = larger<double>(largest_, absolute<double>(x));
                spoiled_ += __builtin_convertvector(z - z, Vec<double>);
                *reinterpret_cast<LooseT*>(to + r * given_.columns + c) = z;
            }
        }
        for (; c < used; ++c)
            for (std::int64_t r = 0; r < rows; ++r) {
                const auto x = static_cast<double>(tile_[r][c]);
                const auto z = static_cast<T>((x - given_.scaling.mean[j + c]) / given_.scaling.scale[j + c]);
                rest_largest_ = std::max(rest_largest_, std::fabs(x));
                rest_spoiled_ += static_cast<double>(z - z);
                to[r * given_.columns + c] = z;
            }
    }

    const ColumnScaling& given_;
    alignas(64) S tile_[high][wide];
    Vec<double> largest_{}, spoiled_{};
    double rest_largest_ = 0, rest_spoiled_ = 0;
};

/// The bits of a number as float32, as whole numbers in the order of the numbers.
inline std::uint32_t ordered_bits(float x) {
    const auto u = std::bit_cast<std::uint32_t>(x + 0.0f);
    return u ^ (static_cast<std::uint32_t>(static_cast<std::int32_t>(u) >> 31) | 0x80000000u);
}

/// Continue the facts of a column and the counts of its leading 16 bits.
template <class S>
class FactsOf {
  public:
    FactsOf(NumberFacts& facts, std::int64_t* counts) : facts_(facts), counts_(counts) {}

    void add(const S* values, std::int64_t count) {
        for (std::int64_t first = 0; first < count; first += survey_rows) {
            const std::int64_t n = std::min(survey_rows, count - first);
            S spoiled = 0;
            for (std::int64_t i = 0; i < n; ++i) {
                x_[i] = values[first + i];
                spoiled += x_[i] - x_[i];
            }
            std::int64_t kept = n;
            if (!(spoiled == 0)) {
                kept = 0;
                for (std::int64_t i = 0; i < n; ++i) {
                    const S x = x_[i];
                    x_[kept] = x;
                    kept += std::isfinite(x);
                    facts_.infinite += std::isinf(x);
                }
            }
            if (kept > 0) known(kept);
        }
    }

  private:
    void known(std::int64_t n) {
        if (facts_.rising) compare(n);
        constexpr std::int64_t k = lanes<S>;
        Vec<S> low = all(x_[0]), high = low;
        Ints<S> broken{};
        std::int64_t i = 0;
        for (; i + k <= n; i += k) {
            const Vec<S> x = load(x_ + i);
            low = smaller<S>(low, x);
            high = larger<S>(high, x);
            broken |= nearest<S>(x) != x;
        }
        bool whole = true;
        S lowest = x_[0], highest = x_[0];
        for (int lane = 0; lane < k; ++lane) {
            lowest = std::min(lowest, low[lane]);
            highest = std::max(highest, high[lane]);
            whole = whole && broken[lane] == 0;
        }
        for (; i < n; ++i) {
            lowest = std::min(lowest, x_[i]);
            highest = std::max(highest, x_[i]);
            whole = whole && std::nearbyint(x_[i]) == x_[i];
        }
        for (i = 0; i < n; ++i) ++counts_[ordered_bits(static_cast<float>(x_[i])) >> 16];
        facts_.filled += n;
        facts_.lowest = std::min(facts_.lowest, static_cast<double>(lowest));
        facts_.highest = std::max(facts_.highest, static_cast<double>(highest));
        facts_.whole = facts_.whole && whole;
        facts_.last = static_cast<double>(x_[n - 1]);
    }

    void compare(std::int64_t n) {
        double last = facts_.last;
        for (std::int64_t i = 0; i < n && facts_.rising; ++i) {
            const auto x = static_cast<double>(x_[i]);
            if (last == last) {
                facts_.rising = x > last;
                facts_.steps = facts_.steps && x - last == 1 && facts_.rising;
            }
            last = x;
        }
        facts_.steps = facts_.steps && facts_.rising;
    }

    NumberFacts& facts_;
    std::int64_t* counts_;
    alignas(64) S x_[survey_rows];
};

/// Copy those numbers of a column whose leading 16 bits are these; return how many they are.
template <class S>
inline std::int64_t select_leading(const S* values, std::int64_t n, std::uint32_t leading, double* to) {
    std::int64_t found = 0;
    for (std::int64_t i = 0; i < n; ++i)
        if (ordered_bits(static_cast<float>(values[i])) >> 16 == leading && std::isfinite(values[i]))
            to[found++] = static_cast<double>(values[i]);
    return found;
}

}  // namespace chainrule::CHAINRULE_ISA
