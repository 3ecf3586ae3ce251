// The phases of a step. Each is a set of independent tasks, and every sum lies within one task, so neither the number of
// threads nor the order in which they take tasks changes a bit.
// In: the network's views, the current batch. Out: for each phase of the plan, its number of tasks and the work of one.
#pragma once
#include "division.hpp"
#include "embeddings.hpp"
#include "lane_parts.hpp"
#include "losses.hpp"
#include "state.hpp"

namespace chainrule::CHAINRULE_ISA {

inline constexpr std::int64_t gather_chunk = 32;                // rows
inline constexpr std::int64_t rows_ahead = 6;                   // of the gather, for memory to deliver
inline constexpr std::int64_t norm_chunk = 16;                  // rows of layer norm
inline constexpr std::int64_t update_chunk = 8192;              // parameters

template <class T>
class PhaseRunner {
  public:
    explicit PhaseRunner(const TrainerSpec& spec)
        : network(spec, loss_chunk),
          settings(spec.settings),
          rule(spec.settings),
          source_(spec.rows),
          dropout_(Stream::from_seed(spec.settings.seed).fold(Purpose::dropout)) {}

    Network<T> network;
    TrainingSettings settings;
    Rule<T> rule;

    /// Start a batch: its rows, and the step's number and learning rate.
    void begin(const std::uint32_t* order, std::int64_t n, std::int64_t step, double rate, int members) {
        order_ = order;
        n_ = n;
        members_ = members;
        const std::int64_t batches = std::max<std::int64_t>(settings.accumulate_grad_batches, 1);
        rule.at(settings, rate, ceiling(step + 1, batches));
        due_ = (step + 1) % batches == 0;
        share_ = static_cast<T>((1 - settings.ema_decay) / Rule<T>::correction(settings.ema_decay, step + 1));
        const Stream stream = dropout_.fold(static_cast<std::uint32_t>(step));
        for (StageState<T>& stage : network.stages)
            stage.mask = stream.fold(static_cast<std::uint32_t>(stage.plan.dropout_layer));
    }

    std::int64_t tasks(Phase phase) const {
        const StageState<T>& s = network.stages[phase.stage];
        const std::int64_t q = panels(s.plan.outputs), p = panels(s.plan.inputs);
        switch (phase.kind) {
            case PhaseKind::gather: return ceiling(n_, gather_chunk);
            case PhaseKind::forward:
                if (s.layer_norm()) return ceiling(n_, norm_chunk);
                return s.plan.embeds() ? embedding_chunks() : division().tasks(s.sums_columns(), q);
            case PhaseKind::loss: return ceiling(n_, loss_chunk);
            case PhaseKind::derive: return q;
            case PhaseKind::backward: return tasks_below(phase.stage) + division().squares(p, q).count();
            case PhaseKind::pass_through: return p;
            case PhaseKind::norm_backward: return ceiling(n_, norm_chunk);
            case PhaseKind::norm_gradient: return q;
            case PhaseKind::update: return update_tasks();
            case PhaseKind::constrain: return q;
            case PhaseKind::average: return ceiling(network.padded_size(), update_chunk);
            case PhaseKind::embedding_gradient: {
                std::int64_t count = 0;
                for (const FeatureSlots<T>& group : s.groups) count += group.tasks();
                return count;
            }
        }
        return 0;
    }

    void run(Phase phase, std::int64_t task) {
        const std::int64_t l = phase.stage;
        switch (phase.kind) {
            case PhaseKind::gather: return gather(task);
            case PhaseKind::forward: return forward(l, task);
            case PhaseKind::loss: return loss(task);
            case PhaseKind::derive: return derive(l, task, 0, n_);
            case PhaseKind::backward: return backward(l, task);
            case PhaseKind::pass_through: return derive(l - 1, task, 0, n_);
            case PhaseKind::norm_backward: return norm_backward(l, task);
            case PhaseKind::norm_gradient: return norm_gradient(l, task);
            case PhaseKind::update: return apply_update(task);
            case PhaseKind::constrain:
                return bound_columns<T>(network.stages[l].weights, task, static_cast<T>(settings.max_weight_norm));
            case PhaseKind::average: return average(task);
            case PhaseKind::embedding_gradient: return embedding_gradient(l, task);
        }
    }

