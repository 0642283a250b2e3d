// Counts what the watched bits of a model of gates do (energy/model.py): of the first words every
// change from a cycle to the next, of the others every cycle at 1. Values are those that have
// settled before the rising edge. tb/compiled.cpp follows in the same file; WORDS and LEVEL_WORD (the
// first word of levels) are defined before.

#include <cstdint>

#include "Vshell.h"

namespace {

struct Activity {
    bool primed = false;
    int64_t cycles = 0;
    uint32_t before[WORDS] = {};
    int64_t counts[32 * WORDS] = {};

    void add(int word, uint32_t bits) {
        for (; bits; bits &= bits - 1) ++counts[32 * word + __builtin_ctz(bits)];
    }

    void observe(const uint32_t* nets) {
        if (primed) {
            ++cycles;
            for (int word = 0; word < LEVEL_WORD; ++word) add(word, nets[word] ^ before[word]);
            for (int word = LEVEL_WORD; word < WORDS; ++word) add(word, nets[word]);
        }
        primed = true;
        for (int word = 0; word < LEVEL_WORD; ++word) before[word] = nets[word];
    }
} activity;

}  // namespace

#define BEFORE_EDGE(top) activity.observe(&(top).nets[0])

// Copy the counts since the last call, clear them, and return their cycles.
extern "C" int64_t activity_take(int64_t* counts) {
    int64_t cycles = activity.cycles;
    for (int i = 0; i < 32 * WORDS; ++i) counts[i] = activity.counts[i];
    for (int64_t& count : activity.counts) count = 0;
    activity.cycles = 0;
    return cycles;
}
