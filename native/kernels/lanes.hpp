// Small networks of one shape side by side: a vector holds the same number of as many trainings as it has lanes, so that the
// arithmetic of each is that of a training by itself, in the same order, and no lane is padding.
// In: arrays whose element i is the vector at i · lanes. Out: products, activations, losses, updates of all lanes.
#pragma once
#include "losses.hpp"
#include "optimizers.hpp"

namespace chainrule::CHAINRULE_ISA {

inline constexpr int lane_tile_rows = 3, lane_tile_columns = 4;  // 12 sums of 16 registers

/// One number of each lane, in double precision.
template <class T>
struct WideLanes {
    double at[lanes<T>] = {};

    void add(Vec<T> x) {
        for (int m = 0; m < lanes<T>; ++m) at[m] += static_cast<double>(x[m]);
    }

    /// Add sums that have been kept in `count` parts, as `wide_sum` adds the lanes of a vector, divided by `k`.
    void add_parts(const T* parts, int count, double k = 1) {
        WideLanes sum;
        for (int l = 0; l < count; ++l) sum.add(load(parts + l * lanes<T>));
        for (int m = 0; m < lanes<T>; ++m) at[m] += sum.at[m] / k;
    }
};

/// An operand of a product: how far apart its elements are from row to row (or column to column) and from term to term.
template <class T>
struct LaneOperand {
    const T* data;
    std::int64_t across, term;
};

/// Where the sums of a product begin: at zero (null), at a row of numbers (row 0 apart), or at a matrix.
template <class T>
struct LaneStarts {
    const T* data = nullptr;
    std::int64_t row = 0;

