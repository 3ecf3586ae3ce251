// The only place that names instruction sets.
// In: what the processor reports about itself. Out: a choice.
#include "dispatch.hpp"

#include <cstdlib>

#include "border.hpp"

namespace chainrule {

#define CHAINRULE_DECLARE(isa)                                                              \
    namespace isa {                                                                         \
    Trainer* make_float32(const TrainerSpec&);                                              \
    Trainer* make_float64(const TrainerSpec&);                                              \
    const LaneFactory& lanes_float32();                                                     \
    const LaneFactory& lanes_float64();                                                     \
    Predictor* make_predictor_float32(const PredictorSpec&);                                \
    Predictor* make_predictor_float64(const PredictorSpec&);                                \
    bool standardize_float32(const RowSource&, Scaling, std::int64_t columns, void* to);    \
    bool standardize_float64(const RowSource&, Scaling, std::int64_t columns, void* to);    \
    bool scale_columns_float32(const ColumnScaling&, void* to);                             \
    bool scale_columns_float64(const ColumnScaling&, void* to);                             \
    double add_moments(const MomentsBlock&);                                                \
    void add_facts(const NumberColumn&, NumberFacts&, std::int64_t* counts);                \
    std::int64_t with_leading(const NumberColumn&, std::uint32_t leading, double* to);      \
    }
#define CHAINRULE_FUNCTIONS(isa)                                                            \
    isa::make_float32, isa::make_float64, isa::lanes_float32, isa::lanes_float64, isa::make_predictor_float32, isa::make_predictor_float64, \
        isa::standardize_float32, isa::standardize_float64, isa::scale_columns_float32, isa::scale_columns_float64, \
        isa::add_moments, isa::add_facts, isa::with_leading
#if defined(__x86_64__)
CHAINRULE_DECLARE(v2)
CHAINRULE_DECLARE(v3)
CHAINRULE_DECLARE(v4)
#else
CHAINRULE_DECLARE(baseline)
#endif
#undef CHAINRULE_DECLARE

namespace {

#if defined(__x86_64__)
const Isa isas[] = {
    {"v4",
     [] {
         return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw")
                && __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq")
                && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("bmi2");
     },
     CHAINRULE_FUNCTIONS(v4)},
    {"v3",
     [] { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2"); },
     CHAINRULE_FUNCTIONS(v3)},
    {"v2", [] { return bool(__builtin_cpu_supports("sse4.2")); }, CHAINRULE_FUNCTIONS(v2)},
};
#else
const Isa isas[] = {{"baseline", [] { return true; }, CHAINRULE_FUNCTIONS(baseline)}};
#endif

}  // namespace

// Defined here, not in a file compiled per instruction set: every processor must be able to run it.
Trainer::~Trainer() = default;
LaneGroup::~LaneGroup() = default;
Predictor::~Predictor() = default;

std::vector<Isa> available_isas() {
    std::vector<Isa> found;
    for (const Isa& isa : isas)
        if (isa.available()) found.push_back(isa);
    return found;
}

Isa chosen_isa() {
    const std::vector<Isa> found = available_isas();
    if (found.empty())
        throw BorderFault("CHAINRULE_ISA: this processor has none of the instruction sets that the extension was built for.");
    const char* wanted = std::getenv("CHAINRULE_ISA");
    if (wanted == nullptr || *wanted == '\0') return found.front();
    std::string names;
    for (const Isa& isa : found) {
        if (std::string(wanted) == isa.name) return isa;
        names += std::string(names.empty() ? "" : ", ") + isa.name;
    }
    throw BorderFault(std::string("CHAINRULE_ISA must be one of ") + names + ", got " + wanted + ".");
}

}  // namespace chainrule
