// All memory of a session in one block, allocated once, so that a step allocates nothing.
// In: sizes, requested twice (first to measure, then to place). Out: aligned, zeroed pointers into the block.
#pragma once
#include <cstddef>
#include <cstdint>

namespace chainrule {

/// Places arrays one after another; on the first pass (no block yet) it only adds up their sizes.
class Arena {
  public:
    Arena() = default;
    ~Arena();
    Arena(const Arena&) = delete;
    Arena& operator=(const Arena&) = delete;

    /// Allocate the block that the first pass measured; the next `place` starts at its beginning.
    void commit();

    void* place_bytes(std::size_t bytes);

    template <class T>
    T* place(std::int64_t count) {
        return static_cast<T*>(place_bytes(static_cast<std::size_t>(count) * sizeof(T)));
    }

    std::size_t bytes() const { return used_; }

  private:
    std::byte* block_ = nullptr;
    std::size_t used_ = 0;
};

}  // namespace chainrule
