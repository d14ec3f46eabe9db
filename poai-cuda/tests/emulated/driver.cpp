// An NVIDIA driver whose cards, one or several, are the processor: the kernels
// run through the shim in ../shim. Everything that the library does with a
// card is so tested where there is none, through the same cudarc.
//
// POAI_EMULATED_KERNELS names the libraries that the kernels were compiled to,
// one for each file, separated by colons; POAI_EMULATED_DEVICES is how many
// cards there are, 1 otherwise; POAI_EMULATED_CAPABILITY the capability of
// each, like 8.0,6.1, the last also that of all further ones;
// POAI_EMULATED_MULTIPROCESSORS and POAI_EMULATED_MEMORY what each has, the
// latter in bytes; POAI_EMULATED_ORDER the order of threads, as in Rust's
// harness. POAI_EMULATED_FAIL, like cuLaunchKernel:3:700, makes the third call
// of a function answer 700, and every later call of any, as a card does that
// has failed: on device 1 with :1 behind it, otherwise on device 0. Compiled
// with POAI_WITHOUT_TENSOR_MAPS it lacks the function that makes them.
//
// Every device has a context of its own, and every thread a current one. What
// is of one device and used under another's context ends the process.
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
};
struct Module {
    std::string text;
    int device;
};
// What lies at these addresses is of one device: contexts and streams.
struct OfDevice {
    int device;
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
    int device;
};

static std::mutex lock;
static std::vector<Library> libraries;
static std::vector<Function*> functions;
static std::map<uint64_t, Allocation> allocations;
enum { DEVICES_MAX = 16 };
static size_t used[DEVICES_MAX];
static int broken[DEVICES_MAX];
static int retained[DEVICES_MAX];
static OfDevice contexts[DEVICES_MAX];
static std::map<std::string, int> calls;
static thread_local OfDevice* current;

enum { OK, INVALID_VALUE = 1, OUT_OF_MEMORY = 2, INVALID_DEVICE = 101, NOT_FOUND = 500, ILLEGAL_ADDRESS = 700, LAUNCH_FAILED = 719 };

static const char* setting(const char* name, const char* otherwise) {
    const char* value = getenv(name);
    return value ? value : otherwise;
}

static int device_count() {
    int count = atoi(setting("POAI_EMULATED_DEVICES", "1"));
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
        // Memory that is not there breaks nothing.
        return code == OUT_OF_MEMORY ? code : broken[device] = code;
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
    if (device != here(call)) {
        fprintf(stderr, "%s: %s of device %d under the context of device %d\n", call, what, device,
                here(call));
        abort();
    }
}
static void own_stream(const char* call, void* stream) {
    own(call, "a stream", ((OfDevice*)stream)->device);
}
#define CALL_ON(name, device)                   \
    std::lock_guard<std::mutex> guard(lock);    \
    if (int code = refused(name, device)) return code
#define CALL(name) CALL_ON(name, here(name))

// Whether all of these bytes are memory of a card, which must be the current
// one.
static bool mine(const char* call, uint64_t address, size_t bytes) {
    auto next = allocations.upper_bound(address);
    if (next == allocations.begin()) return false;
    auto [start, allocation] = *--next;
    if (address - start + bytes > allocation.bytes) return false;
    own(call, "memory", allocation.device);
    return true;
}

static int release(const char* call, uint64_t address) {
    auto found = allocations.find(address);
    if (found == allocations.end()) return INVALID_VALUE;
    Allocation& a = found->second;
    own(call, "memory", a.device);
    used[a.device] -= a.bytes;
    munmap(a.start, a.mapped);
    allocations.erase(found);
    return OK;
}

// Ends where a page ends beyond which nothing may be touched, as nearly as a
// start at a multiple of 256 permits; filled with what is no zero.
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
    allocations[*address] = {bytes, pages + page, start, device};
    used[device] += bytes;
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

int cuInit(unsigned) {
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
    case 13: *value = 1000000; return OK;  // kHz
    case 16: *value = atoi(setting("POAI_EMULATED_MULTIPROCESSORS", "4")); return OK;
    case 75: *value = major; return OK;
    case 76: *value = minor; return OK;
    case 115: *value = 1; return OK;     // memory pools
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
    // What is left now, nobody frees any more.
    size_t left = 0;
    for (auto& [address, allocation] : allocations) {
        left += allocation.device == device;
    }
    return left == 0 ? OK : (fprintf(stderr, "%zu allocations leak\n", left), abort(), 1);
}
int cuCtxGetCurrent(void** context) { *context = current; return OK; }
int cuCtxSetCurrent(void* context) {
    // Even of a card that has failed: its memory is still to be freed.
    current = (OfDevice*)context;
    return OK;
}
int cuCtxSynchronize() { CALL("cuCtxSynchronize"); return OK; }
int cuStreamCreate(void** stream, unsigned) {
    CALL("cuStreamCreate");
    *stream = new OfDevice{here("cuStreamCreate")};
    return OK;
}
int cuStreamDestroy_v2(void* stream) {
    std::lock_guard<std::mutex> guard(lock);
    own_stream("cuStreamDestroy_v2", stream);
    delete (OfDevice*)stream;
    return OK;
}
int cuStreamSynchronize(void* stream) {
    CALL("cuStreamSynchronize");
    own_stream("cuStreamSynchronize", stream);
    return OK;
}
int cuStreamWaitEvent(void*, void*, unsigned) { return OK; }
int cuEventCreate(void** event, unsigned) { *event = used; return OK; }
int cuEventRecord(void*, void*) { return OK; }
int cuEventDestroy_v2(void*) { return OK; }

