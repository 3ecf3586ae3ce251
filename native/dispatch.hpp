// The choice of the instruction set at run time, so that one binary serves every processor.
// In: the processor, and CHAINRULE_ISA in the environment for tests. Out: factories of trainers and predictors, passes over rows.
#pragma once
#include <string>
#include <vector>

#include "predictor.hpp"
#include "survey.hpp"
#include "trainer.hpp"

namespace chainrule {

struct Isa {
    const char* name;
    bool (*available)();
    Trainer* (*make_float32)(const TrainerSpec&);
    Trainer* (*make_float64)(const TrainerSpec&);
    const LaneFactory& (*lanes_float32)();
    const LaneFactory& (*lanes_float64)();
    Predictor* (*make_predictor_float32)(const PredictorSpec&);
    Predictor* (*make_predictor_float64)(const PredictorSpec&);
    bool (*standardize_float32)(const RowSource&, Scaling, std::int64_t columns, void* to);
    bool (*standardize_float64)(const RowSource&, Scaling, std::int64_t columns, void* to);
    bool (*scale_columns_float32)(const ColumnScaling&, void* to);
    bool (*scale_columns_float64)(const ColumnScaling&, void* to);
    double (*add_moments)(const MomentsBlock&);
    void (*add_facts)(const NumberColumn&, NumberFacts&, std::int64_t* counts);
    std::int64_t (*with_leading)(const NumberColumn&, std::uint32_t leading, double* to);
};

/// Instruction sets of this binary that this processor has, the best first.
std::vector<Isa> available_isas();

/// The one to use: CHAINRULE_ISA's choice, otherwise the best. Throws std::invalid_argument if that is not available.
Isa chosen_isa();

}  // namespace chainrule
