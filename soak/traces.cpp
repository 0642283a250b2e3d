// A hash of all that a core's trace ports show, taken in C++ before every rising edge. The function
// `watch(top)`, which knows the ports, is written by soak/traces.py and follows in the same file;
// after it tb/compiled.cpp.

#include <cstdint>

#include "Vshell.h"

extern "C" {

// A trace port. Of its line number `line`, a cycle in which it is valid, `shown[line]` values of
// each column are in the hash: the others are of no neuron, or of no row.
struct Port {
    const uint8_t* shown;
    int64_t n_lines;
    int64_t line;
    int64_t n_values;
    uint64_t hash;
};

}  // extern "C"

namespace {

Port* ports = nullptr;  // null: nothing is hashed
int64_t cycles = 0;

// The finalizer of splitmix64 (Steele, Lea, Flood 2014).
uint64_t mix(uint64_t bits) {
    bits = (bits ^ bits >> 30) * 0xbf58476d1ce4e5b9u;
    bits = (bits ^ bits >> 27) * 0x94d049bb133111ebu;
    return bits ^ bits >> 31;
}

template <typename Value>
uint64_t bits_of(const Value& value, int low, uint64_t mask) {
    return uint64_t{value} >> low & mask;
}

template <std::size_t N>
uint64_t bits_of(const VlWide<N>& value, int low, uint64_t mask) {
    const std::size_t word = low / 32;
    uint64_t bits = value.m_storage[word];
    if (word + 1 < N) bits |= uint64_t{value.m_storage[word + 1]} << 32;
    bits >>= low % 32;
    if (word + 2 < N && low % 32) bits |= uint64_t{value.m_storage[word + 2]} << (64 - low % 32);
    return bits & mask;
}

// Begin a line of a port; return how many values of each column are shown.
int begin(int port) {
    Port& p = ports[port];
    const int count = p.line < p.n_lines ? p.shown[p.line] : 0;
    ++p.line;
    return count;
}

// Add the first `count` values of a column: each with its number, so that their order counts.
template <int Width, typename Value>
void add(int port, int count, const Value& column) {
    Port& p = ports[port];
    for (int i = 0; i < count; ++i) {
        const uint64_t place = ++p.n_values * 0x9e3779b97f4a7c15u;
        p.hash += mix(bits_of(column, i * Width, (uint64_t{1} << Width) - 1) + place);
    }
}

void watch(const Vshell& top);

}  // namespace

#define BEFORE_EDGE(top) (++cycles, ports ? watch(top) : void())

extern "C" {

// Hash into these ports from now on; null: into none.
void soak_watch(Port* watched) { ports = watched; }

// Return the cycles since the library was loaded.
int64_t soak_cycles() { return cycles; }

}  // extern "C"
