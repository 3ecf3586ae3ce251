// What a trainer lends to trainings that run side by side with it.
// In: a trainer of this instruction set and number type. Out: references to its parts.
#pragma once
#include "../order.hpp"
#include "state.hpp"

namespace chainrule::CHAINRULE_ISA {

inline constexpr std::int64_t loss_chunk = 64;  // rows per partial sum of the loss

template <class T>
struct LaneParts {
    Network<T>& network;
    const TrainingSettings& settings;
    const Rows& rows;
    EpochOrder& order;
    std::int64_t& step;
};

}  // namespace chainrule::CHAINRULE_ISA
