// All numbers of a training in one block: flat vectors of panels (parameters, moments) and the buffers of a batch.
// In: the plan. Out: each stage's views; the state read and written in Python's layout.
#pragma once
#include <vector>

#include "../arena.hpp"
#include "../trainer.hpp"
#include "features.hpp"
#include "losses.hpp"
#include "norms.hpp"
#include "tail.hpp"

namespace chainrule::CHAINRULE_ISA {

/// A stage's parameters, statistics and buffers. Y: output; S: factor of the backward pass; D: the same for α; Zhat:
/// normalized rows, or those that a scale has met.
template <class T>
struct StageState {
    FusedStage plan;
    Slot<T> W{}, b{}, gamma{}, beta{}, alpha{};
    Panels<T> weights{}, transposed{};
    T *Y = nullptr, *S = nullptr, *D = nullptr, *Zhat = nullptr, *row_deviation = nullptr;
    NormVectors<T> norm{};
    std::vector<FeatureSlots<T>> groups{};
    Stream mask{};  // of the current step
    int gradient_buffer = 0;

    Panels<T> output(std::int64_t n) const { return {Y, n, plan.outputs}; }
    Panels<T> factor(std::int64_t n) const { return {S, n, plan.outputs}; }
    Panels<T> normalized(std::int64_t n) const { return {Zhat, n, plan.outputs}; }
    Panels<T> difference(std::int64_t n) const { return {D, n, plan.outputs}; }
    const T* bias() const { return b.size > 0 ? b.w : nullptr; }
    bool batch_norm() const { return plan.norm == Norm::batch; }
    bool layer_norm() const { return plan.norm == Norm::layer; }
    bool scales() const { return plan.norm == Norm::scale; }

    /// Whether the way back through the stage sums over whole columns.
    bool sums_columns() const { return batch_norm() || scales() || plan.parametric(); }
};

template <class T>
class Network {
  public:
    std::vector<StageState<T>> stages;
    std::vector<Slot<T>> slots;  // all parameters, in order
    Panels<T> X;                 // the batch
    Targets<T> targets;
    T* gradients[2] = {nullptr, nullptr};  // of the loss with respect to a stage's rows; two, used in turn
    double* partials = nullptr;            // Σ g² block by block
    std::int64_t partial_count = 0;
    Measured* measured = nullptr;  // loss and score, chunk by chunk
    std::int64_t batch = 0;

    Network(const TrainerSpec& spec, std::int64_t loss_chunk) {
        const TrainingSettings& s = spec.settings;
        batch = std::min(s.batch_size, spec.rows.count);
        for (const FusedStage& stage : spec.stages) {
            stages.push_back(StageState<T>{.plan = stage});
            for (const FeatureGroup& group : stage.groups) stages.back().groups.emplace_back(group);
        }
        place(s, loss_chunk);
        arena_.commit();
        place(s, loss_chunk);
        if (s.loss == LossKind::quantile) place_levels(s.quantile_levels);
    }

    /// Move the running mean of the weights toward them, in one part of the flat vectors.
    void follow_weights(std::int64_t first, std::int64_t last, T share) {
        follow<T>(average_ + first, parameters_ + first, last - first, share);
    }

    /// Number of parameters, padding included.
    std::int64_t padded_size() const { return placed_; }

    /// Distance from a parameter to its running mean.
    std::ptrdiff_t to_average() const { return average_ - parameters_; }

    std::size_t bytes() const { return arena_.bytes(); }

    /// Call f with the offset in Python's vector and the array of each running mean and variance.
    template <class F>
    void each_statistic(F&& f) const {
        for (const StageState<T>& stage : stages)
            if (stage.batch_norm()) {
                f(stage.plan.mean, stage.norm.mean, stage.plan.outputs);
                f(stage.plan.variance, stage.norm.variance, stage.plan.outputs);
            }
    }

    /// Call f with each parameter's offset in Python's vector, its offset here, and its shape.
    template <class F>
    void each_parameter(F&& f) const {
        for (const StageState<T>& s : stages) {
            if (s.W.size > 0) f(s.plan.W, s.W.w - parameters_, s.plan.inputs, s.plan.outputs);
            if (s.b.size > 0) f(s.plan.b, s.b.w - parameters_, std::int64_t{1}, s.plan.outputs);
            if (s.gamma.size > 0) f(s.plan.gamma, s.gamma.w - parameters_, std::int64_t{1}, s.plan.outputs);
            if (s.beta.size > 0) f(s.plan.beta, s.beta.w - parameters_, std::int64_t{1}, s.plan.outputs);
            if (s.alpha.size > 0) f(s.plan.alpha, s.alpha.w - parameters_, std::int64_t{1}, s.plan.outputs);
        }
    }

