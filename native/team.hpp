// The only place that deals with threads: how many there may be, how they start, how they wait for one another.
// In: a number of threads and what each does. Out: the work done, on OpenMP's threads if OpenMP is available.
#pragma once
#include <atomic>
#include <cstdint>

namespace chainrule {

/// Threads that may be used now: OpenMP's limit, which threadpoolctl controls; 1 in a forked child process.
int allowed_threads();

/// Run `body(context, member, members)` on up to `threads` threads, the caller being member 0.
void in_team(int threads, void (*body)(void*, int, int), void* context);

/// A point that no member passes before all have arrived; the last one runs `complete` before it releases the others.
class Barrier {
  public:
    template <class F>
    void arrive(int members, F&& complete) {
        const std::uint32_t generation = generation_.load(std::memory_order_relaxed);
        if (members == 1 || arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == members) {
            complete();
            arrived_.store(0, std::memory_order_relaxed);
            release(generation + 1);
        } else {
            await(generation);
        }
    }

  private:
    void release(std::uint32_t generation);
    void await(std::uint32_t generation);

    alignas(64) std::atomic<int> arrived_{0};
    alignas(64) std::atomic<std::uint32_t> generation_{0};
    std::atomic<int> sleepers_{0};
};

}  // namespace chainrule
