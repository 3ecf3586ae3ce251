// The only file that knows Python: it exposes the plan's structs and enumerations by name, turns arrays into pointers,
// releases the interpreter's lock and asks Python whether to stop.
// In: structs and NumPy arrays from engines/native.py. Out: the module chainrule.engines._native.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/map.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <exception>
#include <map>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <utility>

#include "allocations.hpp"
#include "dispatch.hpp"
#include "team.hpp"

namespace nb = nanobind;

namespace chainrule {

namespace {

using ReadOnly = nb::ndarray<nb::c_contig, nb::device::cpu, nb::ro>;
using Writable = nb::ndarray<nb::c_contig, nb::device::cpu>;
using RowNumbers = nb::ndarray<const std::uint32_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using LearningRates = nb::ndarray<const double, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

/// Names of the vectors of P numbers that a state with these settings carries, the parameters apart.
std::vector<std::string> vector_names(const TrainingSettings& settings) {
    std::vector<std::string> names;
    const MomentNames moments = moment_names(settings.optimizer);
    if (settings.accumulate_grad_batches > 0) names.emplace_back(gradient_sum_name);
    for (const char* name : {moments.first, moments.second})
        if (name != nullptr) names.emplace_back(name);
    if (settings.ema_decay >= 0) names.emplace_back(weight_average_name);
    return names;
}

/// A training as Python sees it. It handles one call at a time; others wait.
class Session {
  public:
    Session(
        const std::vector<FusedStage>& stages, const std::vector<Phase>& phases, const TrainingSettings& settings,
        ReadOnly X, ReadOnly Y, ReadOnly c, RowNumbers visited, int threads
    )
        : settings_(settings), X_(X), Y_(Y), c_(c), visited_(visited) {
        if (stages.empty() || phases.empty()) throw std::invalid_argument("Session: a plan needs stages and phases.");
        const bool all = visited.size() == 0;
        for (std::size_t i = 0; i < visited.size(); ++i)
            if (visited.data()[i] >= X.shape(0)) throw std::invalid_argument("Session: visited must be numbers of rows.");
        const Rows rows{
            X.data(), Y.data(), c.data(), static_cast<std::int64_t>(all ? X.shape(0) : visited.size()),
            all ? nullptr : visited.data()
        };
        const TrainerSpec spec{stages, phases, settings, rows, threads};
        const Isa isa = chosen_isa();
        isa_ = isa.name;
        number_bytes_ = X.itemsize();
        inputs_ = static_cast<std::size_t>(stages.front().inputs);
        outputs_ = static_cast<std::size_t>(stages.back().outputs);
        trainer_.reset(number_bytes_ == 4 ? isa.make_float32(spec) : isa.make_float64(spec));
    }

    /// Copy the state out; returns the number of steps done so far.
    std::int64_t read(Writable w, Writable statistics, const std::map<std::string, Writable>& vectors) {
        const StateVectors to = state_vectors(w.data(), statistics.data(), vectors);
        nb::gil_scoped_release released;
        const std::scoped_lock lock(mutex_);
        trainer_->read(to);
        return trainer_->step();
    }

    /// Copy a state in.
    void write(
        ReadOnly w, ReadOnly statistics, const std::map<std::string, ReadOnly>& vectors, std::int64_t step
    ) {
        const StateVectors from = state_vectors(w.data(), statistics.data(), vectors);
        nb::gil_scoped_release released;
        const std::scoped_lock lock(mutex_);
        trainer_->write(from, step);
    }

    Sums run(std::int64_t epoch, std::int64_t first, LearningRates rates, nb::object stop) {
        StopCallback callback{std::move(stop), nullptr};
        Sums sums;
        {
            nb::gil_scoped_release released;
            const std::scoped_lock lock(mutex_);
            sums = trainer_->run(epoch, first, {rates.data(), rates.size()}, {ask_to_stop, &callback});
        }
        if (callback.error) std::rethrow_exception(callback.error);
        return sums;
    }

