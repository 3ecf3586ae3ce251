// Predictors as Python sees them, several networks whose logits one call computes, and the scaling of a matrix.
// In: arrays from Python; rows may lie in any order in memory. Out: logits, classes, scaled rows.
#pragma once
#include <memory>
#include <mutex>
#include <vector>

#include "arguments.hpp"
#include "dispatch.hpp"

namespace chainrule {

/// Rows of float32 or float64 numbers, each on its own alignment, at any distances.
inline Array rows_of(nb::handle given, std::int64_t columns) {
    Array X;
    bool right = nb::try_cast<Array>(given, X, false) && X.is_valid() && X.ndim() == 2
                 && (X.dtype() == nb::dtype<float>() || X.dtype() == nb::dtype<double>())
                 && static_cast<std::int64_t>(X.shape(1)) == columns;
    right = right && reinterpret_cast<std::uintptr_t>(X.data()) % X.itemsize() == 0;
    if (!right)
        require(false, "X", "an aligned array of float32 or float64, shape " + shape_text(std::vector<std::int64_t>{any_length, columns}), type_of(given));
    return X;
}

inline RowSource source_of(const Array& X) {
    const bool single = X.dtype() == nb::dtype<float>();
    return {X.data(), static_cast<std::int64_t>(X.shape(0)), X.stride(0), X.stride(1), single, nullptr};
}

/// Means and scales of the columns, kept while they are used.
class KeptScaling {
  public:
    KeptScaling() = default;
    KeptScaling(nb::handle mean, nb::handle scale, std::int64_t columns)
        : mean_(array_of<Array>(mean, "mean", nb::dtype<double>(), {columns})),
          scale_(array_of<Array>(scale, "scale", nb::dtype<double>(), {columns})) {}

    Scaling get() const {
        if (!mean_.is_valid()) return {};
        return {static_cast<const double*>(mean_.data()), static_cast<const double*>(scale_.data())};
    }

  private:
    Array mean_, scale_;
};

/// A trained network, which does not change. It handles one call at a time; others wait.
class NetworkPredictor {
  public:
    /// Without mean and scale (None) rows are taken as they are.
    NetworkPredictor(
        nb::handle stages, nb::handle w, nb::handle statistics, nb::handle mean, nb::handle scale, nb::handle threads
    ) {
        const auto stage_list = value_of<std::vector<FusedStage>>(stages, "stages", "a list of FusedStage");
        sizes_ = checked_stages(stage_list);
        const Array parameters = array_of<Array>(w, "w", nb::dlpack::dtype{}, {sizes_.parameters});
        type_ = parameters.dtype();
        const Array running = array_of<Array>(statistics, "statistics", type_, {sizes_.statistics});
        if (!mean.is_none() || !scale.is_none()) scaling_ = KeptScaling(mean, scale, sizes_.inputs);
        StateVectors vectors;
        vectors.w = const_cast<void*>(parameters.data());
        vectors.statistics = const_cast<void*>(running.data());
        const PredictorSpec spec{
            stage_list, vectors, static_cast<int>(whole_number(threads, "threads", 0, most_threads))
        };
        const Isa isa = chosen_isa();
        const bool single = type_ == nb::dtype<float>();
        predictor_.reset(single ? isa.make_predictor_float32(spec) : isa.make_predictor_float64(spec));
    }

    /// Write the logits of X into Z; false if a number of X is out of range.
    bool logits(nb::handle rows, nb::handle into) {
        const Array X = accepted(rows);
        const Writable Z = array_of<Writable>(into, "Z", type_, {static_cast<std::int64_t>(X.shape(0)), sizes_.outputs});
        require_apart_from_rows(X, Z, "Z");
        return run(source_of(X), {.logits = Z.data()});
    }

    /// Write the number of each row's class into `classes`, -1 where it is undecided; false as above.
    bool classes(nb::handle rows, nb::handle into, double temperature) {
        const Array X = accepted(rows);
        const Writable classes = array_of<Writable>(into, "classes", nb::dtype<std::int64_t>(), {static_cast<std::int64_t>(X.shape(0))});
        require_apart_from_rows(X, classes, "classes");
        return run(source_of(X), {.classes = static_cast<std::int64_t*>(classes.data()), .temperature = temperature});
    }

    /// Compute the logits of contiguous rows of the network's type, taken as they are; the caller has checked the sizes.
    void infer(const void* X, std::int64_t n, void* Z) {
        run({X, n, sizes_.inputs, 1, type_ == nb::dtype<float>()}, {.logits = Z});
    }

    std::int64_t inputs() const { return sizes_.inputs; }
    std::int64_t outputs() const { return sizes_.outputs; }
    nb::dlpack::dtype type() const { return type_; }
    bool scales() const { return scaling_.get().mean != nullptr; }
    std::size_t bytes() const { return predictor_->bytes(); }

  private:
    Array accepted(nb::handle rows) const {
        return scales() ? rows_of(rows, sizes_.inputs) : array_of<Array>(rows, "X", type_, {any_length, sizes_.inputs});
    }

