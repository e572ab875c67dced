/* oneDNN 2 and 3 alike: version 3 made memory descriptors opaque pointers, which have to be destroyed, and dropped the
   operation descriptors that version 2 makes primitive descriptors from. */
#ifndef TESSERA_BENCH_PEERS_ONEDNN_H
#define TESSERA_BENCH_PEERS_ONEDNN_H

#include <dnnl.h>

/* MD(md): how functions take a dnnl_memory_desc_t, of type md_ref. */
#if DNNL_VERSION_MAJOR >= 3
typedef const_dnnl_memory_desc_t md_ref;
#define MD(md)                (md)
#define md_create_tag         dnnl_memory_desc_create_with_tag
#define md_create_strides     dnnl_memory_desc_create_with_strides
#define md_destroy(reference) dnnl_memory_desc_destroy(reference)
#else
typedef const dnnl_memory_desc_t *md_ref;
#define MD(md)                (&(md))
#define md_create_tag         dnnl_memory_desc_init_by_tag
#define md_create_strides     dnnl_memory_desc_init_by_strides
#define md_destroy(reference) ((void)(reference))
#endif

#endif
