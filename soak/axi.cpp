// All channels of a standard top at once, each with gaps of its own. driver/simulated.cpp comes before
// in the same file; the shell of soak/axi_fuzz.py shows what reaches the core.

extern "C" {

// What a manager, or a source, sends: before each of `n` transfers are `gaps` cycles, in which the
// payload is noise; `more` are strobes, or TLAST + 2 TUSER.
struct Channel {
    const uint32_t* words;
    const uint8_t* more;
    const uint16_t* gaps;
    int64_t n;
    int64_t sent;
    int64_t waited;
};

// What comes back, and before each transfer gaps, 4096 that are taken over and over.
struct Answers {
    uint32_t* words;
    uint8_t* more;
    const uint16_t* gaps;
    int64_t room;
    int64_t count;
    int64_t waited;
};

// What reached the core: items of its load stream and of its events.
struct Reached {
    uint64_t* items;
    int64_t room;
    int64_t count;
};

struct Fuzz {
    Channel addresses, data, reads, events;
    Answers written, read, results;
    Reached loads, items;
    int64_t clears;
    int64_t cycles;
};

}  // extern "C"

namespace {

uint32_t noise = 1;

bool offers(Channel& channel, uint32_t& word, uint32_t& more) {
    noise = noise * 1664525u + 1013904223u;
    word = noise >> 3;
    more = noise >> 20;
    if (channel.sent == channel.n) return false;
    if (channel.waited < channel.gaps[channel.sent]) {
        ++channel.waited;
        return false;
    }
    word = channel.words[channel.sent];
    more = channel.more ? channel.more[channel.sent] : 0;
    return true;
}

bool sent(Channel& channel, bool transfer) {
    if (transfer) {
        ++channel.sent;
        channel.waited = 0;
    }
    return transfer;
}

bool takes(Answers& answers) {
    const bool ready = answers.waited >= answers.gaps[answers.count & 4095];
    answers.waited += !ready;
    return ready;
}

bool taken(Answers& answers, bool transfer, uint32_t word, uint8_t more) {
    if (!transfer) return false;
    if (answers.count < answers.room) {
        answers.words[answers.count] = word;
        answers.more[answers.count] = more;
    }
    ++answers.count;
    answers.waited = 0;
    return true;
}

void reached(Reached& log, bool transfer, uint64_t item) {
    if (!transfer) return;
    if (log.count < log.room) log.items[log.count] = item;
    ++log.count;
}

}  // namespace

extern "C" {

// Send all, take all that comes, until nothing was transferred for `patience` cycles.
void axi_fuzz(Core* core, Fuzz* fuzz, int64_t patience) {
    Vdmp_core_axi& top = core->top;
    const int64_t before = core->cycles;
    for (int64_t idle = 0; idle < patience; ++idle) {
        uint32_t word, more;
        const bool aw = offers(fuzz->addresses, word, more);
        top.s_axi_awvalid = aw, top.s_axi_awaddr = word & 16383, top.s_axi_awprot = more & 7;
        const bool w = offers(fuzz->data, word, more);
        top.s_axi_wvalid = w, top.s_axi_wdata = word, top.s_axi_wstrb = more & 15;
        const bool ar = offers(fuzz->reads, word, more);
        top.s_axi_arvalid = ar, top.s_axi_araddr = word & 16383, top.s_axi_arprot = more & 7;
        const bool event = offers(fuzz->events, word, more);
        top.s_axis_events_tvalid = event, top.s_axis_events_tdata = word;
        top.s_axis_events_tlast = more & 1, top.s_axis_events_tuser = more >> 1 & 1;
        top.s_axi_bready = takes(fuzz->written);
        top.s_axi_rready = takes(fuzz->read);
        top.m_axis_results_tready = takes(fuzz->results);
        top.eval();
        bool moved = sent(fuzz->addresses, aw && top.s_axi_awready);
        moved |= sent(fuzz->data, w && top.s_axi_wready);
        moved |= sent(fuzz->reads, ar && top.s_axi_arready);
        moved |= sent(fuzz->events, event && top.s_axis_events_tready);
        moved |= taken(fuzz->written, top.s_axi_bvalid && top.s_axi_bready, 0, top.s_axi_bresp);
        moved |= taken(
            fuzz->read, top.s_axi_rvalid && top.s_axi_rready, top.s_axi_rdata, top.s_axi_rresp);
        moved |= taken(fuzz->results, top.m_axis_results_tvalid && top.m_axis_results_tready,
                       top.m_axis_results_tdata, top.m_axis_results_tlast);
        reached(fuzz->loads, top.loads, top.load_item);
        reached(fuzz->items, top.enters, top.item);
        fuzz->clears += top.clears;
        if (moved) idle = 0;
        core->rise();
    }
    top.s_axi_awvalid = top.s_axi_wvalid = top.s_axi_arvalid = top.s_axis_events_tvalid = 0;
    top.s_axi_bready = top.s_axi_rready = top.m_axis_results_tready = 0;
    top.s_axis_events_tlast = top.s_axis_events_tuser = 0;
    fuzz->cycles = core->cycles - before;
}

}  // extern "C"