    void logits(ReadOnly X, Writable Z) {
        if (X.ndim() != 2 || Z.ndim() != 2 || X.shape(1) != inputs_ || Z.shape(1) != outputs_
            || X.shape(0) != Z.shape(0) || X.itemsize() != number_bytes_ || Z.itemsize() != number_bytes_)
            throw std::invalid_argument(
                "Session: X and Z must be (n, inputs) and (n, outputs) in the session's dtype."
            );
        infer(X.data(), static_cast<std::int64_t>(X.shape(0)), Z.data());
    }

    /// Compute the logits (n, outputs) of n rows; the caller has checked the sizes.
    void infer(const void* X, std::int64_t n, void* Z) {
        if (n == 0) return;
        if (n > 4) {
            nb::gil_scoped_release released;
            const std::scoped_lock lock(mutex_);
            trainer_->logits(X, n, Z);
            return;
        }
        if (mutex_.try_lock()) {  // a few rows take less time than releasing the interpreter's lock
            const std::scoped_lock lock(std::adopt_lock, mutex_);
            trainer_->logits(X, n, Z);
            return;
        }
        nb::gil_scoped_release released;
        const std::scoped_lock lock(mutex_);
        trainer_->logits(X, n, Z);
    }

    std::size_t inputs() const { return inputs_; }
    std::size_t outputs() const { return outputs_; }
    std::size_t number_bytes() const { return number_bytes_; }

    void profile() { trainer_->profile(); }
    std::vector<double> nanoseconds() const { return {trainer_->nanoseconds().begin(), trainer_->nanoseconds().end()}; }
    std::size_t bytes() const { return trainer_->bytes(); }
    int threads() const { return trainer_->threads(); }
    const char* isa() const { return isa_; }

  private:
    struct StopCallback {
        nb::object stop;
        std::exception_ptr error;
    };

    /// Let Python handle signals and call its `stop`; an exception ends the run and is raised again after it.
    static bool ask_to_stop(void* context) {
        auto* callback = static_cast<StopCallback*>(context);
        nb::gil_scoped_acquire acquired;
        try {
            if (PyErr_CheckSignals() != 0) throw nb::python_error();
            return nb::cast<bool>(callback->stop());
        } catch (...) {
            callback->error = std::current_exception();
            return true;
        }
    }

    /// Find each vector by its name. Throws std::invalid_argument unless exactly the expected ones are there.
    template <class Array>
    StateVectors state_vectors(
        const void* w, const void* statistics, const std::map<std::string, Array>& vectors
    ) const {
        const std::vector<std::string> names = vector_names(settings_);
        for (const std::string& name : names)
            if (!vectors.contains(name)) throw std::invalid_argument("Session: the state lacks the vector " + name + ".");
        if (vectors.size() != names.size()) throw std::invalid_argument("Session: the state has unknown vectors.");
        const auto data = [&](const char* name) -> void* {
            const auto found = name == nullptr ? vectors.end() : vectors.find(name);
            return found == vectors.end() ? nullptr : const_cast<void*>(static_cast<const void*>(found->second.data()));
        };
        const MomentNames moments = moment_names(settings_.optimizer);
        return {
            .w = const_cast<void*>(w),
            .statistics = const_cast<void*>(statistics),
            .first_moment = data(moments.first),
            .second_moment = data(moments.second),
            .gradient_sum = data(gradient_sum_name),
            .weight_average = data(weight_average_name),
        };
    }

