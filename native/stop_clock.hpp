// When a run asks whether to stop: after its first step, then every few milliseconds, however short its steps are.
// In: a question. Out: the answer, or "no" where it is too early to ask again.
#pragma once
#include <chrono>

namespace chainrule {

/// Asks whether to stop; only the calling thread asks.
struct StopPoll {
    bool (*stop)(void*);
    void* context;
};

/// Compiled once, for any processor: kernels of every instruction set share it.
class StopClock {
  public:
    StopClock() = default;
    explicit StopClock(StopPoll poll) : poll_(poll) {}

    /// Ask if this is the first call or the last question lies far enough back.
    bool stops();

  private:
    StopPoll poll_{};
    bool asked_ = false;
    std::chrono::steady_clock::time_point last_{};
};

}  // namespace chainrule
