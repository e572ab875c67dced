#!/bin/sh
# bench/as_avx2.sh COMMAND...: runs COMMAND on a processor with AVX-512 as if it had AVX2 alone: PoCL's kernels, and oneDNN beside them. For
# example `bench/as_avx2.sh build/bin/tessera bench conv --net resnet50 --batch 8 --peer onednn`. So was host/db/portfolio/pocl-avx2.jsonl
# measured. The processor's clock and caches stay its own.
#
# PoCL (3.1) asks LLVM for the processor's features and takes the best of its kernel libraries (sse2 ... avx2, avx512), which decides the
# device's name, its native vector and the instructions. A preloaded library takes the features of AVX-512 out of LLVM's answer. Compiled
# kernels, tessera's caches and the tuning database lie apart from those of the real device: in the folder AVX2_STATE, or in a new one that is
# removed afterwards.
set -eu
if [ -n "${AVX2_STATE:-}" ]; then
    state=$AVX2_STATE
else
    state=$(mktemp -d)
    trap 'rm -rf "$state"' EXIT
fi
mkdir -p "$state/pocl" "$state/cache" "$state/data"
cat >"$state/shim.c" <<'END'
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

/* llvm::StringMap<bool>, as in LLVM 14 and 15: an entry's key lies item_size bytes behind its start. */
struct entry {
    size_t key_length;
    bool value;
};
struct string_map {
    struct entry **table;
    unsigned buckets, items, tombstones, item_size;
};

/* llvm::sys::getHostCPUFeatures(StringMap<bool> &). The caller is PoCL; its dependencies are searched for LLVM's own. */
#define HOST_FEATURES _ZN4llvm3sys18getHostCPUFeaturesERNS_9StringMapIbNS_15MallocAllocatorEEE
#define TEXT(name) #name
#define TEXT_OF(name) TEXT(name)
bool HOST_FEATURES(struct string_map *features) {
    bool (*original)(struct string_map *) = NULL;
    Dl_info caller;
    if (!dladdr(__builtin_return_address(0), &caller)) return false;
    void *pocl = dlopen(caller.dli_fname, RTLD_LAZY | RTLD_NOLOAD);
    if (pocl) *(void **)&original = dlsym(pocl, TEXT_OF(HOST_FEATURES));
    if (!original || !original(features)) return false;
    for (unsigned i = 0; i < features->buckets; i++) {
        struct entry *entry = features->table[i];
        if (!entry || (size_t)entry == (size_t)-8) continue; /* free, or taken out */
        if (strncmp((const char *)entry + features->item_size, "avx512", 6) == 0) entry->value = false;
    }
    return true;
}
END
cc -O2 -shared -fPIC -o "$state/shim.so" "$state/shim.c" -ldl
# oneDNN asks for the one name from 3.0 on, for the other before.
export ONEDNN_MAX_CPU_ISA=AVX2 DNNL_MAX_CPU_ISA=AVX2
export POCL_CACHE_DIR="$state/pocl" XDG_CACHE_HOME="$state/cache" XDG_DATA_HOME="$state/data"
LD_PRELOAD="$state/shim.so" "$@"
