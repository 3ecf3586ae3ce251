// A count of this extension's allocations, so that a test can check the claim "no allocation per step".
// In: every `new` of this extension. Out: their number.
#include "allocations.hpp"

#include <atomic>
#include <cstdlib>
#include <new>

namespace {
std::atomic<std::uint64_t> count{0};

void* counted(std::size_t size) {
    count.fetch_add(1, std::memory_order_relaxed);
    if (void* at = std::malloc(size)) return at;
    throw std::bad_alloc();
}

void* counted(std::size_t size, std::size_t alignment) {
    count.fetch_add(1, std::memory_order_relaxed);
    if (void* at = std::aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment)) return at;
    throw std::bad_alloc();
}
}  // namespace

namespace chainrule {
std::uint64_t allocations() { return count.load(std::memory_order_relaxed); }
}  // namespace chainrule

void* operator new(std::size_t size) { return counted(size); }
void* operator new[](std::size_t size) { return counted(size); }
void* operator new(std::size_t size, std::align_val_t alignment) {
    return counted(size, static_cast<std::size_t>(alignment));
}
void operator delete(void* at) noexcept { std::free(at); }
void operator delete[](void* at) noexcept { std::free(at); }
void operator delete(void* at, std::size_t) noexcept { std::free(at); }
void operator delete[](void* at, std::size_t) noexcept { std::free(at); }
void operator delete(void* at, std::align_val_t) noexcept { std::free(at); }
void operator delete(void* at, std::size_t, std::align_val_t) noexcept { std::free(at); }
