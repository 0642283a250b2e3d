// A Verilated core behind a few C functions, which tb/compiled.py calls through ctypes. Its top is
// the shell of tb/wrapper.py. Every stream is valid/ready: inputs are set and evaluated with the
// clock low, so that the core's combinational outputs are there to decide on before the rising edge.

#include <cstdint>
#include <cstring>
#include <string>

#include "Vshell.h"
#include "verilated.h"
#if VM_COVERAGE
#include "verilated_cov.h"
#endif

// What else is to be done with the settled model before every rising edge (energy/activity.cpp).
#ifndef BEFORE_EDGE
#define BEFORE_EDGE(top)
#endif

namespace {

struct Core {
    VerilatedContext context;
    Vshell top;
    uint64_t noise = 1;
    std::string logs;

    Core(int count, const char** arguments) : top{given(count, arguments)} {}

    // What a model starts with is settled when it is made.
    VerilatedContext* given(int count, const char** arguments) {
        context.commandArgs(count, arguments);
        Verilated::threadContextp(&context);
        return &context;
    }

    void rise() {
        BEFORE_EDGE(top);
        top.clk = 1;
        top.eval();
        top.clk = 0;
    }

    void tick(int64_t count) {
        for (int64_t i = 0; i < count; ++i) {
            top.eval();
            rise();
        }
    }
};

}  // namespace

extern "C" {

// The items of a stream into the core. Before each are `gaps` cycles in which nothing is valid and
// the payload is noise within `mask`; none where `gaps` is null.
struct Source {
    const uint64_t* items;
    const int64_t* gaps;
    int64_t n_items;
    uint64_t mask;
    int64_t sent;
    int64_t waited;  // of the gap before the next item
};

// Items to send, and what is sent back until `n_ends` ends came: a payload with a bit of `end_mask`.
// Before each transfer are `gaps` cycles, taken over and over, in which the core has to wait.
struct Run {
    Source source;
    const int64_t* gaps;
    int64_t n_gaps;
    uint64_t end_mask;
    int64_t n_ends;
    uint64_t* results;       // the first `n_results`, and the cycles of their transfers: 0 is that
    int64_t* result_cycles;  // of the first item's
    int64_t n_results;
    int64_t patience;  // cycles without a transfer after which the core is stuck
    int64_t settle;    // and with which a run is over, when the last end came
    int64_t taken;
    int64_t ends;
    int64_t idle;
    int64_t cycle;
    int64_t waited;
};

}  // extern "C"

namespace {

bool exhausted(const Source& source) { return source.sent == source.n_items; }

// Set valid and payload of a stream for the next cycle; return whether it is in a gap.
template <typename Valid, typename Payload>
bool offer(Core* core, const Source& source, Valid& valid, Payload& payload) {
    const bool gap = !exhausted(source) && source.gaps && source.waited < source.gaps[source.sent];
    valid = !exhausted(source) && !gap;
    if (valid) {
        payload = source.items[source.sent];
    } else if (gap) {
        core->noise = core->noise * 6364136223846793005u + 1442695040888963407u;
        payload = core->noise >> 11 & source.mask;
    }
    return gap;
}

// Note what an evaluated cycle did with a stream; return whether an item was transferred.
bool advance(Source& source, bool gap, bool transferred) {
    source.waited = transferred ? 0 : source.waited + gap;
    source.sent += transferred;
    return transferred;
}

}  // namespace

