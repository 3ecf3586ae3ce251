// Why: see allocations.cpp.
// In: nothing. Out: how many times this extension has asked for memory.
#pragma once
#include <cstdint>

namespace chainrule {
std::uint64_t allocations();
}  // namespace chainrule
