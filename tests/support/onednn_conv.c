#include "support/onednn_conv.h"

#include "bench/peers/onednn_geometry.h"
#include "support/check.h"

static void must(dnnl_status_t status, const char *what) {
    if (status != dnnl_success) fail_msg("oneDNN: %s: status %d", what, (int)status);
}

float *onednn_conv(const tess_conv_desc *d, tess_conv_pass pass, const float *x, const float *w,
                   const float *dy) {
    struct conv_problem problem;
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    dnnl_primitive_desc_t desc;
    dnnl_primitive_t primitive;
    dnnl_memory_desc_t mds[ONEDNN_OPERANDS];
    const tess_conv_options options = {.pass = pass};
    assert_int_equal(conv_problem_init(d, &options, NULL, &problem), TESS_OK);
    const struct onednn_geometry geometry = onednn_geometry_of(&problem);
    must(dnnl_engine_create(&engine, dnnl_cpu, 0), "engine");
    must(dnnl_stream_create(&stream, engine, dnnl_stream_default_flags), "stream");
    for (int i = 0; i < ONEDNN_OPERANDS; i++)
        must(onednn_plain(&geometry, i, &mds[i]), "memory desc");
    must(onednn_conv_desc(engine, &geometry, mds, dnnl_convolution_direct, pass, &desc),
         "primitive desc");
    must(dnnl_primitive_create(&primitive, desc), "primitive");

    const float *const inputs[] = {x, w, dy};
    float *result = NULL;
    dnnl_exec_arg_t args[ONEDNN_OPERANDS];
    for (int i = 0; i < ONEDNN_OPERANDS; i++) {
        void *data = (void *)(uintptr_t)inputs[i];
        if (i == onednn_result(pass))
            data = result = check_alloc(dnnl_memory_desc_get_size(MD(mds[i])));
        args[i].arg = onednn_argument(pass, i);
        must(dnnl_memory_create(&args[i].memory, MD(mds[i]), engine, data), "memory");
    }
    must(dnnl_primitive_execute(primitive, stream, ONEDNN_OPERANDS, args), "execute");
    must(dnnl_stream_wait(stream), "wait");
    for (int i = 0; i < ONEDNN_OPERANDS; i++) {
        dnnl_memory_destroy(args[i].memory);
        md_destroy(mds[i]);
    }
    dnnl_primitive_destroy(primitive);
    dnnl_primitive_desc_destroy(desc);
    dnnl_stream_destroy(stream);
    dnnl_engine_destroy(engine);
    return result;
}
