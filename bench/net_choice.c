#include "bench/net_choice.h"

#include <stdlib.h>
#include <string.h>

#include "core/status.h"
#include "net/model_input.h"

static const double CLASSES_MAX = 1 << 20, WIDTH_MIN = 0.001, WIDTH_MAX = 64;

static tess_status set_classes(tess_zoo_options *size, const char *value, tess_error *error) {
    char *end = NULL;
    long classes = strtol(value, &end, 10);
    if (end == value || *end || classes < 1 || (double)classes > CLASSES_MAX)
        return error_set(
            error, TESS_INVALID_ARGUMENT,
            "--classes: '%.80s' is not a whole number in range; give one from 1 to %.12g", value,
            CLASSES_MAX);
    size->classes = (int)classes;
    return TESS_OK;
}

static tess_status set_width(tess_zoo_options *size, const char *value, tess_error *error) {
    char *end = NULL;
    double width = strtod(value, &end);
    if (end == value || *end || !(width >= WIDTH_MIN && width <= WIDTH_MAX))
        return error_set(error, TESS_INVALID_ARGUMENT,
                         "--width: '%.80s' is not a number in range; give one from %.12g to %.12g",
                         value, WIDTH_MIN, WIDTH_MAX);
    size->width = (float)width;
    return TESS_OK;
}

tess_status net_choice_set(struct net_choice *choice, const char *option, const char *value,
                           tess_error *error) {
    if (strcmp(option, "classes") == 0) return set_classes(&choice->size, value, error);
    if (strcmp(option, "width") == 0) return set_width(&choice->size, value, error);
    if (strcmp(option, "input") == 0)
        return model_input_parse(value, &choice->size)
                   ? TESS_OK
                   : error_set(error, TESS_INVALID_ARGUMENT,
                               "--input: '%.80s' is not CxHxW; write e.g. 3x32x32", value);
    if (choice->count == NET_CHOICE_MAX)
        return error_set(error, TESS_INVALID_ARGUMENT,
                         "--net: given more than %d times; give it less often", NET_CHOICE_MAX);
    choice->names[choice->count++] = value;
    return TESS_OK;
}

tess_status net_choice_add(const struct net_choice *choice, struct problem_list *list,
                           tess_error *error) {
    const tess_zoo_options *size = &choice->size;
    if (choice->count == 0 && (size->c || size->classes || size->width > 0))
        return error_set(error, TESS_INVALID_ARGUMENT,
                         "--input, --classes, --width: a problem key has its own sizes; change "
                         "them there, or give --net");
    tess_status status = TESS_OK;
    for (int i = 0; i < choice->count && !status; i++)
        status = problem_list_add_net(list, choice->names[i], size, error);
    return status;
}