    /// After the gather: C = Σ c.
    void total_weight() {
        double total = 0;
        for (std::int64_t i = 0; i < n_; ++i) total += static_cast<double>(network.targets.c[i]);
        weight = total;
        network.targets.total = total > 0 ? static_cast<T>(total) : T(1);
    }

    /// After the last gradient: ‖g‖ before clipping.
    void total_norm() {
        double squares = 0;
        for (std::int64_t i = 0; i < network.partial_count; ++i) squares += network.partials[i];
        norm = std::sqrt(squares);
    }

    Measured total_measured() const {
        Measured total;
        for (std::int64_t i = 0; i < ceiling(n_, loss_chunk); ++i) {
            total.loss += network.measured[i].loss;
            total.score += network.measured[i].score;
        }
        return total;
    }

    const Rows& rows() const { return source_; }

    double weight = 0, norm = 0;

  private:
    static std::int64_t panels(std::int64_t columns) { return ceiling(columns, panel_width<T>); }

    Division<T> division() const { return {members_, n_}; }

    /// Number of tasks of the gradient that a stage hands down.
    std::int64_t tasks_below(std::int64_t l) const {
        if (l == 0) return 0;
        return division().tasks(network.stages[l - 1].sums_columns(), panels(network.stages[l].plan.inputs));
    }

    /// Number of parts that the rows of an embedding are split into.
    std::int64_t embedding_chunks() const {
        return members_ == 1 ? 1 : std::min<std::int64_t>(4 * members_, ceiling(n_, gather_chunk));
    }

    Panels<T> input(std::int64_t l) const {
        return l == 0 ? Panels<T>{network.X.data, n_, network.X.columns} : network.stages[l - 1].output(n_);
    }

    Panels<T> gradient(std::int64_t l) const {
        const StageState<T>& s = network.stages[l];
        return {network.gradients[s.gradient_buffer], n_, s.plan.outputs};
    }

    void gather(std::int64_t task) {
        const std::int64_t d = network.X.columns, k = network.targets.Y.columns;
        const T* const X = static_cast<const T*>(source_.X);
        const T* const c = static_cast<const T*>(source_.c);
        const Panels<T> to = input(0), Y{network.targets.Y.data, n_, k};
        for (std::int64_t i = task * gather_chunk; i < std::min(n_, (task + 1) * gather_chunk); ++i) {
            const std::int64_t row = order_[i];
            if (i + rows_ahead < n_) prefetch_row<T>(X + order_[i + rows_ahead] * d, d);
            gather_row<T>(X + row * d, to, i);
            network.targets.c[i] = c[row];
            if (Y.data == nullptr)
                network.targets.classes[i] = static_cast<Class<T>>(static_cast<const std::int32_t*>(source_.Y)[row]);
            else
                gather_row<T>(static_cast<const T*>(source_.Y) + row * k, Y, i);
        }
    }

