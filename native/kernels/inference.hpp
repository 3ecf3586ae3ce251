// Inference: rows go through all stages chunk by chunk, on several threads if that pays.
// In: a network's numbers, rows as they are or in the user's units. Out: logits or classes.
#pragma once
#include <atomic>
#include <cmath>
#include <memory>

#include "../team.hpp"
#include "embeddings.hpp"
#include "product.hpp"
#include "scaling.hpp"
#include "state.hpp"

namespace chainrule::CHAINRULE_ISA {

inline constexpr double infer_flops_per_thread = 1e8;  // work that is worth one more thread, which starts at each call
inline constexpr double scaling_flops = 40;            // what scaling a number costs, in operations of a product
inline constexpr std::int64_t infer_chunk = 192;       // rows that go through all stages together, at most

template <class T>
class Inference {
  public:
    Inference(const Network<T>& network, int threads) : network_(network), threads_(threads) {
        for (const StageState<T>& s : network.stages) widest_ = std::max(widest_, Panels<T>::padded(s.plan.outputs));
        widest_ = std::max(widest_, Panels<T>::padded(columns()));
        for (const StageState<T>& s : network.stages)
            flops_ += 2.0 * static_cast<double>(s.plan.inputs) * static_cast<double>(s.plan.outputs);
    }

    /// Answer for rows; `shift` is the distance from a parameter to the number used for it. False if a number of the rows
    /// is out of range.
    bool run(const RowSource& rows, Scaling scaling, const Answers& answers, std::ptrdiff_t shift) {
        call_ = {rows, scaling, answers, shift};
        const double each = flops_ + (scaling.mean != nullptr ? scaling_flops * static_cast<double>(columns()) : 0);
        const int members = members_for(each * static_cast<double>(rows.count), rows.count);
        chunk_ = chunk_rows(rows.count, members);
        reserve(chunk_, members);
        next_.store(0, std::memory_order_relaxed);
        faulty_.store(false, std::memory_order_relaxed);
        in_team(members, [](void* self, int id, int) { static_cast<Inference*>(self)->work(id); }, this);
        return !faulty_.load(std::memory_order_relaxed);
    }

  private:
    struct Call {
        RowSource rows;
        Scaling scaling;
        Answers answers;
        std::ptrdiff_t shift;
    };

    std::int64_t columns() const { return network_.stages.front().plan.inputs; }

    int members_for(double work, std::int64_t n) const {
        if (threads_ > 0) return threads_;
        const double wanted = std::min(work / infer_flops_per_thread, static_cast<double>(n) / max_tile_rows);
        return std::max(1, static_cast<int>(std::min<double>(allowed_threads(), wanted)));
    }

    /// Rows of a chunk: whole tiles, and so many chunks that every member has as many.
    static std::int64_t chunk_rows(std::int64_t n, int members) {
        const auto up = [](std::int64_t a, std::int64_t b) { return (a + b - 1) / b; };
        const std::int64_t chunks = up(up(n, infer_chunk), members) * members;
        return up(up(n, chunks), max_tile_rows) * max_tile_rows;
    }

    void reserve(std::int64_t rows, int members) {
        if (rows * widest_ * members <= room_) return;
        room_ = rows * widest_ * members;
        arena_ = std::make_unique<Arena>();
        for (int pass = 0; pass < 2; ++pass) {
            for (T*& buffer : buffers_) buffer = arena_->template place<T>(room_);
            if (pass == 0) arena_->commit();
        }
    }

    void work(int id) {
        const std::int64_t total = call_.rows.count, room = chunk_ * widest_;
        T *const from = buffers_[0] + id * room, *const to = buffers_[1] + id * room;
        for (std::int64_t first; (first = chunk_ * next_.fetch_add(1, std::memory_order_relaxed)) < total;) {
            if (faulty_.load(std::memory_order_relaxed)) return;
            answer(first, std::min(chunk_, total - first), from, to);
        }
    }

