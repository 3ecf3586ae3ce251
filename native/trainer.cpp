// Why: the interface's destructor has to live somewhere that every processor can run.
// In: nothing. Out: nothing.
#include "trainer.hpp"

namespace chainrule {
Trainer::~Trainer() = default;
}  // namespace chainrule
