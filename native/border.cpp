// Checks of a plan, field by field.
// In: stages, phases and settings as Python filled them. Out: the plan's sizes.
#include "border.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>
#include <vector>

namespace chainrule {

namespace {

/// A struct of the plan by its name, such as "stages[2]"; the text is made only where something is wrong.
struct Place {
    const char* list;
    std::size_t i;

    template <class Got>
    void require(bool right, const char* field, const char* allowed, const Got& got) const {
        if (right) return;
        chainrule::require(false, std::string(list) + "[" + in_words(i) + "]." + field, allowed, got);
    }
};

bool between(double x, double low, double high) { return x >= low && x < high; }  // false for NaN

bool flag(std::int64_t x) { return x == 0 || x == 1; }

/// Parts of one of Python's vectors; together they must fill it without a gap and without overlap.
class Parts {
  public:
    explicit Parts(const char* name) : name_(name) {}

    void add(Place place, const char* field, std::int64_t offset, std::int64_t size) {
        place.require(offset >= 0 && offset <= most_parameters, field, "an offset >= 0", offset);
        parts_.emplace_back(offset, size);
    }

    std::int64_t total() {
        std::sort(parts_.begin(), parts_.end());
        std::int64_t end = 0;
        for (const auto& [offset, size] : parts_) {
            if (offset != end)
                require(false, std::string("offset of ") + name_, in_words(end) + ", where the last one ends", offset);
            end += size;
        }
        require(end <= most_parameters, std::string("the number of ") + name_, "at most 2^40", end);
        return end;
    }

