// How many times this extension has allocated memory (see allocations.cpp).
#pragma once
#include <cstdint>

namespace chainrule {
std::uint64_t allocations();
}  // namespace chainrule
