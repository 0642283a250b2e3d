// A Verilated standard top behind a few C functions, which driver/simulated.py calls through ctypes:
// one AXI4-Lite manager and a stream at each end. Inputs are set and settled with the clock low, so
// that what is seen then decides on the transfer at the rising edge, also where the top is within a
// system whose outputs depend on inputs of the same cycle.

#include <cstdint>

#include "Vdmp_core_axi.h"
#include "verilated.h"

namespace {

struct Core {
    VerilatedContext context;
    Vdmp_core_axi top{&context};
    int64_t cycles = 0;  // rising edges

    void rise() {
        top.aclk = 1;
        top.eval();
        top.aclk = 0;
        ++cycles;
    }

    void reset() {
        top.s_axi_awvalid = top.s_axi_wvalid = top.s_axi_arvalid = 0;
        top.s_axi_bready = top.s_axi_rready = 0;
        top.s_axis_events_tvalid = top.m_axis_results_tready = 0;
        for (int i = 0; i < 5; ++i) {
            top.aresetn = i == 4;
            top.eval();
            rise();
        }
    }
};

}  // namespace

extern "C" {

Core* axi_new() {
    Core* core = new Core;
    core->reset();
    return core;
}

void axi_reset(Core* core) { core->reset(); }

void axi_delete(Core* core) {
    core->top.final();
    delete core;
}

int64_t axi_cycles(Core* core) { return core->cycles; }

// Write words to one address, each when the one before is answered; return the OR of the responses,
// or -1 when there was none for `patience` cycles.
int64_t axi_write(Core* core, uint32_t address, const uint32_t* words, int64_t n_words,
                  int64_t patience) {
    Vdmp_core_axi& top = core->top;
    int64_t response = 0;
    for (int64_t i = 0; i < n_words; ++i) {
        top.s_axi_awaddr = address;
        top.s_axi_wdata = words[i];
        top.s_axi_wstrb = 15;
        top.s_axi_awvalid = top.s_axi_wvalid = top.s_axi_bready = 1;
        bool answered = false;
        for (int64_t idle = 0; !answered && idle < patience; ++idle) {
            top.eval();
            bool address_taken = top.s_axi_awvalid && top.s_axi_awready;
            bool data_taken = top.s_axi_wvalid && top.s_axi_wready;
            answered = top.s_axi_bvalid;
            if (answered) response |= top.s_axi_bresp;
            core->rise();
            if (address_taken) top.s_axi_awvalid = 0;
            if (data_taken) top.s_axi_wvalid = 0;
        }
        top.s_axi_awvalid = top.s_axi_wvalid = top.s_axi_bready = 0;
        if (!answered) return -1;
    }
    return response;
}

// Read a register into `word`; return the response, or -1 as above.
int64_t axi_read(Core* core, uint32_t address, uint32_t* word, int64_t patience) {
    Vdmp_core_axi& top = core->top;
    int64_t response = -1;
    top.s_axi_araddr = address;
    top.s_axi_arvalid = top.s_axi_rready = 1;
    for (int64_t idle = 0; response < 0 && idle < patience; ++idle) {
        top.eval();
        bool taken = top.s_axi_arvalid && top.s_axi_arready;
        if (top.s_axi_rvalid) {
            response = top.s_axi_rresp;
            *word = top.s_axi_rdata;
        }
        core->rise();
        if (taken) top.s_axi_arvalid = 0;
    }
    top.s_axi_arvalid = top.s_axi_rready = 0;
    return response;
}

// Send words of events, `last` (TLAST of each) may be null; return how many were taken before none
// was for `patience` cycles.
int64_t axi_send(Core* core, const uint32_t* words, const uint8_t* last, int64_t n_words,
                 int64_t patience) {
    Vdmp_core_axi& top = core->top;
    int64_t sent = 0;
    top.s_axis_events_tuser = 0;
    for (int64_t idle = 0; sent < n_words && idle < patience; ++idle) {
        top.s_axis_events_tvalid = 1;
        top.s_axis_events_tdata = words[sent];
        top.s_axis_events_tlast = last ? last[sent] : 0;
        top.eval();
        if (top.s_axis_events_tready) {
            ++sent;
            idle = 0;
        }
        core->rise();
    }
    top.s_axis_events_tvalid = top.s_axis_events_tlast = 0;
    return sent;
}

// Take results and their TLAST; return how many came before none did for `patience` cycles.
int64_t axi_receive(Core* core, uint32_t* words, uint8_t* last, int64_t n_words, int64_t patience) {
    Vdmp_core_axi& top = core->top;
    int64_t taken = 0;
    top.m_axis_results_tready = 1;
    for (int64_t idle = 0; taken < n_words && idle < patience; ++idle) {
        top.eval();
        if (top.m_axis_results_tvalid) {
            words[taken] = top.m_axis_results_tdata;
            last[taken] = top.m_axis_results_tlast;
            ++taken;
            idle = 0;
        }
        core->rise();
    }
    top.m_axis_results_tready = 0;
    return taken;
}

}  // extern "C"
