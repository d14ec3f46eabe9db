// The threads of a block as fibers on one thread of the processor, in an order
// that the test chooses; barriers; descriptions of a kernel's errors.
#pragma once

#include <algorithm>
#include <csetjmp>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <sys/mman.h>
#include <ucontext.h>
#include <vector>

#include "types.hpp"

// The position of the thread that runs; set when the scheduler switches to it.
__attribute__((visibility("hidden"))) uint3 threadIdx, blockIdx;
__attribute__((visibility("hidden"))) dim3 blockDim, gridDim;
static const int warpSize = 32;

namespace simt {

// The choice among the threads that can run: the lowest for as long as it can
// run, the highest, or a random one. The first two put the warps of a block as
// far apart as barriers permit. The third also switches at wrapped calls.
enum class Order : uint32_t { Forward = 0, Backward = 1, Random = 2 };

enum class State { Ready, Block, Named, Warp, Done };

// One copy that a thread requested with cp.async.
struct Copy {
    void* to;
    const void* from;
    uint32_t bytes;
};

// A thread. Its context is started once with setcontext; from then on fibers
// switch with _setjmp and _longjmp, which make no system call.
struct Fiber {
    ucontext_t start;
    jmp_buf here;
    bool started;
    State state;
    uint3 index;
    // The source line where it waits, and what it waits for.
    const char* what;
    int line;
    uint32_t named_id;
    uint32_t mask;
    void (*combine)(void**, uint32_t);
    void* payload;
    // cp.async: groups that are committed, then the open one.
    std::vector<std::vector<Copy>> groups;
};

// The lanes of a warp that have exited, and those that wait for other lanes.
struct Warp {
    uint32_t exited, waiting;
};

// A named barrier: the threads that wait, and those that it needs.
struct Named {
    uint32_t arrived, threads;
};

// The state of the launch. Only one launch runs at a time: the harness holds a
// lock.
struct Machine {
    std::vector<Fiber> fibers;
    std::vector<uint64_t> ready;  // a bit per thread
    std::vector<Warp> warps;
    Named named[16];
    std::vector<char*> stacks;
    Fiber* current = nullptr;
    jmp_buf scheduler;
    void (*kernel)(const uint64_t*);
    const uint64_t* arguments;
    Order order;
    uint64_t random;
    uint32_t waiting;  // at __syncthreads
    char* dynamic;
    uint32_t dynamic_bytes;
    std::string error;
};
__attribute__((visibility("hidden"))) Machine machine;

// A stack is mapped with a page below it that no access may touch.
const size_t STACK = 256 << 10;
const size_t GUARD = 64 << 10;

static uint64_t next_random() {
    // splitmix64
    uint64_t z = machine.random += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
}

static void set_ready(Fiber& fiber) {
    size_t i = &fiber - machine.fibers.data();
    fiber.state = State::Ready;
    machine.ready[i / 64] |= uint64_t(1) << (i % 64);
}

static bool in_kernel() { return machine.current != nullptr; }

// Switches to the scheduler; returns when it chooses this fiber again.
__attribute__((noinline)) static void suspend() {
    if (_setjmp(machine.current->here) == 0) {
        _longjmp(machine.scheduler, 1);
    }
}

// Ends the launch. The message begins with the block and the thread.
[[noreturn]] __attribute__((noinline, format(printf, 1, 2))) static void fail(const char* format,
                                                                             ...) {
    char text[512], where[128];
    va_list list;
    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    uint3 b = blockIdx, t = threadIdx;
    snprintf(where, sizeof where, "block (%u,%u,%u) thread (%u,%u,%u): ", b.x, b.y, b.z, t.x, t.y,
             t.z);
    machine.error = std::string(where) + text;
    _longjmp(machine.scheduler, 1);
}

static void wait_as(State state, const char* what, int line) {
    Fiber& self = *machine.current;
    size_t i = &self - machine.fibers.data();
    machine.ready[i / 64] &= ~(uint64_t(1) << (i % 64));
    self.state = state;
    self.what = what;
    self.line = line;
}

// A place where the random order may switch threads.
static inline void point() {
    if (machine.order == Order::Random && in_kernel() && (next_random() & 1)) {
        suspend();
    }
}

__attribute__((noinline)) static void sync_block(int line) {
    wait_as(State::Block, "__syncthreads", line);
    if (++machine.waiting == machine.fibers.size()) {
        for (Fiber& fiber : machine.fibers) {
            // On the device this is the same barrier, and it is never allowed:
            // threads that diverge and meet by chance.
            if (fiber.line != line) {
                fail("divergence: waits at __syncthreads of line %d, others of line %d", line,
                     fiber.line);
            }
        }
        machine.waiting = 0;
        for (Fiber& fiber : machine.fibers) {
            set_ready(fiber);
        }
    }
    suspend();
}

__attribute__((noinline)) static void sync_named(uint32_t id, uint32_t threads, int line) {
    Fiber& self = *machine.current;
    if (id == 0 || id > 15 || threads == 0 || threads % 32 != 0) {
        fail("line %d: barrier %u of %u threads", line, id, threads);
    }
    wait_as(State::Named, "named_barrier_sync", line);
    self.named_id = id;
    Named& barrier = machine.named[id];
    if (barrier.arrived > 0 && barrier.threads != threads) {
        fail("line %d: barrier %u of %u threads here, of %u elsewhere", line, id, threads,
             barrier.threads);
    }
    barrier.threads = threads;
    if (++barrier.arrived == threads) {
        barrier.arrived = 0;
        for (Fiber& fiber : machine.fibers) {
            if (fiber.state == State::Named && fiber.named_id == id) {
                set_ready(fiber);
            }
        }
    }
    suspend();
}

// Combines the inputs of the lanes that `mask` names, if all wait for the same.
__attribute__((noinline)) SIMT_UNCHECKED static void combine_lanes(Fiber* lanes, uint32_t mask,
                                                                  Warp& warp) {
    void (*combine)(void**, uint32_t) = machine.current->combine;
    void* payloads[32] = {};
    for (uint32_t left = mask; left != 0; left &= left - 1) {
        Fiber& other = lanes[__builtin_ctz(left)];
        if (other.mask != mask || other.combine != combine) {
            return;
        }
        payloads[__builtin_ctz(left)] = other.payload;
    }
    combine(payloads, mask);
    warp.waiting &= ~mask;
    for (uint32_t left = mask; left != 0; left &= left - 1) {
        set_ready(lanes[__builtin_ctz(left)]);
    }
}

// Runs a function over the lanes that `mask` names. Each lane puts its input
// and the place of its result in `payload`; the last to arrive combines them.
// The lanes of a warp are consecutive threads.
template <class P>
__attribute__((noinline)) static void collective(uint32_t mask, P& payload,
                                                 void (*combine)(void**, uint32_t),
                                                 const char* what, int line) {
    Fiber& self = *machine.current;
    size_t i = &self - machine.fibers.data(), lane = i % 32, first = i - lane;
    if (!(mask >> lane & 1)) {
        fail("line %d: %s with mask %08x without the calling lane %zu", line, what, mask, lane);
    }
    wait_as(State::Warp, what, line);
    self.mask = mask;
    self.combine = combine;
    self.payload = &payload;
    Warp& warp = machine.warps[i / 32];
    warp.waiting |= 1u << lane;
    size_t lanes = std::min<size_t>(32, machine.fibers.size() - first);
    uint32_t missing = lanes < 32 ? mask >> lanes : 0;
    if (missing != 0) {
        fail("line %d: %s names lane %zu, which the block does not have", line, what,
             lanes + __builtin_ctz(missing));
    }
    if (uint32_t exited = mask & warp.exited) {
        fail("divergence: line %d: %s names lane %d, which has exited", line, what,
             __builtin_ctz(exited));
    }
    if ((warp.waiting & mask) == mask) {
        combine_lanes(&machine.fibers[first], mask, warp);
    }
    suspend();
}

// Runs one thread of every block: to start a context anew costs system calls.
static void entry() {
    while (true) {
        machine.kernel(machine.arguments);
        Fiber& self = *machine.current;
        for (auto& group : self.groups) {
            if (!group.empty()) {
                fail("exits with a cp.async that it has not waited for");
            }
        }
        wait_as(State::Done, "exited", 0);
        size_t i = &self - machine.fibers.data();
        machine.warps[i / 32].exited |= 1u << (i % 32);
        suspend();
    }
}

// A thread that can run, or null.
static Fiber* choose() {
    size_t words = machine.ready.size();
    if (machine.order == Order::Random) {
        size_t start = next_random() % machine.fibers.size();
        for (size_t w = 0; w <= words; w++) {
            size_t word = (start / 64 + w) % words;
            uint64_t bits = machine.ready[word];
            // The start's word is searched twice: from the start, then whole.
            bits &= w == 0 ? ~uint64_t(0) << (start % 64) : ~uint64_t(0);
            if (bits != 0) {
                return &machine.fibers[word * 64 + __builtin_ctzll(bits)];
            }
        }
        return nullptr;
    }
    for (size_t w = 0; w < words; w++) {
        bool forward = machine.order == Order::Forward;
        size_t word = forward ? w : words - 1 - w;
        if (uint64_t bits = machine.ready[word]) {
            int bit = forward ? __builtin_ctzll(bits) : 63 - __builtin_clzll(bits);
            return &machine.fibers[word * 64 + bit];
        }
    }
    return nullptr;
}

// Runs a fiber until it waits, switches or ends.
__attribute__((noinline)) static void resume(Fiber* fiber) {
    machine.current = fiber;
    threadIdx = fiber->index;
    if (_setjmp(machine.scheduler) == 0) {
        if (!fiber->started) {
            fiber->started = true;
            setcontext(&fiber->start);
        }
        _longjmp(fiber->here, 1);
    }
    machine.current = nullptr;
}

// No thread can run and some have not ended: describes where each waits.
static std::string describe_deadlock() {
    std::string text = "divergence: no thread can continue:";
    auto& all = machine.fibers;
    auto same = [](const Fiber& a, const Fiber& b) {
        return a.state == b.state && a.line == b.line && a.mask == b.mask;
    };
    for (size_t i = 0; i < all.size() && text.size() < 600;) {
        size_t end = i;
        while (end < all.size() && same(all[i], all[end])) {
            end++;
        }
        char part[160];
        snprintf(part, sizeof part, " threads %zu to %zu ", i, end - 1);
        text += part;
        if (all[i].state == State::Done) {
            text += "have exited;";
        } else {
            snprintf(part, sizeof part, "wait at %s of line %d;", all[i].what, all[i].line);
            text += part;
        }
        i = end;
    }
    return text;
}

// Runs one block to its end, or returns false with `machine.error` set.
static bool run_block() {
    size_t threads = machine.fibers.size();
    while (machine.stacks.size() < threads) {
        void* at = mmap(nullptr, STACK + GUARD, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (at == MAP_FAILED || mprotect(at, GUARD, PROT_NONE) != 0) {
            machine.error = "no memory for the stacks of the threads";
            return false;
        }
        machine.stacks.push_back(static_cast<char*>(at) + GUARD);
    }
    machine.ready.assign((threads + 63) / 64, 0);
    machine.warps.assign((threads + 31) / 32, {0, 0});
    memset(machine.named, 0, sizeof machine.named);
    machine.waiting = 0;
    for (size_t i = 0; i < threads; i++) {
        Fiber& fiber = machine.fibers[i];
        if (!fiber.started) {
            getcontext(&fiber.start);
            fiber.start.uc_stack.ss_sp = machine.stacks[i];
            fiber.start.uc_stack.ss_size = STACK;
            fiber.start.uc_link = nullptr;
            makecontext(&fiber.start, entry, 0);
        }
        fiber.mask = 0;
        fiber.groups.assign(1, {});
        unsigned x = blockDim.x, y = blockDim.y;
        fiber.index = {unsigned(i % x), unsigned(i / x % y), unsigned(i / x / y)};
        set_ready(fiber);
    }
    while (Fiber* fiber = choose()) {
        resume(fiber);
        if (!machine.error.empty()) {
            return false;
        }
    }
    for (Fiber& fiber : machine.fibers) {
        if (fiber.state != State::Done) {
            uint3 b = blockIdx;
            char where[64];
            snprintf(where, sizeof where, "block (%u,%u,%u): ", b.x, b.y, b.z);
            machine.error = where + describe_deadlock();
            return false;
        }
    }
    return true;
}

}  // namespace simt

// The line is the caller's: a default argument is evaluated there.
static inline void __syncthreads(int line = __builtin_LINE()) { simt::sync_block(line); }
static inline void named_barrier_sync(uint32_t id, uint32_t threads, int line = __builtin_LINE()) {
    simt::sync_named(id, threads, line);
}
static inline void __threadfence() { simt::point(); }
static inline void __threadfence_block() { simt::point(); }

#define SIMT_POINT() simt::point()
