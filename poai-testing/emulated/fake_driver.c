/* A fake NVIDIA driver with two devices. The macros choose its answers;
 * -DcuInit=gone renames cuInit, so the driver lacks it. It has only the
 * functions that a listing may call, and none that creates a context. */
#include <stddef.h>
#include <stdio.h>

#ifndef INIT
#define INIT 0
#endif
#ifndef VERSION
#define VERSION 12020
#endif
#ifndef COUNT
#define COUNT 2
#endif

static const char *const names[] = {"Fake Old", "Fake New"};
static const size_t memory[] = {4ull << 30, 24ull << 30};
static const int multiprocessors[] = {16, 128}, major[] = {5, 8}, minor[] = {2, 9};

/* The number of earlier calls of cuInit, for INIT to use. */
static int calls;

int cuInit(unsigned flags) {
    int result = INIT;
    calls++;
    return result;
}

int cuDriverGetVersion(int *version) {
    *version = VERSION;
    return 0;
}

int cuDeviceGetCount(int *count) {
    *count = COUNT;
    return 0;
}

int cuDeviceGet(int *device, int ordinal) {
    *device = ordinal;
    return 0;
}

int cuDeviceGetName(char *name, int size, int device) {
    snprintf(name, size, "%s", names[device]);
    return 0;
}

int cuDeviceTotalMem_v2(size_t *bytes, int device) {
    *bytes = memory[device];
    return 0;
}

int cuDeviceGetAttribute(int *value, int attribute, int device) {
    switch (attribute) {
    case 16: *value = multiprocessors[device]; return 0;
    case 75: *value = major[device]; return 0;
    case 76: *value = minor[device]; return 0;
    }
    return 1; /* CUDA_ERROR_INVALID_VALUE */
}

int cuGetErrorName(int code, const char **text) {
    *text = "FAKE_NAME";
    return 0;
}

int cuGetErrorString(int code, const char **text) {
    *text = NULL;
    return 1; /* as for a code that the driver does not know */
}
