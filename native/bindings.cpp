// Why: the only file that knows Python: it turns arrays into views, releases the interpreter's lock, and asks when to stop.
// In: the plan's tables and NumPy arrays from engines/native.py. Out: the module chainrule.engines._native.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <exception>
#include <memory>
#include <mutex>
#include <optional>

#include "allocations.hpp"
#include "dispatch.hpp"
#include "team.hpp"

namespace nb = nanobind;

namespace chainrule {

namespace {

using Matrix = nb::ndarray<nb::c_contig, nb::device::cpu, nb::ro>;
using Table = nb::ndarray<const std::int64_t, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
using Reals = nb::ndarray<const double, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
using Rates = nb::ndarray<const double, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Target = nb::ndarray<nb::c_contig, nb::device::cpu>;
using MaybeMatrix = std::optional<Matrix>;
using MaybeTarget = std::optional<Target>;

Stage stage_of(const std::int64_t* n, const double* x) {
    return {
        .inputs = n[0],
        .outputs = n[1],
        .dense = n[2],
        .norm = Norm(n[3]),
        .activation = Activation(n[4]),
        .slope = Slope(n[5]),
        .W = n[6],
        .b = n[7],
        .gamma = n[8],
        .beta = n[9],
        .mean = n[10],
        .variance = n[11],
        .drops = n[12],
        .threshold = n[13],
        .mask_layer = n[14],
        .a = x[0],
        .keep_scale = x[1],
        .momentum = x[2],
        .epsilon = x[3],
        .rate_W = x[4],
        .rate_b = x[5],
        .rate_gamma = x[6],
        .rate_beta = x[7],
    };
}

Settings settings_of(const std::vector<std::int64_t>& n, const std::vector<double>& x, std::uint64_t seed) {
    return {
        .loss = Loss(n.at(0)),
        .link = Activation(n.at(1)),
        .label_smoothing = x.at(0),
        .delta = x.at(1),
        .optimizer = Optimizer(n.at(2)),
        .beta1 = x.at(2),
        .beta2 = x.at(3),
        .epsilon = x.at(4),
        .weight_decay = x.at(5),
        .l1 = x.at(6),
        .l2 = x.at(7),
        .clip = Clip(n.at(3)),
        .clip_limit = x.at(8),
        .seed = seed,
        .batch_size = n.at(4),
        .accumulate = n.at(5),
        .max_norm = x.at(9),
        .average = x.at(10),
        .heads = {n.begin() + 6, n.end()},
        .levels = {x.begin() + 11, x.end()},
    };
}

/// A training as Python sees it. One call at a time: others wait.
class Session {
  public:
    Session(
        Table stages, Reals stage_reals, Table lines, const std::vector<std::int64_t>& settings,
        const std::vector<double>& setting_reals, std::uint64_t seed, Matrix X, Matrix Y, Matrix c, int threads
    )
        : X_(X), Y_(Y), c_(c) {
        if (stages.shape(1) != stage_integers || stage_reals.shape(1) != stage_reals_count || lines.shape(1) != 2)
            throw std::invalid_argument("Session: tables must have the columns of plan.hpp.");
        std::vector<Stage> rows;
        for (std::size_t i = 0; i < stages.shape(0); ++i)
            rows.push_back(stage_of(stages.data() + i * stage_integers, stage_reals.data() + i * stage_reals_count));
        std::vector<Line> phases;
        for (std::size_t i = 0; i < lines.shape(0); ++i)
            phases.push_back({Op(lines.data()[2 * i]), lines.data()[2 * i + 1]});
        const Problem problem{
            rows,
            phases,
            settings_of(settings, setting_reals, seed),
            {X.data(), Y.data(), c.data(), static_cast<std::int64_t>(X.shape(0))},
            threads
        };
        const Isa isa = chosen_isa();
        isa_ = isa.name;
        number_bytes_ = X.itemsize();
        inputs_ = static_cast<std::size_t>(rows.front().inputs);
        outputs_ = static_cast<std::size_t>(rows.back().outputs);
        trainer_.reset(number_bytes_ == 4 ? isa.make_float32(problem) : isa.make_float64(problem));
    }

    /// Copies all numbers out; gives the number of steps done so far.
    std::int64_t read(
        Target w, Target statistics, MaybeTarget first, MaybeTarget second, MaybeTarget sum, MaybeTarget average
    ) {
        const auto data = [](MaybeTarget& vector) { return vector ? vector->data() : nullptr; };
        const Vectors to{w.data(), statistics.data(), data(first), data(second), data(sum), data(average)};
        nb::gil_scoped_release released;
        const std::scoped_lock lock(mutex_);
        trainer_->read(to);
        return trainer_->step();
    }