    void forward(std::int64_t l, std::int64_t task) {
        StageState<T>& s = network.stages[l];
        const Panels<T> A = input(l), Y = s.output(n_);
        if (s.plan.embeds()) {
            const std::int64_t parts = embedding_chunks();
            return embed<T>(s.groups, A, Y, n_ * task / parts, n_ * (task + 1) / parts, 0);
        }
        const T epsilon = static_cast<T>(s.plan.epsilon);
        if (s.layer_norm()) {
            for (std::int64_t i = task * norm_chunk; i < std::min(n_, (task + 1) * norm_chunk); ++i) {
                for (std::int64_t q = 0; q < Y.count(); ++q)
                    std::copy(A.row(q, i), A.row(q, i) + A.width(q), Y.row(q, i));
                layer_norm_forward<T>(Y, s.normalized(n_), i, s.norm, epsilon, s.row_deviation);
                for (std::int64_t q = 0; q < Y.count(); ++q) activate(s, q, i, i + 1);
            }
            return;
        }
        const auto [part, first, last, range] = division().task(task, s.sums_columns(), Y.count());
        if (part == 0 && s.transposed.data != nullptr)
            for (std::int64_t q = range.from; q < range.to; ++q) transpose_panel<T>(s.weights, q, s.transposed);
        for (std::int64_t i = first; i < last; i += rows_per_block) {
            const std::int64_t stop = std::min(last, i + rows_per_block);
            if (s.plan.dense) multiply<T>(A, s.weights, s.bias(), Y, range, i, stop);
            for (std::int64_t q = range.from; q < range.to; ++q) {
                if (!s.plan.dense) std::copy(A.row(q, i), A.row(q, i) + (stop - i) * A.width(q), Y.row(q, i));
                if (s.scales()) scale_rows<T>(Y, s.normalized(n_), q, i, stop, s.norm.gamma);
                if (!s.batch_norm()) activate(s, q, i, stop);
            }
        }
        if (!s.batch_norm()) return;
        for (std::int64_t q = range.from; q < range.to; ++q) {
            batch_norm_forward<T>(Y, s.normalized(n_), q, s.norm, s.plan.momentum, epsilon);
            activate(s, q, first, last);
        }
    }

    /// Activation and dropout over rows [first, last) of panel q.
    void activate(const StageState<T>& s, std::int64_t q, std::int64_t first, std::int64_t last) const {
        const Panels<T> Y = s.output(n_), S = s.factor(n_);
        const Mask<T> mask{
            s.plan.has_dropout != 0, s.mask, static_cast<std::uint32_t>(s.plan.dropout_threshold), static_cast<T>(s.plan.keep_scale)
        };
        const T a = static_cast<T>(s.plan.activation_parameter);
        if (s.plan.parametric())
            parametric_tail<T>(Y, S, s.difference(n_), q, first, last, s.plan.activation, a, s.alpha.w, mask);
        else
            forward_tail<T>(Y, S, q, first, last, s.plan.activation, a, mask);
    }

    void loss(std::int64_t task) {
        const std::int64_t l = static_cast<std::int64_t>(network.stages.size()) - 1;
        Targets<T> targets = network.targets;
        targets.Y.rows = n_;
        const std::int64_t first = task * loss_chunk, last = std::min(n_, first + loss_chunk);
        network.measured[task] =
            apply_loss<T>(network.stages[l].output(n_), targets, gradient(l), first, last, settings);
    }

    /// Finish a gradient: penalty, Σ g² and, unless the length of the whole gradient is needed first, the update.
    void finish(const Slot<T>& slot, std::int64_t block, std::int64_t offset, T* g, std::int64_t size) {
        double& partial = network.partials[slot.partial + block];
        if (slot.gradient != nullptr)
            partial = pass_over<T, Pass::measure>(rule, slot, offset, g, size);
        else if (for_page || slot.sum == nullptr)
            partial = pass_over<T, Pass::whole>(rule, slot, offset, g, size);
        else
            partial = accumulate<Pass::whole>(slot, offset, g, size, T(1));
    }

    /// Add one batch to the sum of gradients; with the last one, update with their mean, which is not clipped again.
    template <Pass pass>
    double accumulate(const Slot<T>& slot, std::int64_t offset, T* g, std::int64_t size, T scale) {
        const T batches = due_ ? static_cast<T>(settings.accumulate_grad_batches) : T(0);
        const double total = sum_up<T, pass>(rule, slot, offset, g, size, scale, batches);
        if (!due_) return total;
        Rule<T> inner = rule;
        inner.limit = std::numeric_limits<T>::infinity();
        pass_over<T, Pass::update>(inner, slot, offset, g, size, T(1));
        return total;
    }

    void average(std::int64_t task) {
        const std::int64_t first = task * update_chunk;
        network.follow_weights(first, std::min(first + update_chunk, network.padded_size()), share_);
    }

