/* A second process that compiles a network's kernels from the last layer on while this one compiles them from the first. They
   share what they compile through the driver's cache and ours, and so meet in the middle. PoCL 3.1 generates the code of a
   process's kernels one after the other, under a lock, so that threads would not do.

   For programs, not for the library: it forks. The process must not have called OpenCL yet, nor have other threads. The child
   sleeps until a build turns out to be slow, that is until no cache has it; a start with full caches costs a fork. */
#ifndef TESSERA_NET_KERNEL_HELPER_H
#define TESSERA_NET_KERNEL_HELPER_H

#include "core/context.h"

struct kernel_helper;

struct kernel_helper_job {
    const tess_graph *graph;
    const tess_net_options *options;
    /* Makes a context like the parent's, in the child. */
    tess_status (*context)(void *user, tess_context **out);
    void *user;
};

/* job and what it points to are needed only during the call. NULL: there is none, because there is one processor, a memory
   limit, TESSERA_KERNEL_HELPER=0 in the environment, or no process to be had; everything works without, too. */
struct kernel_helper *kernel_helper_start(const struct kernel_helper_job *job);

/* Wakes the child at ctx's first slow build, where that helps: on PoCL, if it has a compiler and its cache. helper may be NULL. */
void kernel_helper_attach(struct kernel_helper *helper, tess_context *ctx);

/* Ends the child; before the context that it is attached to. NULL is allowed. */
void kernel_helper_end(struct kernel_helper *helper);

#endif
