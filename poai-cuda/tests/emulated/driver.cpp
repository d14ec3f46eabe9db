// An NVIDIA driver with one card, which is the processor: the kernels run
// through the shim in ../shim. Everything that the library does with a card is
// so tested where there is none, through the same cudarc.
//
// POAI_EMULATED_KERNELS names the libraries that the kernels were compiled to,
// one for each file, separated by colons; POAI_EMULATED_CAPABILITY is the
// card's, like 8.0; POAI_EMULATED_MEMORY its bytes; POAI_EMULATED_ORDER the
// order of threads, as in Rust's harness. POAI_EMULATED_FAIL, like
// cuLaunchKernel:3:700, makes the third call of a function answer 700, and
// every later call of any, as a card does that has failed. Compiled with
// POAI_WITHOUT_TENSOR_MAPS it lacks the function that makes them.
#include <dlfcn.h>
#include <sys/mman.h>
#include <unistd.h>

#include <chrono>
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
};

static std::mutex lock;
static std::vector<Library> libraries;
static std::vector<Function*> functions;
static std::map<uint64_t, Allocation> allocations;
static size_t used;
static int broken;
static std::map<std::string, int> calls;

enum { OK, INVALID_VALUE = 1, OUT_OF_MEMORY = 2, NOT_FOUND = 500, ILLEGAL_ADDRESS = 700, LAUNCH_FAILED = 719 };

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
        // Memory that is not there breaks nothing.
        return code == OUT_OF_MEMORY ? code : broken = code;
    }
    return OK;
}
#define CALL(name)                              \
    std::lock_guard<std::mutex> guard(lock);    \
    if (int code = refused(name)) return code

// Whether all of these bytes are memory of the card.
static bool mine(uint64_t address, size_t bytes) {
    auto next = allocations.upper_bound(address);
    if (next == allocations.begin()) return false;
    auto [start, allocation] = *--next;
    return address - start + bytes <= allocation.bytes;
}

static int release(uint64_t address) {
    auto found = allocations.find(address);
    if (found == allocations.end()) return INVALID_VALUE;
    Allocation& a = found->second;
    used -= a.bytes;
    munmap(a.start, a.mapped);
    allocations.erase(found);
    return OK;
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
    allocations[*address] = {bytes, pages + page, start};
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
    case 13: *value = 1000000; return OK;  // clocks in kHz, and wires
    case 16: *value = 4; return OK;      // multiprocessors
    case 36: *value = 2000000; return OK;
    case 37: *value = 64; return OK;
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
    // What is left now, nobody frees any more.
    return allocations.empty() ? OK : (fprintf(stderr, "%zu allocations leak\n", allocations.size()), abort(), 1);
}
int cuCtxGetCurrent(void** context) { *context = &lock; return OK; }
int cuCtxSetCurrent(void*) { CALL("cuCtxSetCurrent"); return OK; }
int cuCtxSynchronize() { CALL("cuCtxSynchronize"); return OK; }
int cuStreamCreate(void** stream, unsigned) { CALL("cuStreamCreate"); *stream = &used; return OK; }
int cuStreamDestroy_v2(void*) { return OK; }
int cuStreamSynchronize(void*) { CALL("cuStreamSynchronize"); return OK; }
int cuStreamWaitEvent(void*, void*, unsigned) { return OK; }
// An event is the time when it was recorded, in ms: everything is done at once.
int cuEventCreate(void** event, unsigned) { *event = new double(0); return OK; }
int cuEventRecord(void* event, void*) {
    using namespace std::chrono;
    *(double*)event = duration<double, std::milli>(steady_clock::now().time_since_epoch()).count();
    return OK;
}
int cuEventElapsedTime(float* milliseconds, void* start, void* end) {
    CALL("cuEventElapsedTime");
    *milliseconds = float(*(double*)end - *(double*)start);
    return OK;
}
int cuEventDestroy_v2(void* event) { delete (double*)event; return OK; }

int cuMemAllocAsync(uint64_t* address, size_t bytes, void*) { CALL("cuMemAllocAsync"); return reserve(address, bytes); }
int cuMemAlloc_v2(uint64_t* address, size_t bytes) { CALL("cuMemAlloc_v2"); return reserve(address, bytes); }
int cuMemFreeAsync(uint64_t address, void*) {
    std::lock_guard<std::mutex> guard(lock);
    return release(address);
}
int cuMemFree_v2(uint64_t address) {
    std::lock_guard<std::mutex> guard(lock);
    return release(address);
}
int cuMemcpyHtoDAsync_v2(uint64_t to, const void* from, size_t bytes, void*) {
    CALL("cuMemcpyHtoDAsync_v2");
    if (!mine(to, bytes)) return INVALID_VALUE;
    memcpy((void*)to, from, bytes);
    return OK;
}
int cuMemcpyDtoHAsync_v2(void* to, uint64_t from, size_t bytes, void*) {
    CALL("cuMemcpyDtoHAsync_v2");
    if (!mine(from, bytes)) return INVALID_VALUE;
    memcpy(to, (void*)from, bytes);
    return OK;
}
int cuMemsetD8Async(uint64_t to, unsigned char value, size_t bytes, void*) {
    CALL("cuMemsetD8Async");
    if (!mine(to, bytes)) return INVALID_VALUE;
    memset((void*)to, value, bytes);
    return OK;
}

int cuModuleLoadData(void** module, const void* text) {
    CALL("cuModuleLoadData");
    *module = new std::string((const char*)text);
    return OK;
}
int cuModuleUnload(void* module) { delete (std::string*)module; return OK; }
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
                   unsigned bz, unsigned shared, void*, void** parameters, void**) {
    CALL("cuLaunchKernel");
    Function& f = *(Function*)function;
    if (shared > f.shared) return INVALID_VALUE;
    std::string kinds = f.library.kinds(f.name.c_str());
    std::vector<uint64_t> values;
    std::vector<TensorMap> maps(kinds.size());
    for (size_t i = 0; i < kinds.size(); i++) {
        if (kinds[i] == 'm') {
            memcpy(&maps[i], parameters[i], sizeof(TensorMap));
            if (maps[i].mark != MAP_MARK || !mine(maps[i].address, maps[i].rows * maps[i].columns)) {
                fprintf(stderr, "%s: argument %zu is no map of memory of the card\n",
                        f.name.c_str(), i);
                return broken = ILLEGAL_ADDRESS;
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
        if (kinds[i] == 'p' && value && !mine(value, 1)) {
            fprintf(stderr, "%s: argument %zu is no memory of the card\n", f.name.c_str(), i);
            return broken = ILLEGAL_ADDRESS;
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
        return broken = LAUNCH_FAILED;
    }
    return OK;
}

}  // extern "C"