    T* room(const Slot<T>& slot, std::int64_t offset, T* scratch) const {
        return slot.gradient == nullptr ? scratch : slot.gradient + offset;
    }

    /// From dL/dY of stage l to dL/dZ, where Z is the output of its product or layer norm: back through dropout,
    /// activation and batch norm.
    void derive(std::int64_t l, std::int64_t q, std::int64_t first, std::int64_t last) {
        StageState<T>& s = network.stages[l];
        const Panels<T> G = gradient(l);
        if (s.plan.parametric()) column_gradient(s.alpha, q, G, s.difference(n_));
        backward_tail<T>(G, s.output(n_), s.factor(n_), q, first, last, s.plan);
        if (s.scales()) return unscale(l, q);
        if (!s.batch_norm()) return;
        alignas(vector_bytes) T scratch[2][panel_width<T>];
        const std::int64_t at = q * panel_width<T>, width = G.width(q);
        T* const dbeta = room(s.beta, at, scratch[0]);
        T* const dgamma = room(s.gamma, at, scratch[1]);
        column_sums<T>(G.panel(q), s.normalized(n_).panel(q), n_, width, dbeta, dgamma);
        batch_norm_backward<T>(G, s.normalized(n_), q, s.norm, dbeta, dgamma);
        finish(s.beta, q, at, dbeta, width);
        finish(s.gamma, q, at, dgamma, width);
    }

    /// Back through Y = Z ⊙ s: ds, then dZ in place of dY.
    void unscale(std::int64_t l, std::int64_t q) {
        StageState<T>& s = network.stages[l];
        alignas(vector_bytes) T factors[panel_width<T>];  // s before its update
        std::copy_n(s.norm.gamma + q * panel_width<T>, gradient(l).width(q), factors);
        column_gradient(s.gamma, q, gradient(l), s.plan.dense ? s.normalized(n_) : input(l));
        scale_rows<T>(gradient(l), {}, q, 0, n_, factors - q * panel_width<T>);
    }

    /// Finish the gradient Σᵢ Gᵢ ⊙ Hᵢ of panel q of a vector of parameters.
    void column_gradient(const Slot<T>& slot, std::int64_t q, Panels<T> G, Panels<T> H) {
        alignas(vector_bytes) T scratch[2][panel_width<T>];
        const std::int64_t at = q * panel_width<T>, width = G.width(q);
        T* const g = room(slot, at, scratch[0]);
        column_sums<T>(G.panel(q), H.panel(q), n_, width, scratch[1], g);
        finish(slot, q, at, g, width);
    }

    void backward(std::int64_t l, std::int64_t task) {
        const StageState<T>& s = network.stages[l];
        const std::int64_t below = tasks_below(l), p_count = panels(s.plan.inputs), q_count = panels(s.plan.outputs);
        if (task < below) return hand_down(l, task, p_count);
        const Squares at = division().squares(p_count, q_count);
        const std::int64_t p = (task - below) % at.across * at.side, q = (task - below) / at.across * at.side;
        for (std::int64_t j = q; j < std::min(q_count, q + at.side); ++j)
            for (std::int64_t i = p; i < std::min(p_count, p + at.side); ++i) weight_gradient(l, j, i);
    }

    /// Some rows and panels of the gradient that stage l hands down, through the rest of the stage below.
    void hand_down(std::int64_t l, std::int64_t task, std::int64_t count) {
        const StageState<T>& below = network.stages[l - 1];
        const auto [part, first, last, range] = division().task(task, below.sums_columns(), count);
        for (std::int64_t i = first; i < last; i += rows_per_block) {
            const std::int64_t stop = std::min(last, i + rows_per_block);
            multiply<T>(gradient(l), network.stages[l].transposed, nullptr, gradient(l - 1), range, i, stop);
            if (below.sums_columns()) continue;
            for (std::int64_t p = range.from; p < range.to; ++p) derive(l - 1, p, i, stop);
        }
        if (!below.sums_columns()) return;
        for (std::int64_t p = range.from; p < range.to; ++p) derive(l - 1, p, first, last);
    }

