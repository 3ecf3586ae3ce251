// Arguments from Python, each checked once: type, shape, order in memory, alignment, range.
// In: whatever a caller passed. Out: arrays and numbers that are what the kernels expect, or InvalidValueError.
#pragma once
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <cmath>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <vector>

#include "border.hpp"

namespace chainrule {

namespace nb = nanobind;

using Array = nb::ndarray<nb::ro, nb::device::cpu>;
using Writable = nb::ndarray<nb::device::cpu>;

inline constexpr std::int64_t any_length = -1;

inline std::string type_of(nb::handle given) { return nb::type_name(given.type()).c_str(); }

inline std::string joined(const std::vector<std::string>& names) {
    std::string text = "[";
    for (const std::string& name : names) text += (text.size() > 1 ? ", " : "") + name;
    return text + "]";
}

/// A value of a C++ type. Throws BorderFault for anything that is not one.
template <class Value>
inline Value value_of(nb::handle given, const char* name, const char* allowed) {
    Value value{};
    if (!nb::try_cast<Value>(given, value)) require(false, name, allowed, type_of(given));
    return value;
}

/// A whole number in low..high.
inline std::int64_t whole_number(nb::handle given, const char* name, std::int64_t low, std::int64_t high) {
    std::int64_t value = 0;
    const bool whole = nb::try_cast<std::int64_t>(given, value);
    if (whole && value >= low && value <= high) return value;
    const std::string allowed = "a whole number in " + std::to_string(low) + ".." + std::to_string(high);
    require(false, name, allowed, whole ? std::to_string(value) : type_of(given));
    return value;
}

/// A learning rate or a weight.
inline void require_finite(double x, const char* name) {
    if (!(x >= 0) || std::isinf(x)) require(false, name, "of finite numbers >= 0", x);
}

inline std::string text_of(nb::dlpack::dtype type) {
    const char* kind = type == nb::dlpack::dtype{}                                         ? "float"
                       : type.code == static_cast<std::uint8_t>(nb::dlpack::dtype_code::Float) ? "float"
                       : type.code == static_cast<std::uint8_t>(nb::dlpack::dtype_code::Int)   ? "int"
                       : type.code == static_cast<std::uint8_t>(nb::dlpack::dtype_code::UInt)  ? "uint"
                                                                                               : "other";
    return type == nb::dlpack::dtype{} ? "float32 or float64" : kind + std::to_string(type.bits);
}

template <class Lengths>
inline std::string shape_text(const Lengths& lengths) {
    std::string text = "(";
    for (const std::int64_t length : lengths)
        text += (text.size() > 1 ? ", " : "") + (length == any_length ? std::string("n") : std::to_string(length));
    return text + ")";
}

/// Whether the numbers lie one after another, rows first, each on its own alignment.
template <class Kind>
inline bool contiguous(const Kind& array) {
    if (reinterpret_cast<std::uintptr_t>(array.data()) % array.itemsize() != 0) return false;
    if (array.size() <= 1) return true;
    std::int64_t expected = 1;
    for (std::size_t i = array.ndim(); i-- > 0;) {
        if (array.shape(i) != 1 && array.stride(i) != expected) return false;
        expected *= static_cast<std::int64_t>(array.shape(i));
    }
    return true;
}

/// An array as it is, never a copy: its type (of no type: float32 or float64), its shape, its order in memory.
template <class Kind>
inline Kind array_of(
    nb::handle given, const char* name, nb::dlpack::dtype type, std::initializer_list<std::int64_t> shape
) {
    Kind array;
    const bool is_array = nb::try_cast<Kind>(given, array, false) && array.is_valid();
    const bool any = type == nb::dlpack::dtype{};
    bool right = is_array && array.ndim() == shape.size()
                 && (any ? array.dtype() == nb::dtype<float>() || array.dtype() == nb::dtype<double>() : array.dtype() == type);
    std::size_t i = 0;
    for (const std::int64_t length : shape) {
        right = right && (length == any_length || static_cast<std::int64_t>(array.shape(i)) == length);
        ++i;
    }
    if (right && contiguous(array)) return array;
    const bool writes = std::is_same_v<Kind, Writable>;
    std::string got = type_of(given);
    if (is_array) {
        std::vector<std::int64_t> lengths;
        for (std::size_t axis = 0; axis < array.ndim(); ++axis) lengths.push_back(static_cast<std::int64_t>(array.shape(axis)));
        got = text_of(array.dtype()) + " of shape " + shape_text(lengths) + (right ? ", not contiguous or not aligned" : "");
    }
    require(
        false, name,
        std::string(writes ? "a writable " : "a ") + "contiguous array of " + text_of(type) + ", shape " + shape_text(shape), got
    );
    return array;
}

template <class F>
inline void each_number(const Array& array, F&& f) {
    const bool single = array.itemsize() == sizeof(float);
    for (std::size_t i = 0; i < array.size(); ++i)
        f(single ? static_cast<double>(static_cast<const float*>(array.data())[i]) : static_cast<const double*>(array.data())[i]);
}

/// Two arrays that share no byte.
template <class A, class B>
inline void require_apart(const A& a, const B& b, const char* name) {
    const auto begin_a = reinterpret_cast<std::uintptr_t>(a.data()), begin_b = reinterpret_cast<std::uintptr_t>(b.data());
    const bool apart = a.nbytes() == 0 || b.nbytes() == 0 || begin_a + a.nbytes() <= begin_b || begin_b + b.nbytes() <= begin_a;
    if (!apart) require(false, name, "an array of its own", "one that shares memory with another");
}

/// Raise BorderFault as chainrule.errors.InvalidValueError.
inline void raise_border_faults() {
    nb::object error = nb::module_::import_("chainrule.errors").attr("InvalidValueError");
    nb::register_exception_translator(
        [](const std::exception_ptr& thrown, void* type) {
            try {
                std::rethrow_exception(thrown);
            } catch (const BorderFault& fault) {
                PyErr_SetString(static_cast<PyObject*>(type), fault.what());
            }
        },
        error.release().ptr()
    );
}

}  // namespace chainrule
