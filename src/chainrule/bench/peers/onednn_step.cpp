// A training step on oneDNN, as a program in C++ would be written for best speed: weights stay in the layouts that oneDNN
// chooses, activations are part of the products, and Adam is one loop over each layer.
// In: widths, batch size, rows. Out: functions for ctypes that train some epochs and read the weights.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <memory>
#include <numeric>
#include <random>
#include <unordered_map>
#include <utility>
#include <vector>

#include <omp.h>
#include <oneapi/dnnl/dnnl.hpp>

namespace {

using dnnl::memory;
using Tag = memory::format_tag;
using Arguments = std::vector<std::pair<dnnl::primitive, std::unordered_map<int, memory>>>;

constexpr auto f32 = memory::data_type::f32;
constexpr float beta1 = 0.9f, beta2 = 0.999f, epsilon = 1e-8f;

float* data(const memory& of) { return static_cast<float*>(of.get_data_handle()); }

/// One dense layer: its parameters and Adam's vectors in the layout of the forward pass, and what each pass needs.
struct Layer {
    std::int64_t inputs, outputs;
    memory W, b, m, v, m_b, v_b;
    memory Y, dY, dW, db, dW_forward, W_backward;
    std::size_t size;  // numbers of W, padding included
};

class Training {
  public:
    Training(std::vector<std::int64_t> widths, std::int64_t batch, std::int64_t rows, const float* X, const std::int64_t* y, bool tanh)
        : widths_(std::move(widths)), batch_(batch), rows_(rows), X_(X), y_(y), tanh_(tanh), order_(rows), classes_(batch) {
        std::iota(order_.begin(), order_.end(), 0u);
        build();
    }

    /// Use n threads; everything is built anew, since oneDNN chooses its kernels for a number of threads.
    void limit(int n) {
        omp_set_num_threads(n);
        const std::vector<float> kept = weights();
        build();
        set(kept);
    }

    double epochs(std::int64_t count, float rate) {
        double loss = 0;
        for (std::int64_t e = 0; e < count; ++e) {
            if (batch_ < rows_) std::shuffle(order_.begin(), order_.end(), generator_);
            loss = 0;
            for (std::int64_t start = 0; start + batch_ <= rows_; start += batch_) loss += step(start, rate);
        }
        return loss / static_cast<double>(rows_ / batch_);
    }

    /// All parameters, W (inputs, outputs) and b of each layer in turn.
    std::vector<float> weights() {
        std::vector<float> all;
        for (Layer& l : layers_) {
            memory plain({{l.outputs, l.inputs}, f32, Tag::ba}, engine_);
            reorder(l.W, plain);
            all.insert(all.end(), data(plain), data(plain) + l.inputs * l.outputs);
            all.insert(all.end(), data(l.b), data(l.b) + l.outputs);
        }
        return all;
    }

    void set(const std::vector<float>& all) {
        const float* from = all.data();
        for (Layer& l : layers_) {
            memory plain({{l.outputs, l.inputs}, f32, Tag::ba}, engine_);
            std::copy_n(from, l.inputs * l.outputs, data(plain));
            from += l.inputs * l.outputs;
            reorder(plain, l.W);
            std::copy_n(from, l.outputs, data(l.b));
            from += l.outputs;
        }
    }

  private:
    void reorder(memory& from, memory& to) {
        dnnl::reorder(from, to).execute(stream_, from, to);
        stream_.wait();
    }

    memory zeros(const memory::desc& of) {
        memory made(of, engine_);
        std::memset(made.get_data_handle(), 0, of.get_size());
        return made;
    }

    memory::desc rows_of(std::int64_t columns) const { return {{batch_, columns}, f32, Tag::ab}; }

    void add(const dnnl::primitive& primitive, std::unordered_map<int, memory> with) {
        program_->emplace_back(primitive, std::move(with));
    }

    void build() {
        layers_.clear();
        forward_.clear();
        backward_.clear();
        input_ = zeros(rows_of(widths_.front()));
        std::vector<dnnl::inner_product_forward::primitive_desc> made;
        program_ = &forward_;
        for (std::size_t i = 0; i + 1 < widths_.size(); ++i) made.push_back(build_forward(i));
        program_ = &backward_;
        for (std::size_t i = layers_.size(); i-- > 0;) build_backward(i, made[i]);
    }

