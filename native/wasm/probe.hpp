// The inside of a network on chosen rows: what each stage answers, the gradients on the way back, and the loss.
// In: a plan, rows, a state. Out: copies of what one step computes, without its update.
#pragma once
#include <algorithm>
#include <cstdint>
#include <vector>

#include "../border.hpp"
#include "../kernels/phase_runner.hpp"

namespace chainrule::wasm {

/// What a pass measured: Σ c L, Σ c score, Σ c.
struct Pass {
    double loss = 0, score = 0, weight = 0;
};

class Probe {
  public:
    virtual ~Probe() = default;
    virtual void write(const StateVectors& from) = 0;
    virtual Pass run(const std::uint32_t* rows, std::int64_t n, std::int64_t step, bool backward) = 0;
    virtual void output(std::int64_t stage, void* to) const = 0;
    virtual void slopes(std::int64_t stage, void* to) const = 0;
    virtual void arrived(std::int64_t stage, void* to) const = 0;
    virtual void gradient(void* to) const = 0;
};

/// Runs the phases of a step but for the update, which its plan leaves to a phase of its own: it clips by norm.
template <class T>
class ProbeOf final : public Probe {
    using Runner = CHAINRULE_ISA::PhaseRunner<T>;
    using Stage = CHAINRULE_ISA::StageState<T>;
    using Matrix = CHAINRULE_ISA::Panels<T>;

  public:
    explicit ProbeOf(const TrainerSpec& spec)
        : runner_(spec), phases_(spec.phases.begin(), spec.phases.end()), arrived_(spec.stages.size()) {}

    void write(const StateVectors& from) override { runner_.network.write(from); }

    /// Gather the rows, at most a batch, and pass them forward; then backward too.
    Pass run(const std::uint32_t* rows, std::int64_t n, std::int64_t step, bool backward) override {
        n_ = n;
        runner_.begin(rows, n, step, 0, 1);
        bool behind = false;
        for (const Phase phase : phases_) {
            if (phase.kind == PhaseKind::update || (behind && !backward)) break;
            if (behind) keep(phase.stage);
            for (std::int64_t task = 0; task < runner_.tasks(phase); ++task) runner_.run(phase, task);
            if (phase.kind == PhaseKind::gather) runner_.total_weight();
            behind = behind || phase.kind == PhaseKind::loss;
        }
        const auto measured = runner_.total_measured();
        return {measured.loss, measured.score, runner_.weight};
    }

    /// The rows (n, outputs) that a stage answered with.
    void output(std::int64_t stage, void* to) const override {
        CHAINRULE_ISA::from_panels<T>(at(stage).output(n_), static_cast<T*>(to));
    }

    /// The slope g' at each of these, for the two activations that are flat at both ends.
    void slopes(std::int64_t stage, void* to) const override {
        const Stage& s = at(stage);
        using enum ActivationKind;
        if (s.plan.activation == sigmoid) return slopes_of<CHAINRULE_ISA::Function<T, sigmoid>>(s.output(n_), static_cast<T*>(to));
        require(s.plan.activation == tanh, "activation", "sigmoid or tanh", static_cast<int>(s.plan.activation));
        slopes_of<CHAINRULE_ISA::Function<T, tanh>>(s.output(n_), static_cast<T*>(to));
    }

    /// dL/dZ (n, outputs) in front of a stage's activation, from the last pass backward.
    void arrived(std::int64_t stage, void* to) const override {
        const std::vector<T>& kept = arrived_[static_cast<std::size_t>(stage)];
        std::copy(kept.begin(), kept.end(), static_cast<T*>(to));
    }

    /// dL/dw in Python's layout.
    void gradient(void* to) const override {
        T* const flat = static_cast<T*>(to);
        for (const Stage& s : runner_.network.stages) {
            if (s.W.size > 0)
                CHAINRULE_ISA::from_panels<T>({s.W.gradient, s.plan.inputs, s.plan.outputs}, flat + s.plan.W);
            copy_vector(s.b, s.plan.b, s.plan.outputs, flat);
            copy_vector(s.gamma, s.plan.gamma, s.plan.outputs, flat);
            copy_vector(s.beta, s.plan.beta, s.plan.outputs, flat);
        }
    }

  private:
    const Stage& at(std::int64_t stage) const { return runner_.network.stages[static_cast<std::size_t>(stage)]; }

    /// Keep what has come back to a stage before its gradients are computed, since two buffers take turns.
    void keep(std::int64_t stage) {
        const Stage& s = at(stage);
        std::vector<T>& to = arrived_[static_cast<std::size_t>(stage)];
        to.resize(static_cast<std::size_t>(n_ * s.plan.outputs));
        CHAINRULE_ISA::from_panels<T>({runner_.network.gradients[s.gradient_buffer], n_, s.plan.outputs}, to.data());
    }

    template <class F>
    void slopes_of(Matrix Y, T* to) const {
        std::vector<T> slopes(static_cast<std::size_t>(Y.size()));
        for (std::int64_t i = 0; i < Y.size(); i += CHAINRULE_ISA::lanes<T>) {
            const auto slope = F::derivative(CHAINRULE_ISA::load(Y.data + i), T(0));
            std::copy_n(reinterpret_cast<const T*>(&slope), CHAINRULE_ISA::lanes<T>, slopes.data() + i);
        }
        CHAINRULE_ISA::from_panels<T>({slopes.data(), n_, Y.columns}, to);
    }

    static void copy_vector(const CHAINRULE_ISA::Slot<T>& slot, std::int64_t offset, std::int64_t size, T* flat) {
        if (slot.size > 0) CHAINRULE_ISA::from_panels<T>({slot.gradient, 1, size}, flat + offset);
    }

    Runner runner_;
    std::vector<Phase> phases_;
    std::vector<std::vector<T>> arrived_;
    std::int64_t n_ = 0;
};

}  // namespace chainrule::wasm
