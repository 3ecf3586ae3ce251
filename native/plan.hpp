// Why: the plan as C++ sees it: the same table that engines/plan lowers a network to, as plain values.
// In: rows of whole numbers and of reals, in the field order of engines/plan. Out: stages, lines and settings.
#pragma once
#include <cstdint>
#include <vector>

namespace chainrule {

enum class Norm : std::int64_t { none, batch, layer };

enum class Activation : std::int64_t {
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

/// What the backward pass multiplies by: nothing, g' computed from the output Y, or the factor S kept by the forward pass.
enum class Slope : std::int64_t { none, from_output, kept };

enum class Loss : std::int64_t { binary, softmax, squared, absolute, huber, poisson, quantile, heads };

enum class Optimizer : std::int64_t {
    gradient_descent,
    momentum,
    classical_momentum,
    nesterov,
    rmsprop,
    adagrad,
    adam,
    adamw
};

enum class Clip : std::int64_t { none, norm, value };

enum class Op : std::int64_t {
    gather,
    forward,
    loss,
    derive,
    backward,
    pass,
    norm_backward,
    norm_gradient,
    update,
    constrain,
    average
};

/// Layers run as one: [Dense] [BatchNorm] or [LayerNorm], then [Activation] [Dropout]. Offsets are -1 where absent.
struct Stage {
    std::int64_t inputs, outputs, dense;
    Norm norm;
    Activation activation;
    Slope slope;
    std::int64_t W, b, gamma, beta, mean, variance;  // offsets into the flat vectors of parameters and statistics
    std::int64_t drops, threshold, mask_layer;
    double a, keep_scale, momentum, epsilon;
    double rate_W, rate_b, rate_gamma, rate_beta;  // learning-rate multipliers

    bool has_bias() const { return b >= 0; }
};

inline constexpr int stage_integers = 15;
inline constexpr int stage_reals = 8;

/// One phase of a step; all its tasks are independent of one another.
struct Line {
    Op op;
    std::int64_t stage;
};

/// Everything that is not a layer.
struct Settings {
    Loss loss;
    Activation link;
    double label_smoothing, delta;
    Optimizer optimizer;
    double beta1, beta2, epsilon, weight_decay;
    double l1, l2;
    Clip clip;
    double clip_limit;
    std::uint64_t seed;
    std::int64_t batch_size;
    std::int64_t accumulate;  // batches per update; 0 where the rule is not accumulated
    double max_norm;
    double average;  // share that the running mean of the weights keeps; below 0 where there is none
    std::vector<std::int64_t> heads;  // classes of each head
    std::vector<double> levels;       // of quantiles
};

}  // namespace chainrule