    TrainingSettings settings_;
    ReadOnly X_, Y_, c_;  // kept alive while the trainer reads them
    RowNumbers visited_;
    std::unique_ptr<Trainer> trainer_;
    std::mutex mutex_;
    std::size_t number_bytes_ = 4, inputs_ = 0, outputs_ = 0;
    const char* isa_ = "";
};

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

/// Several networks with equally many outputs, whose logits one call computes.
class Networks {
  public:
    /// Network i takes the rows X[rows[i]] of each call.
    Networks(const nb::list& sessions, const std::vector<std::size_t>& rows) : kept_(sessions), rows_(rows) {
        for (const nb::handle each : sessions) sessions_.push_back(nb::cast<Session*>(each));
        if (sessions_.empty() || sessions_.size() != rows_.size())
            throw std::invalid_argument("Networks: there must be sessions, and rows for each.");
        for (const Session* each : sessions_)
            if (each->outputs() != sessions_[0]->outputs() || each->number_bytes() != sessions_[0]->number_bytes())
                throw std::invalid_argument("Networks: sessions must have equally many outputs and one dtype.");
    }

    /// Compute Z (networks, n, outputs).
    void logits(const std::vector<ReadOnly>& X, Writable Z) {
        const std::size_t bytes = sessions_[0]->number_bytes(), k = sessions_[0]->outputs();
        const std::size_t n = X.empty() || X[0].ndim() != 2 ? 0 : X[0].shape(0);
        if (Z.ndim() != 3 || Z.shape(0) != sessions_.size() || Z.shape(1) != n || Z.shape(2) != k || Z.itemsize() != bytes)
            throw std::invalid_argument("Networks: Z must be (networks, n, outputs) in the sessions' dtype.");
        for (std::size_t i = 0; i < sessions_.size(); ++i) {
            const bool known = rows_[i] < X.size() && X[rows_[i]].ndim() == 2;
            if (!known || X[rows_[i]].shape(0) != n || X[rows_[i]].shape(1) != sessions_[i]->inputs()
                || X[rows_[i]].itemsize() != bytes)
                throw std::invalid_argument("Networks: X must hold rows (n, inputs) for each session in its dtype.");
        }
        char* const to = static_cast<char*>(Z.data());
        for (std::size_t i = 0; i < sessions_.size(); ++i)
            sessions_[i]->infer(X[rows_[i]].data(), static_cast<std::int64_t>(n), to + i * n * k * bytes);
    }

  private:
    nb::list kept_;  // keeps the sessions alive
    std::vector<Session*> sessions_;
    std::vector<std::size_t> rows_;
};

}  // namespace

NB_MODULE(_native, module) {
    module.doc() = "Compiled kernels and the loop that runs a plan.";
    bind_enumerations(module);
    bind_structs(module);
    nb::class_<Session>(module, "Session")
        .def(
            nb::init<
                const std::vector<FusedStage>&, const std::vector<Phase>&, const TrainingSettings&, ReadOnly, ReadOnly,
                ReadOnly, RowNumbers, int>(),
            nb::kw_only(), nb::arg("stages"), nb::arg("phases"), nb::arg("settings"), nb::arg("X"), nb::arg("Y"),
            nb::arg("c"), nb::arg("visited"), nb::arg("threads")
        )
        .def("read", &Session::read, nb::kw_only(), nb::arg("w"), nb::arg("statistics"), nb::arg("vectors"))
        .def(
            "write", &Session::write, nb::kw_only(), nb::arg("w"), nb::arg("statistics"), nb::arg("vectors"),
            nb::arg("step")
        )
        .def("run", &Session::run, nb::arg("epoch"), nb::arg("first"), nb::arg("rates"), nb::arg("stop"))
        .def("logits", &Session::logits, nb::arg("X"), nb::arg("Z"))
        .def("profile", &Session::profile)
        .def_prop_ro("nanoseconds", &Session::nanoseconds)
        .def_prop_ro("nbytes", &Session::bytes)
        .def_prop_ro("threads", &Session::threads)
        .def_prop_ro("isa", &Session::isa);
    nb::class_<Networks>(module, "Networks")
        .def(nb::init<const nb::list&, const std::vector<std::size_t>&>(), nb::arg("sessions"), nb::arg("rows"))
        .def("logits", &Networks::logits, nb::arg("X"), nb::arg("Z"));
    module.def("vector_names", &vector_names, nb::arg("settings"));
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
