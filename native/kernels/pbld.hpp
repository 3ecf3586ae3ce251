// The periodic embedding; equations and letters are those of nn/layers. Lanes are rows, so that the small product with V
// needs no sum across lanes. Units are taken a few at a time, with their sums in registers.
// In: a group of features, the rows X. Out: columns of Y; dw, db, dV, dc from dY.
#pragma once
#include "features.hpp"
#include "math.hpp"

namespace chainrule::CHAINRULE_ISA {

inline constexpr int most_units = 4;  // taken at a time

/// Call f with the first unit and the number, a constant, of the units to take at a time.
template <class F>
inline void each_few_units(std::int64_t units, F&& f) {
    std::int64_t first = 0;
    for (; first + most_units <= units; first += most_units) f(first, std::integral_constant<int, most_units>{});
    switch (units - first) {
        case 1: return f(first, std::integral_constant<int, 1>{});
        case 2: return f(first, std::integral_constant<int, 2>{});
        case 3: return f(first, std::integral_constant<int, 3>{});
        default: return;
    }
}

/// Entries of a column from row `first` on, one for each lane; 0 where there are no more than `count`.
template <class T>
inline Vec<T> read_rows(Column<T> x, std::int64_t first, std::int64_t count) {
    Vec<T> values{};
    const T* const at = x.at + first * x.stride;
    if (count >= lanes<T>)
        for (int i = 0; i < lanes<T>; ++i) values[i] = at[i * x.stride];
    else
        for (std::int64_t i = 0; i < count; ++i) values[i] = at[i * x.stride];
    return values;
}

template <class T>
inline void write_rows(Column<T> y, std::int64_t first, std::int64_t count, Vec<T> values) {
    T* const at = y.at + first * y.stride;
    if (count >= lanes<T>)
        for (int i = 0; i < lanes<T>; ++i) at[i * y.stride] = values[i];
    else
        for (std::int64_t i = 0; i < count; ++i) at[i * y.stride] = values[i];
}

/// The numbers of one feature; b is counted in turns, as the kernels of sine and cosine count.
template <class T>
struct Pbld {
    static constexpr T turn = T(6.283185307179586477);
    const T *w, *b, *V, *c;
    std::int64_t frequencies, units;

    Pbld(const FeatureSlots<T>& group, std::int64_t f, std::ptrdiff_t shift)
        : frequencies(group.plan.frequencies), units(group.plan.width - 1) {
        const auto at = [&](int slot) { return group.slots[slot].w + group.part(slot, f).offset + shift; };
        w = at(0);
        b = at(1);
        V = at(2);
        c = at(3);
    }

    Vec<T> turns(std::int64_t m, Vec<T> x) const { return w[m] * x + b[m] * (T(1) / turn); }
};

template <class T>
inline void pbld_forward(
    const FeatureSlots<T>& group, std::int64_t f, Panels<T> X, Panels<T> Y, std::int64_t first, std::int64_t last,
    std::ptrdiff_t shift
) {
    const Pbld<T> p(group, f, shift);
    const Column<T> x = column(X, group.plan.input + f), same = column(Y, group.first_column(f));
    for (std::int64_t i = first; i < last; ++i) same.at[i * same.stride] = x.at[i * x.stride];
    each_few_units(p.units, [&]<int U>(std::int64_t unit, std::integral_constant<int, U>) {
        for (std::int64_t i = first; i < last; i += lanes<T>) {
            const Vec<T> a = read_rows(x, i, last - i);
            Vec<T> e[U];
            for (int u = 0; u < U; ++u) e[u] = all(p.c[unit + u]);
            for (std::int64_t m = 0; m < p.frequencies; ++m) {
                const Vec<T> h = cos_turns<T>(p.turns(m, a));
                for (int u = 0; u < U; ++u) e[u] += p.V[m * p.units + unit + u] * h;
            }
            for (int u = 0; u < U; ++u)
                write_rows<T>(column(Y, group.first_column(f) + 1 + unit + u), i, last - i, e[u]);
        }
    });
}

template <class T>
inline void pbld_gradient(const FeatureSlots<T>& group, std::int64_t f, Panels<T> X, Panels<T> G) {
    const Pbld<T> p(group, f, 0);
    T* rooms[most_slots];
    for (int slot = 0; slot < most_slots; ++slot) {
        const auto [offset, size] = group.part(slot, f);
        rooms[slot] = group.room(slot, offset);
        std::fill(rooms[slot], rooms[slot] + size, T(0));
    }
    T *const dw = rooms[0], *const db = rooms[1], *const dV = rooms[2], *const dc = rooms[3];
    constexpr std::int64_t n = lanes<T>;
    alignas(vector_bytes) T x[sum_rows], dE[most_units * sum_rows];
    for (std::int64_t start = 0; start < G.rows; start += sum_rows) {
        const std::int64_t count = std::min(sum_rows, G.rows - start);
        for (std::int64_t i = 0; i < count; i += n)
            store(x + i, read_rows(column(X, group.plan.input + f), start + i, count - i));
        each_few_units(p.units, [&]<int U>(std::int64_t unit, std::integral_constant<int, U>) {
            for (int u = 0; u < U; ++u) {
                Vec<T> total{};
                for (std::int64_t i = 0; i < count; i += n) {
                    const Column<T> g = column(G, group.first_column(f) + 1 + unit + u);
                    const Vec<T> dy = read_rows(g, start + i, count - i);
                    store(dE + u * sum_rows + i, dy);
                    total += dy;
                }
                dc[unit + u] += sum<T>(total);
            }
            for (std::int64_t m = 0; m < p.frequencies; ++m) {
                const T* const V = p.V + m * p.units + unit;
                Vec<T> total_w{}, total_b{}, total_V[U] = {};
                for (std::int64_t i = 0; i < count; i += n) {
                    const Vec<T> a = load(x + i);
                    const Circle<T> u_m = circle_turns<T>(p.turns(m, a));
                    Vec<T> dh{};
                    for (int u = 0; u < U; ++u) {
                        const Vec<T> de = load(dE + u * sum_rows + i);
                        dh += V[u] * de;
                        total_V[u] += u_m.cos * de;
                    }
                    const Vec<T> through = u_m.sin * dh;
                    total_b += through;
                    total_w += through * a;
                }
                for (int u = 0; u < U; ++u) dV[m * p.units + unit + u] += sum<T>(total_V[u]);
                db[m] -= sum<T>(total_b);
                dw[m] -= Pbld<T>::turn * sum<T>(total_w);
            }
        });
    }
}

}  // namespace chainrule::CHAINRULE_ISA
