// The trainer: runs the phases of each step on all threads. This file is compiled once for each instruction set, and
// everything it defines lies in that set's own namespace.
// In: CHAINRULE_ISA and the target flags. Out: factories of trainers in float32 and float64.
#include <atomic>
#include <chrono>
#include <memory>

#include "../order.hpp"
#include "../team.hpp"
#include "../trainer.hpp"
#include "phase_runner.hpp"

namespace chainrule::CHAINRULE_ISA {

namespace {

using Clock = std::chrono::steady_clock;
constexpr auto poll_interval = std::chrono::milliseconds(20);
constexpr double flops_per_thread = 5e6;        // work of a step that is worth one more thread
constexpr double infer_flops_per_thread = 1e8;  // the same for a prediction, which starts its threads each time
constexpr std::int64_t infer_chunk = 192;

template <class T>
class NativeTrainer final : public Trainer {
  public:
    explicit NativeTrainer(const TrainerSpec& spec)
        : runner_(spec),
          phases_(spec.phases.begin(), spec.phases.end()),
          nanoseconds_(phases_.size()),
          order_(spec.settings.seed, spec.rows.count, spec.settings.batch_size < spec.rows.count, spec.rows.visited),
          rows_(spec.rows.count),
          threads_(spec.threads) {}

    void read(const StateVectors& to) const override { runner_.network.read(to); }

    void write(const StateVectors& from, std::int64_t step) override {
        runner_.network.write(from);
        step_ = step;
    }

    std::int64_t step() const override { return step_; }
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
        poll_ = poll;
        sums_ = {};
        stopping_ = false;
        next_task_.store(0, std::memory_order_relaxed);
        last_poll_ = Clock::now();
        in_team(
            threads(), [](void* self, int id, int members) { static_cast<NativeTrainer*>(self)->work(id, members); }, this
        );
        return sums_;
    }

    void logits(const void* X, std::int64_t n, void* Z) override {
        infer_ = {static_cast<const T*>(X), static_cast<T*>(Z), n};
        double flops = 0;
        std::int64_t widest = Panels<T>::padded(runner_.network.X.columns);
        for (const StageState<T>& s : runner_.network.stages) {
            flops += 2.0 * static_cast<double>(n * s.plan.inputs * s.plan.outputs);
            widest = std::max(widest, Panels<T>::padded(s.plan.outputs));
        }
        const std::int64_t rows = std::min(n, infer_chunk);
        const int wanted = static_cast<int>(
            std::min<double>(flops / infer_flops_per_thread, static_cast<double>(ceiling(n, infer_chunk)))
        );
        const int members = threads_ > 0 ? threads_ : std::max(1, std::min(allowed_threads(), wanted));
        reserve(rows, widest, members);
        next_task_.store(0, std::memory_order_relaxed);
        in_team(members, [](void* self, int id, int) { static_cast<NativeTrainer*>(self)->infer(id); }, this);
    }

  private:
    struct Inference {
        const T* X;
        T* Z;
        std::int64_t n;
    };

    // ---- training

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

    /// Ask after the first step and then every few milliseconds.
    void ask_to_stop() {
        if (poll_.stop == nullptr || sums_.steps == 0) return;
        const auto now = Clock::now();
        if (sums_.steps > 1 && now - last_poll_ < poll_interval) return;
        last_poll_ = now;
        if (poll_.stop(poll_.context)) stopping_ = true;
    }

    // ---- inference

    void reserve(std::int64_t rows, std::int64_t width, int members) {
        if (rows * width * members <= infer_room_) return;
        infer_room_ = rows * width * members;
        infer_arena_ = std::make_unique<Arena>();
        for (int pass = 0; pass < 2; ++pass) {
            for (T*& buffer : infer_buffers_) buffer = infer_arena_->template place<T>(infer_room_);
            if (pass == 0) infer_arena_->commit();
        }
    }

