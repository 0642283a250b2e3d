// The pins of a board whose UART somebody drives, and what the bridge behind them does (the shell is
// written by soak/uart_line.py). A model of the receiver, from the docstring of `UartReceiver` alone,
// reads the same line.

#include <cstdint>

#include "Vshell.h"
#include "verilated.h"

extern "C" {

// What was seen in a cycle: its kind (soak/uart_line.py), and its numbers.
struct Seen {
    int32_t kind;
    uint32_t address;
    uint32_t data;
    int64_t cycle;
};

}  // extern "C"

namespace {

enum Kind { BYTE, BREAK, HEARD, LOST, HEARD_BREAK, WRITE, READ, EVENT, RESULT, SENT };
constexpr int FRAME_BITS = 10;

struct Log {
    Seen* seen;
    int64_t room;
    int64_t count;
    int64_t cycle;

    void add(Kind kind, uint32_t address, uint32_t data) {
        if (count < room) seen[count] = {kind, address, data, cycle};
        ++count;
    }
};

// Two flip-flops; a start bit; then the middle of every bit. A byte with a low stop bit is no byte,
// and the next one begins after the line was high. Low for a frame is a break.
struct Model {
    int clocks;
    bool first = true, second = true;
    int64_t since = -1;  // cycles since the line fell at the beginning of the byte; -1: idle
    bool release = false, broken = false;
    int low = 0;
    uint32_t byte = 0;

    void step(bool line, Log& log) {
        const bool level = second;
        second = first;
        first = line;
        low = level ? 0 : low + 1;
        if (low >= FRAME_BITS * clocks && !broken) log.add(BREAK, 0, 0);
        broken = low >= FRAME_BITS * clocks;
        if (release) {
            release = !level;
        } else if (since < 0) {
            if (!level) since = 0;
        } else {
            const int64_t at = ++since - (clocks - 1) / 2;
            if (at % clocks == 0) bit(at / clocks, level, log);
        }
    }

    void bit(int64_t place, bool level, Log& log) {
        if (place == 0) {
            byte = 0;
            if (level) since = -1;
        } else if (place < FRAME_BITS - 1) {
            byte |= uint32_t{level} << (place - 1);
        } else {
            since = -1;
            release = !level;
            if (level) log.add(BYTE, 0, byte);
        }
    }
};

// A host's receiver, of the line that the board drives.
struct Host {
    int clocks;
    int64_t since = -1;
    uint32_t byte = 0;

    void step(bool level, Log& log) {
        if (since < 0) {
            since = level ? -1 : 0;
            byte = 0;
            return;
        }
        const int64_t at = ++since - clocks / 2;
        if (at < clocks || at % clocks) return;
        const int64_t place = at / clocks;
        if (place < FRAME_BITS - 1) {
            byte |= uint32_t{level} << (place - 1);
        } else {
            log.add(SENT, level, byte);
            since = -1;
        }
    }
};

}  // namespace

extern "C" {

struct Board {
    VerilatedContext context;
    Vshell top{&context};
    Model model;
    Host host;
    int64_t cycle = 0;
    bool broken = false;
};

Board* uart_new(int32_t clocks, int64_t reset_cycles) {
    Board* board = new Board;
    board->model.clocks = board->host.clocks = clocks;
    Vshell& top = board->top;
    top.clk = 0;
    top.uart_rx = 1;
    for (int64_t i = 0; i < 2 * reset_cycles; ++i) {
        top.button_n = i >= reset_cycles;
        top.eval();
        top.clk = 1;
        top.eval();
        top.clk = 0;
    }
    return board;
}

void uart_delete(Board* board) {
    board->top.final();
    delete board;
}

// Put levels on the line, one a cycle; note what is seen. Stop when the board has sent `n_bytes`, if
// these are not 0. Return how much was seen, which may be more than there was room for.
int64_t uart_play(
    Board* board, const uint8_t* levels, int64_t n_levels, Seen* seen, int64_t room, int64_t n_bytes
) {
    Vshell& top = board->top;
    Log log{seen, room, 0, 0};
    int64_t sent = 0;
    for (int64_t i = 0; i < n_levels; ++i) {
        log.cycle = board->cycle++;
        top.uart_rx = levels[i];
        top.eval();
        board->model.step(levels[i], log);
        if (top.write) log.add(WRITE, top.write_address, top.write_data);
        if (top.read) log.add(READ, top.read_address, 0);
        if (top.event_) log.add(EVENT, 0, top.event_data);
        if (top.result) log.add(RESULT, 0, 0);
        if (top.heard) log.add(top.room ? HEARD : LOST, 0, top.byte_);
        if (top.broken && !board->broken) log.add(HEARD_BREAK, 0, 0);
        board->broken = top.broken;
        const int64_t before = log.count;
        board->host.step(top.uart_tx, log);
        sent += log.count - before;
        top.clk = 1;
        top.eval();
        top.clk = 0;
        if (n_bytes && sent == n_bytes) break;
    }
    return log.count;
}

int64_t uart_cycles(Board* board) { return board->cycle; }

}  // extern "C"
