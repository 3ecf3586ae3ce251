// Trainings that share the lanes of each vector. This file is compiled once for each instruction set, as native_trainer.cpp is.
// In: trainers of one plan. Out: a group that runs their epochs step by step together.
#include <algorithm>
#include <cmath>
#include <vector>

#include "../trainer.hpp"
#include "lane_parts.hpp"
#include "lanes.hpp"

namespace chainrule::CHAINRULE_ISA {

namespace {

constexpr std::int64_t lane_rows = 16;  // that pass through all layers together, in the first cache; divides loss_chunk
constexpr int fewest_lanes = 8;  // with four, networks gain up to a fifth in small batches and lose as much in large ones
constexpr std::size_t most_bytes = std::size_t{1} << 16;  // of parameters and moments; larger networks gain nothing, measured

template <class T>
LaneParts<T>& parts_of(Trainer& trainer) {
    return *static_cast<LaneParts<T>*>(trainer.lane_parts());
}

/// A dense layer with its activation, in all trainings.
template <class T>
struct LaneStage {
    const FusedStage* plan = nullptr;
    LaneSlot<T> W{}, b{};
    T *Y = nullptr, *slope = nullptr;                    // of some rows of a batch
    T *dW = nullptr, *db = nullptr, *parts = nullptr;  // parts: four sums of each column
};

template <class T>
class Lanes final : public LaneGroup {
    static constexpr int n = lanes<T>;

  public:
    explicit Lanes(std::span<Trainer* const> trainers) : settings_(parts_of<T>(*trainers[0]).settings), rule_(settings_) {
        for (Trainer* trainer : trainers) members_.push_back(&parts_of<T>(*trainer));
        for (const StageState<T>& stage : members_[0]->network.stages) stages_.push_back({.plan = &stage.plan});
        place();
        arena_.commit();
        place();
        for (std::size_t m = 0; m < members_.size(); ++m) load(m);
        orders_.resize(members_.size());
    }

    void run(
        std::span<const std::int64_t> epochs, std::span<const double* const> rates, std::int64_t steps, StopPoll poll,
        std::span<Sums> sums
    ) override {
        for (std::size_t m = 0; m < members_.size(); ++m) {
            orders_[m] = members_[m]->order.of(epochs[m]);
            sums[m] = {};
        }
        StopClock clock(poll);
        for (std::int64_t i = 0; i < steps && !(i > 0 && clock.stops()); ++i) {
            const std::int64_t start = i * settings_.batch_size, rows = members_[0]->rows.count;
            n_ = std::min(settings_.batch_size, rows - start);
            Vec<T> rate{};
            for (std::size_t m = 0; m < members_.size(); ++m) rate[m] = static_cast<T>(rates[m][i]);
            one_step(start, rate, sums);
            ++step_;
        }
    }

    void store(std::size_t m) override {
        const LaneParts<T>& member = *members_[m];
        const Slot<T>& base = member.network.slots[0];
        for (std::size_t e = 0; e < places_.size(); ++e) {
            const std::size_t at = e * n + m;
            base.w[places_[e]] = parameters_[at];
            if (first_ != nullptr) base.first[places_[e]] = first_[at];
            if (second_ != nullptr) base.second[places_[e]] = second_[at];
        }
        member.step = step_;
    }

  private:
    void place() {
        const Network<T>& network = members_[0]->network;
        const std::int64_t rows = std::min(network.batch, lane_rows);
        std::int64_t size = 0, widest = 0;
        for (const LaneStage<T>& stage : stages_)
            size += stage.plan->inputs * stage.plan->outputs + (stage.plan->has_bias() ? stage.plan->outputs : 0);
        parameters_ = arena_.template place<T>(size * n);
        const MomentNames moments = moment_names(settings_.optimizer);
        first_ = moments.first ? arena_.template place<T>(size * n) : nullptr;
        second_ = moments.second ? arena_.template place<T>(size * n) : nullptr;
        places_.clear();
        for (std::size_t l = 0; l < stages_.size(); ++l) {
            LaneStage<T>& stage = stages_[l];
            const StageState<T>& theirs = network.stages[l];
            const std::int64_t d = stage.plan->inputs, k = stage.plan->outputs;
            stage.W = slot(theirs.W, {theirs.W.w, d, k}, network.slots[0].w);
            if (stage.plan->has_bias()) stage.b = slot(theirs.b, {theirs.b.w, 1, k}, network.slots[0].w);
            stage.Y = arena_.template place<T>(rows * k * n);
            const bool keeps = stage.plan->derivative_source == DerivativeSource::kept, biased = stage.plan->has_bias();
            stage.slope = keeps ? arena_.template place<T>(rows * k * n) : nullptr;
            stage.dW = arena_.template place<T>(d * k * n);
            stage.db = biased ? arena_.template place<T>(k * n) : nullptr;
            stage.parts = biased ? arena_.template place<T>(4 * k * n) : nullptr;
            widest = std::max(widest, k);
        }
        const std::int64_t outputs = stages_.back().plan->outputs;
        const bool classes = settings_.loss == LossKind::softmax_cross_entropy;
        X_ = arena_.template place<T>(rows * stages_[0].plan->inputs * n);
        targets_.classes = classes ? arena_.template place<Class<T>>(rows * n) : nullptr;
        targets_.Y = classes ? nullptr : arena_.template place<T>(rows * outputs * n);
        targets_.c = arena_.template place<T>(rows * n);
        for (T*& gradient : gradients_) gradient = arena_.template place<T>(rows * widest * n);
        for (T** parts : {&losses_, &scores_}) *parts = arena_.template place<T>(LaneMeasured<T>::parts(outputs) * n);
        partials_.resize(static_cast<std::size_t>(network.partial_count));
    }