    /// Call f with each run of an embedding's parameters: its offset in Python's vector, its offset here, its rows and
    /// columns, and the distance between its rows here.
    template <class F>
    void each_embedding_run(F&& f) const {
        if constexpr (for_page) return;
        for (const FeatureSlots<T>& group : stages.front().groups)
            group.each_run([&](std::int64_t theirs, T* ours, std::int64_t rows, std::int64_t columns, std::int64_t stride) {
                f(theirs, ours - parameters_, rows, columns, stride);
            });
    }

    void read(const StateVectors& to) const {
        each_parameter([&](std::int64_t theirs, std::int64_t ours, std::int64_t rows, std::int64_t columns) {
            const auto copy = [&](T* from, void* vector) {
                if (vector != nullptr) from_panels<T>({from + ours, rows, columns}, static_cast<T*>(vector) + theirs);
            };
            each_vector(to, copy);
        });
        each_embedding_run([&](std::int64_t theirs, std::int64_t ours, std::int64_t rows, std::int64_t k, std::int64_t stride) {
            const auto copy = [&](const T* from, void* vector) {
                for (std::int64_t i = 0; vector != nullptr && i < rows; ++i)
                    std::copy_n(from + ours + i * stride, k, static_cast<T*>(vector) + theirs + i * k);
            };
            each_vector(to, copy);
        });
        each_statistic([&](std::int64_t at, const T* from, std::int64_t size) {
            std::copy(from, from + size, static_cast<T*>(to.statistics) + at);
        });
    }

    void write(const StateVectors& from) {
        each_parameter([&](std::int64_t theirs, std::int64_t ours, std::int64_t rows, std::int64_t columns) {
            const auto copy = [&](T* to, const void* vector) {
                if (vector != nullptr) to_panels<T>(static_cast<const T*>(vector) + theirs, {to + ours, rows, columns});
            };
            each_vector(from, copy);
        });
        each_embedding_run([&](std::int64_t theirs, std::int64_t ours, std::int64_t rows, std::int64_t k, std::int64_t stride) {
            const auto copy = [&](T* to, const void* vector) {
                for (std::int64_t i = 0; vector != nullptr && i < rows; ++i)
                    std::copy_n(static_cast<const T*>(vector) + theirs + i * k, k, to + ours + i * stride);
            };
            each_vector(from, copy);
        });
        each_statistic([&](std::int64_t at, T* to, std::int64_t size) {
            const T* source = static_cast<const T*>(from.statistics) + at;
            std::copy(source, source + size, to);
        });
    }

  private:
    /// Call f with each vector here and its counterpart in a state.
    template <class F>
    void each_vector(const StateVectors& theirs, F&& f) const {
        f(parameters_, theirs.w);
        f(first_, theirs.first_moment);
        f(second_, theirs.second_moment);
        f(sum_, theirs.gradient_sum);
        f(average_, theirs.weight_average);
    }

    /// Runs twice: first to measure the block, then to place everything in it.
    void place(const TrainingSettings& s, std::int64_t loss_chunk) {
        const bool keeps_gradient = s.clip == ClipKind::by_norm;
        std::int64_t total = 0;
        for (const StageState<T>& stage : stages) {
            total += size_of(stage.plan);
            for (const FeatureSlots<T>& group : stage.groups) total += group.size();
        }
        parameters_ = arena_.place<T>(total);
        const MomentNames moments = moment_names(s.optimizer);
        first_ = moments.first ? arena_.place<T>(total) : nullptr;
        second_ = moments.second ? arena_.place<T>(total) : nullptr;
        gradient_ = keeps_gradient ? arena_.place<T>(total) : nullptr;
        sum_ = s.accumulate_grad_batches > 0 ? arena_.place<T>(total) : nullptr;
        average_ = s.ema_decay >= 0 ? arena_.place<T>(total) : nullptr;
        slots.clear();
        placed_ = partial_count = 0;
        std::int64_t widest = 0;
        for (StageState<T>& stage : stages) {
            place_parameters(stage);
            if constexpr (!for_page)
                for (FeatureSlots<T>& group : stage.groups) place_features(group, keeps_gradient);
            place_buffers(stage, &stage == &stages.front());
            widest = std::max(widest, Panels<T>::padded(stage.plan.outputs));
        }
        const std::int64_t outputs = stages.back().plan.outputs;
        X = {arena_.place<T>(batch * Panels<T>::padded(stages.front().plan.inputs)), batch, stages.front().plan.inputs};
        targets.Y = {
            s.loss == LossKind::softmax_cross_entropy ? nullptr : arena_.place<T>(batch * Panels<T>::padded(outputs)), batch, outputs
        };
        targets.classes = s.loss == LossKind::softmax_cross_entropy ? arena_.place<Class<T>>(batch) : nullptr;
        targets.c = arena_.place<T>(batch);
        for (T** vector : {&targets.levels, &targets.scored})
            *vector = s.loss == LossKind::quantile ? arena_.place<T>(Panels<T>::padded(outputs)) : nullptr;
        for (T*& gradient : gradients) gradient = arena_.place<T>(batch * widest);
        partials = arena_.place<double>(partial_count);
        measured = arena_.place<Measured>((batch + loss_chunk - 1) / loss_chunk);
        int buffer = 0;
        for (auto stage = stages.rbegin(); stage != stages.rend(); ++stage) {
            stage->gradient_buffer = buffer;
            if (stage->plan.dense || stage->layer_norm()) buffer = 1 - buffer;
        }
    }

