// One aligned, zeroed block of memory per session.
// In: measured sizes. Out: the block.
#include "arena.hpp"

#include <cstring>
#include <new>

namespace chainrule {

namespace {
// A multiple of the cache line, and not of the page, so that arrays of equal size do not share cache sets.
constexpr std::size_t alignment = 64;
constexpr std::size_t stagger = 320;
constexpr std::align_val_t block_alignment{4096};
}  // namespace

Arena::~Arena() {
    if (block_ != nullptr) ::operator delete(block_, block_alignment);
}

void Arena::commit() {
    block_ = static_cast<std::byte*>(::operator new(used_ + alignment, block_alignment));
    std::memset(block_, 0, used_ + alignment);
    used_ = 0;
}

void* Arena::place_bytes(std::size_t bytes) {
    void* at = block_ == nullptr ? nullptr : block_ + used_;
    used_ += (bytes + alignment - 1) / alignment * alignment;
    if (bytes >= static_cast<std::size_t>(block_alignment)) used_ += stagger;
    return at;
}

}  // namespace chainrule
