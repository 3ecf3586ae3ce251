// The functions of nn/activations.py on whole vectors; equations and letters are the same.
// In: Z. Out: A = g(Z) and g'(Z), computed from A where the mathematics allows it.
#pragma once
#include "../plan.hpp"
#include "math.hpp"

namespace chainrule::CHAINRULE_ISA {

/// A function and its derivative. `derivative` reads Z if `reads_Z`, otherwise A.
template <class T, ActivationKind g>
struct Function;

template <class T>
CHAINRULE_INLINED Vec<T> sigmoid(Vec<T> Z) {
    const Vec<T> e = exp_negative<T>(-absolute<T>(Z));
    return (Z >= T(0) ? all(T(1)) : e) / (T(1) + e);
}

template <class T>
CHAINRULE_INLINED Vec<T> softplus(Vec<T> Z) {
    return larger<T>(Z, Vec<T>{}) + log1p_unit<T>(exp_negative<T>(-absolute<T>(Z)));
}

template <class T>
struct Function<T, ActivationKind::identity> {
    static constexpr bool reads_Z = false;
    static Vec<T> value(Vec<T> Z, T) { return Z; }
    static Vec<T> derivative(Vec<T>, T) { return all(T(1)); }
};

template <class T>
struct Function<T, ActivationKind::sigmoid> {
    static constexpr bool reads_Z = false;
    static Vec<T> value(Vec<T> Z, T) { return sigmoid<T>(Z); }
    static Vec<T> derivative(Vec<T> A, T) { return A * (T(1) - A); }
};

template <class T>
struct Function<T, ActivationKind::tanh> {
    static constexpr bool reads_Z = false;
    static Vec<T> value(Vec<T> Z, T) { return tanh<T>(Z); }
    static Vec<T> derivative(Vec<T> A, T) { return T(1) - A * A; }
};

template <class T>
struct Function<T, ActivationKind::relu> {
    static constexpr bool reads_Z = false;
    static Vec<T> value(Vec<T> Z, T) { return larger<T>(Z, Vec<T>{}); }
    static Vec<T> derivative(Vec<T> A, T) { return A > T(0) ? all(T(1)) : Vec<T>{}; }
};

template <class T>
struct Function<T, ActivationKind::leaky_relu> {
    static constexpr bool reads_Z = false;
    static Vec<T> value(Vec<T> Z, T a) { return Z > T(0) ? Z : a * Z; }
    static Vec<T> derivative(Vec<T> A, T a) { return A > T(0) ? all(T(1)) : all(a); }
};

template <class T>
struct Function<T, ActivationKind::elu> {
    static constexpr bool reads_Z = false;
    static Vec<T> value(Vec<T> Z, T a) { return Z > T(0) ? Z : a * expm1_negative<T>(smaller<T>(Z, Vec<T>{})); }
    static Vec<T> derivative(Vec<T> A, T a) { return A > T(0) ? all(T(1)) : A + a; }
};

template <class T>
struct Function<T, ActivationKind::selu> {
    static constexpr bool reads_Z = false;
    static constexpr T scale = T(1.0507009873554804934), a = T(1.6732632423543772848);
    static Vec<T> value(Vec<T> Z, T) { return scale * (Z > T(0) ? Z : a * expm1_negative<T>(smaller<T>(Z, Vec<T>{}))); }
    static Vec<T> derivative(Vec<T> A, T) { return A > T(0) ? all(scale) : A + scale * a; }
};

template <class T>
struct Function<T, ActivationKind::gelu> {
    static constexpr bool reads_Z = true;
    static constexpr T c = T(0.79788456080286535588);  // √(2/π)
    static Vec<T> t(Vec<T> Z) { return tanh<T>(c * (Z + T(0.044715) * Z * Z * Z)); }
    static Vec<T> value(Vec<T> Z, T) { return T(0.5) * Z * (T(1) + t(Z)); }
    static Vec<T> derivative(Vec<T> Z, T) {
        const Vec<T> u = t(Z);
        const Vec<T> inner = c * (T(1) + T(0.134145) * Z * Z);
        return multiply_add<T>(T(0.5) * Z * (T(1) - u * u), inner, T(0.5) * (T(1) + u));
    }
};

template <class T>
struct Function<T, ActivationKind::silu> {
    static constexpr bool reads_Z = true;
    static Vec<T> value(Vec<T> Z, T) { return Z * sigmoid<T>(Z); }
    static Vec<T> derivative(Vec<T> Z, T) {
        const Vec<T> s = sigmoid<T>(Z);
        return s * (T(1) + Z * (T(1) - s));
    }
};

template <class T>
struct Function<T, ActivationKind::softplus> {
    static constexpr bool reads_Z = false;
    static Vec<T> value(Vec<T> Z, T) { return softplus<T>(Z); }
    static Vec<T> derivative(Vec<T> A, T) { return -expm1_negative<T>(-A); }
};

template <class T>
struct Function<T, ActivationKind::mish> {
    static constexpr bool reads_Z = true;
    static Vec<T> value(Vec<T> Z, T) { return Z * tanh<T>(softplus<T>(Z)); }
    static Vec<T> derivative(Vec<T> Z, T) {
        const Vec<T> t = tanh<T>(softplus<T>(Z));
        return t + Z * sigmoid<T>(Z) * (T(1) - t * t);
    }
};

template <class T>
struct Function<T, ActivationKind::exp> {
    static constexpr bool reads_Z = false;
    static Vec<T> value(Vec<T> Z, T) { return exp<T>(Z); }
    static Vec<T> derivative(Vec<T> A, T) { return A; }
};

/// Call `visit` with the function as a type.
template <class T, class Visit>
inline void with_function(ActivationKind g, Visit&& visit) {
    switch (g) {
        case ActivationKind::identity: return visit(Function<T, ActivationKind::identity>{});
        case ActivationKind::sigmoid: return visit(Function<T, ActivationKind::sigmoid>{});
        case ActivationKind::tanh: return visit(Function<T, ActivationKind::tanh>{});
        case ActivationKind::relu: return visit(Function<T, ActivationKind::relu>{});
        case ActivationKind::leaky_relu: return visit(Function<T, ActivationKind::leaky_relu>{});
        case ActivationKind::elu: return visit(Function<T, ActivationKind::elu>{});
        case ActivationKind::selu: return visit(Function<T, ActivationKind::selu>{});
        case ActivationKind::gelu: return visit(Function<T, ActivationKind::gelu>{});
        case ActivationKind::silu: return visit(Function<T, ActivationKind::silu>{});
        case ActivationKind::softplus: return visit(Function<T, ActivationKind::softplus>{});
        case ActivationKind::mish: return visit(Function<T, ActivationKind::mish>{});
        case ActivationKind::exp: return visit(Function<T, ActivationKind::exp>{});
    }
}

}  // namespace chainrule::CHAINRULE_ISA
