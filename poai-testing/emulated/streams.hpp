// Streams and events of the emulated driver. Queued work runs when something
// waits for it, and not before. Only events order the streams, and the schedule
// uses that freedom. POAI_EMULATED_STREAMS is `late`, to run only what is
// waited for; `early`, to run everything else first that may run; or `random`
// and a number.
//
// Streams belong to devices: the error of a failed device ends that device's
// streams.
//
// Each operation also knows which others it comes after, by a clock that counts
// the operations of each stream (a vector clock). If two operations touch the
// same memory without an order between them, the process ends with a message,
// in every schedule.
#pragma once

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace streams {

// For each stream, the number of its operations that come before.
using Clock = std::map<size_t, uint64_t>;

static void join(Clock& clock, const Clock& other) {
    for (auto [stream, count] : other) {
        uint64_t& mine = clock[stream];
        if (mine < count) mine = count;
    }
}

struct Stream;

// Made by cuEventRecord: reached when the earlier work of its stream has run.
struct Point {
    Stream* stream;
    Clock clock;
    bool reached = false;
    int64_t time = 0;  // when it was reached
};
using Reached = std::shared_ptr<Point>;

struct Operation {
    std::function<int()> run;
    Reached waits, records;
    // Runs on a failed GPU, too: operations that free memory.
    bool always = false;
};

struct Stream {
    size_t index;
    int device;
    Clock clock;
    std::deque<Operation> queue;
};

struct Event {
    int device;
    Reached point;
    bool timed;
};

static std::vector<Stream*> all;
static size_t made;
// The operations that the host has waited for.
static Clock host;
// The error of each failed device.
static int* failed;
// How often the host waited for work that had not run.
static uint64_t waits;

// The time in nanoseconds; every call returns a different value.
static int64_t now() {
    using namespace std::chrono;
    static int64_t last;
    int64_t time = duration_cast<nanoseconds>(steady_clock::now().time_since_epoch()).count();
    return last = time > last ? time : last + 1;
}

static Stream* open(int device) {
    Stream* stream = new Stream{made++, device, {}, {}};
    all.push_back(stream);
    return stream;
}

// The clock of the next queued operation, which is then counted.
static const Clock& tick(Stream* stream) {
    join(stream->clock, host);
    stream->clock[stream->index]++;
    return stream->clock;
}

static void queue(Stream* stream, std::function<int()> run, bool always = false) {
    stream->queue.push_back({std::move(run), nullptr, nullptr, always});
}

static Reached record(Stream* stream) {
    Reached point(new Point{stream, tick(stream)});
    stream->queue.push_back({nullptr, nullptr, point});
    return point;
}

static void wait(Stream* stream, Reached point) {
    join(stream->clock, point->clock);
    stream->queue.push_back({nullptr, std::move(point), nullptr});
}

static bool may_run(Stream* stream) {
    return !stream->queue.empty() &&
           (!stream->queue.front().waits || stream->queue.front().waits->reached);
}

static void step(Stream* stream) {
    Operation operation = std::move(stream->queue.front());
    stream->queue.pop_front();
    int& code = failed[stream->device];
    if (operation.run && (!code || operation.always)) {
        if (int result = operation.run()) code = result;
    }
    if (operation.records) {
        operation.records->reached = true;
        operation.records->time = now();
    }
}

// Runs only what it must: the streams that the point's stream waits for.
static void reach_late(Point& point) {
    while (!point.reached) {
        Reached waits = point.stream->queue.front().waits;
        if (waits) reach_late(*waits);
        step(point.stream);
    }
}

// Runs everything else first that may run, the newest stream first.
static void reach_early(Point& point) {
    while (!point.reached) {
        bool other = true;
        while (other) {
            other = false;
            for (size_t i = all.size(); i-- > 0;) {
                while (all[i] != point.stream && may_run(all[i])) {
                    step(all[i]);
                    other = true;
                }
            }
        }
        step(point.stream);
    }
}

static void reach_random(Point& point, uint64_t& state) {
    while (!point.reached) {
        std::vector<Stream*> able;
        for (Stream* stream : all) {
            if (may_run(stream)) able.push_back(stream);
        }
        state = state * 6364136223846793005u + 1442695040888963407u;
        step(able[(state >> 33) % able.size()]);
    }
}

// Waits on the host, and counts the wait if the point was not reached yet.
static void reach(Reached point) {
    if (!point->reached) {
        waits++;
        const char* order = getenv("POAI_EMULATED_STREAMS");
        std::string name = order ? order : "late";
        static uint64_t state = strtoull(name.c_str() + (name.find("random") == 0 ? 6 : 0), nullptr, 10);
        if (name == "late") {
            reach_late(*point);
        } else if (name == "early") {
            reach_early(*point);
        } else {
            reach_random(*point, state);
        }
    }
    join(host, point->clock);
}

static void drain(Stream* stream) {
    if (stream->queue.empty()) {
        join(host, stream->clock);
        return;
    }
    reach(record(stream));
}

static void close(Stream* stream) {
    // A real driver lets queued work end later.
    uint64_t before = waits;
    drain(stream);
    waits = before;
    for (size_t i = 0; i < all.size(); i++) {
        if (all[i] == stream) all.erase(all.begin() + i--);
    }
    // A caller may ask about its points at any later time.
}

// The uses of memory, each as the last operation of each stream that made it.
struct Uses {
    Clock made, written, used, read;
};
enum Kind { WRITE, KERNEL, READ, FREE };

[[noreturn]] static void race(const char* what) {
    fprintf(stderr, "no order between streams: %s\n", what);
    abort();
}

static bool after(const Clock& clock, const Clock& uses) {
    for (auto [stream, count] : uses) {
        auto found = clock.find(stream);
        if (found == clock.end() || found->second < count) return false;
    }
    return true;
}

static void check(const Uses& uses, Kind kind, const Clock& clock) {
    if (!after(clock, uses.made)) race("memory is used before it is allocated");
    if (!after(clock, uses.written)) race("memory is used while it is written");
    if (kind == WRITE || kind == FREE) {
        const char* what = kind == WRITE ? "memory is written while it is used"
                                         : "memory is freed while it is used";
        if (!after(clock, uses.used) || !after(clock, uses.read)) race(what);
    }
}

// Records that an operation of this clock uses memory. A kernel may read and
// write its arguments, or only read them. If a copy and a kernel may both only
// read, only the schedule shows what is wrong.
static void touch(Uses& uses, Kind kind, Stream* stream, const Clock& clock) {
    if (failed[stream->device]) return;
    check(uses, kind, clock);
    if (kind == FREE) return;
    Clock& of = kind == WRITE ? uses.written : kind == KERNEL ? uses.used : uses.read;
    of[stream->index] = clock.at(stream->index);
}

}  // namespace streams
