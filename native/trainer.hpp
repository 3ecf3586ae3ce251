// Why: what the bindings see of a training, whatever instruction set and number type runs it.
// In: plan, settings, rows. Out: steps run, numbers read and written, logits.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>

#include "plan.hpp"

namespace chainrule {

/// Training rows as NumPy holds them; Y are classes (int64) or numbers of X's type.
struct Rows {
    const void* X;
    const void* Y;
    const void* c;
    std::int64_t count;
};

/// What steps measured, as nn.step.Sums.
struct Sums {
    double loss = 0, score = 0, weight = 0, norm = 0;
    std::int64_t steps = 0;
};

/// Whoever may want to stop; asked by the calling thread only.
struct Poll {
    bool (*stop)(void*);
    void* context;
};

/// The vectors of a state: parameters, running statistics, and what is remembered (null where it is not): the optimizer's
/// two, the sum of gradients, the running mean of the weights.
struct Vectors {
    void* w;
    void* statistics;
    void* first;
    void* second;
    void* sum;
    void* average;
};

class Trainer {
  public:
    virtual ~Trainer();

    virtual void read(const Vectors& to) const = 0;
    virtual void write(const Vectors& from, std::int64_t step) = 0;
    virtual std::int64_t step() const = 0;

    /// Batches first .. first + rates.size() - 1 of an epoch.
    virtual Sums run(std::int64_t epoch, std::int64_t first, std::span<const double> rates, Poll poll) = 0;

    /// Z (n, outputs), row by row, in inference.
    virtual void logits(const void* X, std::int64_t n, void* Z) = 0;

    /// Nanoseconds per line so far, as the calling thread saw them; counting starts with the first call of `profile`.
    virtual void profile() = 0;
    virtual std::span<const double> nanoseconds() const = 0;

    virtual std::size_t bytes() const = 0;
    virtual int threads() const = 0;
};

struct Problem {
    std::span<const Stage> stages;
    std::span<const Line> lines;
    Settings settings;
    Rows rows;
    int threads;  // 0: chosen from the work of a step
};

}  // namespace chainrule