    LaneStarts at(std::int64_t i, std::int64_t j) const {
        return {data == nullptr ? nullptr : data + (i * row + j) * lanes<T>, row};
    }
};

template <class T, int R, int C>
void lane_tile(LaneOperand<T> A, LaneOperand<T> B, std::int64_t terms, LaneStarts<T> starts, T* to, std::int64_t columns) {
    constexpr int n = lanes<T>;
    Vec<T> sums[R][C];
#pragma GCC unroll 3
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
        for (int c = 0; c < C; ++c)
            sums[r][c] = starts.data == nullptr ? Vec<T>{} : load(starts.data + (r * starts.row + c) * n);
    for (std::int64_t k = 0; k < terms; ++k) {
        Vec<T> a[R];
#pragma GCC unroll 3
        for (int r = 0; r < R; ++r) a[r] = load(A.data + (r * A.across + k * A.term) * n);
#pragma GCC unroll 4
        for (int c = 0; c < C; ++c) {
            const Vec<T> b = load(B.data + (c * B.across + k * B.term) * n);
#pragma GCC unroll 3
            for (int r = 0; r < R; ++r) sums[r][c] = multiply_add<T>(a[r], b, sums[r][c]);
        }
    }
#pragma GCC unroll 3
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
        for (int c = 0; c < C; ++c) store(to + (r * columns + c) * n, sums[r][c]);
}

template <class T, int R>
void lane_row_of_tiles(
    LaneOperand<T> A, LaneOperand<T> B, std::int64_t terms, LaneStarts<T> starts, T* to, std::int64_t columns
) {
    constexpr int n = lanes<T>, C = lane_tile_columns;
    for (std::int64_t j = 0; j < columns; j += C) {
        const LaneOperand<T> part{B.data + j * B.across * n, B.across, B.term};
        const LaneStarts<T> start = starts.at(0, j);
        T* const at = to + j * n;
        switch (std::min<std::int64_t>(C, columns - j)) {
            case 1: lane_tile<T, R, 1>(A, part, terms, start, at, columns); break;
            case 2: lane_tile<T, R, 2>(A, part, terms, start, at, columns); break;
            case 3: lane_tile<T, R, 3>(A, part, terms, start, at, columns); break;
            default: lane_tile<T, R, C>(A, part, terms, start, at, columns); break;
        }
    }
}

/// C (rows, columns) = its starts + Σ A B over `terms`.
template <class T>
inline void lane_product(
    LaneOperand<T> A, LaneOperand<T> B, std::int64_t terms, LaneStarts<T> starts, T* to, std::int64_t rows, std::int64_t columns
) {
    constexpr int n = lanes<T>, R = lane_tile_rows;
    for (std::int64_t i = 0; i < rows; i += R) {
        const LaneOperand<T> part{A.data + i * A.across * n, A.across, A.term};
        const LaneStarts<T> start = starts.at(i, 0);
        T* const at = to + i * columns * n;
        switch (std::min<std::int64_t>(R, rows - i)) {
            case 1: lane_row_of_tiles<T, 1>(part, B, terms, start, at, columns); break;
            case 2: lane_row_of_tiles<T, 2>(part, B, terms, start, at, columns); break;
            default: lane_row_of_tiles<T, R>(part, B, terms, start, at, columns); break;
        }
    }
}

/// Add some rows to the sums of the columns of G, as `column_sums` adds them: in four parts, which are added up where
/// `ends` is set. `parts` holds four numbers for each column.
template <class T>
inline void lane_column_sums(const T* G, std::int64_t rows, std::int64_t columns, T* parts, bool ends, T* sums) {
    constexpr int n = lanes<T>;
    for (std::int64_t j = 0; j < columns; ++j) {
        Vec<T> s[4];
        for (int r = 0; r < 4; ++r) s[r] = load(parts + (4 * j + r) * n);
        in_fours(0, rows, [&](std::int64_t i, int r) { s[r] += load(G + (i * columns + j) * n); });
        if (ends) store(sums + j * n, load(sums + j * n) + ((s[0] + s[1]) + (s[2] + s[3])));
        for (int r = 0; r < 4; ++r) store(parts + (4 * j + r) * n, ends ? Vec<T>{} : s[r]);
    }
}

/// Copy columns of a row of each lane into the lanes.
template <class T>
inline void lane_gather(const T* const (&rows)[lanes<T>], std::int64_t columns, T* to) {
    constexpr int n = lanes<T>;
    std::int64_t j = 0;
    for (; j + n <= columns; j += n) {
        Vec<T> block[n];
#pragma GCC unroll 16
        for (int m = 0; m < n; ++m) block[m] = load_loose(rows[m] + j);
        transpose<T>(block);
#pragma GCC unroll 16
        for (int m = 0; m < n; ++m) store(to + (j + m) * n, block[m]);
    }
    for (; j < columns; ++j) {
        Vec<T> x;
#pragma GCC unroll 16
        for (int m = 0; m < n; ++m) x[m] = rows[m][j];
        store(to + j * n, x);
    }
}

/// A = g(Z) in place, and g' where `slope` has room for it.
template <class T>
inline void lane_activation(T* Z, T* slope, std::int64_t size, ActivationKind g, T a) {
    if (g == ActivationKind::identity && slope == nullptr) return;
    with_function<T>(g, [&]<class F>(F) {
        for (std::int64_t i = 0; i < size * lanes<T>; i += lanes<T>) {
            const Vec<T> in = load(Z + i), value = F::value(in, a);
            store(Z + i, value);
            if (slope != nullptr) store(slope + i, F::derivative(F::reads_Z ? in : value, a));
        }
    });
}

/// G ⊙ g' in place, from A or from the slopes that were kept.
template <class T>
inline void lane_derivative(T* G, const T* A, const T* slope, std::int64_t size, const FusedStage& stage) {
    constexpr int n = lanes<T>;
    if (stage.derivative_source == DerivativeSource::none) return;
    if (stage.derivative_source == DerivativeSource::kept) {
        for (std::int64_t i = 0; i < size * n; i += n) store(G + i, load(G + i) * load(slope + i));
        return;
    }
    const T a = static_cast<T>(stage.activation_parameter), scale = static_cast<T>(stage.keep_scale);
    with_function<T>(stage.activation, [&]<class F>(F) {
        if constexpr (!F::reads_Z)
            for (std::int64_t i = 0; i < size * n; i += n) store(G + i, load(G + i) * (F::derivative(load(A + i), a) * scale));
    });
}

/// The targets of the batches: a class for each row, or Y (rows, outputs); and their weights.
template <class T>
struct LaneTargets {
    Class<T>* classes = nullptr;
    T* Y = nullptr;
    T* c = nullptr;
    Vec<T> total{};  // C = Σ c, or 1 if that is 0
};

/// Loss and score of a batch. The sums of a chunk of its rows are kept in as many parts as those of a training by itself, a
/// vector for each column or for each lane, and are added up at its end.
template <class T>
struct LaneMeasured {
    WideLanes<T> loss{}, score{}, right{};
    T *losses = nullptr, *scores = nullptr;  // the parts

    static std::int64_t parts(std::int64_t k) { return std::max<std::int64_t>(k, lanes<T>); }

