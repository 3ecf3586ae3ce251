// Checks of everything that crosses from Python: behind them, sizes, ranges and offsets are known to be right.
// In: structs and numbers as they came. Out: the sizes that arrays must have, or one exception that names the field.
#pragma once
#include <array>
#include <cstdint>
#include <cstdio>
#include <span>
#include <stdexcept>
#include <string>
#include <type_traits>

#include "plan.hpp"

namespace chainrule {

/// A value from Python that the kernels must not see; becomes InvalidValueError there.
struct BorderFault : std::invalid_argument {
    using std::invalid_argument::invalid_argument;
};

/// A value in words. Streams would say the same, and make the engine of a page twice as large.
template <class Value>
inline std::string in_words(const Value& value) {
    if constexpr (std::is_floating_point_v<Value>) {
        std::array<char, 32> digits;
        std::snprintf(digits.data(), digits.size(), "%g", static_cast<double>(value));
        return digits.data();
    } else if constexpr (std::is_integral_v<Value>) {
        std::array<char, 32> digits;
        std::snprintf(digits.data(), digits.size(), "%lld", static_cast<long long>(value));
        return digits.data();
    } else {
        return value;
    }
}

/// Throw unless `right`: "Session: <argument> must be <allowed>, got <got>." Nothing is built where all is right.
template <class Argument, class Allowed, class Got>
inline void require(bool right, const Argument& argument, const Allowed& allowed, const Got& got) {
    if (right) return;
    throw BorderFault(
        "Session: " + in_words(argument) + " must be " + in_words(allowed) + ", got " + in_words(got) + "."
    );
}

inline constexpr std::int64_t most_columns = std::int64_t{1} << 24;
inline constexpr std::int64_t most_parameters = std::int64_t{1} << 40;
inline constexpr std::int64_t most_rows = (std::int64_t{1} << 32) - 1;    // row numbers are 32 bits wide
inline constexpr std::int64_t most_epochs = (std::int64_t{1} << 32) - 1;  // as is the word that an epoch's order comes from
inline constexpr std::int64_t most_steps = std::int64_t{1} << 62;
inline constexpr int most_threads = 1024;

/// Sizes of a plan: columns of rows and logits; lengths of the vectors of parameters and of running statistics.
struct PlanSizes {
    std::int64_t inputs, outputs, parameters, statistics;
};

/// Check the stages of a plan. Throws BorderFault as `checked_sizes` does.
PlanSizes checked_stages(std::span<const FusedStage> stages);

/// Check a plan. Throws BorderFault where a kernel would read or write outside its arrays or compute nonsense.
PlanSizes checked_sizes(
    std::span<const FusedStage> stages, std::span<const Phase> phases, const TrainingSettings& settings
);

}  // namespace chainrule
