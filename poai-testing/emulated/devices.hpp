// The devices of the emulated driver; the driver's interface calls a GPU a
// device. Each has a context of its own, and every thread a current context. If
// something of one device is used under another's context, the process ends
// with a message. This covers memory, streams, modules, functions and pinned
// host memory, which a real driver would accept. Only events may be waited for
// anywhere.
//
// POAI_EMULATED_FAIL=cuLaunchKernel:3:700 makes the third call of a function
// return 700, and then every later call of any function on the same device, as
// a failed GPU does. Out of memory (2) and a refused value (1) leave the device
// usable. With :1 appended device 1 fails, otherwise device 0.
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

// Held by every call.
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

// The error that a call on a device returns before it does anything.
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

// The device of the thread's current context.
static int here(const char* call) {
    if (!current || !retained[current->device]) {
        fprintf(stderr, "%s: expected a current context, got none or a released one\n", call);
        abort();
    }
    return current->device;
}

// Ends the process if a call gets something of another device.
static void own(const char* call, const char* what, int device) {
    int under = here(call);
    if (device != under) {
        fprintf(stderr, "%s: %s of device %d under the context of device %d\n", call, what, device,
                under);
        abort();
    }
}

// The start of a call: of one on a device, and of one under the device's
// context.
#define CALL_ON(name, device)                \
    std::lock_guard<std::mutex> guard(lock); \
    if (int code = refused(name, device)) return code
#define CALL(name) CALL_ON(name, here(name))
