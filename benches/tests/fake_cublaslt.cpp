// The part of cuBLASLt that the program `gpu` calls, for a card that is the
// processor: matrices go by columns, and what NVIDIA's documentation asks of an
// int8 product is looked for. Of the two algorithms that it names, the first is
// refused when it is to run.
#include <cstdint>
#include <cstddef>

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
    for (uint64_t j = 0; j < ld->columns; j++) {
        for (uint64_t i = 0; i < ld->rows; i++) {
            int32_t sum = 0;
            for (uint64_t l = 0; l < la->rows; l++) {
                sum += int32_t(a[l + i * la->stride]) * b[l + j * lb->stride];
            }
            d[i + j * ld->stride] = *alpha * sum;
        }
    }
    return OK;
}

}  // extern "C"
