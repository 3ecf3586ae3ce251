// What the bindings see of a training, whatever the instruction set and number type that run it.
// In: plan, settings, rows. Out: steps run, state read and written, logits.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>

#include "plan.hpp"
#include "stop_clock.hpp"

namespace chainrule {

/// Training rows as NumPy holds them; Y holds classes (int32) or numbers of X's type.
struct Rows {
    const void* X;
    const void* Y;
    const void* c;
    std::int64_t count;            // of the rows that take part
    const std::uint32_t* visited;  // their numbers; null where they are all rows
};

/// What steps measured, as nn.step.Sums.
struct Sums {
    double loss = 0, score = 0, weight = 0, norm = 0;
    std::int64_t steps = 0;
};

/// The vectors of a state in Python's layout; null where the recipe has none.
struct StateVectors {
    void* w = nullptr;
    void* statistics = nullptr;  // running statistics of batch norm
    void* first_moment = nullptr;
    void* second_moment = nullptr;
    void* gradient_sum = nullptr;
    void* weight_average = nullptr;
};

class Trainer {
  public:
    virtual ~Trainer();

    virtual void read(const StateVectors& to) const = 0;
    virtual void write(const StateVectors& from, std::int64_t step) = 0;
    virtual std::int64_t step() const = 0;

    /// Run batches first .. first + rates.size() - 1 of an epoch.
    virtual Sums run(std::int64_t epoch, std::int64_t first, std::span<const double> rates, StopPoll poll) = 0;

    /// Compute Z (n, outputs), row by row, in inference.
    virtual void logits(const void* X, std::int64_t n, void* Z) = 0;

    /// Start to measure the time of each phase, as the calling thread sees it.
    virtual void profile() = 0;

    /// Nanoseconds spent in each phase since `profile`.
    virtual std::span<const double> nanoseconds() const = 0;

    virtual std::size_t bytes() const = 0;
    virtual int threads() const = 0;

    /// What a group of trainings borrows: LaneParts of the trainer's instruction set and number type.
    virtual void* lane_parts() = 0;
};

/// Trainings of one plan whose steps are done together, each with its own rows, order and learning rates. Every number is
/// that of the training by itself.
class LaneGroup {
  public:
    virtual ~LaneGroup();

    /// Run the first `steps` batches of an epoch of each member, unless `poll` says to stop.
    virtual void run(
        std::span<const std::int64_t> epochs, std::span<const double* const> rates, std::int64_t steps, StopPoll poll,
        std::span<Sums> sums
    ) = 0;

    /// Copy a member's state back into its trainer.
    virtual void store(std::size_t member) = 0;
};

/// What an instruction set and number type offer to groups.
struct LaneFactory {
    int most;  // trainings of a group
    bool (*suits)(Trainer&);
    bool (*alike)(Trainer&, Trainer&);
    LaneGroup* (*make)(std::span<Trainer* const>);
};

/// Everything that a trainer is built from.
struct TrainerSpec {
    std::span<const FusedStage> stages;
    std::span<const Phase> phases;
    TrainingSettings settings;
    Rows rows;
    int threads;  // 0: chosen from the work of a step
};

}  // namespace chainrule