    /// Lay out a matrix of parameters behind those before it, and note where its numbers stand in a member's vectors.
    LaneSlot<T> slot(const Slot<T>& theirs, Panels<T> matrix, const T* base) {
        const auto at = static_cast<std::int64_t>(places_.size()) * n;
        const auto from = [&](T* vector) { return vector == nullptr ? nullptr : vector + at; };
        for (std::int64_t i = 0; i < matrix.rows; ++i)
            for (std::int64_t j = 0; j < matrix.columns; ++j)
                places_.push_back(matrix.row(j / Panels<T>::wide, i) + j % Panels<T>::wide - base);
        return {from(parameters_), from(first_), from(second_), matrix.rows, matrix.columns, theirs.multiplier,
                theirs.decays, theirs.partial};
    }

    void load(std::size_t m) {
        const Slot<T>& base = members_[m]->network.slots[0];
        for (std::size_t e = 0; e < places_.size(); ++e) {
            const std::size_t at = e * n + m;
            parameters_[at] = base.w[places_[e]];
            if (first_ != nullptr) first_[at] = base.first[places_[e]];
            if (second_ != nullptr) second_[at] = base.second[places_[e]];
        }
        step_ = members_[m]->step;
    }

    /// A step: part by part of the batch, so that its rows stay in a near cache; then the update.
    void one_step(std::int64_t start, Vec<T> rate, std::span<Sums> sums) {
        const WideLanes<T> weight = begin_batch(start);
        LaneMeasured<T> measured{.losses = losses_, .scores = scores_};
        for (std::int64_t first = 0; first < n_; first += lane_rows) {
            const std::int64_t rows = std::min(n_ - first, lane_rows);
            gather(start + first, rows);
            const T* A = X_;
            for (const LaneStage<T>& stage : stages_) A = forward(stage, A, rows);
            const bool ends = first + rows == n_ || (first + rows) % loss_chunk == 0;
            lane_loss<T>(A, targets_, gradients_[0], rows, stages_.back().plan->outputs, settings_, ends, measured);
            for (std::size_t l = stages_.size(); l-- > 0;) backward(l, first, rows);
        }
        rule_.at(settings_, 0, step_ + 1);
        for (const LaneStage<T>& stage : stages_) {
            if (stage.b.w != nullptr) lane_update<T>(rule_, rate, stage.b, stage.db, partials_.data());
            lane_update<T>(rule_, rate, stage.W, stage.dW, partials_.data());
        }
        WideLanes<T> squares;
        for (const WideLanes<T>& partial : partials_)
            for (int m = 0; m < n; ++m) squares.at[m] += partial.at[m];
        for (std::size_t m = 0; m < members_.size(); ++m) {
            sums[m].loss += measured.loss.at[m];
            sums[m].score += measured.score.at[m];
            sums[m].weight += weight.at[m];
            sums[m].norm += std::sqrt(squares.at[m]);
            ++sums[m].steps;
        }
    }

    /// Add up the weights of each member's batch, and set the sums of the gradients to zero; returns Σ c.
    WideLanes<T> begin_batch(std::int64_t start) {
        WideLanes<T> weight;
        for (std::size_t m = 0; m < members_.size(); ++m) {
            const T* const c = static_cast<const T*>(members_[m]->rows.c);
            for (std::int64_t i = 0; i < n_; ++i) weight.at[m] += static_cast<double>(c[orders_[m][start + i]]);
        }
        for (int m = 0; m < n; ++m) targets_.total[m] = weight.at[m] > 0 ? static_cast<T>(weight.at[m]) : T(1);
        for (const LaneStage<T>& stage : stages_)
            if (stage.db != nullptr) std::fill_n(stage.db, stage.plan->outputs * n, T(0));
        return weight;
    }

