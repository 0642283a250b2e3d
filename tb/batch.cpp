// A Verilated core behind a few C functions, which tb/batch.py calls through ctypes. Its top is the
// shell of tb/wrapper.py. Every stream is valid/ready: inputs are set and evaluated with the clock
// low, so that the core's combinational outputs are there to decide on before the rising edge.

#include <cstdint>

#include "Vshell.h"
#include "verilated.h"

// What else is to be done with the settled model before every rising edge (energy/activity.cpp).
#ifndef BEFORE_EDGE
#define BEFORE_EDGE(top)
#endif

namespace {

constexpr int COUNTER_CYCLES = 3;  // between two counters, as in tb/cocotb_core.py

struct Core {
    VerilatedContext context;
    Vshell top{&context};

    void rise() {
        BEFORE_EDGE(top);
        top.clk = 1;
        top.eval();
        top.clk = 0;
    }

    void tick(int count) {
        for (int i = 0; i < count; ++i) {
            top.eval();
            rise();
        }
    }
};

}  // namespace

extern "C" {

Core* core_new() {
    Core* core = new Core;
    Vshell& top = core->top;
    top.clk = top.i_events_valid = top.i_load_valid = top.o_results_ready = 0;
    top.i_counter = top.i_clear = 0;
    top.rst = 1;
    core->tick(4);
    top.rst = 0;
    core->tick(3);
    return core;
}

void core_delete(Core* core) {
    core->top.final();
    delete core;
}

// Transfer the items of the load stream; return how many were taken before none was for `patience`
// cycles.
int64_t core_load(Core* core, const uint64_t* items, int64_t n_items, int64_t patience) {
    Vshell& top = core->top;
    int64_t sent = 0;
    for (int64_t idle = 0; sent < n_items && idle < patience; ++idle) {
        top.i_load_valid = 1;
        top.i_load_payload = items[sent];
        top.eval();
        if (top.i_load_ready) {
            ++sent;
            idle = 0;
        }
        core->rise();
    }
    top.i_load_valid = 0;
    core->tick(2);
    return sent;
}

// Transfer the items of the event stream and take `n_results` results, then look for more of them
// for `settle` cycles, in which the counters come to rest. Stops when nothing was transferred for
// `patience` cycles. Returns the number of results that came; `result_cycles` are the cycles in
// which they did, 0 that of the first item's transfer.
int64_t core_run(Core* core, const uint64_t* items, int64_t n_items, uint64_t* results,
                 int64_t* result_cycles, int64_t n_results, int64_t patience, int64_t settle) {
    Vshell& top = core->top;
    int64_t sent = 0, taken = 0, idle = 0, cycle = 0;
    top.o_results_ready = 1;
    while (idle < (sent == n_items && taken >= n_results ? settle : patience)) {
        top.i_events_valid = sent < n_items;
        if (sent < n_items) top.i_events_payload = items[sent];
        top.eval();
        ++idle;
        if (sent < n_items && top.i_events_ready) {
            ++sent;
            idle = 0;
        }
        if (top.o_results_valid) {
            if (taken < n_results) {
                results[taken] = top.o_results_payload;
                result_cycles[taken] = cycle;
            }
            ++taken;
            idle = 0;
        }
        cycle += sent > 0;
        core->rise();
    }
    top.i_events_valid = top.o_results_ready = 0;
    return taken;
}

// Read the counters 0, 1, ... and then clear them.
void core_counters(Core* core, uint32_t* counters, int64_t n_counters) {
    Vshell& top = core->top;
    for (int64_t i = 0; i < n_counters; ++i) {
        top.i_counter = i;
        core->tick(COUNTER_CYCLES);
        counters[i] = top.o_counter;
    }
    top.i_clear = 1;
    core->tick(1);
    top.i_clear = 0;
    core->tick(2);
}

}  // extern "C"