    /// Set each column's level and its weight in the score, which is that of the level nearest to 0.5.
    void place_levels(const std::vector<double>& levels) {
        const std::size_t count = levels.size();
        std::size_t central = 0;
        for (std::size_t i = 1; i < count; ++i)
            if (std::abs(levels[i] - 0.5) < std::abs(levels[central] - 0.5)) central = i;
        for (std::int64_t j = 0; j < stages.back().plan.outputs; ++j) {
            const std::size_t place = static_cast<std::size_t>(j) % count;
            targets.levels[j] = static_cast<T>(levels[place]);
            targets.scored[j] = place == central ? static_cast<T>(count) : T(0);
        }
    }

    static std::int64_t size_of(const FusedStage& s) {
        const std::int64_t k = Panels<T>::padded(s.outputs);
        const std::int64_t vectors = s.has_bias() + (s.gamma >= 0) + (s.beta >= 0) + s.parametric();
        return (s.dense ? s.inputs * k : 0) + vectors * k;
    }

    void place_parameters(StageState<T>& s) {
        const std::int64_t k = Panels<T>::padded(s.plan.outputs), q = Panels<T>{nullptr, 1, s.plan.outputs}.count();
        const std::int64_t p = Panels<T>{nullptr, 1, s.plan.inputs}.count();
        if (s.plan.dense) s.W = slot(s.plan.inputs * k, s.plan.multiplier_W, true, p * q);
        if (s.plan.has_bias()) s.b = slot(k, s.plan.multiplier_b, false, q);
        if (s.plan.gamma >= 0) s.gamma = slot(k, s.plan.multiplier_gamma, false, q);
        if (s.plan.beta >= 0) s.beta = slot(k, s.plan.multiplier_beta, false, q);
        if (s.plan.parametric()) s.alpha = slot(k, s.plan.multiplier_alpha, false, q);
        s.weights = {s.W.w, s.plan.inputs, s.plan.outputs};
    }

    void place_features(FeatureSlots<T>& group, bool keeps_gradient) {
        for (int i = 0; i < group.slot_count(); ++i)
            group.slots[i] = slot(group.slot_size(i), group.plan.multipliers[i], false, group.tasks());
        group.scratch = keeps_gradient ? nullptr : arena_.place<T>(group.size());
        group.through = group.bins() > 0 ? arena_.place<T>(group.slot_size(2)) : nullptr;
    }

    Slot<T> slot(std::int64_t size, double multiplier, bool decays, std::int64_t blocks) {
        const auto at = [&](T* vector) { return vector == nullptr ? nullptr : vector + placed_; };
        slots.push_back(
            {at(parameters_), at(first_), at(second_), at(gradient_), size, T(multiplier), decays, partial_count,
             at(sum_)}
        );
        placed_ += size;
        partial_count += blocks;
        return slots.back();
    }

    void place_buffers(StageState<T>& s, bool first) {
        const std::int64_t k = Panels<T>::padded(s.plan.outputs), rows = batch * k;
        const bool transposes = s.plan.dense && !first && batch > 0;  // for the way back alone
        s.transposed = {
            transposes ? arena_.place<T>(s.plan.outputs * Panels<T>::padded(s.plan.inputs)) : nullptr, s.plan.outputs,
            s.plan.inputs
        };
        s.Y = arena_.place<T>(rows);
        s.S = s.plan.derivative_source == DerivativeSource::kept ? arena_.place<T>(rows) : nullptr;
        s.D = s.plan.parametric() ? arena_.place<T>(rows) : nullptr;
        const bool keeps = s.scales() ? s.plan.dense != 0 : s.plan.norm != Norm::none;  // without Dense the input is there
        s.Zhat = keeps ? arena_.place<T>(rows) : nullptr;
        s.row_deviation = s.layer_norm() ? arena_.place<T>(batch) : nullptr;
        s.norm.gamma = s.gamma.w;
        s.norm.beta = s.beta.w;
        for (T** vector : {&s.norm.mean, &s.norm.variance, &s.norm.deviation})
            *vector = s.batch_norm() ? arena_.place<T>(k) : nullptr;
    }

    Arena arena_;
    T *parameters_ = nullptr, *first_ = nullptr, *second_ = nullptr, *gradient_ = nullptr, *sum_ = nullptr,
      *average_ = nullptr;
    std::int64_t placed_ = 0;
};

}  // namespace chainrule::CHAINRULE_ISA
