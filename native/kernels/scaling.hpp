// Rows in the user's units on their way to the network: shifted and divided in float64, rounded to its type and checked in
// one pass over memory.
// In: float32 or float64 rows, contiguous or not. Out: the same bits as data/scaling.py, in panels or row by row; whether
// a number was out of range.
#pragma once
#include "../predictor.hpp"
#include "panels.hpp"

namespace chainrule::CHAINRULE_ISA {

/// As many numbers of a type as a vector has doubles.
template <class T>
struct PartOf {
    typedef T type __attribute__((vector_size(sizeof(T) * lanes<double>)));
    typedef T loose __attribute__((vector_size(sizeof(T) * lanes<double>), may_alias, aligned(sizeof(T))));
};

template <class T>
using Part = typename PartOf<T>::type;

inline constexpr std::int64_t scaled_rows = 8;  // read together, so that a column's mean and scale are loaded once for all

/// Scales rows of S to T.
template <class T, class S>
class RowScaler {
  public:
    RowScaler(const RowSource& source, Scaling scaling, std::int64_t columns)
        : source_(source), scaling_(scaling), columns_(columns) {}

    /// Rows first .. first + to.rows - 1 into panels, the last vector padded with zeros.
    void into_panels(std::int64_t first, Panels<T> to) {
        each_block(to.rows, to.count(), [&](std::int64_t i, std::int64_t rows, std::int64_t p) {
            const std::int64_t used = to.used(p), width = to.width(p);
            T* const at = to.row(p, i);
            block(first + i, rows, p * Panels<T>::wide, used, at, width);
            for (std::int64_t r = 0; r < rows && used < width; ++r) std::fill(at + r * width + used, at + (r + 1) * width, T(0));
        });
    }

    /// Rows first .. last - 1 into a row-major matrix that begins with row 0.
    void into_matrix(std::int64_t first, std::int64_t last, T* to) {
        const std::int64_t wide = Panels<T>::wide, panels = (columns_ + wide - 1) / wide;
        each_block(last - first, panels, [&](std::int64_t i, std::int64_t rows, std::int64_t p) {
            const std::int64_t j = p * wide;
            block(first + i, rows, j, std::min(wide, columns_ - j), to + (first + i) * columns_ + j, columns_);
        });
    }

    /// Whether a number so far was not finite, too large, or too large once it was scaled.
    bool faulty() const {
        bool within = rest_largest_ <= largest_number && rest_spoiled_ == T(0);
        for (int i = 0; i < lanes<double>; ++i) within = within && largest_[i] <= largest_number && spoiled_[i] == T(0);
        return !within;
    }

  private:
    /// Call f with blocks of rows and the number of a panel: rows outermost, unless columns lie closer together.
    template <class F>
    void each_block(std::int64_t n, std::int64_t panels, F&& f) const {
        if (source_.column_stride == 1) {
            for (std::int64_t i = 0; i < n; i += scaled_rows)
                for (std::int64_t p = 0; p < panels; ++p) f(i, std::min(scaled_rows, n - i), p);
            return;
        }
        for (std::int64_t p = 0; p < panels; ++p)
            for (std::int64_t i = 0; i < n; i += scaled_rows) f(i, std::min(scaled_rows, n - i), p);
    }

    const S* row(std::int64_t i) const {
        const std::int64_t number = source_.visited == nullptr ? i : source_.visited[i];
        return static_cast<const S*>(source_.data) + number * source_.row_stride;
    }

    /// Columns j .. j + used - 1 of a few rows.
    void block(std::int64_t first, std::int64_t rows, std::int64_t j, std::int64_t used, T* to, std::int64_t stride) {
        const S* from[scaled_rows];
        S copies[scaled_rows][Panels<T>::wide];
        const std::int64_t step = source_.column_stride;
        for (std::int64_t r = 0; r < rows; ++r) {
            from[r] = step == 1 ? row(first + r) + j : copies[r];
            if (step == 1) continue;
            const S* const at = row(first + r) + j * step;
            for (std::int64_t c = 0; c < used; ++c) copies[r][c] = at[c * step];
        }
        scale(from, rows, scaling_.mean + j, scaling_.scale + j, used, to, stride);
    }

    void scale(
        const S* const* from, std::int64_t rows, const double* mean, const double* divisor, std::int64_t columns, T* to,
        std::int64_t stride
    ) {
        constexpr std::int64_t n = lanes<double>;
        Vec<double> largest = largest_;
        Part<T> spoiled = spoiled_;
        std::int64_t c = 0;
        for (; c + n <= columns; c += n) {
            const Vec<double> shift = load_loose(mean + c), by = load_loose(divisor + c);
            for (std::int64_t r = 0; r < rows; ++r) {
                const Part<S> given = *reinterpret_cast<const typename PartOf<S>::loose*>(from[r] + c);
                const Vec<double> x = __builtin_convertvector(given, Vec<double>);
                const Part<T> z = __builtin_convertvector((x - shift) / by, Part<T>);
                largest = larger<double>(largest, absolute<double>(x));
                spoiled += z - z;  // 0, or NaN where z is not finite
                *reinterpret_cast<typename PartOf<T>::loose*>(to + r * stride + c) = z;
            }
        }
        largest_ = largest;
        spoiled_ = spoiled;
        for (; c < columns; ++c)
            for (std::int64_t r = 0; r < rows; ++r) {
                const auto x = static_cast<double>(from[r][c]);
                const auto z = static_cast<T>((x - mean[c]) / divisor[c]);
                rest_largest_ = std::max(rest_largest_, x < 0 ? -x : x);
                rest_spoiled_ += z - z;
                to[r * stride + c] = z;
            }
    }

    RowSource source_;
    Scaling scaling_;
    std::int64_t columns_;
    Vec<double> largest_{};
    Part<T> spoiled_{};
    double rest_largest_ = 0;
    T rest_spoiled_ = 0;
};

/// Call f with a scaler for the type that rows are of.
template <class T, class F>
inline bool with_scaler(const RowSource& source, Scaling scaling, std::int64_t columns, F&& f) {
    const auto run = [&](auto scaler) {
        f(scaler);
        return !scaler.faulty();
    };
    return source.single ? run(RowScaler<T, float>(source, scaling, columns))
                         : run(RowScaler<T, double>(source, scaling, columns));
}

}  // namespace chainrule::CHAINRULE_ISA
