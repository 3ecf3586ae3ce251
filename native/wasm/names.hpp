// The plan's structs and enumerations by name, so that names and not positions cross from JavaScript, as they do from Python.
// In: numbers in the order of the lists here, which `names()` tells the page. Out: structs of plan.hpp.
#pragma once
#include <cstddef>
#include <string>
#include <vector>

#include "../plan.hpp"

namespace chainrule::wasm {

template <class Struct>
struct Field {
    const char* name;
    std::size_t size;
    void (*set)(Struct&, double);
};

#define CHAINRULE_FIELD(Struct, name) \
    Field<Struct> { #name, sizeof(Struct::name), [](Struct& to, double x) { to.name = static_cast<decltype(Struct::name)>(x); } }

/// Every field but the groups of embeddings, which the page has none of.
inline constexpr Field<FusedStage> stage_fields[] = {
    CHAINRULE_FIELD(FusedStage, inputs),
    CHAINRULE_FIELD(FusedStage, outputs),
    CHAINRULE_FIELD(FusedStage, dense),
    CHAINRULE_FIELD(FusedStage, norm),
    CHAINRULE_FIELD(FusedStage, activation),
    CHAINRULE_FIELD(FusedStage, derivative_source),
    CHAINRULE_FIELD(FusedStage, W),
    CHAINRULE_FIELD(FusedStage, b),
    CHAINRULE_FIELD(FusedStage, gamma),
    CHAINRULE_FIELD(FusedStage, beta),
    CHAINRULE_FIELD(FusedStage, alpha),
    CHAINRULE_FIELD(FusedStage, mean),
    CHAINRULE_FIELD(FusedStage, variance),
    CHAINRULE_FIELD(FusedStage, has_dropout),
    CHAINRULE_FIELD(FusedStage, dropout_threshold),
    CHAINRULE_FIELD(FusedStage, dropout_layer),
    CHAINRULE_FIELD(FusedStage, activation_parameter),
    CHAINRULE_FIELD(FusedStage, keep_scale),
    CHAINRULE_FIELD(FusedStage, momentum),
    CHAINRULE_FIELD(FusedStage, epsilon),
    CHAINRULE_FIELD(FusedStage, multiplier_W),
    CHAINRULE_FIELD(FusedStage, multiplier_b),
    CHAINRULE_FIELD(FusedStage, multiplier_gamma),
    CHAINRULE_FIELD(FusedStage, multiplier_beta),
    CHAINRULE_FIELD(FusedStage, multiplier_alpha),
};

inline constexpr Field<Phase> phase_fields[] = {
    CHAINRULE_FIELD(Phase, kind),
    CHAINRULE_FIELD(Phase, stage),
};

/// Every field but the lists of heads and quantiles, which the page has none of.
inline constexpr Field<TrainingSettings> setting_fields[] = {
    CHAINRULE_FIELD(TrainingSettings, loss),
    CHAINRULE_FIELD(TrainingSettings, link),
    CHAINRULE_FIELD(TrainingSettings, label_smoothing),
    CHAINRULE_FIELD(TrainingSettings, delta),
    CHAINRULE_FIELD(TrainingSettings, optimizer),
    CHAINRULE_FIELD(TrainingSettings, beta1),
    CHAINRULE_FIELD(TrainingSettings, beta2),
    CHAINRULE_FIELD(TrainingSettings, epsilon),
    CHAINRULE_FIELD(TrainingSettings, weight_decay),
    CHAINRULE_FIELD(TrainingSettings, l1),
    CHAINRULE_FIELD(TrainingSettings, l2),
    CHAINRULE_FIELD(TrainingSettings, clip),
    CHAINRULE_FIELD(TrainingSettings, clip_limit),
    CHAINRULE_FIELD(TrainingSettings, seed),
    CHAINRULE_FIELD(TrainingSettings, batch_size),
    CHAINRULE_FIELD(TrainingSettings, accumulate_grad_batches),
    CHAINRULE_FIELD(TrainingSettings, max_weight_norm),
    CHAINRULE_FIELD(TrainingSettings, ema_decay),
};

#undef CHAINRULE_FIELD

template <class Struct, std::size_t n>
constexpr std::size_t size_of_all(const Field<Struct> (&fields)[n]) {
    std::size_t total = 0;
    for (const Field<Struct>& field : fields) total += field.size;
    return total;
}

// A field that is missing here shows in the size of its struct, of which all fields have 8 bytes but for the lists.
static_assert(sizeof(FusedStage) - size_of_all(stage_fields) - sizeof(FusedStage::groups) < 8);
static_assert(sizeof(Phase) == size_of_all(phase_fields));
static_assert(
    sizeof(TrainingSettings) - size_of_all(setting_fields) - sizeof(TrainingSettings::head_sizes)
        - sizeof(TrainingSettings::quantile_levels)
    < 8
);

/// Enumerators in the order of their values.
struct Enumeration {
    const char* name;
    const char* values;
};

inline constexpr Enumeration enumerations[] = {
    {"Norm", "none batch layer scale"},
    {"ActivationKind", "identity sigmoid tanh relu leaky_relu elu selu gelu silu softplus mish exp"},
    {"DerivativeSource", "none from_output kept"},
    {"LossKind",
     "binary_cross_entropy softmax_cross_entropy mean_squared_error mean_absolute_error huber poisson quantile "
     "multi_softmax_cross_entropy"},
    {"OptimizerKind", "sgd ema_momentum sgd_momentum nesterov rmsprop adagrad adam adamw"},
    {"ClipKind", "none by_norm by_value"},
    {"PhaseKind",
     "gather forward loss derive backward pass_through norm_backward norm_gradient update constrain average "
     "embedding_gradient"},
};

template <class Struct, std::size_t n>
void add_names(std::string& text, const char* name, const Field<Struct> (&fields)[n]) {
    text += name;
    for (const Field<Struct>& field : fields) {
        text += ' ';
        text += field.name;
    }
    text += '\n';
}

/// One line for each struct and enumeration: its name, then the names of its fields or values.
inline std::string all_names() {
    std::string text;
    add_names(text, "FusedStage", stage_fields);
    add_names(text, "Phase", phase_fields);
    add_names(text, "TrainingSettings", setting_fields);
    for (const Enumeration& each : enumerations) text += std::string(each.name) + " " + each.values + "\n";
    return text;
}

/// Structs from their numbers, which lie one struct after the other.
template <class Struct, std::size_t n>
std::vector<Struct> decoded(const double* numbers, std::size_t count, const Field<Struct> (&fields)[n]) {
    std::vector<Struct> list(count);
    for (Struct& each : list)
        for (const Field<Struct>& field : fields) field.set(each, *numbers++);
    return list;
}

}  // namespace chainrule::wasm
