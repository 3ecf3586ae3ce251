// The engine as a page sees it: functions over numbers in the module's memory, called by lab/page/engine/engine.js.
// In: structs as numbers (names.hpp), rows and vectors. Out: steps run, states copied, logits, what is inside a network.
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <numbers>
#include <span>
#include <string>
#include <vector>

#include "../border.hpp"
#include "../order.hpp"
#include "../trainer.hpp"
#include "names.hpp"
#include "probe.hpp"

#define CHAINRULE_EXPORT(name) extern "C" [[clang::export_name(#name)]]

namespace chainrule {

namespace CHAINRULE_ISA {
Trainer* make_float32(const TrainerSpec&);
Trainer* make_float64(const TrainerSpec&);
}  // namespace CHAINRULE_ISA

Trainer::~Trainer() = default;

namespace wasm {

namespace {

/// A plan and its rows as the page describes them; it lies in memory as 32-bit words.
struct Problem {
    const double* stages;
    std::uint32_t stage_count;
    const double* phases;
    std::uint32_t phase_count;
    const double* settings;
    const void* X;
    const void* Y;
    const void* c;
    std::uint32_t rows;
    std::uint32_t wide;  // whether numbers are float64
};

/// Call f with the checked plan of a problem.
template <class F>
auto with_spec(const Problem& problem, F&& f) {
    const auto stages = decoded(problem.stages, problem.stage_count, stage_fields);
    const auto phases = decoded(problem.phases, problem.phase_count, phase_fields);
    const auto settings = decoded(problem.settings, 1, setting_fields);
    checked_sizes(stages, phases, settings[0]);
    require(problem.rows >= 1, "X", "of at least one row", 0);
    return f(TrainerSpec{stages, phases, settings[0], {problem.X, problem.Y, problem.c, problem.rows, nullptr}, 1});
}

/// Five numbers for each call of `run`, three for each pass of a probe.
double* measured(std::initializer_list<double> numbers) {
    static double room[8];
    std::copy(numbers.begin(), numbers.end(), room);
    return room;
}

StateVectors vectors(void* w, void* statistics, void* first, void* second) {
    return {.w = w, .statistics = statistics, .first_moment = first, .second_moment = second};
}

/// Uniform number i of a stream in (0, 1), as Stream.uniform of chainrule/random.py.
double uniform(Stream stream, std::uint32_t i) { return (static_cast<double>(stream.word(i)) + 0.5) / 4294967296.0; }

}  // namespace

CHAINRULE_EXPORT(allocate) void* allocate(std::size_t bytes) { return ::operator new(bytes); }

CHAINRULE_EXPORT(release) void release(void* at) { ::operator delete(at); }

/// The lines of all_names(), ended by a zero.
CHAINRULE_EXPORT(names) const char* names() {
    static const std::string text = all_names();
    return text.c_str();
}

CHAINRULE_EXPORT(trainer_open) Trainer* trainer_open(const Problem* problem) {
    return with_spec(*problem, [&](const TrainerSpec& spec) {
        return problem->wide ? CHAINRULE_ISA::make_float64(spec) : CHAINRULE_ISA::make_float32(spec);
    });
}

CHAINRULE_EXPORT(trainer_close) void trainer_close(Trainer* trainer) { delete trainer; }

/// Run batches from number `first` of an epoch; answers loss, score, weight, norm, steps.
CHAINRULE_EXPORT(trainer_run)
const double* trainer_run(Trainer* trainer, double epoch, double first, const double* rates, std::uint32_t count) {
    const Sums sums = trainer->run(
        static_cast<std::int64_t>(epoch), static_cast<std::int64_t>(first), {rates, count}, {nullptr, nullptr}
    );
    return measured({sums.loss, sums.score, sums.weight, sums.norm, static_cast<double>(sums.steps)});
}

/// Copy the state out; answers the number of steps done.
CHAINRULE_EXPORT(trainer_read)
double trainer_read(const Trainer* trainer, void* w, void* statistics, void* first, void* second) {
    trainer->read(vectors(w, statistics, first, second));
    return static_cast<double>(trainer->step());
}

CHAINRULE_EXPORT(trainer_write)
void trainer_write(Trainer* trainer, void* w, void* statistics, void* first, void* second, double step) {
    trainer->write(vectors(w, statistics, first, second), static_cast<std::int64_t>(step));
}

CHAINRULE_EXPORT(trainer_logits)
void trainer_logits(Trainer* trainer, const void* X, std::uint32_t n, void* Z) { trainer->logits(X, n, Z); }

CHAINRULE_EXPORT(probe_open) Probe* probe_open(const Problem* problem) {
    return with_spec(*problem, [&](const TrainerSpec& spec) -> Probe* {
        require(spec.settings.clip == ClipKind::by_norm, "clip", "by_norm, which keeps the gradient", 0);
        if (problem->wide) return new ProbeOf<double>(spec);
        return new ProbeOf<float>(spec);
    });
}

CHAINRULE_EXPORT(probe_close) void probe_close(Probe* probe) { delete probe; }

CHAINRULE_EXPORT(probe_write) void probe_write(Probe* probe, void* w, void* statistics) {
    probe->write(vectors(w, statistics, nullptr, nullptr));
}

/// Pass rows forward, and backward too; answers loss, score, weight.
CHAINRULE_EXPORT(probe_run)
const double* probe_run(Probe* probe, const std::uint32_t* rows, std::uint32_t n, double step, std::uint32_t backward) {
    const Pass pass = probe->run(rows, n, static_cast<std::int64_t>(step), backward != 0);
    return measured({pass.loss, pass.score, pass.weight});
}

CHAINRULE_EXPORT(probe_output) void probe_output(const Probe* probe, std::uint32_t stage, void* to) {
    probe->output(stage, to);
}

CHAINRULE_EXPORT(probe_slopes) void probe_slopes(const Probe* probe, std::uint32_t stage, void* to) {
    probe->slopes(stage, to);
}

CHAINRULE_EXPORT(probe_arrived) void probe_arrived(const Probe* probe, std::uint32_t stage, void* to) {
    probe->arrived(stage, to);
}

CHAINRULE_EXPORT(probe_gradient) void probe_gradient(const Probe* probe, void* to) { probe->gradient(to); }

/// First weights of a layer before they are scaled: standard normal numbers, or numbers of (-1, 1); nn/initializers.py.
CHAINRULE_EXPORT(draw)
void draw(double seed, std::uint32_t layer, std::uint32_t normal, std::uint32_t n, double* to) {
    const Stream stream = Stream::from_seed(static_cast<std::uint64_t>(seed)).fold(Purpose::init).fold(layer);
    const Stream radius = stream.fold(1u), angle = stream.fold(2u);
    for (std::uint32_t i = 0; i < n; ++i)
        to[i] = normal ? std::sqrt(-2.0 * std::log(uniform(radius, i)))
                             * std::cos(2.0 * std::numbers::pi * uniform(angle, i))
                       : 2.0 * uniform(stream, i) - 1.0;
}

/// The order of the rows in an epoch.
CHAINRULE_EXPORT(order) void order(double seed, std::uint32_t rows, double epoch, std::uint32_t* to) {
    EpochOrder of(static_cast<std::uint64_t>(seed), rows, true, nullptr);
    std::copy_n(of.of(static_cast<std::int64_t>(epoch)), rows, to);
}

/// Probabilities of n rows of k logits, in place: of one logit its sigmoid, of several their softmax.
CHAINRULE_EXPORT(probabilities) void probabilities(double* Z, std::uint32_t n, std::uint32_t k) {
    for (double* row = Z; row < Z + std::size_t{n} * k; row += k) {
        if (k == 1) {
            const double e = std::exp(-std::abs(*row));
            *row = (*row >= 0 ? 1 : e) / (1 + e);
            continue;
        }
        const double top = *std::max_element(row, row + k);
        double total = 0;
        for (std::uint32_t j = 0; j < k; ++j) total += row[j] = std::exp(row[j] - top);
        for (std::uint32_t j = 0; j < k; ++j) row[j] /= total;
    }
}

}  // namespace wasm

}  // namespace chainrule
