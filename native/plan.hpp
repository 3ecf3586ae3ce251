// The plan as C++ sees it: the stages, phases and settings that chainrule/engines/plan lowers a recipe to.
// In: values set field by field from Python. Out: plain structs that every other native file reads.
//
// Names of fields and enumerators cross the border, positions do not. bindings.cpp exposes every one of them, and
// tests/engines/test_plan.py checks that Python knows the same names.
#pragma once
#include <cstdint>
#include <vector>

namespace chainrule {

/// Whether this is the engine of a web page: its plans have neither embeddings nor parametric activations nor accumulated
/// gradients, and three losses. Leaving the rest out halves its size.
#if defined(CHAINRULE_PAGE)
inline constexpr bool for_page = true;
#else
inline constexpr bool for_page = false;
#endif

/// What stands between a product and its activation: nothing, a normalization, or a factor for each column.
enum class Norm : std::int64_t { none, batch, layer, scale };

enum class ActivationKind : std::int64_t {
    identity,
    sigmoid,
    tanh,
    relu,
    leaky_relu,
    elu,
    selu,
    gelu,
    silu,
    softplus,
    mish,
    exp
};

/// What the backward pass multiplies by: nothing, g' computed from the output Y, or a factor S that the forward pass kept.
enum class DerivativeSource : std::int64_t { none, from_output, kept };

enum class LossKind : std::int64_t {
    binary_cross_entropy,
    softmax_cross_entropy,
    mean_squared_error,
    mean_absolute_error,
    huber,
    poisson,
    quantile,
    multi_softmax_cross_entropy
};

enum class OptimizerKind : std::int64_t { sgd, ema_momentum, sgd_momentum, nesterov, rmsprop, adagrad, adam, adamw };

enum class ClipKind : std::int64_t { none, by_norm, by_value };

/// What becomes of a feature in front of the network: itself, or columns that are computed from it.
enum class FeatureKind : std::int64_t { identity, scale, cosine, pbld, piecewise_linear, category };

enum class PhaseKind : std::int64_t {
    gather,
    forward,
    loss,
    derive,
    backward,
    pass_through,
    norm_backward,
    norm_gradient,
    update,
    constrain,
    average,
    embedding_gradient
};

inline constexpr std::int64_t most_bins = 256;  // of a piecewise linear embedding

/// Consecutive features that go the same way. Feature f reads the input column `input` + f and writes `width` columns from
/// `output` + f `width` on. Parameters are listed in the order of the layer's shapes: s of scale; w, b, γ, β of cosine;
/// w, b, V, c of pbld; a, c, P of piecewise_linear; E of category.
struct FeatureGroup {
    FeatureKind kind;
    std::int64_t input, count;
    std::int64_t output, width;
    std::int64_t frequencies;           // of each feature; 0 where there are none
    std::vector<std::int64_t> offsets;  // of the parameters in Python's vectors
    std::vector<double> multipliers;    // of the learning rate, for each parameter
    std::vector<std::int64_t> sizes;    // numbers of codes of categories
    std::vector<double> edges;          // of the bins of piecewise_linear

    std::int64_t end() const { return output + count * width; }
    bool operator==(const FeatureGroup&) const = default;
};

/// Layers run as one: [Dense] [BatchNorm], [LayerNorm] or [Scale], then [Activation] or [ParametricActivation] and [Dropout].
/// Offsets are -1 where absent; gamma is Scale's s.
/// A stage with groups of features has nothing else; only the first stage may have them.
struct FusedStage {
    std::int64_t inputs, outputs;
    std::int64_t dense;  // 0 or 1
    Norm norm;
    ActivationKind activation;
    DerivativeSource derivative_source;
    std::int64_t W, b, gamma, beta, alpha, mean, variance;  // offsets in Python's vectors of parameters and running statistics
    std::int64_t has_dropout;                               // 0 or 1
    std::int64_t dropout_threshold, dropout_layer;
    double activation_parameter, keep_scale, momentum, epsilon;
    double multiplier_W, multiplier_b, multiplier_gamma, multiplier_beta, multiplier_alpha;  // of the learning rate
    std::vector<FeatureGroup> groups;

    bool has_bias() const { return b >= 0; }
    bool parametric() const { return !for_page && alpha >= 0; }
    bool embeds() const { return !for_page && !groups.empty(); }
    bool operator==(const FusedStage&) const = default;
};

/// One phase of a step; its tasks are independent of one another.
struct Phase {
    PhaseKind kind;
    std::int64_t stage;
};

/// Everything that is not a layer.
struct TrainingSettings {
    LossKind loss;
    ActivationKind link;
    double label_smoothing, delta;
    OptimizerKind optimizer;
    double beta1, beta2, epsilon, weight_decay;
    double l1, l2;
    ClipKind clip;
    double clip_limit;
    std::uint64_t seed;
    std::int64_t batch_size;
    std::int64_t accumulate_grad_batches;  // batches per update; 0 without gradient accumulation
    double max_weight_norm;
    double ema_decay;  // share that the running mean of the weights keeps; below 0 where there is none
    std::vector<std::int64_t> head_sizes;
    std::vector<double> quantile_levels;

    bool operator==(const TrainingSettings&) const = default;
};

inline bool same_but_seed(const TrainingSettings& one, TrainingSettings other) {
    other.seed = one.seed;
    return one == other;
}

/// Names of the vectors that optimizers carry from step to step, as nn/optimizers.py names them.
struct MomentNames {
    const char* first;   // nullptr where the optimizer has none
    const char* second;
};

inline constexpr MomentNames moment_names(OptimizerKind optimizer) {
    switch (optimizer) {
        using enum OptimizerKind;
        case sgd: return {nullptr, nullptr};
        case ema_momentum: return {"V", nullptr};
        case sgd_momentum:
        case nesterov:
        case rmsprop:
        case adagrad: return {"v", nullptr};
        case adam:
        case adamw: return {"m", "v"};
    }
    return {nullptr, nullptr};
}

inline constexpr const char* gradient_sum_name = "sum";        // of GradientAccumulation
inline constexpr const char* weight_average_name = "average";  // with ema_decay

}  // namespace chainrule