    dnnl::inner_product_forward::primitive_desc build_forward(std::size_t i) {
        const std::int64_t d = widths_[i], k = widths_[i + 1];
        dnnl::primitive_attr attributes;
        if (i + 2 < widths_.size()) {
            dnnl::post_ops after;
            after.append_eltwise(tanh_ ? dnnl::algorithm::eltwise_tanh : dnnl::algorithm::eltwise_relu, 0, 0);
            attributes.set_post_ops(after);
        }
        const dnnl::inner_product_forward::primitive_desc found(
            engine_, dnnl::prop_kind::forward_training, rows_of(d), memory::desc({k, d}, f32, Tag::any),
            memory::desc({k}, f32, Tag::a), rows_of(k), attributes
        );
        const memory::desc W = found.weights_desc(), b({k}, f32, Tag::a);
        Layer l{d, k, zeros(W), zeros(b), zeros(W), zeros(W), zeros(b), zeros(b), zeros(rows_of(k)), zeros(rows_of(k)), {}, zeros(b), {}, {}, W.get_size() / 4};
        memory plain({{k, d}, f32, Tag::ba}, engine_);
        std::normal_distribution<float> normal(0, std::sqrt(2.0f / static_cast<float>(d)));
        for (std::int64_t j = 0; j < d * k; ++j) data(plain)[j] = normal(generator_);
        reorder(plain, l.W);
        const memory from = i == 0 ? input_ : layers_[i - 1].Y;
        add(dnnl::inner_product_forward(found), {{DNNL_ARG_SRC, from}, {DNNL_ARG_WEIGHTS, l.W}, {DNNL_ARG_BIAS, l.b}, {DNNL_ARG_DST, l.Y}});
        layers_.push_back(std::move(l));
        return found;
    }

    void build_backward(std::size_t i, const dnnl::inner_product_forward::primitive_desc& hint) {
        Layer& l = layers_[i];
        const memory from = i == 0 ? input_ : layers_[i - 1].Y;
        const memory::desc any({l.outputs, l.inputs}, f32, Tag::any), b({l.outputs}, f32, Tag::a);
        const dnnl::inner_product_backward_weights::primitive_desc weights(engine_, rows_of(l.inputs), any, b, rows_of(l.outputs), hint);
        l.dW = zeros(weights.diff_weights_desc());
        add(dnnl::inner_product_backward_weights(weights), {{DNNL_ARG_SRC, from}, {DNNL_ARG_DIFF_DST, l.dY}, {DNNL_ARG_DIFF_WEIGHTS, l.dW}, {DNNL_ARG_DIFF_BIAS, l.db}});
        l.dW_forward = l.dW;
        if (l.dW.get_desc() != l.W.get_desc()) {
            l.dW_forward = zeros(l.W.get_desc());
            add(dnnl::reorder(l.dW, l.dW_forward), {{DNNL_ARG_FROM, l.dW}, {DNNL_ARG_TO, l.dW_forward}});
        }
        if (i == 0) return;
        const dnnl::inner_product_backward_data::primitive_desc rows(engine_, rows_of(l.inputs), any, rows_of(l.outputs), hint);
        l.W_backward = l.W;
        if (rows.weights_desc() != l.W.get_desc()) {
            l.W_backward = zeros(rows.weights_desc());
            add(dnnl::reorder(l.W, l.W_backward), {{DNNL_ARG_FROM, l.W}, {DNNL_ARG_TO, l.W_backward}});
        }
        Layer& below = layers_[i - 1];
        add(dnnl::inner_product_backward_data(rows), {{DNNL_ARG_DIFF_DST, l.dY}, {DNNL_ARG_WEIGHTS, l.W_backward}, {DNNL_ARG_DIFF_SRC, below.dY}});
        const auto kind = tanh_ ? dnnl::algorithm::eltwise_tanh_use_dst_for_bwd : dnnl::algorithm::eltwise_relu_use_dst_for_bwd;
        const memory::desc of = rows_of(below.outputs);
        const dnnl::eltwise_forward::primitive_desc ahead(engine_, dnnl::prop_kind::forward_training, kind, of, of, 0.f, 0.f);
        const dnnl::eltwise_backward::primitive_desc back(engine_, kind, of, of, of, 0.f, 0.f, ahead);
        add(dnnl::eltwise_backward(back), {{DNNL_ARG_DST, below.Y}, {DNNL_ARG_DIFF_DST, below.dY}, {DNNL_ARG_DIFF_SRC, below.dY}});
    }