    /// Rows may lie anywhere between their first and last number, so only contiguous ones are compared.
    static void require_apart_from_rows(const Array& X, const Writable& into, const char* name) {
        if (contiguous(X)) require_apart(X, into, name);
    }

    bool run(const RowSource& rows, const Answers& answers) {
        if (rows.count == 0) return true;
        if (rows.count <= 4 && mutex_.try_lock()) {  // takes less time than releasing the interpreter's lock
            const std::scoped_lock lock(std::adopt_lock, mutex_);
            return predictor_->predict(rows, scaling_.get(), answers);
        }
        nb::gil_scoped_release released;
        const std::scoped_lock lock(mutex_);
        return predictor_->predict(rows, scaling_.get(), answers);
    }

    PlanSizes sizes_{};
    nb::dlpack::dtype type_{};
    KeptScaling scaling_;
    std::unique_ptr<Predictor> predictor_;
    std::mutex mutex_;
};

/// Several networks with equally many outputs, whose logits one call computes.
class Networks {
  public:
    /// Network i takes the rows X[rows[i]] of each call.
    Networks(nb::handle predictors, nb::handle rows)
        : kept_(value_of<nb::list>(predictors, "predictors", "a list of Predictor")),
          rows_(value_of<std::vector<std::size_t>>(rows, "rows", "a list of whole numbers")) {
        for (const nb::handle each : kept_) {
            NetworkPredictor* predictor = nullptr;
            if (!nb::try_cast<NetworkPredictor*>(each, predictor) || predictor == nullptr)
                require(false, "predictors", "a list of Predictor", type_of(each));
            require(!predictor->scales(), "predictors", "without scalings", "one with a scaling");
            predictors_.push_back(predictor);
        }
        require(!predictors_.empty(), "predictors", "at least one", predictors_.size());
        require(predictors_.size() == rows_.size(), "rows", "one number for each predictor", rows_.size());
        for (const NetworkPredictor* each : predictors_) {
            require(each->outputs() == predictors_[0]->outputs(), "predictors", "of equally many outputs", each->outputs());
            require(each->type() == predictors_[0]->type(), "predictors", "of one dtype", text_of(each->type()));
        }
        for (const std::size_t each : rows_) kinds_ = std::max(kinds_, each + 1);
    }

    /// Compute Z (networks, n, outputs).
    void logits(nb::handle X, nb::handle Z) {
        const nb::list kinds = value_of<nb::list>(X, "X", "a list of arrays");
        require(kinds.size() >= kinds_, "X", "an array for each kind of rows", kinds.size());
        const nb::dlpack::dtype type = predictors_[0]->type();
        std::int64_t n = any_length;
        std::vector<Array> arrays;
        for (std::size_t i = 0; i < predictors_.size(); ++i) {
            arrays.push_back(array_of<Array>(kinds[rows_[i]], "X", type, {n, predictors_[i]->inputs()}));
            n = static_cast<std::int64_t>(arrays.back().shape(0));
        }
        const std::int64_t k = predictors_[0]->outputs();
        const Writable into = array_of<Writable>(Z, "Z", type, {static_cast<std::int64_t>(predictors_.size()), n, k});
        for (const Array& each : arrays) require_apart(each, into, "Z");
        char* to = static_cast<char*>(into.data());
        for (std::size_t i = 0; i < predictors_.size(); ++i, to += static_cast<std::size_t>(n * k) * into.itemsize())
            predictors_[i]->infer(arrays[i].data(), n, to);
    }

  private:
    nb::list kept_;  // keeps the predictors alive
    std::vector<NetworkPredictor*> predictors_;
    std::vector<std::size_t> rows_;
    std::size_t kinds_ = 0;
};

/// Scale the rows of X, or those that `visited` numbers, into Z; false if a number is out of range.
inline bool standardize(nb::handle rows, nb::handle visited, nb::handle mean, nb::handle scale, nb::handle into) {
    const Writable Z = array_of<Writable>(into, "Z", nb::dlpack::dtype{}, {any_length, any_length});
    const auto columns = static_cast<std::int64_t>(Z.shape(1));
    const Array X = rows_of(rows, columns);
    const KeptScaling scaling(mean, scale, columns);
    RowSource source = source_of(X);
    Array numbers;
    if (!visited.is_none()) {
        numbers = array_of<Array>(visited, "visited", nb::dtype<std::uint32_t>(), {any_length});
        source.visited = static_cast<const std::uint32_t*>(numbers.data());
        for (std::size_t i = 0; i < numbers.size(); ++i)
            require(source.visited[i] < source.count, "visited", "of numbers of rows", source.visited[i]);
        source.count = static_cast<std::int64_t>(numbers.size());
    }
    require(static_cast<std::int64_t>(Z.shape(0)) == source.count, "Z", "of as many rows as are read", Z.shape(0));
    if (contiguous(X)) require_apart(X, Z, "Z");
    const Isa isa = chosen_isa();
    const auto run = Z.dtype() == nb::dtype<float>() ? isa.standardize_float32 : isa.standardize_float64;
    if (source.count <= 4) return run(source, scaling.get(), columns, Z.data());
    nb::gil_scoped_release released;
    return run(source, scaling.get(), columns, Z.data());
}

}  // namespace chainrule
