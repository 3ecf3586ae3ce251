// The trainer: runs the phases of each step on all threads. This file is compiled once for each instruction set, and
// everything it defines lies in that set's own namespace.
// In: CHAINRULE_ISA and the target flags. Out: factories of trainers in float32 and float64.
#include <atomic>
#include <chrono>

#include "../order.hpp"
#include "../team.hpp"
#include "../trainer.hpp"
#include "inference.hpp"
#include "phase_runner.hpp"

namespace chainrule::CHAINRULE_ISA {

namespace {

using Clock = std::chrono::steady_clock;
constexpr double flops_per_thread = 5e6;  // work of a step that is worth one more thread

template <class T>
class NativeTrainer final : public Trainer {
  public:
    explicit NativeTrainer(const TrainerSpec& spec)
        : runner_(spec),
          phases_(spec.phases.begin(), spec.phases.end()),
          nanoseconds_(phases_.size()),
          order_(spec.settings.seed, spec.rows.count, spec.settings.batch_size < spec.rows.count, spec.rows.visited),
          rows_(spec.rows.count),
          threads_(spec.threads),
          inference_(runner_.network, spec.threads),
          parts_{runner_.network, runner_.settings, runner_.rows(), order_, step_} {}

    void read(const StateVectors& to) const override { runner_.network.read(to); }

    void write(const StateVectors& from, std::int64_t step) override {
        runner_.network.write(from);
        step_ = step;
    }

    std::int64_t step() const override { return step_; }
    void* lane_parts() override { return &parts_; }
    void profile() override { profiles_ = true; }
    std::span<const double> nanoseconds() const override { return nanoseconds_; }
    std::size_t bytes() const override { return runner_.network.bytes(); }

    int threads() const override {
        if (threads_ > 0) return threads_;
        double flops = 0;
        for (const StageState<T>& s : runner_.network.stages)
            if (s.plan.dense)
                flops += 6.0 * static_cast<double>(runner_.network.batch * s.plan.inputs * s.plan.outputs);
        return std::max(1, static_cast<int>(std::min<double>(allowed_threads(), flops / flops_per_thread)));
    }

    Sums run(std::int64_t epoch, std::int64_t first, std::span<const double> rates, StopPoll poll) override {
        if (rates.empty()) return {};
        epoch_order_ = order_.of(epoch);
        first_ = first;
        rates_ = rates;
        clock_ = StopClock(poll);
        sums_ = {};
        stopping_ = false;
        next_task_.store(0, std::memory_order_relaxed);
        in_team(
            threads(), [](void* self, int id, int members) { static_cast<NativeTrainer*>(self)->work(id, members); }, this
        );
        return sums_;
    }

    void logits(const void* X, std::int64_t n, void* Z) override {
        const bool averaged = runner_.settings.ema_decay >= 0 && step_ > 0;
        const std::int64_t d = runner_.network.X.columns;
        inference_.run({X, n, d, 1, sizeof(T) == 4}, {}, {.logits = Z}, averaged ? runner_.network.to_average() : 0);
    }

  private:
    void work(int id, int members) {
        if (id == 0) begin_step(members);
        barrier_.arrive(members, [] {});
        for (bool done = false; !done;) {
            for (std::size_t i = 0; i < phases_.size() && !done; ++i) {
                const Phase phase = phases_[i];
                const auto started = profiles_ && id == 0 ? Clock::now() : Clock::time_point{};
                if (phase.kind == PhaseKind::gather && id == 0) ask_to_stop();
                take_tasks(phase, members);
                barrier_.arrive(members, [&] { complete(phase, i, members); });
                done = finished_;
                if (profiles_ && id == 0)
                    nanoseconds_[i] += std::chrono::duration<double, std::nano>(Clock::now() - started).count();
            }
        }
    }

    void take_tasks(Phase phase, int members) {
        const std::int64_t count = phase.kind == PhaseKind::gather && gathered_ ? 0 : runner_.tasks(phase);
        if (members == 1) {
            for (std::int64_t task = 0; task < count; ++task) runner_.run(phase, task);
            return;
        }
        for (std::int64_t task; (task = next_task_.fetch_add(1, std::memory_order_relaxed)) < count;)
            runner_.run(phase, task);
    }

    /// Run once between two phases, while all members wait.
    void complete(Phase phase, std::size_t i, int members) {
        next_task_.store(0, std::memory_order_relaxed);
        if (phase.kind == PhaseKind::gather) {
            if (!gathered_) runner_.total_weight();
            gathered_ = !order_.shuffles();  // a single batch of all rows is gathered once
            finished_ = stopping_;
        }
        const bool last = i + 1 == phases_.size();
        if (last || phases_[i + 1].kind == PhaseKind::update) runner_.total_norm();
        if (!last) return;
        const Measured measured = runner_.total_measured();
        sums_.loss += measured.loss;
        sums_.score += measured.score;
        sums_.weight += runner_.weight;
        sums_.norm += runner_.norm;
        ++sums_.steps;
        ++step_;
        finished_ = sums_.steps == static_cast<std::int64_t>(rates_.size());
        if (!finished_) begin_step(members);
    }

    void begin_step(int members) {
        finished_ = false;
        const std::int64_t size = runner_.settings.batch_size, start = (first_ + sums_.steps) * size;
        const std::int64_t n = std::min(size, rows_ - start);
        runner_.begin(epoch_order_ + start, n, step_, rates_[static_cast<std::size_t>(sums_.steps)], members);
    }

    void ask_to_stop() {
        if (sums_.steps > 0 && clock_.stops()) stopping_ = true;
    }

    PhaseRunner<T> runner_;
    std::vector<Phase> phases_;
    std::vector<double> nanoseconds_;
    EpochOrder order_;
    std::int64_t rows_, step_ = 0, first_ = 0;
    int threads_;
    std::span<const double> rates_;
    const std::uint32_t* epoch_order_ = nullptr;
    StopClock clock_;
    Sums sums_;
    bool stopping_ = false, finished_ = false, gathered_ = false, profiles_ = false;
    Barrier barrier_;
    alignas(64) std::atomic<std::int64_t> next_task_{0};
    Inference<T> inference_;
    LaneParts<T> parts_;
};

}  // namespace

Trainer* make_float32(const TrainerSpec& spec) { return new NativeTrainer<float>(spec); }
Trainer* make_float64(const TrainerSpec& spec) { return new NativeTrainer<double>(spec); }

}  // namespace chainrule::CHAINRULE_ISA