    void write(
        Matrix w, Matrix statistics, MaybeMatrix first, MaybeMatrix second, MaybeMatrix sum,
        MaybeMatrix average, std::int64_t step
    ) {
        const auto data = [](const MaybeMatrix& m) { return m ? const_cast<void*>(m->data()) : nullptr; };
        const Vectors from{
            data(MaybeMatrix(w)), data(MaybeMatrix(statistics)), data(first), data(second), data(sum), data(average)
        };
        nb::gil_scoped_release released;
        const std::scoped_lock lock(mutex_);
        trainer_->write(from, step);
    }

    nb::tuple run(std::int64_t epoch, std::int64_t first, Rates rates, nb::object stop) {
        Question question{std::move(stop), nullptr};
        Sums sums;
        {
            nb::gil_scoped_release released;
            const std::scoped_lock lock(mutex_);
            sums = trainer_->run(epoch, first, {rates.data(), rates.size()}, {ask, &question});
        }
        if (question.error) std::rethrow_exception(question.error);
        return nb::make_tuple(sums.loss, sums.score, sums.weight, sums.norm, sums.steps);
    }

    void logits(Matrix X, Target Z) {
        if (X.ndim() != 2 || Z.ndim() != 2 || X.shape(1) != inputs_ || Z.shape(1) != outputs_
            || X.shape(0) != Z.shape(0) || X.itemsize() != number_bytes_ || Z.itemsize() != number_bytes_)
            throw std::invalid_argument(
                "Session: X and Z must be (n, inputs) and (n, outputs) in the session's dtype."
            );
        const auto n = static_cast<std::int64_t>(X.shape(0));
        if (n == 0) return;
        if (n > 4) {
            nb::gil_scoped_release released;
            const std::scoped_lock lock(mutex_);
            trainer_->logits(X.data(), n, Z.data());
            return;
        }
        if (mutex_.try_lock()) {  // a few rows take less time than giving the interpreter away
            const std::scoped_lock lock(std::adopt_lock, mutex_);
            trainer_->logits(X.data(), n, Z.data());
            return;
        }
        nb::gil_scoped_release released;
        const std::scoped_lock lock(mutex_);
        trainer_->logits(X.data(), n, Z.data());
    }

    void profile() { trainer_->profile(); }
    std::vector<double> nanoseconds() const { return {trainer_->nanoseconds().begin(), trainer_->nanoseconds().end()}; }
    std::size_t bytes() const { return trainer_->bytes(); }
    int threads() const { return trainer_->threads(); }
    const char* isa() const { return isa_; }

  private:
    static constexpr std::size_t stage_reals_count = stage_reals;

    struct Question {
        nb::object stop;
        std::exception_ptr error;
    };

    /// Lets Python handle signals and asks its `stop`; what it raises ends the run and is raised again at its end.
    static bool ask(void* context) {
        auto* question = static_cast<Question*>(context);
        nb::gil_scoped_acquire acquired;
        try {
            if (PyErr_CheckSignals() != 0) throw nb::python_error();
            return nb::cast<bool>(question->stop());
        } catch (...) {
            question->error = std::current_exception();
            return true;
        }
    }

    Matrix X_, Y_, c_;
    std::unique_ptr<Trainer> trainer_;
    std::mutex mutex_;
    std::size_t number_bytes_ = 4, inputs_ = 0, outputs_ = 0;

    const char* isa_ = "";
};

}  // namespace

NB_MODULE(_native, module) {
    module.doc() = "Compiled kernels and the loop that runs a plan.";
    nb::class_<Session>(module, "Session")
        .def(
            nb::init<
                Table, Reals, Table, const std::vector<std::int64_t>&, const std::vector<double>&, std::uint64_t,
                Matrix, Matrix, Matrix, int>(),
            nb::arg("stages"), nb::arg("stage_reals"), nb::arg("lines"), nb::arg("settings"), nb::arg("setting_reals"),
            nb::arg("seed"), nb::arg("X"), nb::arg("Y"), nb::arg("c"), nb::arg("threads")
        )
        .def(
            "read", &Session::read, nb::arg("w"), nb::arg("statistics"), nb::arg("first").none(),
            nb::arg("second").none(), nb::arg("sum").none(), nb::arg("average").none()
        )
        .def(
            "write", &Session::write, nb::arg("w"), nb::arg("statistics"), nb::arg("first").none(),
            nb::arg("second").none(), nb::arg("sum").none(), nb::arg("average").none(), nb::arg("step")
        )
        .def("run", &Session::run, nb::arg("epoch"), nb::arg("first"), nb::arg("rates"), nb::arg("stop"))
        .def("logits", &Session::logits, nb::arg("X"), nb::arg("Z"))
        .def("profile", &Session::profile)
        .def_prop_ro("nanoseconds", &Session::nanoseconds)
        .def_prop_ro("nbytes", &Session::bytes)
        .def_prop_ro("threads", &Session::threads)
        .def_prop_ro("isa", &Session::isa);
    module.def("isas", [] {
        std::vector<std::string> names;
        for (const Isa& isa : available_isas()) names.emplace_back(isa.name);
        return names;
    });
    module.def("allocations", &allocations);
    module.def("allowed_threads", &allowed_threads);
}

}  // namespace chainrule
