// The update of the parameters; gradient, moments and weight pass through registers together, each only once.
// In: a block of gradient, its weights and moments, the step's rates. Out: new weights and moments; Σ g² of the block.
#pragma once
#include <cmath>
#include <limits>

#include "../plan.hpp"
#include "vector.hpp"

namespace chainrule::CHAINRULE_ISA {

/// The parts of an update rule that all parameters share in one step.
template <class T>
struct Rule {
    OptimizerKind kind;
    T beta1, beta2, rest1, rest2, epsilon, weight_decay, rate, l1,
        l2;                                         // rest: 1 - β, not rounded before it is subtracted
    T first_correction = 1, second_correction = 1;  // 1 / (1 - βᵗ)
    bool penalized;
    T limit;  // of a number of the gradient; infinite where none is clipped

    Rule() = default;
    explicit Rule(const TrainingSettings& s)
        : kind(s.optimizer),
          beta1(T(s.beta1)),
          beta2(T(s.beta2)),
          rest1(T(1 - s.beta1)),
          rest2(T(1 - s.beta2)),
          epsilon(T(s.epsilon)),
          weight_decay(T(s.weight_decay)),
          rate(0),
          l1(T(s.l1)),
          l2(T(s.l2)),
          penalized(s.l1 > 0 || s.l2 > 0),
          limit(s.clip == ClipKind::by_value ? T(s.clip_limit) : std::numeric_limits<T>::infinity()) {}

    void at(const TrainingSettings& s, double step_rate, std::int64_t t) {
        rate = T(step_rate);
        first_correction = T(1 / correction(s.beta1, t));
        second_correction = T(1 / correction(s.beta2, t));
    }

