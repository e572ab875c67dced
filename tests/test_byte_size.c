/* Amounts of memory from text. No device. */
#include "support/check.h"

#include "core/byte_size.h"

static void amounts(void **state) {
    (void)state;
    static const struct {
        const char *text;
        size_t bytes; /* 0: refused */
    } cases[] = {{"1", 1},
                 {"4096", 4096},
                 {"2G", (size_t)2 << 30},
                 {"2g", (size_t)2 << 30},
                 {"800M", 800 << 20},
                 {"64k", 64 << 10},
                 {"1.5K", 1536},
                 {"1.5", 0},
                 {"", 0},
                 {"0", 0},
                 {"0K", 0},
                 {"-1", 0},
                 {"+1", 0},
                 {" 1", 0},
                 {"1 ", 0},
                 {"2GB", 0},
                 {"2Q", 0},
                 {"0x10", 0},
                 {"1e9", 0},
                 {"inf", 0},
                 {"nan", 0},
                 {"G", 0},
                 {".5G", 0},
                 {"99999999999G", 0}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t bytes = 77;
        bool good = byte_size_parse(cases[i].text, &bytes);
        if (good != (cases[i].bytes > 0) || bytes != (good ? cases[i].bytes : 77))
            fail_msg("'%s' gives %zu", cases[i].text, bytes);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(amounts)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
