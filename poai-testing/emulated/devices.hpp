// The devices of the emulated driver: the driver's interface calls a GPU so.
// Each has a context of its own, and every thread a current one. What is of one
// device and used under another's context ends the process with a message:
// memory, streams, modules and functions, the host's pinned memory among it,
// which a driver would let pass. Events alone may be waited for anywhere.
//
// POAI_EMULATED_FAIL, like cuLaunchKernel:3:700, makes the third call of a
// function answer 700, and every later call of any on the same device, as a GPU
// does that has failed; memory that is not there (2) and a value that is refused
// (1) leave it as it was. It is device 1 that fails with :1 behind it, otherwise
// device 0.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <string>

enum {
    OK,
    INVALID_VALUE = 1,
    OUT_OF_MEMORY = 2,
    INVALID_DEVICE = 101,
    INVALID_HANDLE = 400,
    NOT_FOUND = 500,
    NOT_READY = 600,
    ILLEGAL_ADDRESS = 700,
    LAUNCH_FAILED = 719
};

enum { DEVICES_MAX = 16 };

struct Context {
    int device;
};

// What every call holds.
static std::mutex lock;
static int broken[DEVICES_MAX];
static int retained[DEVICES_MAX];
static Context contexts[DEVICES_MAX];
static std::map<std::string, int> calls;
static thread_local Context* current;

static const char* setting(const char* name, const char* otherwise) {
    const char* value = getenv(name);
    return value ? value : otherwise;
}

static int device_count() {
    int count = atoi(setting("POAI_EMULATED_GPUS", "1"));
    return count < DEVICES_MAX ? count : DEVICES_MAX;
}

// What a call on a device answers before it does anything.
static int refused(const char* name, int device) {
    if (broken[device]) {
        return broken[device];
    }
    char function[64];
    int at = 0, code = 0, failing = 0;
    const char* wanted = setting("POAI_EMULATED_FAIL", "");
    if (sscanf(wanted, "%63[^:]:%d:%d:%d", function, &at, &code, &failing) >= 3 && device == failing &&
        strcmp(function, name) == 0 && ++calls[name] == at) {
        return code == OUT_OF_MEMORY || code == INVALID_VALUE ? code : broken[device] = code;
    }
    return OK;
}

// The device whose context is the thread's.
static int here(const char* call) {
    if (!current || !retained[current->device]) {
        fprintf(stderr, "%s: no context is current, or it was given back\n", call);
        abort();
    }
    return current->device;
}

// Ends the process where what a call was handed is of another device.
static void own(const char* call, const char* what, int device) {
    int under = here(call);
    if (device != under) {
        fprintf(stderr, "%s: %s of device %d under the context of device %d\n", call, what, device,
                under);
        abort();
    }
}

// The start of a call: of one on a device, and of one under its context.
#define CALL_ON(name, device)                \
    std::lock_guard<std::mutex> guard(lock); \
    if (int code = refused(name, device)) return code
#define CALL(name) CALL_ON(name, here(name))
