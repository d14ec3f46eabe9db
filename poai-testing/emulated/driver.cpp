// An NVIDIA driver whose GPUs, one or several, are the processor: the kernels
// run through the shim in shim/. It tests everything that the library does with
// a GPU on machines without one, through the same cudarc.
//
// Environment variables:
// - POAI_EMULATED_KERNELS: the libraries of compiled kernels, one for each
//   file, separated by colons;
// - POAI_EMULATED_GPUS: the number of GPUs, 1 by default;
// - POAI_EMULATED_CAPABILITY: the capability of each, like 8.0,6.1; the last
//   one also holds for further GPUs;
// - POAI_EMULATED_MEMORY: the bytes of each GPU;
// - POAI_EMULATED_MULTIPROCESSORS: the multiprocessors of each;
// - POAI_EMULATED_ORDER: the order of threads, as in Rust's harness;
// - POAI_EMULATED_POOLS: 0 if memory has no order among streams;
// - POAI_EMULATED_STREAMS: the order of streams (streams.hpp);
// - POAI_EMULATED_FAIL: makes a call fail (devices.hpp).
//
// Compiled with POAI_WITHOUT_TENSOR_MAPS, it lacks the function that makes
// tensor maps.
#include <dlfcn.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "devices.hpp"
#include "memory.hpp"
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
    int device;
    std::shared_ptr<int> queued;  // of its module
};
struct Module {
    std::string text;
    int device;
    std::shared_ptr<int> queued;  // kernels that have not run yet
};
// The 128 bytes of a tensor map: the fields that shim/hopper.hpp reads, and a
// mark.
struct alignas(64) TensorMap {
    uint64_t columns, rows, address, mark, unused[12];
};
static_assert(sizeof(TensorMap) == 128, "as large as the driver's");
static const uint64_t MAP_MARK = 0x70616d20726f736e;

static std::vector<Library> libraries;
static std::vector<Function*> functions;
// For each device.
static uint64_t launched[DEVICES_MAX];
static uint64_t kept[DEVICES_MAX];
// Launched kernels that have not run yet, on all devices.
static uint64_t unrun;

static void own_stream(const char* call, Stream* stream) {
    own(call, "a stream", stream->device);
}

// A cluster of two blocks is one block of the shim, with half the stages. So it
// needs no more shared memory than one block of a GPU may have.
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

// For tests: the waits of the host for work that had not run, the launched
// kernels that have not run, the threshold of the default pool of device 0, and
// the kernels launched on the device that had the fewest.
uint64_t poai_emulated_waits() { return streams::waits; }
uint64_t poai_emulated_unrun() {
    std::lock_guard<std::mutex> guard(lock);
    return unrun;
}
uint64_t poai_emulated_kept() { return kept[0]; }
uint64_t poai_emulated_fewest_launches() {
    std::lock_guard<std::mutex> guard(lock);
    return *std::min_element(launched, launched + device_count());
}
// For other libraries whose GPUs are the processor: queues work that uses
// memory as a kernel does.
int poai_emulated_queue(Stream* stream, const uint64_t* addresses, size_t count,
                        int (*run)(void*), void* data) {
    CALL("poai_emulated_queue");
    own_stream("poai_emulated_queue", stream);
    const streams::Clock& clock = streams::tick(stream);
    for (size_t i = 0; i < count; i++) {
        Allocation* memory = owner("poai_emulated_queue", addresses[i], 1);
        if (!memory) return INVALID_VALUE;
        streams::touch(memory->uses, streams::KERNEL, stream, clock);
    }
    streams::queue(stream, [=] { return run(data); });
    return OK;
}

