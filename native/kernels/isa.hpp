// Why: what one instruction set's build offers to the rest.
// In: CHAINRULE_ISA, its namespace. Out: makers of trainers.
#pragma once
#include "../trainer.hpp"

namespace chainrule::CHAINRULE_ISA {

Trainer* make_float32(const Problem& problem);
Trainer* make_float64(const Problem& problem);

}  // namespace chainrule::CHAINRULE_ISA
