// Predictors, and the scaling of whole matrices. This file is compiled once for each instruction set, and everything it
// defines lies in that set's own namespace.
// In: CHAINRULE_ISA and the target flags. Out: factories of predictors in float32 and float64; standardized matrices.
#include "../predictor.hpp"
#include "inference.hpp"

namespace chainrule::CHAINRULE_ISA {

namespace {

constexpr std::int64_t matrix_chunk = 128;          // rows that a thread scales together
constexpr double numbers_per_thread = 250'000;      // work that is worth one more thread

TrainerSpec without_training(const PredictorSpec& spec) {
    TrainingSettings settings{};
    settings.ema_decay = -1;
    return {spec.stages, {}, settings, Rows{nullptr, nullptr, nullptr, 0, nullptr}, spec.threads};
}

template <class T>
class NativePredictor final : public Predictor {
  public:
    explicit NativePredictor(const PredictorSpec& spec)
        : network_(without_training(spec), 1), inference_(network_, spec.threads) {
        network_.write(spec.vectors);
    }

    bool predict(const RowSource& rows, Scaling scaling, const Answers& answers) override {
        return inference_.run(rows, scaling, answers, 0);
    }

    std::size_t bytes() const override { return network_.bytes(); }

  private:
    Network<T> network_;
    Inference<T> inference_;
};

template <class T>
class MatrixScaling {
  public:
    MatrixScaling(const RowSource& rows, Scaling scaling, std::int64_t columns, T* to)
        : rows_(rows), scaling_(scaling), columns_(columns), to_(to) {}

    bool run() {
        const double wanted = static_cast<double>(rows_.count) * static_cast<double>(columns_) / numbers_per_thread;
        const int members = std::max(1, static_cast<int>(std::min<double>(allowed_threads(), wanted)));
        in_team(members, [](void* self, int, int) { static_cast<MatrixScaling*>(self)->work(); }, this);
        return !faulty_.load(std::memory_order_relaxed);
    }

  private:
    void work() {
        for (std::int64_t first; (first = matrix_chunk * next_.fetch_add(1, std::memory_order_relaxed)) < rows_.count;) {
            const std::int64_t last = std::min(rows_.count, first + matrix_chunk);
            if (!with_scaler<T>(rows_, scaling_, columns_, [&](auto& scaler) { scaler.into_matrix(first, last, to_); }))
                faulty_.store(true, std::memory_order_relaxed);
        }
    }

    RowSource rows_;
    Scaling scaling_;
    std::int64_t columns_;
    T* to_;
    std::atomic<std::int64_t> next_{0};
    std::atomic<bool> faulty_{false};
};

}  // namespace

Predictor* make_predictor_float32(const PredictorSpec& spec) { return new NativePredictor<float>(spec); }
Predictor* make_predictor_float64(const PredictorSpec& spec) { return new NativePredictor<double>(spec); }

bool standardize_float32(const RowSource& rows, Scaling scaling, std::int64_t columns, void* to) {
    return MatrixScaling<float>(rows, scaling, columns, static_cast<float*>(to)).run();
}

bool standardize_float64(const RowSource& rows, Scaling scaling, std::int64_t columns, void* to) {
    return MatrixScaling<double>(rows, scaling, columns, static_cast<double*>(to)).run();
}

}  // namespace chainrule::CHAINRULE_ISA
