// A training as Python sees it; it keeps the arrays that it reads.
// In: arrays that arguments.hpp has checked. Out: sums of epochs, copies of states, logits.
#pragma once
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <exception>
#include <memory>
#include <cstddef>
#include <mutex>
#include <string>
#include <vector>

#include "allocations.hpp"
#include "arguments.hpp"
#include "border.hpp"
#include "dispatch.hpp"
#include "team.hpp"

namespace nb = nanobind;

namespace chainrule {

/// Names of the vectors of P numbers that a state with these settings carries, the parameters apart.
inline std::vector<std::string> vector_names(const TrainingSettings& settings) {
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
        nb::handle stages, nb::handle phases, nb::handle settings, nb::handle X, nb::handle Y, nb::handle c,
        nb::handle visited, nb::handle threads
    )
        : settings_(value_of<TrainingSettings>(settings, "settings", "TrainingSettings")) {
        const auto stage_list = value_of<std::vector<FusedStage>>(stages, "stages", "a list of FusedStage");
        const auto phase_list = value_of<std::vector<Phase>>(phases, "phases", "a list of Phase");
        sizes_ = checked_sizes(stage_list, phase_list, settings_);
        const TrainerSpec spec{
            stage_list, phase_list, settings_, take_rows(X, Y, c, visited),
            static_cast<int>(whole_number(threads, "threads", 0, most_threads))
        };
        batches_ = (spec.rows.count + settings_.batch_size - 1) / settings_.batch_size;
        const Isa isa = chosen_isa();
        isa_ = isa.name;
        const bool single = type_ == nb::dtype<float>();
        trainer_.reset(single ? isa.make_float32(spec) : isa.make_float64(spec));
        lanes_ = single ? &isa.lanes_float32() : &isa.lanes_float64();
    }

    /// Copy the state out; returns the number of steps done so far.
    std::int64_t read(nb::handle w, nb::handle statistics, nb::handle vectors) {
        StateArrays<Writable> to(*this, w, statistics, vectors);
        to.check_apart();
        nb::gil_scoped_release released;
        const std::scoped_lock lock(mutex_);
        trainer_->read(to.vectors);
        return trainer_->step();
    }

    /// Copy a state in.
    void write(nb::handle w, nb::handle statistics, nb::handle vectors, nb::handle step) {
        const StateArrays<Array> from(*this, w, statistics, vectors);
        const std::int64_t steps = whole_number(step, "step", 0, most_steps);
        nb::gil_scoped_release released;
        const std::scoped_lock lock(mutex_);
        trainer_->write(from.vectors, steps);
    }

    Sums run(nb::handle epoch, nb::handle first, nb::handle rates, nb::object stop) {
        const std::int64_t number = whole_number(epoch, "epoch", 0, most_epochs);
        const Array each = array_of<Array>(rates, "rates", nb::dtype<double>(), {any_length});
        const auto count = static_cast<std::int64_t>(each.size());
        require(count <= batches_, "rates", "one for each batch of an epoch at most", count);
        const std::int64_t start = whole_number(first, "first", 0, batches_ - count);
        const auto* const values = static_cast<const double*>(each.data());
        for (std::int64_t i = 0; i < count; ++i) require_finite(values[i], "rates");
        if (!PyCallable_Check(stop.ptr())) require(false, "stop", "a function", type_of(stop));
        StopCallback callback{std::move(stop), nullptr};
        Sums sums;
        {
            nb::gil_scoped_release released;
            const std::scoped_lock lock(mutex_);
            read_classes();
            sums = trainer_->run(number, start, {values, each.size()}, {ask_to_stop, &callback});
        }
        if (callback.error) std::rethrow_exception(callback.error);
        return sums;
    }

