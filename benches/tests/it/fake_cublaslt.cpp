// The part of cuBLASLt that the program `gpu` calls, with the processor in place
// of a GPU. Products are queued with the emulated driver, matrices are
// column-major, and each call is checked against the requirements that NVIDIA's
// documentation has for an int8 product. The library offers two algorithms, and
// refuses the first when it is to run.
#include <dlfcn.h>

#include <cstddef>
#include <cstdint>

namespace {

enum { OK, NOT_INITIALIZED = 1, INVALID_VALUE = 7, NOT_SUPPORTED = 15 };
enum { R_8I = 3, R_32I = 10, COMPUTE_32I = 72 };

struct Description {
    int compute, scale, transposed;
};
struct Layout {
    int type;
    uint64_t rows, columns;
    int64_t stride;
};
struct Preference {
    uint64_t workspace;
};
struct Advice {
    uint64_t algorithm[8];
    size_t workspace;
    int state;
    float waves;
    int reserved[4];
};
int opened;

// A queued product.
struct Product {
    Layout a, b, d;
    int32_t alpha;
    const int8_t *left, *right;
    int32_t* to;
};
int run(void* data) {
    Product* p = (Product*)data;
    for (uint64_t j = 0; j < p->d.columns; j++) {
        for (uint64_t i = 0; i < p->d.rows; i++) {
            int32_t sum = 0;
            for (uint64_t l = 0; l < p->a.rows; l++) {
                sum += int32_t(p->left[l + i * p->a.stride]) * p->right[l + j * p->b.stride];
            }
            p->to[i + j * p->d.stride] = p->alpha * sum;
        }
    }
    delete p;
    return OK;
}

bool fits(const Layout* a, const Layout* b, const Layout* c, const Description* product) {
    return product->compute == COMPUTE_32I && product->scale == R_32I && product->transposed == 1 &&
           a->type == R_8I && b->type == R_8I && c->type == R_32I && a->rows == b->rows &&
           a->columns == c->rows && b->columns == c->columns && a->stride >= int64_t(a->rows) &&
           b->stride >= int64_t(b->rows) && c->stride >= int64_t(c->rows) && a->rows % 4 == 0;
}

}  // namespace

extern "C" {

size_t cublasLtGetVersion() { return 120000; }
int cublasLtCreate(void** handle) { *handle = &opened; return OK; }
int cublasLtDestroy(void* handle) { return handle == &opened ? OK : NOT_INITIALIZED; }
int cublasLtMatmulDescCreate(void** made, int compute, int scale) {
    *made = new Description{compute, scale, 0};
    return OK;
}
int cublasLtMatmulDescDestroy(void* it) { delete (Description*)it; return OK; }
int cublasLtMatmulDescSetAttribute(void* it, int attribute, const void* value, size_t bytes) {
    if (attribute != 3 || bytes != 4) return INVALID_VALUE;
    ((Description*)it)->transposed = *(const int32_t*)value;
    return OK;
}
int cublasLtMatrixLayoutCreate(void** made, int type, uint64_t rows, uint64_t columns,
                               int64_t stride) {
    *made = new Layout{type, rows, columns, stride};
    return OK;
}
int cublasLtMatrixLayoutDestroy(void* it) { delete (Layout*)it; return OK; }
int cublasLtMatmulPreferenceCreate(void** made) { *made = new Preference{0}; return OK; }
int cublasLtMatmulPreferenceDestroy(void* it) { delete (Preference*)it; return OK; }
int cublasLtMatmulPreferenceSetAttribute(void* it, int attribute, const void* value, size_t bytes) {
    if (attribute != 1 || bytes != 8) return INVALID_VALUE;
    ((Preference*)it)->workspace = *(const uint64_t*)value;
    return OK;
}
int cublasLtMatmulAlgoGetHeuristic(void*, void* product, void* a, void* b, void* c, void* d,
                                   void* preference, int asked, Advice* advice, int* count) {
    if (c != d || asked < 2 || ((Preference*)preference)->workspace == 0) return INVALID_VALUE;
    if (!fits((Layout*)a, (Layout*)b, (Layout*)c, (Description*)product)) return NOT_SUPPORTED;
    advice[0] = {{1}, 0, OK, 1, {}};
    advice[1] = {{2}, 1024, OK, 1, {}};
    *count = 2;
    return OK;
}
int cublasLtMatmul(void* handle, void* product, const int32_t* alpha, const int8_t* a, void* of_a,
                   const int8_t* b, void* of_b, const int32_t* beta, const int32_t* c, void*,
                   int32_t* d, void* of_d, const uint64_t* algorithm, void* workspace,
                   size_t bytes, void* stream) {
    const Layout *la = (Layout*)of_a, *lb = (Layout*)of_b, *ld = (Layout*)of_d;
    if (handle != &opened || !stream || c != d || *beta != 0) return INVALID_VALUE;
    if (!fits(la, lb, ld, (Description*)product)) return NOT_SUPPORTED;
    if (algorithm[0] != 2 || !workspace || bytes < 1024) return NOT_SUPPORTED;
    using Queue = int (*)(void*, const uint64_t*, size_t, int (*)(void*), void*);
    void* driver = dlopen("libcuda.so", RTLD_NOW);
    Queue queue = driver ? (Queue)dlsym(driver, "poai_emulated_queue") : nullptr;
    if (!queue) return NOT_INITIALIZED;
    uint64_t uses[] = {(uint64_t)a, (uint64_t)b, (uint64_t)d, (uint64_t)workspace};
    Product* all = new Product{*la, *lb, *ld, *alpha, a, b, d};
    return queue(stream, uses, 4, run, all) == OK ? OK : INVALID_VALUE;
}

}  // extern "C"
