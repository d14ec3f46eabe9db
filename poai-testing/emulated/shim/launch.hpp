// A launch by name. The harness (`poai_testing::emulated`) writes a file that includes the kernels
// and this header, and lists the kernels in SIMT_KERNELS.
#pragma once

#include <numeric>
#include <type_traits>
#include <utility>

#include "fault.hpp"
#include "simt.hpp"

// The same layout as in Rust's harness.
struct SimtLaunch {
    uint32_t grid[3];
    uint32_t block[3];
    uint32_t dynamic_bytes;
    uint32_t order;
    uint64_t seed;
    const uint64_t* values;
    const char* kinds;  // 'p' a pointer, 'm' one to a tensor map, 'w' 32 bits, 'd' 64 bits
};

namespace simt {

template <class T>
struct Kind {
    static_assert(std::is_integral<T>::value && (sizeof(T) == 4 || sizeof(T) == 8),
                  "kernels take pointers and integers of 32 and 64 bits");
    static const char of = sizeof(T) == 4 ? 'w' : 'd';
    static T from(uint64_t value) { return T(value); }
};
template <class T>
struct Kind<T*> {
    static const char of = 'p';
    static T* from(uint64_t value) { return reinterpret_cast<T*>(value); }
};

template <auto kernel>
struct Kernel;
template <class... A, void (*kernel)(A...)>
struct Kernel<kernel> {
    static std::string kinds() { return {Kind<A>::of...}; }
    static void call(const uint64_t* values) { call(values, std::index_sequence_for<A...>()); }
    template <size_t... i>
    static void call(const uint64_t* values, std::index_sequence<i...>) {
        kernel(Kind<A>::from(values[i])...);
    }
};

static dim3 dimensions(const uint32_t (&of)[3]) { return {of[0], of[1], of[2]}; }

static std::string check(const SimtLaunch& launch, const std::string& kinds) {
    if (kinds != launch.kinds) {
        return "the kernel takes arguments (" + kinds + "), the launch has (" + launch.kinds + ")";
    }
    dim3 b = dimensions(launch.block), g = dimensions(launch.grid);
    uint64_t threads = uint64_t(b.x) * b.y * b.z;
    // The limits of every supported GPU.
    bool block = threads >= 1 && threads <= 1024 && b.x <= 1024 && b.y <= 1024 && b.z <= 64;
    bool grid = g.x >= 1 && g.x < 1u << 31 && g.y >= 1 && g.y < 1 << 16 && g.z >= 1 && g.z < 1 << 16;
    if (!block || !grid) {
        return "a launch of a shape that no device supports";
    }
    return launch.dynamic_bytes > 227 << 10 ? "more shared memory than any device has" : "";
}

static std::string run(const SimtLaunch& launch, void (*kernel)(const uint64_t*),
                       const std::string& kinds) {
    std::string wrong = check(launch, kinds);
    if (!wrong.empty()) {
        return wrong;
    }
    blockDim = dimensions(launch.block);
    gridDim = dimensions(launch.grid);
    machine.kernel = kernel;
    machine.arguments = launch.values;
    machine.order = Order(launch.order);
    machine.random = launch.seed;
    machine.error.clear();
    launching_thread = pthread_self();
    fault_address = 0;
    uint8_t poison = poison_byte();
    // Shared memory lies at the end of its pages. A kernel that exceeds it by
    // less than 1 KiB may be missed; any access further on is found.
    size_t pages = (launch.dynamic_bytes + PAGES) / PAGES * PAGES;
    char* mapped = static_cast<char*>(simt_map(pages));
    if (mapped == nullptr) {
        return "the host has no memory left for shared memory";
    }
    machine.dynamic = mapped + pages - (launch.dynamic_bytes + 1023) / 1024 * 1024;
    machine.dynamic_bytes = launch.dynamic_bytes;
    machine.fibers.assign(size_t(blockDim.x) * blockDim.y * blockDim.z, {});

    uint64_t blocks = uint64_t(gridDim.x) * gridDim.y * gridDim.z;
    // The random order starts at a random block. The size of its steps is
    // coprime to the number of blocks, so that every block runs once.
    uint64_t first = 0, stride = 1;
    if (machine.order == Order::Random) {
        first = next_random() % blocks;
        do {
            stride = next_random() % blocks + 1;
        } while (std::gcd(stride, blocks) != 1);
    }
    for (uint64_t i = 0; i < blocks; i++) {
        uint64_t b = machine.order == Order::Backward ? blocks - 1 - i
                                                      : (first + i % blocks * stride) % blocks;
        blockIdx = {unsigned(b % gridDim.x), unsigned(b / gridDim.x % gridDim.y),
                    unsigned(b / gridDim.x / gridDim.y)};
        poison_shared(poison);
        if (!run_block()) {
            break;
        }
    }
    machine.fibers.clear();
    simt_unmap(mapped, pages);
    return machine.error;
}

}  // namespace simt

// `simt_launch` returns 0 on success. Otherwise it returns 1, with the message
// in `error`, and in `fault` the invalid address that a kernel accessed, or 0.
// `simt_kinds` returns the kinds of a kernel's arguments, or null if the kernel
// does not exist.
#define SIMT_KERNELS(list)                                                                     \
    extern "C" __attribute__((visibility("default"))) const char* simt_kinds(                  \
        const char* name) {                                                                    \
        static std::string kinds;                                                              \
        const SimtLaunch* launch = nullptr;                                                    \
        std::string wrong = "none";                                                            \
        list;                                                                                  \
        return wrong.empty() ? kinds.c_str() : nullptr;                                        \
    }                                                                                          \
    extern "C" __attribute__((visibility("default"))) int simt_launch(                         \
        const char* name, const SimtLaunch* launch, char* error, size_t error_bytes,           \
        uint64_t* fault) {                                                                     \
        simt::fault_address = 0;                                                               \
        std::string wrong = std::string("no kernel ") + name, kinds;                           \
        list;                                                                                  \
        snprintf(error, error_bytes, "%s", wrong.c_str());                                     \
        *fault = simt::fault_address;                                                          \
        return wrong.empty() ? 0 : 1;                                                          \
    }
#define SIMT_KERNEL(kernel)                                                                    \
    if (strcmp(name, #kernel) == 0) {                                                          \
        kinds = simt::Kernel<kernel>::kinds();                                                 \
        wrong = launch ? simt::run(*launch, simt::Kernel<kernel>::call, kinds) : "";           \
    }