extern "C" {

// Hold the inputs at 0, and reset.
void core_reset(Core* core) {
    Vshell& top = core->top;
    top.clk = top.i_events_valid = top.i_load_valid = top.o_results_ready = 0;
    top.i_counter = top.i_clear = 0;
    std::memset(&top.i_clear_errors, 0, sizeof top.i_clear_errors);
    top.rst = 1;
    core->tick(4);
    top.rst = 0;
    core->tick(3);
}

// `logs` is the folder of the files that the shell writes, and of what is reached of the model. What
// the Verilog leaves open at power-up is drawn from a `seed`, in a library that was built for it; 0
// is none.
Core* core_new(const char* logs, int32_t seed) {
    const std::string folder = std::string("+logs=") + logs;
    const std::string seeded = "+verilator+seed+" + std::to_string(seed);
    const char* arguments[] = {"core", folder.c_str(), "+verilator+rand+reset+2", seeded.c_str()};
    Core* core = new Core(seed ? 4 : 2, arguments);
    core->logs = logs;
    core->context.fatalOnError(false);  // core_broken tells it
    core_reset(core);
    return core;
}

void core_delete(Core* core) {
    core->top.final();
#if VM_COVERAGE
    core->context.coveragep()->write((core->logs + "/coverage.dat").c_str());
#endif
    delete core;
}

// Return whether a claim of the core's components does not hold: it was told on standard output.
bool core_broken(Core* core) { return core->context.gotError(); }

// Transfer the items of the load stream, until none was for `patience` cycles.
void core_load(Core* core, Source* source, int64_t patience) {
    Vshell& top = core->top;
    for (int64_t idle = 0; !exhausted(*source) && idle < patience; ++idle) {
        const bool gap = offer(core, *source, top.i_load_valid, top.i_load_payload);
        top.eval();
        if (advance(*source, gap, top.i_load_valid && top.i_load_ready) || gap) idle = 0;
        core->rise();
    }
    top.i_load_valid = 0;
    core->tick(2);
}

// Go on with a run for `n_cycles` at most; return whether it is over, stuck, or broken.
bool core_run(Core* core, Run* run, int64_t n_cycles) {
    Vshell& top = core->top;
    for (;; --n_cycles) {
        const bool complete = exhausted(run->source) && run->ends >= run->n_ends;
        const bool over = run->idle >= (complete ? run->settle : run->patience);
        if (over || !n_cycles || core_broken(core)) {
            top.i_events_valid = top.o_results_ready = 0;
            return over || core_broken(core);
        }
        const bool gap = offer(core, run->source, top.i_events_valid, top.i_events_payload);
        const bool shut = !complete && run->n_gaps &&
                          run->waited < run->gaps[run->taken % run->n_gaps];
        top.o_results_ready = !shut;
        top.eval();
        bool moved = advance(run->source, gap, top.i_events_valid && top.i_events_ready);
        if (shut) {
            ++run->waited;
        } else if (top.o_results_valid) {
            if (run->taken < run->n_results) {
                run->results[run->taken] = top.o_results_payload;
                run->result_cycles[run->taken] = run->cycle;
            }
            run->ends += (top.o_results_payload & run->end_mask) != 0;
            ++run->taken;
            run->waited = 0;
            moved = true;
        }
        run->idle = moved || gap || shut ? 0 : run->idle + 1;
        run->cycle += run->source.sent > 0;
        core->rise();
    }
}

// Read the counters 0, 1, ..., each `cycles` after it was selected.
void core_counters(Core* core, uint32_t* counters, int64_t n_counters, int64_t cycles) {
    Vshell& top = core->top;
    for (int64_t i = 0; i < n_counters; ++i) {
        top.i_counter = i;
        core->tick(cycles);
        counters[i] = top.o_counter;
    }
}

// Copy the error flags, in whole words of Verilator's.
void core_errors(Core* core, void* flags) {
    std::memcpy(flags, &core->top.o_errors, sizeof core->top.o_errors);
}

// Clear the error flags whose bits are set, in whole words of Verilator's.
void core_clear_errors(Core* core, const void* flags) {
    Vshell& top = core->top;
    std::memcpy(&top.i_clear_errors, flags, sizeof top.i_clear_errors);
    core->tick(1);
    std::memset(&top.i_clear_errors, 0, sizeof top.i_clear_errors);
    core->tick(2);
}

// Clear counters and flags.
void core_clear(Core* core) {
    Vshell& top = core->top;
    top.i_clear = 1;
    core->tick(1);
    top.i_clear = 0;
    core->tick(2);
}

}  // extern "C"