int cuInit(unsigned) {
    streams::failed = broken;
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
int cuDeviceGetCount(int* count) { *count = device_count(); return OK; }
int cuDeviceGet(int* device, int ordinal) {
    if (ordinal < 0 || ordinal >= device_count()) return INVALID_DEVICE;
    *device = ordinal;
    return OK;
}
int cuDeviceGetName(char* name, int size, int) { snprintf(name, size, "Emulated GPU"); return OK; }
int cuDeviceTotalMem_v2(size_t* bytes, int) {
    *bytes = strtoull(setting("POAI_EMULATED_MEMORY", "1073741824"), nullptr, 10);
    return OK;
}
int cuDeviceGetAttribute(int* value, int attribute, int device) {
    int major = 8, minor = 0;
    const char* capability = setting("POAI_EMULATED_CAPABILITY", "8.0");
    for (const char* next; device > 0 && (next = strchr(capability, ',')); device--) {
        capability = next + 1;
    }
    sscanf(capability, "%d.%d", &major, &minor);
    switch (attribute) {
    case 13: *value = 1000000; return OK;  // clocks in kHz, and wires
    case 16: *value = atoi(setting("POAI_EMULATED_MULTIPROCESSORS", "4")); return OK;
    case 36: *value = 2000000; return OK;
    case 37: *value = 64; return OK;
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

int cuDevicePrimaryCtxRetain(void** context, int device) {
    CALL_ON("cuDevicePrimaryCtxRetain", device);
    retained[device]++;
    contexts[device] = {device};
    *context = &contexts[device];
    return OK;
}
int cuDevicePrimaryCtxRelease_v2(int device) {
    std::lock_guard<std::mutex> guard(lock);
    if (--retained[device] > 0) {
        return OK;
    }
    // Nothing will free memory that is left now. On a failed GPU host memory
    // may be left, because the library cannot know whether copies still use it.
    size_t left = 0;
    for (auto& [address, memory] : allocations) {
        left += memory.device == device;
    }
    for (auto& [address, memory] : pinned) {
        left += memory.device == device && !broken[device];
    }
    return left == 0 ? OK : (fprintf(stderr, "%zu allocations leak\n", left), abort(), 1);
}
int cuCtxGetCurrent(void** context) { *context = current; return OK; }
// Works on a failed GPU too, because its memory must still be freed.
int cuCtxSetCurrent(void* context) { current = (Context*)context; return OK; }

int cuStreamCreate(Stream** stream, unsigned) {
    CALL("cuStreamCreate");
    *stream = streams::open(here("cuStreamCreate"));
    return OK;
}
int cuStreamDestroy_v2(Stream* stream) {
    std::lock_guard<std::mutex> guard(lock);
    own_stream("cuStreamDestroy_v2", stream);
    streams::close(stream);
    return OK;
}
int cuStreamSynchronize(Stream* stream) {
    CALL("cuStreamSynchronize");
    own_stream("cuStreamSynchronize", stream);
    streams::drain(stream);
    return broken[stream->device];
}
// Accepts an event of any device.
int cuStreamWaitEvent(Stream* stream, streams::Event* event, unsigned) {
    CALL("cuStreamWaitEvent");
    own_stream("cuStreamWaitEvent", stream);
    if (event->point) streams::wait(stream, event->point);
    return OK;
}
int cuEventCreate(streams::Event** event, unsigned flags) {
    CALL("cuEventCreate");
    *event = new streams::Event{here("cuEventCreate"), {}, (flags & 2) == 0};
    return OK;
}
int cuEventRecord(streams::Event* event, Stream* stream) {
    CALL("cuEventRecord");
    own_stream("cuEventRecord", stream);
    if (event->device != stream->device) return INVALID_HANDLE;
    event->point = streams::record(stream);
    return OK;
}
// It runs nothing, so a caller that only polls would never end.
int cuEventQuery(streams::Event* event) {
    CALL_ON("cuEventQuery", event->device);
    if (event->point && !event->point->reached) return NOT_READY;
    if (event->point) streams::join(streams::host, event->point->clock);
    return OK;
}
int cuEventSynchronize(streams::Event* event) {
    CALL_ON("cuEventSynchronize", event->device);
    if (event->point) streams::reach(event->point);
    return broken[event->device];
}
// The milliseconds between the times at which both were reached.
int cuEventElapsedTime(float* milliseconds, streams::Event* start, streams::Event* end) {
    CALL_ON("cuEventElapsedTime", start->device);
    bool timed = start->timed && end->timed && start->point && end->point;
    if (!timed || start->device != end->device) return INVALID_HANDLE;
    if (!start->point->reached || !end->point->reached) return NOT_READY;
    *milliseconds = float(double(end->point->time - start->point->time) / 1e6);
    return OK;
}
int cuEventDestroy_v2(streams::Event* event) {
    std::lock_guard<std::mutex> guard(lock);
    delete event;
    return OK;
}

int cuDeviceGetDefaultMemPool(void** pool, int device) {
    CALL_ON("cuDeviceGetDefaultMemPool", device);
    *pool = &kept[device];
    return OK;
}
int cuMemPoolGetAttribute(uint64_t* pool, int attribute, uint64_t* value) {
    CALL_ON("cuMemPoolGetAttribute", pool - kept);
    if (attribute != 4) return INVALID_VALUE;
    *value = *pool;
    return OK;
}
int cuMemPoolSetAttribute(uint64_t* pool, int attribute, uint64_t* value) {
    CALL_ON("cuMemPoolSetAttribute", pool - kept);
    if (attribute != 4) return INVALID_VALUE;
    *pool = *value;
    return OK;
}
int cuMemAllocAsync(uint64_t* address, size_t bytes, Stream* stream) {
    CALL("cuMemAllocAsync");
    own_stream("cuMemAllocAsync", stream);
    if (int code = reserve(stream->device, address, bytes)) return code;
    allocations[*address].uses.made[stream->index] = streams::tick(stream).at(stream->index);
    return OK;
}
int cuMemAlloc_v2(uint64_t* address, size_t bytes) {
    CALL("cuMemAlloc_v2");
    return reserve(here("cuMemAlloc_v2"), address, bytes);
}
// The address is invalid at once; the memory is freed in its turn.
int cuMemFreeAsync(uint64_t address, Stream* stream) {
    std::lock_guard<std::mutex> guard(lock);
    auto found = allocations.find(address);
    if (found == allocations.end()) return INVALID_VALUE;
    Allocation memory = found->second;
    own("cuMemFreeAsync", "memory", memory.device);
    own_stream("cuMemFreeAsync", stream);
    streams::touch(memory.uses, streams::FREE, stream, streams::tick(stream));
    used[memory.device] -= memory.bytes;
    allocations.erase(found);
    streams::queue(stream, [=] { return munmap(memory.start, memory.mapped), OK; }, true);
    return OK;
}
// Some drivers wait for the device here, but no driver guarantees it.
int cuMemFree_v2(uint64_t address) {
    std::lock_guard<std::mutex> guard(lock);
    auto found = allocations.find(address);
    if (found == allocations.end()) return INVALID_VALUE;
    Allocation& memory = found->second;
    own("cuMemFree_v2", "memory", memory.device);
    if (!broken[memory.device]) streams::check(memory.uses, streams::FREE, streams::host);
    used[memory.device] -= memory.bytes;
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
    pinned[(uint64_t)start] = {bytes, here("cuMemHostAlloc"), std::make_shared<int>(0)};
    *address = start;
    return OK;
}
int cuMemFreeHost(void* address) {
    std::lock_guard<std::mutex> guard(lock);
    auto found = pinned.find((uint64_t)address);
    if (found == pinned.end()) return INVALID_VALUE;
    int device = found->second.device;
    own("cuMemFreeHost", "host memory", device);
    if (*found->second.copies && !broken[device]) streams::race("host memory is freed while a copy uses it");
    munmap(address, found->second.bytes);
    pinned.erase(found);
    return OK;
}

// Pinned memory is read in the copy's turn, other memory before the call
// returns.
int cuMemcpyHtoDAsync_v2(uint64_t to, const void* from, size_t bytes, Stream* stream) {
    CALL("cuMemcpyHtoDAsync_v2");
    own_stream("cuMemcpyHtoDAsync_v2", stream);
    Allocation* memory = owner("cuMemcpyHtoDAsync_v2", to, bytes);
    if (!memory) return INVALID_VALUE;
    streams::touch(memory->uses, streams::WRITE, stream, streams::tick(stream));
    if (Pinned* host = host_owner("cuMemcpyHtoDAsync_v2", from, bytes)) {
        std::shared_ptr<int> copies = host->copies;
        ++*copies;
        streams::queue(stream, [=] { return --*copies, memcpy((void*)to, from, bytes), OK; });
        return OK;
    }
    std::string copied((const char*)from, bytes);
    streams::queue(stream, [=] { return memcpy((void*)to, copied.data(), bytes), OK; });
    return OK;
}
// Pinned memory is written in the copy's turn, other memory before the call
// returns.
int cuMemcpyDtoHAsync_v2(void* to, uint64_t from, size_t bytes, Stream* stream) {
    CALL("cuMemcpyDtoHAsync_v2");
    own_stream("cuMemcpyDtoHAsync_v2", stream);
    Allocation* memory = owner("cuMemcpyDtoHAsync_v2", from, bytes);
    if (!memory) return INVALID_VALUE;
    streams::touch(memory->uses, streams::READ, stream, streams::tick(stream));
    if (Pinned* host = host_owner("cuMemcpyDtoHAsync_v2", to, bytes)) {
        std::shared_ptr<int> copies = host->copies;
        ++*copies;
        streams::queue(stream, [=] { return --*copies, memcpy(to, (void*)from, bytes), OK; });
        return OK;
    }
    streams::queue(stream, [=] { return memcpy(to, (void*)from, bytes), OK; });
    streams::drain(stream);
    return broken[stream->device];
}
int cuMemsetD8Async(uint64_t to, unsigned char value, size_t bytes, Stream* stream) {
    CALL("cuMemsetD8Async");
    own_stream("cuMemsetD8Async", stream);
    Allocation* memory = owner("cuMemsetD8Async", to, bytes);
    if (!memory) return INVALID_VALUE;
    streams::touch(memory->uses, streams::WRITE, stream, streams::tick(stream));
    streams::queue(stream, [=] { return memset((void*)to, value, bytes), OK; });
    return OK;
}

int cuModuleLoadData(void** module, const void* text) {
    CALL("cuModuleLoadData");
    *module = new Module{(const char*)text, here("cuModuleLoadData"), std::make_shared<int>(0)};
    return OK;
}
int cuModuleUnload(void* module) {
    std::lock_guard<std::mutex> guard(lock);
    Module* m = (Module*)module;
    own("cuModuleUnload", "a module", m->device);
    if (*m->queued && !broken[m->device]) streams::race("kernels are unloaded before they have run");
    delete m;
    return OK;
}
int cuModuleGetFunction(void** function, void* module, const char* name) {
    CALL("cuModuleGetFunction");
    Module& m = *(Module*)module;
    own("cuModuleGetFunction", "a module", m.device);
    // The PTX names the kernel, and it was compiled for the processor.
    std::string entry = ".entry " + std::string(name) + "(";
    Library* library = library_of(name);
    if (m.text.find(entry) == std::string::npos || !library) return NOT_FOUND;
    functions.push_back(new Function{name, *library, 48 << 10, m.device, m.queued});
    *function = functions.back();
    return OK;
}
int cuFuncSetAttribute(void* function, int attribute, int value) {
    CALL("cuFuncSetAttribute");
    if (attribute != 8 || value > 227 << 10) return INVALID_VALUE;
    own("cuFuncSetAttribute", "a function", ((Function*)function)->device);
    ((Function*)function)->shared = value;
    return OK;
}
#ifndef POAI_WITHOUT_TENSOR_MAPS
// Accepts bytes in two dimensions and boxes of 128×128, as the kernels need
// them.
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
    own("cuLaunchKernel", "a function", f.device);
    own_stream("cuLaunchKernel", stream);
    if (shared > f.shared) return INVALID_VALUE;
    std::string kinds = f.library.kinds(f.name.c_str());
    // The queued work shares the maps with the values that point at them.
    auto maps = std::make_shared<std::vector<TensorMap>>(kinds.size());
    std::vector<uint64_t> values;
    const streams::Clock& clock = streams::tick(stream);
    for (size_t i = 0; i < kinds.size(); i++) {
        if (kinds[i] == 'm') {
            TensorMap& map = (*maps)[i];
            memcpy(&map, parameters[i], sizeof(TensorMap));
            Allocation* memory = owner("cuLaunchKernel", map.address, map.rows * map.columns);
            if (map.mark != MAP_MARK || !memory) {
                fprintf(stderr, "%s: argument %zu is not a map of memory of the GPU\n",
                        f.name.c_str(), i);
                return broken[f.device] = ILLEGAL_ADDRESS;
            }
            streams::touch(memory->uses, streams::KERNEL, stream, clock);
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
            Allocation* memory = owner("cuLaunchKernel", value, 1);
            if (!memory) {
                fprintf(stderr, "%s: argument %zu is not memory of the GPU\n", f.name.c_str(), i);
                return broken[f.device] = ILLEGAL_ADDRESS;
            }
            streams::touch(memory->uses, streams::KERNEL, stream, clock);
        }
        values.push_back(value);
    }
    uint32_t order = strtoul(setting("POAI_EMULATED_ORDER", "0"), nullptr, 10);
    SimtLaunch launch = {{gx, gy, gz}, {bx, by, bz}, shared, order, 7, nullptr, nullptr};
    if (kinds.find('m') != std::string::npos && !as_clusters(launch)) return INVALID_VALUE;
    ++*f.queued;
    ++unrun;
    launched[f.device]++;
    streams::queue(stream, [=]() mutable -> int {
        --*f.queued;
        --unrun;
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