    /// Add up the parts of a chunk in groups of a vector's lanes, each divided by `k`.
    void add_parts(std::int64_t count, double k) {
        constexpr int n = lanes<T>;
        WideLanes<T> chunk_loss, chunk_score = right;
        for (std::int64_t start = 0; start < count; start += n) {
            const int used = static_cast<int>(std::min<std::int64_t>(n, count - start));
            chunk_loss.add_parts(losses + start * n, used, k);
            chunk_score.add_parts(scores + start * n, used, k);
        }
        std::fill_n(losses, count * n, T(0));
        std::fill_n(scores, count * n, T(0));
        for (int m = 0; m < n; ++m) {
            loss.at[m] += chunk_loss.at[m];
            score.at[m] += chunk_score.at[m];
        }
        right = {};
    }
};

/// The first rows of a loss that is a mean over k columns, as `columnwise` computes it.
template <class T, LossKind kind, class Link>
inline void lane_columnwise(
    const T* Z, const LaneTargets<T>& targets, T* G, std::int64_t rows, std::int64_t k, T delta, LaneMeasured<T>& measured
) {
    constexpr int n = lanes<T>;
    for (std::int64_t j = 0; j < k; ++j) {
        Vec<T> loss = load(measured.losses + j * n), error = load(measured.scores + j * n);
        for (std::int64_t i = 0; i < rows; ++i) {
            const std::int64_t at = (i * k + j) * n;
            const Vec<T> z = load(Z + at), y = load(targets.Y + at), A = Link::value(z, T(0));
            const Entry<T> found = entry<T, kind, Link>(z, A, y, delta, Vec<T>{});
            const Vec<T> c = load(targets.c + i * n);
            loss = multiply_add<T>(c, found.loss, loss);
            error = multiply_add<T>(c, (A - y) * (A - y), error);
            store(G + at, found.gradient * (c / targets.total / static_cast<T>(k)));
        }
        store(measured.losses + j * n, loss);
        if (kind != LossKind::binary_cross_entropy) store(measured.scores + j * n, error);
    }
}

/// Add Σ c over the rows whose labels are all predicted correctly.
template <class T>
inline void lane_all_right(
    const T* Z, const LaneTargets<T>& targets, std::int64_t rows, std::int64_t k, WideLanes<T>& right
) {
    constexpr int n = lanes<T>;
    for (std::int64_t i = 0; i < rows; ++i) {
        Ints<T> wrong{};
        for (std::int64_t j = 0; j < k; ++j) {
            const Vec<T> z = load(Z + (i * k + j) * n), y = load(targets.Y + (i * k + j) * n);
            wrong |= (z > T(0)) != (y > T(0.5));
        }
        right.add(wrong ? Vec<T>{} : load(targets.c + i * n));
    }
}

/// Softmax cross-entropy of the first rows, as `softmax_narrow` computes it; they begin at a multiple of the lanes.
template <class T>
inline void lane_softmax(
    const T* Z, const LaneTargets<T>& targets, T* G, std::int64_t rows, std::int64_t k, T smoothing, LaneMeasured<T>& measured
) {
    constexpr int n = lanes<T>;
    for (std::int64_t i = 0; i < rows; ++i) {
        T* const g = G + i * k * n;
        std::copy_n(Z + i * k * n, k * n, g);
        const Vec<T> c = load(targets.c + i * n);
        const Ints<T> y = *reinterpret_cast<const Ints<T>*>(targets.classes + i * n);
        const std::int64_t part = i % n * n;
        Vec<T> loss = load(measured.losses + part), score = load(measured.scores + part);
        softmax_lanes<T>(g, static_cast<int>(k), y, c, c / targets.total, smoothing, loss, score);
        store(measured.losses + part, loss);
        store(measured.scores + part, score);
    }
}

/// Whether `lane_loss` computes a loss for this many outputs.
template <class T>
inline bool has_lane_loss(const TrainingSettings& s, std::int64_t outputs) {
    switch (s.loss) {
        case LossKind::softmax_cross_entropy: return outputs <= panel_width<T>;
        case LossKind::binary_cross_entropy:
        case LossKind::poisson: return true;
        case LossKind::mean_squared_error:
        case LossKind::mean_absolute_error:
        case LossKind::huber: return s.link == ActivationKind::identity;
        default: return false;
    }
}

/// Gradient of the first rows; their loss and score are added to `measured`, whose chunk ends with them if `ends` is set.
template <class T>
inline void lane_loss(
    const T* Z, const LaneTargets<T>& targets, T* G, std::int64_t rows, std::int64_t k, const TrainingSettings& s, bool ends,
    LaneMeasured<T>& measured
) {
    using enum LossKind;
    using Identity = Function<T, ActivationKind::identity>;
    const T delta = static_cast<T>(s.delta);
    const auto columns = [&]<LossKind kind, class Link>() {
        lane_columnwise<T, kind, Link>(Z, targets, G, rows, k, delta, measured);
    };
    switch (s.loss) {
        case softmax_cross_entropy:
            lane_softmax<T>(Z, targets, G, rows, k, static_cast<T>(s.label_smoothing), measured);
            break;
        case binary_cross_entropy:
            columns.template operator()<binary_cross_entropy, Function<T, ActivationKind::sigmoid>>();
            lane_all_right<T>(Z, targets, rows, k, measured.right);
            break;
        case poisson: columns.template operator()<poisson, Function<T, ActivationKind::exp>>(); break;
        case mean_absolute_error: columns.template operator()<mean_absolute_error, Identity>(); break;
        case huber: columns.template operator()<huber, Identity>(); break;
        default: columns.template operator()<mean_squared_error, Identity>(); break;
    }
    if (!ends) return;
    if (s.loss == softmax_cross_entropy)
        measured.add_parts(lanes<T>, 1);
    else
        measured.add_parts(k, static_cast<double>(k));
}

/// A matrix of parameters (rows, columns) with its gradient and moments.
template <class T>
struct LaneSlot {
    T *w = nullptr, *first = nullptr, *second = nullptr;
    std::int64_t rows = 0, columns = 0;
    T multiplier = 1;
    bool decays = false;
    std::int64_t partial = 0;  // of its first block
};

/// Update the parameters with the gradient g, block by block as `pass_over` does; Σ g² of each block into `partials`.
template <class T, OptimizerKind kind>
inline void lane_update(const Rule<T>& shared, Vec<T> rate, const LaneSlot<T>& slot, const T* g, WideLanes<T>* partials) {
    constexpr int n = lanes<T>, vectors_per_part = 64;
    constexpr std::int64_t wide = panel_width<T>;
    const Rule<T> rule = shared;
    const Vec<T> lr = rate * slot.multiplier, step = lr * rule.first_correction;
    const Vec<T> decay = slot.decays ? lr * rule.weight_decay : Vec<T>{};
    const bool adds = rule.penalized && slot.decays;
    const std::int64_t down = (slot.rows + wide - 1) / wide;
    for (std::int64_t q = 0; q * wide < slot.columns; ++q)
        for (std::int64_t p = 0; p < down; ++p) {
            WideLanes<T> total;
            Vec<T> squares[n] = {};
            int vectors = 0;
            for (std::int64_t i = p * wide; i < std::min(slot.rows, (p + 1) * wide); ++i)
                for (std::int64_t start = q * wide; start < std::min(slot.columns, (q + 1) * wide); start += n) {
                    const int used = static_cast<int>(std::min<std::int64_t>(n, slot.columns - start));
                    for (int l = 0; l < used; ++l) {
                        const std::int64_t at = (i * slot.columns + start + l) * n;
                        Vec<T> x = load(g + at);
                        const Vec<T> w = load(slot.w + at);
                        if (adds) x = penalized<T>(x, w, rule.l1, rule.l2);
                        squares[l] = multiply_add<T>(x, x, squares[l]);
                        x = clipped<T>(x, rule.limit);
                        store(slot.w + at, updated<T, kind>(w, x, slot.first + at, slot.second + at, rule, lr, decay, step));
                    }
                    if (++vectors % vectors_per_part > 0) continue;
                    total.add_parts(reinterpret_cast<const T*>(squares), n);
                    std::fill_n(squares, n, Vec<T>{});
                }
            if (vectors % vectors_per_part > 0) total.add_parts(reinterpret_cast<const T*>(squares), n);
            partials[slot.partial + q * down + p] = total;
        }
}

template <class T>
inline void lane_update(const Rule<T>& rule, Vec<T> rate, const LaneSlot<T>& slot, const T* g, WideLanes<T>* partials) {
    using enum OptimizerKind;
    switch (rule.kind) {
        case sgd: return lane_update<T, sgd>(rule, rate, slot, g, partials);
        case ema_momentum: return lane_update<T, ema_momentum>(rule, rate, slot, g, partials);
        case sgd_momentum: return lane_update<T, sgd_momentum>(rule, rate, slot, g, partials);
        case nesterov: return lane_update<T, nesterov>(rule, rate, slot, g, partials);
        case rmsprop: return lane_update<T, rmsprop>(rule, rate, slot, g, partials);
        case adagrad: return lane_update<T, adagrad>(rule, rate, slot, g, partials);
        case adam: return lane_update<T, adam>(rule, rate, slot, g, partials);
        case adamw: return lane_update<T, adamw>(rule, rate, slot, g, partials);
    }
}

}  // namespace chainrule::CHAINRULE_ISA
