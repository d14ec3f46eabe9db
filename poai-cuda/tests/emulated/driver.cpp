// An NVIDIA driver with one card, which is the processor: the kernels run
// through the shim in ../shim. Everything that the library does with a card is
// so tested where there is none, through the same cudarc.
//
// POAI_EMULATED_KERNELS names the libraries that the kernels were compiled to,
// one for each file, separated by colons; POAI_EMULATED_CAPABILITY is the
// card's, like 8.0; POAI_EMULATED_MEMORY its bytes; POAI_EMULATED_ORDER the
// order of threads, as in Rust's harness; POAI_EMULATED_MULTIPROCESSORS how many
// it has; POAI_EMULATED_POOLS is 0 where memory has no order among streams;
// POAI_EMULATED_STREAMS is the order of streams (streams.hpp).
// POAI_EMULATED_FAIL, like cuLaunchKernel:3:700, makes the third call of a
// function answer 700, and every later call of any, as a card does that has
// failed; memory that is not there (2) and a value that is refused (1) leave it
// as it was. Compiled with POAI_WITHOUT_TENSOR_MAPS it lacks the function that
// makes them.
#include <dlfcn.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "streams.hpp"

using streams::Stream;

struct SimtLaunch {
    uint32_t grid[3];
    uint32_t block[3];
    uint32_t dynamic_bytes;
    uint32_t order;
    uint64_t seed;
    const uint64_t* values;
    const char* kinds;
};
using Run = int (*)(const char*, const SimtLaunch*, char*, size_t, uint64_t*);
using Kinds = const char* (*)(const char*);

struct Library {
    Run run;
    Kinds kinds;
};
struct Function {
    std::string name;
    Library library;
    uint32_t shared;
};
// The 128 bytes of a tensor map: what ../shim/hopper.hpp reads, and a mark.
struct alignas(64) TensorMap {
    uint64_t columns, rows, address, mark, unused[12];
};
static_assert(sizeof(TensorMap) == 128, "as large as the driver's");
static const uint64_t MAP_MARK = 0x70616d20726f736e;
struct Allocation {
    size_t bytes, mapped;
    char* start;
    streams::Uses uses;
};
// Pinned memory of the host.
struct Pinned {
    size_t bytes;
    std::shared_ptr<int> copies;  // that are queued
};

static std::mutex lock;
static std::vector<Library> libraries;
static std::vector<Function*> functions;
static std::map<uint64_t, Allocation> allocations;
static std::map<uint64_t, Pinned> pinned;
static int kernels_queued;
static uint64_t kept;
static size_t used;
static int broken;
static std::map<std::string, int> calls;

enum { OK, INVALID_VALUE = 1, OUT_OF_MEMORY = 2, NOT_FOUND = 500, NOT_READY = 600, ILLEGAL_ADDRESS = 700, LAUNCH_FAILED = 719 };

static const char* setting(const char* name, const char* otherwise) {
    const char* value = getenv(name);
    return value ? value : otherwise;
}

// What a call answers before it does anything.
static int refused(const char* name) {
    if (broken) {
        return broken;
    }
    char function[64];
    int at = 0, code = 0;
    if (sscanf(setting("POAI_EMULATED_FAIL", ""), "%63[^:]:%d:%d", function, &at, &code) == 3 &&
        strcmp(function, name) == 0 && ++calls[name] == at) {
        return code == OUT_OF_MEMORY || code == INVALID_VALUE ? code : broken = code;
    }
    return OK;
}
#define CALL(name)                              \
    std::lock_guard<std::mutex> guard(lock);    \
    if (int code = refused(name)) return code

// The allocation that all of these bytes are part of.
static Allocation* owner(uint64_t address, size_t bytes) {
    auto next = allocations.upper_bound(address);
    if (next == allocations.begin()) return nullptr;
    auto& [start, allocation] = *--next;
    return address - start + bytes <= allocation.bytes ? &allocation : nullptr;
}

