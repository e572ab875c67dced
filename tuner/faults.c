#include "tuner/faults.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void faults_read(struct faults *faults) {
    *faults = (struct faults){0};
    const char *text = getenv("TESSERA_TUNE_FAULTS");
    unsigned long long seed;
    if (!text || sscanf(text, "%llu:%15[shmk]:%ld", &seed, faults->kinds, &faults->every) != 3 ||
        faults->every < 1)
        faults->every = 0;
    else
        faults->seed = seed;
}

/* The finaliser of SplitMix64. */
static uint64_t mix(uint64_t z) {
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

/* Until the process's limit: see worker.c. The memory is not touched, so that the machine does not feel it. */
static int exhaust_memory(void) {
    enum { BLOCK = 64 << 20, BLOCKS_MAX = 1 << 16 };
    static const size_t most = BLOCKS_MAX;
    void **blocks = calloc(most, sizeof *blocks);
    size_t count = 0;
    while (blocks && count < most && (blocks[count] = malloc(BLOCK)))
        count++;
    for (size_t i = 0; i < count; i++)
        free(blocks[i]);
    free(blocks);
    return 1;
}

int faults_strike(const struct faults *faults, long trial, enum fault_stage stage) {
    if (!faults->every || ((uint64_t)trial + faults->seed) % (uint64_t)faults->every) return 0;
    uint64_t random = mix(faults->seed * 1000003u + (uint64_t)trial);
    if (random % FAULT_STAGES != (uint64_t)stage) return 0;
    char kind = faults->kinds[(random >> 8) % strlen(faults->kinds)];
    if (kind == 'm') return exhaust_memory();
    if (kind == 's') raise(SIGSEGV);
    if (kind == 'k') raise(SIGKILL);
    while (1)
        pause();
}
