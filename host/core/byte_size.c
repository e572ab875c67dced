#include "core/byte_size.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

bool byte_size_parse(const char *text, size_t *out) {
    static const char units[] = "KMG";
    char *end;
    /* strtod would also take signs, spaces, "inf" and hexadecimal numbers. */
    if (!isdigit((unsigned char)*text) || strpbrk(text, "xXpPeE")) return false;
    double value = strtod(text, &end);
    const char *unit = *end ? strchr(units, toupper((unsigned char)*end)) : NULL;
    if (unit) {
        value *= (double)((size_t)1 << (10 * (unit - units + 1)));
        end++;
    } else if (value != floor(value)) {
        return false;
    }
    if (*end || !(value >= 1 && value <= 0x1p62)) return false;
    *out = (size_t)value;
    return true;
}
