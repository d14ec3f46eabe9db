// Memory of the emulated driver: memory of its devices, and pinned host memory.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>

#include "devices.hpp"
#include "streams.hpp"

struct Allocation {
    size_t bytes, mapped;
    char* start;
    int device;
    streams::Uses uses;
};
// Pinned memory of the host.
struct Pinned {
    size_t bytes;
    int device;
    std::shared_ptr<int> copies;  // the queued ones
};

static std::map<uint64_t, Allocation> allocations;
static std::map<uint64_t, Pinned> pinned;
// Bytes in use on each device.
static size_t used[DEVICES_MAX];

// The allocation that contains all of these bytes.
static Allocation* owner(const char* call, uint64_t address, size_t bytes) {
    auto next = allocations.upper_bound(address);
    if (next == allocations.begin()) return nullptr;
    auto& [start, allocation] = *--next;
    if (address - start + bytes > allocation.bytes) return nullptr;
    own(call, "memory", allocation.device);
    return &allocation;
}

static Pinned* host_owner(const char* call, const void* address, size_t bytes) {
    auto next = pinned.upper_bound((uint64_t)address);
    if (next == pinned.begin()) return nullptr;
    auto& [start, memory] = *--next;
    if ((uint64_t)address - start + bytes > memory.bytes) return nullptr;
    own(call, "host memory", memory.device);
    return &memory;
}

// The memory ends at the end of a page, as nearly as a start at a multiple of
// 256 permits. No access may touch the page after it. The memory is filled with
// non-zero bytes.
static int reserve(int device, uint64_t* address, size_t bytes) {
    if (bytes == 0) return INVALID_VALUE;
    if (used[device] + bytes > strtoull(setting("POAI_EMULATED_MEMORY", "1073741824"), nullptr, 10)) {
        return OUT_OF_MEMORY;
    }
    size_t page = sysconf(_SC_PAGESIZE);
    size_t rounded = (bytes + 255) / 256 * 256;
    size_t pages = (rounded + page - 1) / page * page;
    char* start = (char*)mmap(nullptr, pages + page, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (start == MAP_FAILED) return OUT_OF_MEMORY;
    mprotect(start + pages, page, PROT_NONE);
    memset(start, 0xa7, pages);
    *address = (uint64_t)(start + pages - rounded);
    allocations[*address] = {bytes, pages + page, start, device, {}};
    used[device] += bytes;
    return OK;
}
