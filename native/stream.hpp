// The counter stream of chainrule/random.py, word for word, so that every engine draws the same random bits.
// In: a seed and a path of whole numbers. Out: a key from which any word can be computed independently.
#pragma once
#include <cstdint>

namespace chainrule {

enum class Purpose : std::uint32_t { init = 1, shuffle = 2, dropout = 3, split = 4 };

/// A bijection of 32-bit words; W is a word or a vector of words.
template <class W>
constexpr W mix(W x) {
    x = x ^ (x >> 16);
    x = x * 0x21F0AAADu;
    x = x ^ (x >> 15);
    x = x * 0xD35A2D97u;
    return x ^ (x >> 15);
}

/// A key of 64 bits; fold(v) is the stream one step down.
struct Stream {
    std::uint32_t a, b;

    static constexpr std::uint32_t golden = 0x9E3779B9u;

    static constexpr Stream from_seed(std::uint64_t seed) {
        return Stream{static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32)}.fold(golden);
    }

    constexpr Stream fold(std::uint32_t v) const {
        const std::uint32_t next = mix(a ^ mix(v));
        return {next, mix((b + v * golden) ^ next)};
    }

    constexpr Stream fold(Purpose purpose) const { return fold(static_cast<std::uint32_t>(purpose)); }

    /// word(i); I is an index or a vector of indices.
    template <class I>
    constexpr I word(I i) const {
        return mix(mix(i + a) ^ b);
    }
};

}  // namespace chainrule
