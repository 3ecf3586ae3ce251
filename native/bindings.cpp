// The module that Python sees: it exposes the plan's structs and enumerations by name, turns arguments that arguments.hpp
// has checked into pointers, releases the interpreter's lock and asks Python whether to stop.
// In: structs and NumPy arrays from engines/native.py. Out: the module chainrule.engines._native.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <exception>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "allocations.hpp"
#include "arguments.hpp"
#include "blocks.hpp"
#include "border.hpp"
#include "dispatch.hpp"
#include "passes.hpp"
#include "prediction.hpp"
#include "session.hpp"
#include "team.hpp"

namespace nb = nanobind;

namespace chainrule {

namespace {

template <class Struct, class Member>
using Field = std::pair<const char*, Member Struct::*>;

/// Expose a struct with its fields by name. The members have no padding between them, so a field that is missing here
/// shows in the size.
template <class Struct, class... Member>
void bind_struct(nb::module_& module, const char* name, Field<Struct, Member>... fields) {
    static_assert((sizeof(Member) + ...) == sizeof(Struct), "every field of the struct must be bound");
    nb::class_<Struct> bound(module, name);
    bound.def(nb::init<>());
    (bound.def_rw(fields.first, fields.second), ...);
}

#define FIELD(Struct, name) Field<Struct, decltype(Struct::name)>(#name, &Struct::name)
#define VALUE(Enum, name) value(#name, Enum::name)

void bind_enumerations(nb::module_& module) {
    nb::enum_<Norm>(module, "Norm").VALUE(Norm, none).VALUE(Norm, batch).VALUE(Norm, layer).VALUE(Norm, scale);
    nb::enum_<ActivationKind>(module, "ActivationKind")
        .VALUE(ActivationKind, identity)
        .VALUE(ActivationKind, sigmoid)
        .VALUE(ActivationKind, tanh)
        .VALUE(ActivationKind, relu)
        .VALUE(ActivationKind, leaky_relu)
        .VALUE(ActivationKind, elu)
        .VALUE(ActivationKind, selu)
        .VALUE(ActivationKind, gelu)
        .VALUE(ActivationKind, silu)
        .VALUE(ActivationKind, softplus)
        .VALUE(ActivationKind, mish)
        .VALUE(ActivationKind, exp);
    nb::enum_<DerivativeSource>(module, "DerivativeSource")
        .VALUE(DerivativeSource, none)
        .VALUE(DerivativeSource, from_output)
        .VALUE(DerivativeSource, kept);
    nb::enum_<LossKind>(module, "LossKind")
        .VALUE(LossKind, binary_cross_entropy)
        .VALUE(LossKind, softmax_cross_entropy)
        .VALUE(LossKind, mean_squared_error)
        .VALUE(LossKind, mean_absolute_error)
        .VALUE(LossKind, huber)
        .VALUE(LossKind, poisson)
        .VALUE(LossKind, quantile)
        .VALUE(LossKind, multi_softmax_cross_entropy);
    nb::enum_<OptimizerKind>(module, "OptimizerKind")
        .VALUE(OptimizerKind, sgd)
        .VALUE(OptimizerKind, ema_momentum)
        .VALUE(OptimizerKind, sgd_momentum)
        .VALUE(OptimizerKind, nesterov)
        .VALUE(OptimizerKind, rmsprop)
        .VALUE(OptimizerKind, adagrad)
        .VALUE(OptimizerKind, adam)
        .VALUE(OptimizerKind, adamw);
    nb::enum_<ClipKind>(module, "ClipKind")
        .VALUE(ClipKind, none)
        .VALUE(ClipKind, by_norm)
        .VALUE(ClipKind, by_value);
    nb::enum_<FeatureKind>(module, "FeatureKind")
        .VALUE(FeatureKind, identity)
        .VALUE(FeatureKind, scale)
        .VALUE(FeatureKind, cosine)
        .VALUE(FeatureKind, pbld)
        .VALUE(FeatureKind, piecewise_linear)
        .VALUE(FeatureKind, category);
    nb::enum_<PhaseKind>(module, "PhaseKind")
        .VALUE(PhaseKind, gather)
        .VALUE(PhaseKind, forward)
        .VALUE(PhaseKind, loss)
        .VALUE(PhaseKind, derive)
        .VALUE(PhaseKind, backward)
        .VALUE(PhaseKind, pass_through)
        .VALUE(PhaseKind, norm_backward)
        .VALUE(PhaseKind, norm_gradient)
        .VALUE(PhaseKind, update)
        .VALUE(PhaseKind, constrain)
        .VALUE(PhaseKind, average)
        .VALUE(PhaseKind, embedding_gradient);
}

void bind_structs(nb::module_& module) {
    using G = FeatureGroup;
    bind_struct<G>(
        module, "FeatureGroup", FIELD(G, kind), FIELD(G, input), FIELD(G, count), FIELD(G, output), FIELD(G, width),
        FIELD(G, frequencies), FIELD(G, offsets), FIELD(G, multipliers), FIELD(G, sizes), FIELD(G, edges)
    );
    using F = FusedStage;
    bind_struct<F>(
        module, "FusedStage", FIELD(F, inputs), FIELD(F, outputs), FIELD(F, dense), FIELD(F, norm),
        FIELD(F, activation), FIELD(F, derivative_source), FIELD(F, W), FIELD(F, b),
        FIELD(F, gamma), FIELD(F, beta), FIELD(F, alpha), FIELD(F, mean), FIELD(F, variance),
        FIELD(F, has_dropout), FIELD(F, dropout_threshold), FIELD(F, dropout_layer),
        FIELD(F, activation_parameter), FIELD(F, keep_scale), FIELD(F, momentum), FIELD(F, epsilon),
        FIELD(F, multiplier_W), FIELD(F, multiplier_b), FIELD(F, multiplier_gamma),
        FIELD(F, multiplier_beta), FIELD(F, multiplier_alpha), FIELD(F, groups)
    );
    bind_struct<Phase>(module, "Phase", FIELD(Phase, kind), FIELD(Phase, stage));
    using S = TrainingSettings;
    bind_struct<S>(
        module, "TrainingSettings", FIELD(S, loss), FIELD(S, link), FIELD(S, label_smoothing), FIELD(S, delta),
        FIELD(S, optimizer), FIELD(S, beta1), FIELD(S, beta2), FIELD(S, epsilon), FIELD(S, weight_decay), FIELD(S, l1),
        FIELD(S, l2), FIELD(S, clip), FIELD(S, clip_limit), FIELD(S, seed), FIELD(S, batch_size),
        FIELD(S, accumulate_grad_batches), FIELD(S, max_weight_norm), FIELD(S, ema_decay), FIELD(S, head_sizes),
        FIELD(S, quantile_levels)
    );
    bind_struct<Sums>(
        module, "Sums", FIELD(Sums, loss), FIELD(Sums, score), FIELD(Sums, weight), FIELD(Sums, norm),
        FIELD(Sums, steps)
    );
}

}  // namespace

NB_MODULE(_native, module) {
    module.doc() = "Compiled kernels and the loop that runs a plan.";
    raise_border_faults();
    bind_enumerations(module);
    bind_structs(module);
    nb::class_<Session>(module, "Session")
        .def(
            nb::init<nb::handle, nb::handle, nb::handle, nb::handle, nb::handle, nb::handle, nb::handle, nb::handle>(),
            nb::kw_only(), nb::arg("stages").none(), nb::arg("phases").none(), nb::arg("settings").none(),
            nb::arg("X").none(), nb::arg("Y").none(), nb::arg("c").none(), nb::arg("visited").none(),
            nb::arg("threads").none()
        )
        .def(
            "read", &Session::read, nb::kw_only(), nb::arg("w").none(), nb::arg("statistics").none(),
            nb::arg("vectors").none()
        )
        .def(
            "write", &Session::write, nb::kw_only(), nb::arg("w").none(), nb::arg("statistics").none(),
            nb::arg("vectors").none(), nb::arg("step").none()
        )
        .def(
            "run", &Session::run, nb::arg("epoch").none(), nb::arg("first").none(), nb::arg("rates").none(),
            nb::arg("stop").none()
        )
        .def("logits", &Session::logits, nb::arg("X").none(), nb::arg("Z").none())
        .def("profile", &Session::profile)
        .def_prop_ro("nanoseconds", &Session::nanoseconds)
        .def_prop_ro("nbytes", &Session::bytes)
        .def_prop_ro("threads", &Session::threads)
        .def_prop_ro("isa", &Session::isa);
    nb::class_<Block>(module, "Block")
        .def(
            nb::init<nb::handle, nb::handle, nb::handle, nb::handle, nb::handle, nb::handle, nb::handle>(), nb::kw_only(),
            nb::arg("session").none(), nb::arg("figures").none(), nb::arg("w").none(), nb::arg("statistics").none(),
            nb::arg("vectors").none(), nb::arg("X").none(), nb::arg("Z").none()
        )
        .def(
            "plan", &Block::plan, nb::kw_only(), nb::arg("epoch").none(), nb::arg("count").none(),
            nb::arg("rates").none(), nb::arg("seconds").none()
        );
    nb::class_<Networks>(module, "Networks")
        .def(nb::init<nb::handle, nb::handle>(), nb::arg("predictors").none(), nb::arg("rows").none())
        .def("logits", &Networks::logits, nb::arg("X").none(), nb::arg("Z").none());
    nb::class_<NetworkPredictor>(module, "Predictor")
        .def(
            nb::init<nb::handle, nb::handle, nb::handle, nb::handle, nb::handle, nb::handle>(), nb::kw_only(),
            nb::arg("stages").none(), nb::arg("w").none(), nb::arg("statistics").none(), nb::arg("mean").none(),
            nb::arg("scale").none(), nb::arg("threads").none()
        )
        .def("logits", &NetworkPredictor::logits, nb::arg("X").none(), nb::arg("Z").none())
        .def("classes", &NetworkPredictor::classes, nb::arg("X").none(), nb::arg("classes").none(), nb::arg("temperature"))
        .def_prop_ro("nbytes", &NetworkPredictor::bytes);
    module.def(
        "standardize", &standardize, nb::arg("X").none(), nb::arg("visited").none(), nb::arg("mean").none(),
        nb::arg("scale").none(), nb::arg("Z").none()
    );
    module.def(
        "scale_columns", &scale_columns, nb::arg("columns").none(), nb::arg("visited").none(), nb::arg("mean").none(),
        nb::arg("scale").none(), nb::arg("Z").none()
    );
    module.def(
        "add_moments", &add_moments, nb::kw_only(), nb::arg("X").none(), nb::arg("used").none(), nb::arg("weights").none(),
        nb::arg("first").none(), nb::arg("weight").none(), nb::arg("state").none(), nb::arg("hashes").none()
    );
    module.def("add_facts", &add_facts, nb::arg("values").none(), nb::arg("facts").none(), nb::arg("counts").none());
    module.def("with_leading", &with_leading, nb::arg("values").none(), nb::arg("leading").none(), nb::arg("into").none());
    module.attr("leading_bins") = leading_bins;
    module.def(
        "vector_names",
        [](nb::handle settings) { return vector_names(value_of<TrainingSettings>(settings, "settings", "TrainingSettings")); },
        nb::arg("settings").none()
    );
    module.def(
        "run_blocks", &run_blocks, nb::kw_only(), nb::arg("blocks").none(), nb::arg("threads").none(), nb::arg("stop").none()
    );
    module.def("isas", [] {
        std::vector<std::string> names;
        for (const Isa& isa : available_isas()) names.emplace_back(isa.name);
        return names;
    });
    module.attr("most_bins") = most_bins;
    module.def("allocations", &allocations);
    module.def("allowed_threads", &allowed_threads);
}

}  // namespace chainrule