    void infer(int id) {
        const std::int64_t rows = std::min(infer_.n, infer_chunk), room = rows * infer_width();
        for (std::int64_t task;
             (task = next_task_.fetch_add(1, std::memory_order_relaxed)) < ceiling(infer_.n, infer_chunk);) {
            const std::int64_t first = task * infer_chunk, n = std::min(infer_chunk, infer_.n - first);
            const std::int64_t d = runner_.network.X.columns;
            T *from = infer_buffers_[0] + id * room, *to = infer_buffers_[1] + id * room;
            const Panels<T> X{from, n, d};
            const bool averaged = runner_.settings.ema_decay >= 0 && step_ > 0;
            const std::ptrdiff_t shift = averaged ? runner_.network.to_average() : 0;
            for (std::int64_t i = 0; i < n; ++i) gather_row<T>(infer_.X + (first + i) * d, X, i);
            for (const StageState<T>& s : runner_.network.stages) {
                infer_stage(s, shift, {from, n, s.plan.inputs}, {to, n, s.plan.outputs});
                std::swap(from, to);
            }
            const std::int64_t k = runner_.network.stages.back().plan.outputs;
            from_panels<T>({from, n, k}, infer_.Z + first * k);
        }
    }

    std::int64_t infer_width() const {
        std::int64_t widest = Panels<T>::padded(runner_.network.X.columns);
        for (const StageState<T>& s : runner_.network.stages)
            widest = std::max(widest, Panels<T>::padded(s.plan.outputs));
        return widest;
    }

    /// `shift` is the distance from a parameter to the number used for it in inference.
    static void infer_stage(const StageState<T>& s, std::ptrdiff_t shift, Panels<T> A, Panels<T> Y) {
        if (s.plan.embeds()) return embed<T>(s.groups, A, Y, 0, A.rows, shift);
        const T epsilon = static_cast<T>(s.plan.epsilon);
        Panels<T> weights = s.weights;
        NormVectors<T> norm = s.norm;
        if (s.plan.dense) weights.data += shift;
        for (T** vector : {&norm.gamma, &norm.beta})
            if (*vector != nullptr) *vector += shift;
        for (std::int64_t q = 0; q < Y.count(); ++q) {
            const T* const bias = s.bias() ? s.bias() + shift + q * panel_width<T> : nullptr;
            if (s.plan.dense)
                multiply<T>(A, weights, bias, Y, q, 0, A.rows);
            else
                std::copy(A.panel(q), A.panel(q) + A.rows * A.width(q), Y.panel(q));
            if (s.scales()) scale_rows<T>(Y, {}, q, 0, A.rows, norm.gamma);
            if (s.batch_norm()) batch_norm_infer<T>(Y, q, 0, A.rows, norm, epsilon);
        }
        if (s.layer_norm())
            for (std::int64_t i = 0; i < A.rows; ++i) layer_norm_forward<T>(Y, {}, i, norm, epsilon, nullptr);
        const T a = static_cast<T>(s.plan.activation_parameter);
        for (std::int64_t q = 0; q < Y.count(); ++q)
            if (s.plan.parametric())
                parametric_tail<T>(Y, {}, {}, q, 0, A.rows, s.plan.activation, a, s.alpha.w + shift, {});
            else
                forward_tail<T>(Y, {}, q, 0, A.rows, s.plan.activation, a, {});
    }

    PhaseRunner<T> runner_;
    std::vector<Phase> phases_;
    std::vector<double> nanoseconds_;
    EpochOrder order_;
    std::int64_t rows_, step_ = 0, first_ = 0;
    int threads_;
    std::span<const double> rates_;
    const std::uint32_t* epoch_order_ = nullptr;
    StopPoll poll_{};
    Sums sums_;
    Clock::time_point last_poll_;
    bool stopping_ = false, finished_ = false, gathered_ = false, profiles_ = false;
    Barrier barrier_;
    alignas(64) std::atomic<std::int64_t> next_task_{0};
    Inference infer_{};
    std::unique_ptr<Arena> infer_arena_;
    T* infer_buffers_[2] = {nullptr, nullptr};
    std::int64_t infer_room_ = 0;
};

}  // namespace

Trainer* make_float32(const TrainerSpec& spec) { return new NativeTrainer<float>(spec); }
Trainer* make_float64(const TrainerSpec& spec) { return new NativeTrainer<double>(spec); }

}  // namespace chainrule::CHAINRULE_ISA