  private:
    const char* name_;
    std::vector<std::pair<std::int64_t, std::int64_t>> parts_;
};

struct Vectors {
    Parts parameters{"parameters"}, statistics{"running statistics"};
};

/// Numbers of each parameter of a group, in the order of its offsets.
std::vector<std::int64_t> parameter_sizes(const FeatureGroup& g) {
    const std::int64_t n = g.count, m = g.frequencies, units = g.width - 1;
    const auto bins = static_cast<std::int64_t>(g.edges.size()) - 1;
    switch (g.kind) {
        using enum FeatureKind;
        case identity: return {};
        case scale: return {n};
        case cosine: return {n * m, n * m, n * (m + 1), n * (m + 1)};
        case pbld: return {n * m, n * m, n * m * units, n * units};
        case piecewise_linear: return {n * g.width, n * g.width, n * bins * g.width};
        case category: return {std::accumulate(g.sizes.begin(), g.sizes.end(), std::int64_t{0}) * g.width};
    }
    return {};
}

/// Whether the fields that belong to one kind of group are those of its kind.
void check_kind(const FeatureGroup& g, Place at) {
    using enum FeatureKind;
    const bool waves = g.kind == cosine || g.kind == pbld;
    at.require(
        waves ? g.frequencies >= 1 && g.frequencies <= most_columns : g.frequencies == 0, "frequencies",
        "at least 1 for cosine and pbld, else 0", g.frequencies
    );
    const bool wide = g.kind == cosine ? g.width == g.frequencies + 1
                      : g.kind == pbld ? g.width >= 2
                                       : g.width == 1 || g.kind == piecewise_linear || g.kind == category;
    at.require(wide, "width", "the width of its kind", g.width);
    const bool rising = std::adjacent_find(g.edges.begin(), g.edges.end(), [](double a, double b) { return !(a < b); })
                            == g.edges.end()
                        && std::all_of(g.edges.begin(), g.edges.end(), [](double x) { return std::isfinite(x); });
    const auto edges = static_cast<std::int64_t>(g.edges.size());
    at.require(
        g.kind == piecewise_linear ? edges >= 2 && edges <= most_bins + 1 && rising : edges == 0, "edges",
        "rising numbers, for piecewise_linear alone", edges
    );
    const bool sized = std::all_of(g.sizes.begin(), g.sizes.end(), [](std::int64_t size) {
        return size >= 1 && size <= most_columns;
    });
    const auto sizes = static_cast<std::int64_t>(g.sizes.size());
    at.require(
        g.kind == category ? sizes == g.count && sized : sizes == 0, "sizes",
        "one number >= 1 for each feature, for category alone", sizes
    );
}

void check_group(const FeatureGroup& g, Place at, std::int64_t input, std::int64_t output, Parts& parameters) {
    at.require(g.count >= 1 && g.count <= most_columns, "count", "in 1..2^24", g.count);
    at.require(g.width >= 1 && g.width <= most_columns, "width", "in 1..2^24", g.width);
    at.require(g.count * g.width <= most_columns, "width", "such that all columns are at most 2^24", g.width);
    at.require(g.input == input, "input", "the first column behind the group before", g.input);
    at.require(g.output == output, "output", "the first column behind the group before", g.output);
    check_kind(g, at);
    const std::vector<std::int64_t> sizes = parameter_sizes(g);
    at.require(g.offsets.size() == sizes.size(), "offsets", "one for each parameter", g.offsets.size());
    at.require(g.multipliers.size() == sizes.size(), "multipliers", "one for each parameter", g.multipliers.size());
    for (std::size_t i = 0; i < sizes.size(); ++i) {
        parameters.add(at, "offsets", g.offsets[i], sizes[i]);
        at.require(between(g.multipliers[i], 0, HUGE_VAL), "multipliers", "finite numbers >= 0", g.multipliers[i]);
    }
}

void check_groups(const FusedStage& s, Place at, Parts& parameters) {
    at.require(at.i == 0, "groups", "empty behind the first stage", s.groups.size());
    const bool bare = !s.dense && s.norm == Norm::none && s.activation == ActivationKind::identity && !s.has_dropout
                      && s.derivative_source == DerivativeSource::none;
    const bool no_offsets = s.W < 0 && s.b < 0 && s.gamma < 0 && s.beta < 0 && s.alpha < 0 && s.mean < 0 && s.variance < 0;
    at.require(bare && no_offsets, "groups", "all that the stage has", s.groups.size());
    std::int64_t input = 0, output = 0;
    for (std::size_t i = 0; i < s.groups.size(); ++i) {
        check_group(s.groups[i], {"groups", i}, input, output, parameters);
        input += s.groups[i].count;
        output += s.groups[i].count * s.groups[i].width;
    }
    at.require(input == s.inputs, "inputs", "the columns of all groups", s.inputs);
    at.require(output == s.outputs, "outputs", "the columns that all groups write", s.outputs);
}

/// Whether a derivative reads Z, so that the forward pass must keep a factor.
bool reads_Z(ActivationKind g) {
    return g == ActivationKind::gelu || g == ActivationKind::silu || g == ActivationKind::mish;
}

void check_numbers(const FusedStage& s, Place at) {
    at.require(flag(s.dense), "dense", "0 or 1", s.dense);
    at.require(flag(s.has_dropout), "has_dropout", "0 or 1", s.has_dropout);
    at.require(s.dropout_threshold >= 0 && s.dropout_threshold < (std::int64_t{1} << 32), "dropout_threshold", "in 0..2^32-1", s.dropout_threshold);
    at.require(s.dropout_layer >= 0 && s.dropout_layer < (std::int64_t{1} << 32), "dropout_layer", "in 0..2^32-1", s.dropout_layer);
    at.require(between(s.activation_parameter, 0, HUGE_VAL), "activation_parameter", "a finite number >= 0", s.activation_parameter);
    at.require(between(s.keep_scale, 1, HUGE_VAL), "keep_scale", "a finite number >= 1", s.keep_scale);
    at.require(between(s.momentum, 0, 1), "momentum", "in [0, 1)", s.momentum);
    at.require(s.epsilon > 0 && between(s.epsilon, 0, HUGE_VAL), "epsilon", "a finite number > 0", s.epsilon);
    for (const double factor : {s.multiplier_W, s.multiplier_b, s.multiplier_gamma, s.multiplier_beta, s.multiplier_alpha})
        at.require(between(factor, 0, HUGE_VAL), "multiplier", "a finite number >= 0", factor);
}

/// One vector with an entry for each column, which must be there exactly if `wanted`.
void check_vector(
    Place at, Parts& parts, const char* field, bool wanted, std::int64_t offset, std::int64_t size
) {
    if (wanted) return parts.add(at, field, offset, size);
    at.require(offset == -1, field, "-1, since the stage has none", offset);
}

void check_layers(const FusedStage& s, Place at, Vectors& vectors) {
    at.require(s.dense || s.inputs == s.outputs, "outputs", "the number of inputs without a dense layer", s.outputs);
    at.require(s.norm != Norm::layer || !s.dense, "dense", "0 with layer norm", s.dense);
    const bool batch = s.norm == Norm::batch, layer = s.norm == Norm::layer, scale = s.norm == Norm::scale;
    check_vector(at, vectors.parameters, "W", s.dense != 0, s.W, s.inputs * s.outputs);
    check_vector(at, vectors.parameters, "b", s.dense && s.b != -1, s.b, s.outputs);
    check_vector(at, vectors.parameters, "gamma", batch || layer || scale, s.gamma, s.outputs);
    check_vector(at, vectors.parameters, "beta", batch || layer, s.beta, s.outputs);
    check_vector(at, vectors.parameters, "alpha", s.alpha != -1, s.alpha, s.outputs);
    check_vector(at, vectors.statistics, "mean", batch, s.mean, s.outputs);
    check_vector(at, vectors.statistics, "variance", batch, s.variance, s.outputs);
    const bool hidden_mask = s.has_dropout && s.activation != ActivationKind::relu;
    const bool keeps = s.parametric() || hidden_mask || reads_Z(s.activation);
    const bool plain = s.activation == ActivationKind::identity && !s.has_dropout;
    using enum DerivativeSource;
    at.require(!keeps || s.derivative_source == kept, "derivative_source", "kept for these layers", static_cast<int>(s.derivative_source));
    at.require(plain || s.derivative_source != none, "derivative_source", "not none for these layers", static_cast<int>(s.derivative_source));
}

/// Whether a phase may run on a stage.
bool fits(const Phase& phase, const FusedStage& s, const TrainingSettings& settings) {
    switch (phase.kind) {
        case PhaseKind::gather:
        case PhaseKind::forward:
        case PhaseKind::loss: return true;
        case PhaseKind::derive: return !s.embeds();
        case PhaseKind::backward: return s.dense != 0;
        case PhaseKind::pass_through: return phase.stage > 0 && !s.dense && s.norm != Norm::layer;
        case PhaseKind::norm_backward: return phase.stage > 0 && s.norm == Norm::layer;
        case PhaseKind::norm_gradient: return s.norm == Norm::layer;
        case PhaseKind::update: return settings.clip == ClipKind::by_norm;
        case PhaseKind::constrain: return s.dense && settings.max_weight_norm > 0;
        case PhaseKind::average: return settings.ema_decay >= 0;
        case PhaseKind::embedding_gradient: return s.embeds();
    }
    return false;
}

void check_phases(
    std::span<const FusedStage> stages, std::span<const Phase> phases, const TrainingSettings& settings
) {
    const auto last = static_cast<std::int64_t>(stages.size()) - 1;
    std::size_t losses = 0;
    for (std::size_t i = 0; i < phases.size(); ++i) {
        const Phase& phase = phases[i];
        const Place at{"phases", i};
        at.require(phase.stage >= 0 && phase.stage <= last, "stage", "the number of a stage", phase.stage);
        at.require((phase.kind == PhaseKind::gather) == (i == 0), "kind", "gather first, and there alone", static_cast<int>(phase.kind));
        at.require(fits(phase, stages[static_cast<std::size_t>(phase.stage)], settings), "kind", "one that the stage has", static_cast<int>(phase.kind));
        losses += phase.kind == PhaseKind::loss;
    }
    require(losses == 1, "phases", "of one loss", losses);
}

void check_loss(const TrainingSettings& s, std::int64_t outputs) {
    require(between(s.label_smoothing, 0, 1), "label_smoothing", "in [0, 1)", s.label_smoothing);
    require(s.delta > 0 && std::isfinite(s.delta), "delta", "a finite number > 0", s.delta);
    const bool heads = s.loss == LossKind::multi_softmax_cross_entropy, quantile = s.loss == LossKind::quantile;
    const bool sized = std::all_of(s.head_sizes.begin(), s.head_sizes.end(), [&](std::int64_t size) {
        return size >= 1 && size <= outputs;
    });
    const std::int64_t classes = sized ? std::accumulate(s.head_sizes.begin(), s.head_sizes.end(), std::int64_t{0}) : -1;
    require(heads ? classes == outputs : s.head_sizes.empty(), "head_sizes", "numbers >= 1 that sum to the outputs", classes);
    const auto levels = static_cast<std::int64_t>(s.quantile_levels.size());
    const bool inside = std::all_of(s.quantile_levels.begin(), s.quantile_levels.end(), [](double level) {
        return level > 0 && level < 1;
    });
    require(
        quantile ? levels > 0 && outputs % levels == 0 && inside : levels == 0, "quantile_levels",
        "numbers in (0, 1), of which the outputs are a multiple", levels
    );
}

void check_settings(const TrainingSettings& s) {
    require(s.batch_size >= 1 && s.batch_size <= most_rows, "batch_size", "in 1..2^32-1", s.batch_size);
    require(
        s.accumulate_grad_batches >= 0 && s.accumulate_grad_batches <= most_rows, "accumulate_grad_batches",
        "in 0..2^32-1", s.accumulate_grad_batches
    );
    require(between(s.beta1, 0, 1), "beta1", "in [0, 1)", s.beta1);
    require(between(s.beta2, 0, 1), "beta2", "in [0, 1)", s.beta2);
    for (const double x : {s.epsilon, s.weight_decay, s.l1, s.l2, s.max_weight_norm})
        require(between(x, 0, HUGE_VAL), "a factor of the settings", "a finite number >= 0", x);
    require(s.clip_limit > 0 && std::isfinite(s.clip_limit), "clip_limit", "a finite number > 0", s.clip_limit);
    require(s.ema_decay < 1, "ema_decay", "below 1", s.ema_decay);
}

}  // namespace

PlanSizes checked_stages(std::span<const FusedStage> stages) {
    require(!stages.empty(), "stages", "a list of at least one", 0);
    Vectors vectors;
    for (std::size_t i = 0; i < stages.size(); ++i) {
        const FusedStage& s = stages[i];
        const Place at{"stages", i};
        at.require(s.inputs >= 1 && s.inputs <= most_columns, "inputs", "in 1..2^24", s.inputs);
        at.require(s.outputs >= 1 && s.outputs <= most_columns, "outputs", "in 1..2^24", s.outputs);
        at.require(i == 0 || s.inputs == stages[i - 1].outputs, "inputs", "the outputs of the stage before", s.inputs);
        check_numbers(s, at);
        if (s.embeds())
            check_groups(s, at, vectors.parameters);
        else
            check_layers(s, at, vectors);
    }
    return {stages.front().inputs, stages.back().outputs, vectors.parameters.total(), vectors.statistics.total()};
}

PlanSizes checked_sizes(
    std::span<const FusedStage> stages, std::span<const Phase> phases, const TrainingSettings& settings
) {
    require(!stages.empty(), "stages", "a list of at least one", 0);
    require(!phases.empty(), "phases", "a list of at least one", 0);
    check_settings(settings);
    const PlanSizes sizes = checked_stages(stages);
    check_phases(stages, phases, settings);
    check_loss(settings, stages.back().outputs);
    return sizes;
}

}  // namespace chainrule
