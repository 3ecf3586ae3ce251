// Why: one binary serves every processor; the best instruction set that it has is chosen when the program runs.
// In: the processor, and CHAINRULE_ISA in the environment for tests. Out: makers of trainers.
#pragma once
#include <string>
#include <vector>

#include "trainer.hpp"

namespace chainrule {

struct Isa {
    const char* name;
    bool (*available)();
    Trainer* (*make_float32)(const Problem&);
    Trainer* (*make_float64)(const Problem&);
};

/// Instruction sets of this binary that this processor has, the best first.
std::vector<Isa> available_isas();

/// The one to use: the environment's choice, else the best. Throws std::invalid_argument where the choice is not there.
Isa chosen_isa();

}  // namespace chainrule
