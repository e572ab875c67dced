#include "opencl_layer.h"

#include <string.h>

struct _cl_icd_dispatch layer_next, layer_own;

CL_API_ENTRY cl_int CL_API_CALL clGetLayerInfo(cl_layer_info name, size_t size, void *value,
                                               size_t *size_ret) {
    cl_layer_api_version version = CL_LAYER_API_VERSION_100;
    if (name != CL_LAYER_API_VERSION) return CL_INVALID_VALUE;
    if (value && size < sizeof version) return CL_INVALID_VALUE;
    if (value) memcpy(value, &version, sizeof version);
    if (size_ret) *size_ret = sizeof version;
    return CL_SUCCESS;
}

/* The header's own names are longer. NOLINTNEXTLINE(readability-inconsistent-declaration-parameter-name) */
CL_API_ENTRY cl_int CL_API_CALL clInitLayer(cl_uint count, const cl_icd_dispatch *target,
                                            cl_uint *count_ret, const cl_icd_dispatch **own) {
    const cl_uint known = sizeof layer_own / sizeof(void *);
    if (!target || !count_ret || !own || count < known) return CL_INVALID_VALUE;
    layer_next = layer_own = *target;
    layer_replace();
    *count_ret = known;
    *own = &layer_own;
    return CL_SUCCESS;
}
