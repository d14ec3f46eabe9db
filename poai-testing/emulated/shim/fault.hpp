// Memory that ends before a page that no access may touch, and the message for
// a kernel that touches it.
#pragma once

#include <csignal>
#include <pthread.h>

#include "block.hpp"

namespace simt {

// A multiple of every page size.
const size_t PAGES = 64 << 10;

static struct sigaction previous_action;
__attribute__((visibility("hidden"))) pthread_t launching_thread;
__attribute__((visibility("hidden"))) uintptr_t fault_address;

// Runs on the thread's alternative stack, which Rust gives to each of its
// threads. So a fiber whose stack is full ends here, too.
static void on_fault(int signal, siginfo_t* info, void* context) {
    if (in_kernel() && pthread_equal(pthread_self(), launching_thread)) {
        fault_address = reinterpret_cast<uintptr_t>(info->si_addr);
        for (char* stack : machine.stacks) {
            uintptr_t top = reinterpret_cast<uintptr_t>(stack);
            if (fault_address < top && fault_address >= top - GUARD) {
                fail("its local variables fill the stack of the emulated thread");
            }
        }
        fail("an access to %p, which is not mapped", info->si_addr);
    }
    // The access is not of this library's kernels.
    if (previous_action.sa_flags & SA_SIGINFO) {
        previous_action.sa_sigaction(signal, info, context);
    } else {
        std::signal(signal, SIG_DFL);
    }
}

// Installed for the life of the process: the harness never unloads a library.
__attribute__((constructor)) static void catch_faults() {
    struct sigaction action = {};
    action.sa_sigaction = on_fault;
    // The handler does not return, so the signal must not stay blocked.
    action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
    sigaction(SIGSEGV, &action, &previous_action);
}

}  // namespace simt

// Maps `bytes`, a multiple of simt::PAGES, between pages that no access may
// touch.
extern "C" __attribute__((visibility("default"))) void* simt_map(size_t bytes) {
    char* at = static_cast<char*>(mmap(nullptr, bytes + 2 * simt::PAGES, PROT_NONE,
                                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
    if (at == MAP_FAILED || mprotect(at + simt::PAGES, bytes, PROT_READ | PROT_WRITE) != 0) {
        return nullptr;
    }
    return at + simt::PAGES;
}
extern "C" __attribute__((visibility("default"))) void simt_unmap(void* at, size_t bytes) {
    munmap(static_cast<char*>(at) - simt::PAGES, bytes + 2 * simt::PAGES);
}