    void answer(std::int64_t first, std::int64_t n, T* from, T* to) {
        if (!read(first, {from, n, columns()})) {
            faulty_.store(true, std::memory_order_relaxed);
            return;
        }
        for (const StageState<T>& s : network_.stages) {
            infer_stage(s, call_.shift, {from, n, s.plan.inputs}, {to, n, s.plan.outputs});
            std::swap(from, to);
        }
        const std::int64_t k = network_.stages.back().plan.outputs;
        const Panels<T> Z{from, n, k};
        if (call_.answers.logits != nullptr) from_panels<T>(Z, static_cast<T*>(call_.answers.logits) + first * k);
        if (call_.answers.classes == nullptr) return;
        for (std::int64_t i = 0; i < n; ++i)
            call_.answers.classes[first + i] = class_of(Z, i, static_cast<T>(call_.answers.temperature));
    }

    /// Rows first .. first + X.rows - 1 into panels; false if a number is out of range.
    bool read(std::int64_t first, Panels<T> X) const {
        if (call_.scaling.mean == nullptr) {
            const T* const rows = static_cast<const T*>(call_.rows.data) + first * X.columns;
            for (std::int64_t i = 0; i < X.rows; ++i) gather_row<T>(rows + i * X.columns, X, i);
            return true;
        }
        return with_scaler<T>(call_.rows, call_.scaling, X.columns, [&](auto& scaler) { scaler.into_panels(first, X); });
    }

    /// The class of largest probability, or `undecided` where rounding of the probabilities might choose: of several
    /// classes the largest Z / temperature, of two whether their one logit is above 0.
    static std::int64_t class_of(Panels<T> Z, std::int64_t i, T temperature) {
        constexpr T apart = sizeof(T) == 4 ? T(1e-5) : T(1e-13);  // far more than an exponential and a division round
        const auto score = [&](std::int64_t j) {
            return Z.row(j / Panels<T>::wide, i)[j % Panels<T>::wide] / temperature;
        };
        if (Z.columns == 1) {
            const T z = score(0);
            return z >= apart ? 1 : z <= -apart ? 0 : undecided;
        }
        std::int64_t best = 0;
        for (std::int64_t j = 1; j < Z.columns; ++j)
            if (score(j) > score(best)) best = j;
        const T most = score(best);
        bool clear = true;
        for (std::int64_t j = 0; j < Z.columns; ++j) clear = clear && (j == best || score(j) - most <= -apart);
        return clear && std::isfinite(most) ? best : undecided;
    }

    static void infer_stage(const StageState<T>& s, std::ptrdiff_t shift, Panels<T> A, Panels<T> Y) {
        if (s.plan.embeds()) return embed<T>(s.groups, A, Y, 0, A.rows, shift);
        const T epsilon = static_cast<T>(s.plan.epsilon);
        Panels<T> weights = s.weights;
        NormVectors<T> norm = s.norm;
        if (s.plan.dense) weights.data += shift;
        for (T** vector : {&norm.gamma, &norm.beta})
            if (*vector != nullptr) *vector += shift;
        const T* const bias = s.bias() ? s.bias() + shift : nullptr;
        if (s.plan.dense) multiply<T>(A, weights, bias, Y, {0, Y.count()}, 0, A.rows);
        for (std::int64_t q = 0; q < Y.count(); ++q) {
            if (!s.plan.dense) std::copy(A.panel(q), A.panel(q) + A.rows * A.width(q), Y.panel(q));
            if (s.scales()) scale_rows<T>(Y, {}, q, 0, A.rows, norm.gamma);
            if (s.batch_norm()) batch_norm_infer<T>(Y, q, 0, A.rows, norm, epsilon);
        }
        if (s.layer_norm())
            for (std::int64_t i = 0; i < A.rows; ++i) layer_norm_forward<T>(Y, {}, i, norm, epsilon, nullptr);
        const T a = static_cast<T>(s.plan.activation_parameter);
        for (std::int64_t q = 0; q < Y.count(); ++q)
            if (s.plan.parametric())
                parametric_tail<T>(Y, {}, {}, q, 0, A.rows, s.plan.activation, a, s.alpha.w + shift, {});
            else
                forward_tail<T>(Y, {}, q, 0, A.rows, s.plan.activation, a, {});
    }

    const Network<T>& network_;
    int threads_;
    std::int64_t widest_ = 0;
    double flops_ = 0;  // of one row
    Call call_{};
    std::int64_t chunk_ = 0, room_ = 0;
    std::unique_ptr<Arena> arena_;
    T* buffers_[2] = {nullptr, nullptr};
    alignas(64) std::atomic<std::int64_t> next_{0};
    std::atomic<bool> faulty_{false};
};

}  // namespace chainrule::CHAINRULE_ISA
