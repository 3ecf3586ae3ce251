// A trained network as predictions need it: the stages with their numbers, and rows as the user holds them.
// In: stages, parameters, statistics, the scaling of the inputs. Out: logits or classes of rows in any order in memory.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>

#include "trainer.hpp"

namespace chainrule {

/// A matrix in the user's memory; distances are counted in numbers and may be negative.
struct RowSource {
    const void* data;
    std::int64_t count, row_stride, column_stride;
    bool single;                             // float32, otherwise float64
    const std::uint32_t* visited = nullptr;  // the rows to read, `count` of them; null where they are all rows
};

/// (x - mean) / scale of each column, in float64; null where rows are read as they are.
struct Scaling {
    const double* mean = nullptr;
    const double* scale = nullptr;
};

/// The largest size of a number in the data, as data/checks.py has it.
inline constexpr double largest_number = 1e150;

/// Stands for the class of a row whose two best classes are too close to tell apart without their probabilities.
inline constexpr std::int64_t undecided = -1;

/// Where predictions go: logits (n, outputs) in the network's type, or the number of the class of each row (n).
struct Answers {
    void* logits = nullptr;
    std::int64_t* classes = nullptr;
    double temperature = 1;  // divides the logits of classes
};

class Predictor {
  public:
    virtual ~Predictor();

    /// Predict. False if a number of the rows is not finite, is above `largest_number`, or leaves the type's range when
    /// it is scaled; the answers are then incomplete. Rows without a scaling are of the network's type and contiguous.
    virtual bool predict(const RowSource& rows, Scaling scaling, const Answers& answers) = 0;

    virtual std::size_t bytes() const = 0;
};

/// Everything that a predictor is built from; the vectors are copied.
struct PredictorSpec {
    std::span<const FusedStage> stages;
    StateVectors vectors;
    int threads;  // 0: chosen from the work of a call
};

}  // namespace chainrule
