#include "core/program_source.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

tess_status hash_bytes(tess_context *ctx, const void *data, size_t size, unsigned char out[32]) {
    if (EVP_Digest(data, size, out, NULL, EVP_sha256(), NULL) != 1)
        return context_fail(ctx, TESS_INTERNAL,
                            "SHA-256: OpenSSL refuses; check its configuration");
    return TESS_OK;
}

tess_status hash_strings(tess_context *ctx, const char *const *strings, size_t count,
                         unsigned char out[32]) {
    EVP_MD_CTX *digest = EVP_MD_CTX_new();
    bool good = digest && EVP_DigestInit_ex(digest, EVP_sha256(), NULL) == 1;
    for (size_t i = 0; i < count && good; i++) {
        uint64_t length = strlen(strings[i]);
        good = EVP_DigestUpdate(digest, &length, sizeof length) == 1 &&
               EVP_DigestUpdate(digest, strings[i], length) == 1;
    }
    good = good && EVP_DigestFinal_ex(digest, out, NULL) == 1;
    EVP_MD_CTX_free(digest);
    if (!good)
        return context_fail(ctx, TESS_INTERNAL,
                            "SHA-256: OpenSSL refuses; check its configuration");
    return TESS_OK;
}

void hash_hex(const unsigned char hash[32], char hex[65]) {
    for (size_t i = 0; i < 32; i++)
        snprintf(hex + 2 * i, 3, "%02x", hash[i]);
}