    void run(const Arguments& program) {
        for (const auto& [primitive, with] : program) primitive.execute(stream_, with);
        stream_.wait();
    }

    double step(std::int64_t start, float rate) {
        gather(start);
        run(forward_);
        const double loss = softmax();
        run(backward_);
        ++steps_;
        const float first = rate / (1 - std::pow(beta1, static_cast<float>(steps_)));
        const float second = 1 / (1 - std::pow(beta2, static_cast<float>(steps_)));
        for (Layer& l : layers_) {
            adam(data(l.W), data(l.dW_forward), data(l.m), data(l.v), l.size, first, second);
            adam(data(l.b), data(l.db), data(l.m_b), data(l.v_b), static_cast<std::size_t>(l.outputs), first, second);
        }
        return loss;
    }

    void gather(std::int64_t start) {
        const std::int64_t d = widths_.front();
        float* const to = data(input_);
#pragma omp parallel for if (batch_ * d > 20000)
        for (std::int64_t i = 0; i < batch_; ++i) {
            const std::uint32_t row = order_[start + i];
            std::memcpy(to + i * d, X_ + row * d, static_cast<std::size_t>(d) * sizeof(float));
            classes_[i] = static_cast<std::int32_t>(y_[row]);
        }
    }

    /// Mean softmax cross-entropy, and its gradient in the last layer's dY.
    double softmax() {
        const Layer& l = layers_.back();
        const std::int64_t k = l.outputs;
        const float share = 1.0f / static_cast<float>(batch_);
        double loss = 0;
#pragma omp parallel for reduction(+ : loss) if (batch_ * k > 20000)
        for (std::int64_t i = 0; i < batch_; ++i) {
            const float* const z = data(l.Y) + i * k;
            float* const g = data(l.dY) + i * k;
            float top = z[0], total = 0;
            for (std::int64_t j = 1; j < k; ++j) top = std::max(top, z[j]);
#pragma omp simd reduction(+ : total)
            for (std::int64_t j = 0; j < k; ++j) {
                g[j] = std::exp(z[j] - top);
                total += g[j];
            }
            const float scale = share / total;
#pragma omp simd
            for (std::int64_t j = 0; j < k; ++j) g[j] *= scale;
            g[classes_[i]] -= share;
            loss += std::log(total) - (z[classes_[i]] - top);
        }
        return loss * static_cast<double>(share);
    }

    static void adam(float* w, const float* g, float* m, float* v, std::size_t size, float first, float second) {
#pragma omp parallel for simd if (size > 20000)
        for (std::size_t i = 0; i < size; ++i) {
            m[i] = beta1 * m[i] + (1 - beta1) * g[i];
            v[i] = beta2 * v[i] + (1 - beta2) * (g[i] * g[i]);
            w[i] -= first * m[i] / (std::sqrt(second * v[i]) + epsilon);
        }
    }

    std::vector<std::int64_t> widths_;
    std::int64_t batch_, rows_, steps_ = 0;
    const float* X_;
    const std::int64_t* y_;
    bool tanh_;
    std::vector<std::uint32_t> order_;
    std::vector<std::int32_t> classes_;
    std::mt19937 generator_{0};
    dnnl::engine engine_{dnnl::engine::kind::cpu, 0};
    dnnl::stream stream_{engine_};
    memory input_;
    std::vector<Layer> layers_;
    Arguments forward_, backward_;
    Arguments* program_ = nullptr;
};

}  // namespace

extern "C" {

/// Null if oneDNN cannot run the network here.
void* training_new(const std::int64_t* widths, std::int64_t count, std::int64_t batch, std::int64_t rows, const float* X, const std::int64_t* y, int tanh) {
    try {
        return new Training({widths, widths + count}, batch, rows, X, y, tanh != 0);
    } catch (const dnnl::error&) {
        return nullptr;
    }
}

void training_delete(void* training) { delete static_cast<Training*>(training); }

void training_limit(void* training, int threads) { static_cast<Training*>(training)->limit(threads); }

/// The mean loss of the last epoch.
double training_epochs(void* training, std::int64_t count, float rate) { return static_cast<Training*>(training)->epochs(count, rate); }

void training_read(void* training, float* into) {
    const std::vector<float> all = static_cast<Training*>(training)->weights();
    std::copy(all.begin(), all.end(), into);
}

void training_write(void* training, const float* from, std::int64_t size) { static_cast<Training*>(training)->set({from, from + size}); }
}