    static double correction(double beta, std::int64_t t) {
        return beta > 0 ? -std::expm1(static_cast<double>(t) * std::log(beta)) : 1.0;
    }
};

/// One run of parameters that share their multiplier: a matrix W, or a vector b, γ or β.
template <class T>
struct Slot {
    T *w = nullptr, *first = nullptr, *second = nullptr, *gradient = nullptr;
    std::int64_t size = 0;
    T multiplier = 1;
    bool decays = false;
    std::int64_t partial = 0;  // where its first block's Σ g² stands
    T* sum = nullptr;          // of gradients, if an update waits for several batches
};

/// Prefetch a block's weights and moments while its gradient is still being computed.
template <class T>
inline void prefetch(const Slot<T>& slot, std::int64_t offset, std::int64_t size) {
    for (std::int64_t i = offset; i < offset + size; i += 64 / static_cast<std::int64_t>(sizeof(T))) {
        __builtin_prefetch(slot.w + i, 1);
        if (slot.first != nullptr) __builtin_prefetch(slot.first + i, 1);
        if (slot.second != nullptr) __builtin_prefetch(slot.second + i, 1);
    }
}

/// g + dR/dw for one vector of parameters.
template <class T>
inline Vec<T> penalized(Vec<T> g, Vec<T> w, T l1, T l2) {
    const Vec<T> signed_l1 = w > T(0) ? all(l1) : w < T(0) ? all(-l1) : Vec<T>{};
    return g + multiply_add<T>(l2, w, signed_l1);
}

/// The numbers of g within ± limit.
template <class T>
inline Vec<T> clipped(Vec<T> g, T limit) {
    g = g > limit ? all(limit) : g;
    return g < -limit ? all(-limit) : g;
}

/// New w from w and g, and new moments, by the equations of nn/optimizers.py. `decay` is α λ, `step` α / (1 - β₁ᵗ); each is
/// one number or one for each lane.
template <class T, OptimizerKind kind, class Rate>
inline Vec<T> updated(Vec<T> w, Vec<T> g, T* first, T* second, const Rule<T>& rule, Rate lr, Rate decay, Rate step) {
    using enum OptimizerKind;
    const T beta1 = rule.beta1, beta2 = rule.beta2, rest1 = rule.rest1, rest2 = rule.rest2;
    if constexpr (kind == sgd) {
        return multiply_add<T>(-lr, g, w);
    } else if constexpr (kind == ema_momentum) {
        const Vec<T> V = multiply_add<T>(beta1, load(first), rest1 * g);
        store(first, V);
        return multiply_add<T>(-lr, V, w);
    } else if constexpr (kind == sgd_momentum || kind == nesterov) {
        const Vec<T> v = multiply_add<T>(beta1, load(first), g);
        store(first, v);
        return multiply_add<T>(-lr, kind == nesterov ? multiply_add<T>(beta1, v, g) : v, w);
    } else if constexpr (kind == rmsprop || kind == adagrad) {
        const Vec<T> v = kind == rmsprop ? multiply_add<T>(beta1, load(first), rest1 * (g * g))
                                         : multiply_add<T>(g, g, load(first));
        store(first, v);
        return w - over_root<T>(lr * g, v, rule.epsilon);
    } else {
        const Vec<T> m = multiply_add<T>(beta1, load(first), rest1 * g);
        const Vec<T> v = multiply_add<T>(beta2, load(second), rest2 * (g * g));
        store(first, m);
        store(second, v);
        if constexpr (kind == adamw) w = multiply_add<T>(-decay, w, w);
        return w - over_root<T>(step * m, rule.second_correction * v, rule.epsilon);
    }
}

/// What a pass over a block does: everything; only the penalty and Σ g²; or only the update, with g times `scale`.
enum class Pass { whole, measure, update };

template <class T, OptimizerKind kind, Pass pass>
inline double pass_over(
    const Rule<T>& shared, const Slot<T>& slot, std::int64_t offset, T* g, std::int64_t size, T scale
) {
    constexpr int n = lanes<T>, part = 64 * n;
    const Rule<T> rule = shared;  // a copy that no store below can touch
    T* const w = slot.w + offset;
    T* const first = slot.first + offset;
    T* const second = slot.second + offset;
    const T lr = rule.rate * slot.multiplier, decay = slot.decays ? lr * rule.weight_decay : T(0);
    const T step = lr * rule.first_correction;
    const bool adds = rule.penalized && slot.decays;
    double total = 0;
    for (std::int64_t start = 0; start < size; start += part) {
        const std::int64_t stop = start + part < size ? start + part : size;
        Vec<T> squares{};
        for (std::int64_t i = start; i < stop; i += n) {
            Vec<T> x = load(g + i), v = load(w + i);
            if constexpr (pass != Pass::update) {
                if (adds) x = penalized<T>(x, v, rule.l1, rule.l2);
                squares = multiply_add<T>(x, x, squares);
            }
            if constexpr (pass == Pass::measure) {
                store(g + i, x);
                continue;
            }
            if constexpr (pass == Pass::update) x *= scale;
            x = clipped<T>(x, rule.limit);
            store(w + i, updated<T, kind>(v, x, first + i, second + i, rule, lr, decay, step));
        }
        if constexpr (pass != Pass::update) total += wide_sum<T>(squares);
    }
    return total;
}

template <class T, Pass pass>
inline double pass_over(
    const Rule<T>& rule, const Slot<T>& slot, std::int64_t offset, T* g, std::int64_t size, T scale = 1
) {
    switch (rule.kind) {
        using enum OptimizerKind;
        case sgd: return pass_over<T, sgd, pass>(rule, slot, offset, g, size, scale);
        case ema_momentum: return pass_over<T, ema_momentum, pass>(rule, slot, offset, g, size, scale);
        case sgd_momentum: return pass_over<T, sgd_momentum, pass>(rule, slot, offset, g, size, scale);
        case nesterov: return pass_over<T, nesterov, pass>(rule, slot, offset, g, size, scale);
        case rmsprop: return pass_over<T, rmsprop, pass>(rule, slot, offset, g, size, scale);
        case adagrad: return pass_over<T, adagrad, pass>(rule, slot, offset, g, size, scale);
        case adam: return pass_over<T, adam, pass>(rule, slot, offset, g, size, scale);
        case adamw: return pass_over<T, adamw, pass>(rule, slot, offset, g, size, scale);
    }
    return 0;
}

/// S ← S + g of gradient accumulation; g with the penalty or, if it already contains it, times `scale`; clipped. Returns
/// Σ g². With the last of `batches` g becomes the mean and S zero; before that `batches` is 0.
template <class T, Pass pass>
inline double sum_up(
    const Rule<T>& rule, const Slot<T>& slot, std::int64_t offset, T* g, std::int64_t size, T scale, T batches
) {
    constexpr int n = lanes<T>, part = 64 * n;
    const bool adds = rule.penalized && slot.decays;
    double total = 0;
    for (std::int64_t start = 0; start < size; start += part) {
        const std::int64_t stop = start + part < size ? start + part : size;
        Vec<T> squares{};
        for (std::int64_t i = start; i < stop; i += n) {
            Vec<T> x = load(g + i);
            if constexpr (pass == Pass::update)
                x *= scale;
            else if (adds)
                x = penalized<T>(x, load(slot.w + offset + i), rule.l1, rule.l2);
            squares = multiply_add<T>(x, x, squares);
            x = clipped<T>(x, rule.limit);
            x += load(slot.sum + offset + i);
            store(slot.sum + offset + i, batches > T(0) ? Vec<T>{} : x);
            if (batches > T(0)) store(g + i, x / batches);
        }
        total += wide_sum<T>(squares);
    }
    return total;
}

/// a ← a + share (w - a).
template <class T>
inline void follow(T* a, const T* w, std::int64_t size, T share) {
    for (std::int64_t i = 0; i < size; i += lanes<T>) {
        const Vec<T> old = load(a + i);
        store(a + i, old + share * (load(w + i) - old));
    }
}

}  // namespace chainrule::CHAINRULE_ISA