static Pinned* host_owner(const void* address, size_t bytes) {
    auto next = pinned.upper_bound((uint64_t)address);
    if (next == pinned.begin()) return nullptr;
    auto& [start, memory] = *--next;
    return (uint64_t)address - start + bytes <= memory.bytes ? &memory : nullptr;
}

// Ends where a page ends beyond which nothing may be touched, as nearly as a
// start at a multiple of 256 permits; filled with what is no zero.
static int reserve(uint64_t* address, size_t bytes) {
    if (bytes == 0) return INVALID_VALUE;
    if (used + bytes > strtoull(setting("POAI_EMULATED_MEMORY", "1073741824"), nullptr, 10)) {
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
    allocations[*address] = {bytes, pages + page, start, {}};
    used += bytes;
    return OK;
}

// A cluster of two blocks is one block of the shim, with half as many stages:
// no more shared memory than one block of a card may have.
static bool as_clusters(SimtLaunch& launch) {
    const uint32_t stages = 2 * (128 + 256) * 128;
    if (launch.grid[0] % 2 || launch.dynamic_bytes < stages) return false;
    launch.grid[0] /= 2;
    launch.block[0] *= 2;
    launch.dynamic_bytes = (launch.dynamic_bytes - stages + 1023) / 1024 * 1024 * 2;
    return true;
}

static Library* library_of(const char* kernel) {
    for (Library& library : libraries) {
        if (library.kinds(kernel)) return &library;
    }
    return nullptr;
}

extern "C" {

// For tests: how often the host waited for what had not run, and the threshold
// of the default pool.
uint64_t poai_emulated_waits() { return streams::waits; }
uint64_t poai_emulated_kept() { return kept; }

int cuInit(unsigned) {
    streams::failed = &broken;
    std::string list = setting("POAI_EMULATED_KERNELS", "");
    for (char* path = strtok(&list[0], ":"); path; path = strtok(nullptr, ":")) {
        void* handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
        if (!handle) {
            fprintf(stderr, "%s\n", dlerror());
            return 999;
        }
        libraries.push_back({(Run)dlsym(handle, "simt_launch"), (Kinds)dlsym(handle, "simt_kinds")});
    }
    return OK;
}
int cuDriverGetVersion(int* version) { *version = 12000; return OK; }
int cuDeviceGetCount(int* count) { *count = 1; return OK; }
int cuDeviceGet(int* device, int ordinal) { *device = ordinal; return OK; }
int cuDeviceGetName(char* name, int size, int) { snprintf(name, size, "Emulated GPU"); return OK; }
int cuDeviceTotalMem_v2(size_t* bytes, int) {
    *bytes = strtoull(setting("POAI_EMULATED_MEMORY", "1073741824"), nullptr, 10);
    return OK;
}
int cuDeviceGetAttribute(int* value, int attribute, int) {
    int major = 8, minor = 0;
    sscanf(setting("POAI_EMULATED_CAPABILITY", "8.0"), "%d.%d", &major, &minor);
    switch (attribute) {
    case 16: *value = atoi(setting("POAI_EMULATED_MULTIPROCESSORS", "4")); return OK;
    case 75: *value = major; return OK;
    case 76: *value = minor; return OK;
    case 115: *value = atoi(setting("POAI_EMULATED_POOLS", "1")); return OK;
    }
    return INVALID_VALUE;
}
int cuGetErrorName(int code, const char** text) {
    static char names[64];
    snprintf(names, sizeof names, "EMULATED_%d", code);
    *text = names;
    return OK;
}
int cuGetErrorString(int, const char** text) { *text = "an emulated error"; return OK; }

static int retained;
int cuDevicePrimaryCtxRetain(void** context, int) {
    CALL("cuDevicePrimaryCtxRetain");
    retained++;
    *context = &lock;
    return OK;
}
int cuDevicePrimaryCtxRelease_v2(int) {
    std::lock_guard<std::mutex> guard(lock);
    if (--retained > 0) {
        return OK;
    }
    // What is left now, nobody frees any more. Of a card that has failed host
    // memory may be left: nobody can tell whether copies still use it.
    size_t left = allocations.size() + (broken ? 0 : pinned.size());
    return left == 0 ? OK : (fprintf(stderr, "%zu allocations leak\n", left), abort(), 1);
}
int cuCtxGetCurrent(void** context) { *context = &lock; return OK; }
int cuCtxSetCurrent(void*) { CALL("cuCtxSetCurrent"); return OK; }

int cuStreamCreate(Stream** stream, unsigned) {
    CALL("cuStreamCreate");
    *stream = streams::open();
    return OK;
}
int cuStreamDestroy_v2(Stream* stream) {
    std::lock_guard<std::mutex> guard(lock);
    streams::close(stream);
    return OK;
}
int cuStreamSynchronize(Stream* stream) {
    CALL("cuStreamSynchronize");
    streams::drain(stream);
    return broken;
}
int cuStreamWaitEvent(Stream* stream, streams::Event* event, unsigned) {
    CALL("cuStreamWaitEvent");
    if (event->point) streams::wait(stream, event->point);
    return OK;
}
int cuEventCreate(streams::Event** event, unsigned) {
    CALL("cuEventCreate");
    *event = new streams::Event;
    return OK;
}
int cuEventRecord(streams::Event* event, Stream* stream) {
    CALL("cuEventRecord");
    event->point = streams::record(stream);
    return OK;
}
// Nothing is run by it: polling alone would never end.
int cuEventQuery(streams::Event* event) {
    CALL("cuEventQuery");
    if (event->point && !event->point->reached) return NOT_READY;
    if (event->point) streams::join(streams::host, event->point->clock);
    return OK;
}
int cuEventSynchronize(streams::Event* event) {
    CALL("cuEventSynchronize");
    if (event->point) streams::reach(event->point);
    return broken;
}
int cuEventDestroy_v2(streams::Event* event) {
    std::lock_guard<std::mutex> guard(lock);
    delete event;
    return OK;
}

int cuDeviceGetDefaultMemPool(void** pool, int) {
    CALL("cuDeviceGetDefaultMemPool");
    *pool = &kept;
    return OK;
}
int cuMemPoolGetAttribute(uint64_t* pool, int attribute, uint64_t* value) {
    CALL("cuMemPoolGetAttribute");
    if (attribute != 4) return INVALID_VALUE;
    *value = *pool;
    return OK;
}
int cuMemPoolSetAttribute(uint64_t* pool, int attribute, uint64_t* value) {
    CALL("cuMemPoolSetAttribute");
    if (attribute != 4) return INVALID_VALUE;
    *pool = *value;
    return OK;
}
int cuMemAllocAsync(uint64_t* address, size_t bytes, Stream* stream) {
    CALL("cuMemAllocAsync");
    if (int code = reserve(address, bytes)) return code;
    allocations[*address].uses.made[stream->index] = streams::tick(stream).at(stream->index);
    return OK;
}
int cuMemAlloc_v2(uint64_t* address, size_t bytes) { CALL("cuMemAlloc_v2"); return reserve(address, bytes); }
// The address is nobody's at once; the memory goes when it is its turn.
int cuMemFreeAsync(uint64_t address, Stream* stream) {
    std::lock_guard<std::mutex> guard(lock);
    auto found = allocations.find(address);
    if (found == allocations.end()) return INVALID_VALUE;
    Allocation memory = found->second;
    streams::touch(memory.uses, streams::FREE, stream->index, streams::tick(stream));
    used -= memory.bytes;
    allocations.erase(found);
    streams::queue(stream, [=] { return munmap(memory.start, memory.mapped), OK; }, true);
    return OK;
}
// Some drivers wait for the device here, and none promises it.
int cuMemFree_v2(uint64_t address) {
    std::lock_guard<std::mutex> guard(lock);
    auto found = allocations.find(address);
    if (found == allocations.end()) return INVALID_VALUE;
    Allocation& memory = found->second;
    streams::touch(memory.uses, streams::FREE, 0, streams::host);
    used -= memory.bytes;
    munmap(memory.start, memory.mapped);
    allocations.erase(found);
    return OK;
}
int cuMemHostAlloc(void** address, size_t bytes, unsigned flags) {
    CALL("cuMemHostAlloc");
    if (bytes == 0 || flags > 7) return INVALID_VALUE;
    void* start = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (start == MAP_FAILED) return OUT_OF_MEMORY;
    memset(start, 0xb9, bytes);
    pinned[(uint64_t)start] = {bytes, std::make_shared<int>(0)};
    *address = start;
    return OK;
}
int cuMemFreeHost(void* address) {
    std::lock_guard<std::mutex> guard(lock);
    auto found = pinned.find((uint64_t)address);
    if (found == pinned.end()) return INVALID_VALUE;
    if (*found->second.copies && !broken) streams::race("host memory is freed while a copy uses it");
    munmap(address, found->second.bytes);
    pinned.erase(found);
    return OK;
}

// Pinned memory is read when it is the copy's turn, other memory before the
// call returns.
int cuMemcpyHtoDAsync_v2(uint64_t to, const void* from, size_t bytes, Stream* stream) {
    CALL("cuMemcpyHtoDAsync_v2");
    Allocation* memory = owner(to, bytes);
    if (!memory) return INVALID_VALUE;
    streams::touch(memory->uses, streams::WRITE, stream->index, streams::tick(stream));
    if (Pinned* host = host_owner(from, bytes)) {
        std::shared_ptr<int> copies = host->copies;
        ++*copies;
        streams::queue(stream, [=] { return --*copies, memcpy((void*)to, from, bytes), OK; });
        return OK;
    }
    std::string copied((const char*)from, bytes);
    streams::queue(stream, [=] { return memcpy((void*)to, copied.data(), bytes), OK; });
    return OK;
}
// Into pinned memory when it is the copy's turn, into other memory before the
// call returns.
int cuMemcpyDtoHAsync_v2(void* to, uint64_t from, size_t bytes, Stream* stream) {
    CALL("cuMemcpyDtoHAsync_v2");
    Allocation* memory = owner(from, bytes);
    if (!memory) return INVALID_VALUE;
    streams::touch(memory->uses, streams::READ, stream->index, streams::tick(stream));
    if (Pinned* host = host_owner(to, bytes)) {
        std::shared_ptr<int> copies = host->copies;
        ++*copies;
        streams::queue(stream, [=] { return --*copies, memcpy(to, (void*)from, bytes), OK; });
        return OK;
    }
    streams::queue(stream, [=] { return memcpy(to, (void*)from, bytes), OK; });
    streams::drain(stream);
    return broken;
}
int cuMemsetD8Async(uint64_t to, unsigned char value, size_t bytes, Stream* stream) {
    CALL("cuMemsetD8Async");
    Allocation* memory = owner(to, bytes);
    if (!memory) return INVALID_VALUE;
    streams::touch(memory->uses, streams::WRITE, stream->index, streams::tick(stream));
    streams::queue(stream, [=] { return memset((void*)to, value, bytes), OK; });
    return OK;
}

int cuModuleLoadData(void** module, const void* text) {
    CALL("cuModuleLoadData");
    *module = new std::string((const char*)text);
    return OK;
}
int cuModuleUnload(void* module) {
    std::lock_guard<std::mutex> guard(lock);
    if (kernels_queued && !broken) streams::race("kernels are unloaded before they have run");
    delete (std::string*)module;
    return OK;
}
int cuModuleGetFunction(void** function, void* module, const char* name) {
    CALL("cuModuleGetFunction");
    // In the PTX, and compiled for the processor.
    std::string entry = ".entry " + std::string(name) + "(";
    Library* library = library_of(name);
    if (((std::string*)module)->find(entry) == std::string::npos || !library) return NOT_FOUND;
    functions.push_back(new Function{name, *library, 48 << 10});
    *function = functions.back();
    return OK;
}
int cuFuncSetAttribute(void* function, int attribute, int value) {
    CALL("cuFuncSetAttribute");
    if (attribute != 8 || value > 227 << 10) return INVALID_VALUE;
    ((Function*)function)->shared = value;
    return OK;
}
#ifndef POAI_WITHOUT_TENSOR_MAPS
// Bytes in two dimensions and boxes of 128×128, as the kernels want them.
int cuTensorMapEncodeTiled(void* map, int type, unsigned rank, uint64_t address,
                           const uint64_t* sizes, const uint64_t* strides, const unsigned* box,
                           const unsigned* steps, int interleave, int swizzle, int promotion,
                           int outside) {
    CALL("cuTensorMapEncodeTiled");
    bool kind = type == 0 && rank == 2 && interleave == 0 && swizzle == 3 && outside == 0;
    bool boxes = box[0] == 128 && box[1] == 128 && steps[0] == 1 && steps[1] == 1;
    bool places = (uint64_t)map % 64 == 0 && address % 16 == 0 && strides[0] == sizes[0] &&
                  strides[0] % 16 == 0 && strides[0] < uint64_t(1) << 40;
    bool counts = sizes[0] >= 1 && sizes[0] <= uint64_t(1) << 32 && sizes[1] >= 1 &&
                  sizes[1] <= uint64_t(1) << 32;
    if (!kind || !boxes || !places || !counts || promotion < 0 || promotion > 3) {
        return INVALID_VALUE;
    }
    *(TensorMap*)map = {sizes[0], sizes[1], address, MAP_MARK, {}};
    return OK;
}
#endif

int cuLaunchKernel(void* function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by,
                   unsigned bz, unsigned shared, Stream* stream, void** parameters, void**) {
    CALL("cuLaunchKernel");
    Function f = *(Function*)function;
    if (shared > f.shared) return INVALID_VALUE;
    std::string kinds = f.library.kinds(f.name.c_str());
    // What is queued shares the maps with the values that point at them.
    auto maps = std::make_shared<std::vector<TensorMap>>(kinds.size());
    std::vector<uint64_t> values;
    const streams::Clock& clock = streams::tick(stream);
    for (size_t i = 0; i < kinds.size(); i++) {
        if (kinds[i] == 'm') {
            TensorMap& map = (*maps)[i];
            memcpy(&map, parameters[i], sizeof(TensorMap));
            Allocation* memory = owner(map.address, map.rows * map.columns);
            if (map.mark != MAP_MARK || !memory) {
                fprintf(stderr, "%s: argument %zu is no map of memory of the card\n",
                        f.name.c_str(), i);
                return broken = ILLEGAL_ADDRESS;
            }
            streams::touch(memory->uses, streams::KERNEL, stream->index, clock);
            values.push_back((uint64_t)&map);
            continue;
        }
        uint32_t word;
        uint64_t value;
        memcpy(&word, parameters[i], 4);
        if (kinds[i] == 'w') {
            value = word;
        } else {
            memcpy(&value, parameters[i], 8);
        }
        if (kinds[i] == 'p' && value) {
            Allocation* memory = owner(value, 1);
            if (!memory) {
                fprintf(stderr, "%s: argument %zu is no memory of the card\n", f.name.c_str(), i);
                return broken = ILLEGAL_ADDRESS;
            }
            streams::touch(memory->uses, streams::KERNEL, stream->index, clock);
        }
        values.push_back(value);
    }
    uint32_t order = strtoul(setting("POAI_EMULATED_ORDER", "0"), nullptr, 10);
    SimtLaunch launch = {{gx, gy, gz}, {bx, by, bz}, shared, order, 7, nullptr, nullptr};
    if (kinds.find('m') != std::string::npos && !as_clusters(launch)) return INVALID_VALUE;
    kernels_queued++;
    streams::queue(stream, [=]() mutable -> int {
        kernels_queued--;
        (void)maps;
        launch.values = values.data();
        launch.kinds = kinds.c_str();
        char error[512];
        uint64_t fault;
        if (f.library.run(f.name.c_str(), &launch, error, sizeof error, &fault)) {
            fprintf(stderr, "%s: %s\n", f.name.c_str(), error);
            return LAUNCH_FAILED;
        }
        return OK;
    });
    return OK;
}

}  // extern "C"
