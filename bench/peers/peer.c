#include "bench/peers/peer.h"

#include <string.h>

#ifdef TESSERA_ONEDNN
extern const struct peer peer_onednn;
#endif

const struct peer *peer_find(const char *name) {
#ifdef TESSERA_ONEDNN
    if (strcmp(name, peer_onednn.name) == 0) return &peer_onednn;
#endif
    (void)name;
    return NULL;
}
