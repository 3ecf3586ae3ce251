// Threads from OpenMP, so that threadpoolctl and joblib limit them as they limit scikit-learn's.
// In: a number of threads. Out: a parallel region; a barrier that spins briefly, then yields, then sleeps.
#include "team.hpp"

#if defined(_OPENMP)
#include <omp.h>
#endif
#if defined(__x86_64__)
#include <immintrin.h>
#endif
#include <pthread.h>

#include <thread>

namespace chainrule {

namespace {

constexpr int spins = 2000;
constexpr int yields = 200;

// OpenMP's threads do not survive a fork; a child that waited for them would wait forever.
bool is_child = false;
[[maybe_unused]] const int registered = pthread_atfork(nullptr, nullptr, [] { is_child = true; });

void relax() {
#if defined(__x86_64__)
    _mm_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
}

}  // namespace

int allowed_threads() {
#if defined(_OPENMP)
    return is_child ? 1 : omp_get_max_threads();
#else
    return 1;
#endif
}

void in_team(int threads, void (*body)(void*, int, int), void* context) {
#if defined(_OPENMP)
    if (threads > 1) {
#pragma omp parallel num_threads(threads)
        body(context, omp_get_thread_num(), omp_get_num_threads());
        return;
    }
#endif
    body(context, 0, 1);
}

void Barrier::release(std::uint32_t generation) {
    generation_.store(generation, std::memory_order_seq_cst);
    if (sleepers_.load(std::memory_order_seq_cst) > 0) generation_.notify_all();
}

void Barrier::await(std::uint32_t generation) {
    for (int i = 0; i < spins; ++i) {
        if (generation_.load(std::memory_order_acquire) != generation) return;
        relax();
    }
    for (int i = 0; i < yields; ++i) {
        if (generation_.load(std::memory_order_acquire) != generation) return;
        std::this_thread::yield();
    }
    sleepers_.fetch_add(1, std::memory_order_seq_cst);
    generation_.wait(generation, std::memory_order_seq_cst);
    sleepers_.fetch_sub(1, std::memory_order_seq_cst);
}

}  // namespace chainrule