    /// Copy rows of each member's batch into its lane; lanes without a member repeat the first.
    void gather(std::int64_t start, std::int64_t rows) {
        const std::int64_t d = stages_[0].plan->inputs, k = stages_.back().plan->outputs;
        const bool classes = targets_.classes != nullptr;
        const T *X[n], *Y[n];
        for (std::int64_t i = 0; i < rows; ++i) {
            for (std::size_t m = 0; m < n; ++m) {
                const std::size_t member = m < members_.size() ? m : 0;
                const Rows& source = members_[member]->rows;
                const std::int64_t row = orders_[member][start + i], at = i * n + static_cast<std::int64_t>(m);
                X[m] = static_cast<const T*>(source.X) + row * d;
                targets_.c[at] = static_cast<const T*>(source.c)[row];
                if (classes)
                    targets_.classes[at] = static_cast<Class<T>>(static_cast<const std::int32_t*>(source.Y)[row]);
                else
                    Y[m] = static_cast<const T*>(source.Y) + row * k;
            }
            lane_gather<T>(X, d, X_ + i * d * n);
            if (!classes) lane_gather<T>(Y, k, targets_.Y + i * k * n);
        }
    }

    const T* forward(const LaneStage<T>& stage, const T* A, std::int64_t rows) {
        const std::int64_t d = stage.plan->inputs, k = stage.plan->outputs;
        lane_product<T>({A, d, 1}, {stage.W.w, 1, k}, d, {stage.b.w, 0}, stage.Y, rows, k);
        lane_activation<T>(stage.Y, stage.slope, rows * k, stage.plan->activation, static_cast<T>(stage.plan->activation_parameter));
        return stage.Y;
    }

    /// Add some rows, from `first` of the batch, to the gradients of a stage, and hand theirs down through its weights.
    void backward(std::size_t l, std::int64_t first, std::int64_t rows) {
        const LaneStage<T>& stage = stages_[l];
        const std::int64_t d = stage.plan->inputs, k = stage.plan->outputs;
        const T* const G = gradients_[0];
        const T* const A = l > 0 ? stages_[l - 1].Y : X_;
        const bool ends = first + rows == n_ || (first + rows) % rows_per_sum == 0;
        if (stage.db != nullptr) lane_column_sums<T>(G, rows, k, stage.parts, ends, stage.db);
        lane_product<T>({A, 1, d}, {G, 1, k}, rows, {first > 0 ? stage.dW : nullptr, k}, stage.dW, d, k);
        if (l == 0) return;
        const LaneStage<T>& below = stages_[l - 1];
        lane_product<T>({G, k, 1}, {stage.W.w, k, 1}, k, {}, gradients_[1], rows, d);
        lane_derivative<T>(gradients_[1], below.Y, below.slope, rows * d, *below.plan);
        std::swap(gradients_[0], gradients_[1]);
    }

    std::vector<LaneParts<T>*> members_;
    TrainingSettings settings_;
    Rule<T> rule_;
    std::vector<LaneStage<T>> stages_;
    std::vector<std::int64_t> places_;  // of each number in the vectors of a member
    std::vector<const std::uint32_t*> orders_;
    std::vector<WideLanes<T>> partials_;
    Arena arena_;
    T *parameters_ = nullptr, *first_ = nullptr, *second_ = nullptr;
    T *X_ = nullptr, *gradients_[2] = {}, *losses_ = nullptr, *scores_ = nullptr;
    LaneTargets<T> targets_;
    std::int64_t n_ = 0, step_ = 0;
};

/// Whether groups compute all that a training's plan asks for, and gain by it.
template <class T>
bool suits_lanes(Trainer& trainer) {
    if (lanes<T> < fewest_lanes) return false;
    const LaneParts<T>& parts = parts_of<T>(trainer);
    const TrainingSettings& s = parts.settings;
    if (s.clip == ClipKind::by_norm || s.accumulate_grad_batches > 0 || s.ema_decay >= 0 || s.max_weight_norm > 0) return false;
    for (const StageState<T>& stage : parts.network.stages) {
        const FusedStage& plan = stage.plan;
        if (!plan.dense || plan.norm != Norm::none || plan.has_dropout || plan.parametric() || plan.embeds()) return false;
    }
    const FusedStage& last = parts.network.stages.back().plan;
    if (last.activation != ActivationKind::identity || !has_lane_loss<T>(s, last.outputs)) return false;
    return 3 * static_cast<std::size_t>(parts.network.padded_size() * lanes<T>) * sizeof(T) <= most_bytes;
}

template <class T>
bool same_plan(Trainer& one, Trainer& other) {
    const LaneParts<T>&a = parts_of<T>(one), &b = parts_of<T>(other);
    if (a.step != b.step || a.rows.count != b.rows.count || !same_but_seed(a.settings, b.settings)) return false;
    const auto same = [](const StageState<T>& x, const StageState<T>& y) { return x.plan == y.plan; };
    return std::ranges::equal(a.network.stages, b.network.stages, same);
}

template <class T>
constexpr LaneFactory factory{
    lanes<T>, suits_lanes<T>, same_plan<T>, [](std::span<Trainer* const> trainers) -> LaneGroup* { return new Lanes<T>(trainers); }
};

}  // namespace

const LaneFactory& lanes_float32() { return factory<float>; }
const LaneFactory& lanes_float64() { return factory<double>; }

}  // namespace chainrule::CHAINRULE_ISA