    /// Block (p, q) of dW; with the first block of each panel also db.
    void weight_gradient(std::int64_t l, std::int64_t q, std::int64_t p) {
        StageState<T>& s = network.stages[l];
        const Panels<T> A = input(l), G = gradient(l);
        const std::int64_t width = G.width(q);
        alignas(vector_bytes) T scratch[panel_width<T> * panel_width<T>];
        if (p == 0 && s.b.size > 0) {
            const std::int64_t at = q * panel_width<T>;
            T* const db = room(s.b, at, scratch);
            column_sums<T>(G.panel(q), nullptr, n_, width, db, nullptr);
            finish(s.b, q, at, db, width);
        }
        const std::int64_t offset = s.weights.row(q, p * panel_width<T>) - s.weights.data;
        T* const dW = room(s.W, offset, scratch);
        if (s.W.gradient == nullptr) prefetch<T>(s.W, offset, A.used(p) * width);
        multiply_transposed<T>(A, p, G, q, dW);
        finish(s.W, q * A.count() + p, offset, dW, A.used(p) * width);
    }

    void norm_backward(std::int64_t l, std::int64_t task) {
        StageState<T>& s = network.stages[l];
        const Panels<T> dZ{network.gradients[1 - s.gradient_buffer], n_, s.plan.inputs};
        for (std::int64_t i = task * norm_chunk; i < std::min(n_, (task + 1) * norm_chunk); ++i)
            layer_norm_backward<T>(gradient(l), s.normalized(n_), i, s.norm, s.row_deviation[i], dZ);
    }

    void norm_gradient(std::int64_t l, std::int64_t q) {
        StageState<T>& s = network.stages[l];
        alignas(vector_bytes) T scratch[2][panel_width<T>];
        const Panels<T> G = gradient(l);
        const std::int64_t at = q * panel_width<T>, width = G.width(q);
        T* const dbeta = room(s.beta, at, scratch[0]);
        T* const dgamma = room(s.gamma, at, scratch[1]);
        column_sums<T>(G.panel(q), s.normalized(n_).panel(q), n_, width, dbeta, dgamma);
        finish(s.beta, q, at, dbeta, width);
        finish(s.gamma, q, at, dgamma, width);
        if (l > 0) derive(l - 1, q, 0, n_);
    }

    void embedding_gradient(std::int64_t l, std::int64_t task) {
        if constexpr (for_page) return;
        for (const FeatureSlots<T>& group : network.stages[l].groups) {
            if (task < group.tasks())
                return chainrule::CHAINRULE_ISA::embedding_gradient<T>(
                    group, task, input(l), gradient(l), [&](auto&&... part) { finish(part...); }
                );
            task -= group.tasks();
        }
    }

    std::int64_t update_tasks() const {
        std::int64_t count = 0;
        for (const Slot<T>& slot : network.slots) count += ceiling(slot.size, update_chunk);
        return count;
    }

    void apply_update(std::int64_t task) {
        const double limit = settings.clip_limit;
        const T scale = static_cast<T>(limit / (norm > limit || std::isnan(norm) ? norm : limit));
        for (const Slot<T>& slot : network.slots) {
            const std::int64_t count = ceiling(slot.size, update_chunk);
            if (task < count) {
                const std::int64_t offset = task * update_chunk, size = std::min(update_chunk, slot.size - offset);
                T* const g = slot.gradient + offset;
                if (for_page || slot.sum == nullptr)
                    pass_over<T, Pass::update>(rule, slot, offset, g, size, scale);
                else
                    accumulate<Pass::update>(slot, offset, g, size, scale);
                return;
            }
            task -= count;
        }
    }

    Rows source_;
    Stream dropout_;
    const std::uint32_t* order_ = nullptr;
    std::int64_t n_ = 0;
    std::int64_t members_ = 1;
    bool due_ = true;  // whether gradient accumulation updates in this step
    T share_ = 1;      // of the new weights in their running mean
};

}  // namespace chainrule::CHAINRULE_ISA