int cuMemAllocAsync(uint64_t* address, size_t bytes, void* stream) {
    CALL("cuMemAllocAsync");
    own_stream("cuMemAllocAsync", stream);
    return reserve(here("cuMemAllocAsync"), address, bytes);
}
int cuMemAlloc_v2(uint64_t* address, size_t bytes) {
    CALL("cuMemAlloc_v2");
    return reserve(here("cuMemAlloc_v2"), address, bytes);
}
int cuMemFreeAsync(uint64_t address, void* stream) {
    std::lock_guard<std::mutex> guard(lock);
    own_stream("cuMemFreeAsync", stream);
    return release("cuMemFreeAsync", address);
}
int cuMemFree_v2(uint64_t address) {
    std::lock_guard<std::mutex> guard(lock);
    return release("cuMemFree_v2", address);
}
int cuMemcpyHtoDAsync_v2(uint64_t to, const void* from, size_t bytes, void* stream) {
    CALL("cuMemcpyHtoDAsync_v2");
    own_stream("cuMemcpyHtoDAsync_v2", stream);
    if (!mine("cuMemcpyHtoDAsync_v2", to, bytes)) return INVALID_VALUE;
    memcpy((void*)to, from, bytes);
    return OK;
}
int cuMemcpyDtoHAsync_v2(void* to, uint64_t from, size_t bytes, void* stream) {
    CALL("cuMemcpyDtoHAsync_v2");
    own_stream("cuMemcpyDtoHAsync_v2", stream);
    if (!mine("cuMemcpyDtoHAsync_v2", from, bytes)) return INVALID_VALUE;
    memcpy(to, (void*)from, bytes);
    return OK;
}
int cuMemsetD8Async(uint64_t to, unsigned char value, size_t bytes, void* stream) {
    CALL("cuMemsetD8Async");
    own_stream("cuMemsetD8Async", stream);
    if (!mine("cuMemsetD8Async", to, bytes)) return INVALID_VALUE;
    memset((void*)to, value, bytes);
    return OK;
}

int cuModuleLoadData(void** module, const void* text) {
    CALL("cuModuleLoadData");
    *module = new Module{(const char*)text, here("cuModuleLoadData")};
    return OK;
}
int cuModuleUnload(void* module) {
    std::lock_guard<std::mutex> guard(lock);
    own("cuModuleUnload", "a module", ((Module*)module)->device);
    delete (Module*)module;
    return OK;
}
int cuModuleGetFunction(void** function, void* module, const char* name) {
    CALL("cuModuleGetFunction");
    Module& m = *(Module*)module;
    own("cuModuleGetFunction", "a module", m.device);
    // In the PTX, and compiled for the processor.
    std::string entry = ".entry " + std::string(name) + "(";
    Library* library = library_of(name);
    if (m.text.find(entry) == std::string::npos || !library) return NOT_FOUND;
    functions.push_back(new Function{name, *library, 48 << 10, m.device});
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
                   unsigned bz, unsigned shared, void* stream, void** parameters, void**) {
    CALL("cuLaunchKernel");
    Function& f = *(Function*)function;
    own("cuLaunchKernel", "a function", f.device);
    own_stream("cuLaunchKernel", stream);
    if (shared > f.shared) return INVALID_VALUE;
    std::string kinds = f.library.kinds(f.name.c_str());
    std::vector<uint64_t> values;
    std::vector<TensorMap> maps(kinds.size());
    for (size_t i = 0; i < kinds.size(); i++) {
        if (kinds[i] == 'm') {
            memcpy(&maps[i], parameters[i], sizeof(TensorMap));
            uint64_t bytes = maps[i].rows * maps[i].columns;
            if (maps[i].mark != MAP_MARK || !mine("cuLaunchKernel", maps[i].address, bytes)) {
                fprintf(stderr, "%s: argument %zu is no map of memory of the card\n",
                        f.name.c_str(), i);
                return broken[f.device] = ILLEGAL_ADDRESS;
            }
            values.push_back((uint64_t)&maps[i]);
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
        if (kinds[i] == 'p' && value && !mine("cuLaunchKernel", value, 1)) {
            fprintf(stderr, "%s: argument %zu is no memory of the card\n", f.name.c_str(), i);
            return broken[f.device] = ILLEGAL_ADDRESS;
        }
        values.push_back(value);
    }
    uint32_t order = strtoul(setting("POAI_EMULATED_ORDER", "0"), nullptr, 10);
    SimtLaunch launch = {{gx, gy, gz}, {bx, by, bz}, shared, order, 7, values.data(), kinds.c_str()};
    if (kinds.find('m') != std::string::npos && !as_clusters(launch)) return INVALID_VALUE;
    char error[512];
    uint64_t fault;
    if (f.library.run(f.name.c_str(), &launch, error, sizeof error, &fault)) {
        fprintf(stderr, "%s: %s\n", f.name.c_str(), error);
        return broken[f.device] = LAUNCH_FAILED;
    }
    return OK;
}

}  // extern "C"