    void logits(nb::handle rows, nb::handle into) {
        const Array X = array_of<Array>(rows, "X", type_, {any_length, sizes_.inputs});
        const auto n = static_cast<std::int64_t>(X.shape(0));
        const Writable Z = array_of<Writable>(into, "Z", type_, {n, sizes_.outputs});
        require_apart(X, Z, "Z");
        infer(X.data(), n, Z.data());
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

    void profile() {
        nb::gil_scoped_release released;
        const std::scoped_lock lock(mutex_);
        trainer_->profile();
    }

    std::vector<double> nanoseconds() {
        nb::gil_scoped_release released;
        const std::scoped_lock lock(mutex_);
        return {trainer_->nanoseconds().begin(), trainer_->nanoseconds().end()};
    }

    std::size_t bytes() const { return trainer_->bytes(); }
    int threads() const { return trainer_->threads(); }
    const char* isa() const { return isa_; }

  private:
    friend class Block;
    friend class BlockGroup;
    friend std::vector<std::int64_t> run_blocks(nb::handle blocks, nb::handle threads, nb::object stop);

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

    /// Read the classes into 32 bits and check them; again before each run, since callers may arrange their rows anew.
    void read_classes() {
        const auto* const labels = static_cast<const std::int64_t*>(Y_.data());
        for (std::size_t i = 0; i < classes_.size(); ++i) {
            if (labels[i] < 0 || labels[i] >= sizes_.outputs)
                require(false, "Y", "of classes below " + std::to_string(sizes_.outputs), labels[i]);
            classes_[i] = static_cast<std::int32_t>(labels[i]);
        }
    }

    /// Keep the training rows, and the numbers of those that take part: all where none are named.
    Rows take_rows(nb::handle X, nb::handle Y, nb::handle c, nb::handle visited) {
        X_ = array_of<Array>(X, "X", nb::dlpack::dtype{}, {any_length, sizes_.inputs});
        type_ = X_.dtype();
        const auto n = static_cast<std::int64_t>(X_.shape(0));
        require(n >= 1 && n <= most_rows, "X", "of 1..2^32-1 rows", n);
        c_ = array_of<Array>(c, "c", type_, {n});
        each_number(c_, [](double weight) { require_finite(weight, "c"); });
        visited_ = array_of<Array>(visited, "visited", nb::dtype<std::uint32_t>(), {any_length});
        const auto* const numbers = static_cast<const std::uint32_t*>(visited_.data());
        for (std::size_t i = 0; i < visited_.size(); ++i)
            if (numbers[i] >= n) require(false, "visited", "of numbers of rows below " + std::to_string(n), numbers[i]);
        const bool all = visited_.size() == 0;
        const std::int64_t count = all ? n : static_cast<std::int64_t>(visited_.size());
        if (settings_.loss != LossKind::softmax_cross_entropy) {
            Y_ = array_of<Array>(Y, "Y", type_, {n, sizes_.outputs});
            return {X_.data(), Y_.data(), c_.data(), count, all ? nullptr : numbers};
        }
        Y_ = array_of<Array>(Y, "Y", nb::dtype<std::int64_t>(), {n});
        classes_.resize(static_cast<std::size_t>(n));
        read_classes();
        return {X_.data(), classes_.data(), c_.data(), count, all ? nullptr : numbers};
    }

    /// The arrays of a state, found by their names; every one is checked before any number is copied.
    template <class Kind>
    struct StateArrays {
        Kind w, statistics;
        std::size_t bytes_w, bytes_statistics;  // of one state
        std::vector<Kind> named;
        StateVectors vectors;

        /// Of one state, or with `epochs` of as many states one after the other.
        StateArrays(
            const Session& session, nb::handle w_, nb::handle statistics_, nb::handle vectors_, std::int64_t epochs = 0
        )
            : w(vector(session, w_, "w", session.sizes_.parameters, epochs)),
              statistics(vector(session, statistics_, "statistics", session.sizes_.statistics, epochs)),
              bytes_w(static_cast<std::size_t>(session.sizes_.parameters) * w.itemsize()),
              bytes_statistics(static_cast<std::size_t>(session.sizes_.statistics) * w.itemsize()) {
            const std::vector<std::string> names = vector_names(session.settings_);
            if (!nb::isinstance<nb::dict>(vectors_)) require(false, "vectors", "a dictionary", type_of(vectors_));
            const auto given = nb::borrow<nb::dict>(vectors_);
            if (given.size() != names.size()) require(false, "vectors", "of the names " + joined(names), given.size());
            const MomentNames moments = moment_names(session.settings_.optimizer);
            vectors.w = address(w);
            vectors.statistics = address(statistics);
            for (const std::string& name : names) {
                if (!given.contains(name.c_str())) require(false, "vectors", "of the names " + joined(names), "none of the name " + name);
                const nb::object array = given[name.c_str()];
                named.push_back(vector(session, array, name.c_str(), session.sizes_.parameters, epochs));
                void* const data = address(named.back());
                if (moments.first != nullptr && name == moments.first) vectors.first_moment = data;
                if (moments.second != nullptr && name == moments.second) vectors.second_moment = data;
                if (name == gradient_sum_name) vectors.gradient_sum = data;
                if (name == weight_average_name) vectors.weight_average = data;
            }
        }

        static Kind vector(
            const Session& session, nb::handle array, const char* name, std::int64_t size, std::int64_t epochs
        ) {
            if (epochs == 0) return array_of<Kind>(array, name, session.type_, {size});
            return array_of<Kind>(array, name, session.type_, {epochs, size});
        }

        /// The vectors of one of several states.
        StateVectors epoch(std::int64_t i) const {
            StateVectors at = vectors;
            const auto skip = [i](void*& vector, std::size_t bytes) {
                if (vector != nullptr) vector = static_cast<char*>(vector) + static_cast<std::size_t>(i) * bytes;
            };
            skip(at.statistics, bytes_statistics);
            for (void** each : {&at.w, &at.first_moment, &at.second_moment, &at.gradient_sum, &at.weight_average})
                skip(*each, bytes_w);
            return at;
        }

        static void* address(const Kind& array) { return const_cast<void*>(static_cast<const void*>(array.data())); }

        /// Arrays that are written must not share memory.
        void check_apart() const {
            std::vector<const Kind*> arrays{&w, &statistics};
            for (const Kind& array : named) arrays.push_back(&array);
            for (std::size_t i = 0; i < arrays.size(); ++i)
                for (std::size_t j = 0; j < i; ++j) require_apart(*arrays[i], *arrays[j], "vectors");
        }
    };

    TrainingSettings settings_;
    PlanSizes sizes_{};
    std::int64_t batches_ = 0;
    nb::dlpack::dtype type_{};
    Array X_, Y_, c_, visited_;  // kept alive while the trainer reads them
    std::vector<std::int32_t> classes_;
    std::unique_ptr<Trainer> trainer_;
    const LaneFactory* lanes_ = nullptr;
    std::mutex mutex_;
    const char* isa_ = "";
};

}  // namespace chainrule
