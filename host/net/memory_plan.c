#include "net/memory_plan.h"

#include <stdlib.h>

/* The items that have their place, in order of arena and offset. */
struct placement {
    struct memory_item *items;
    const struct memory_limits *limits;
    int *placed;
    int placed_count;
};

struct sized {
    size_t bytes;
    int index;
};

/* Largest first; equals in their own order. */
static int by_size(const void *left, const void *right) {
    const struct sized *a = left, *b = right;
    if (a->bytes != b->bytes) return a->bytes < b->bytes ? 1 : -1;
    return a->index < b->index ? -1 : 1;
}

static size_t round_up(size_t bytes, size_t align) {
    return (bytes + align - 1) / align * align;
}

static bool together(const struct placement *p, const struct memory_item *a,
                     const struct memory_item *b) {
    return !p->limits->share || (a->first <= b->last && b->first <= a->last);
}

/* The tightest gap of an arena that holds size bytes, else the end of what is there; false: neither fits. */
static bool find_offset(const struct placement *p, const struct memory_item *item, size_t size,
                        int arena, size_t *offset) {
    size_t end = 0, best = 0;
    bool found = false;
    for (int i = 0; i < p->placed_count; i++) {
        const struct memory_item *other = &p->items[p->placed[i]];
        if (other->arena != arena || !together(p, item, other)) continue;
        size_t gap = other->offset > end ? other->offset - end : 0;
        if (gap >= size && (!found || gap < best)) {
            found = true;
            best = gap;
            *offset = end;
        }
        size_t other_end = other->offset + round_up(other->bytes, p->limits->align);
        if (other_end > end) end = other_end;
    }
    if (!found && end <= p->limits->arena && size <= p->limits->arena - end) {
        found = true;
        *offset = end;
    }
    return found;
}

static void insert(struct placement *p, int index) {
    const struct memory_item *item = &p->items[index];
    int at = p->placed_count++;
    for (; at > 0; at--) {
        const struct memory_item *other = &p->items[p->placed[at - 1]];
        if (other->arena < item->arena ||
            (other->arena == item->arena && other->offset <= item->offset))
            break;
        p->placed[at] = p->placed[at - 1];
    }
    p->placed[at] = index;
}

/* No more arenas than items: an empty one holds any item. */
static void place(struct placement *p, int index, struct memory_plan *plan) {
    struct memory_item *item = &p->items[index];
    size_t size = round_up(item->bytes, p->limits->align);
    for (item->arena = 0; !find_offset(p, item, size, item->arena, &item->offset); item->arena++)
        ;
    insert(p, index);
    if (item->arena == plan->arena_count) plan->arena_bytes[plan->arena_count++] = 0;
    size_t *bytes = &plan->arena_bytes[item->arena];
    if (item->offset + size > *bytes) {
        plan->total += item->offset + size - *bytes;
        *bytes = item->offset + size;
    }
    plan->unshared += size;
}

tess_status memory_plan_make(struct memory_item *items, int count,
                             const struct memory_limits *limits, tess_error *error, int *culprit,
                             struct memory_plan *out) {
    size_t slots = count ? (size_t)count : 1;
    struct placement p = {.items = items, .limits = limits};
    struct memory_plan plan = {0};
    struct sized *order = malloc(slots * sizeof *order);
    tess_status status = TESS_OK;
    p.placed = malloc(slots * sizeof *p.placed);
    plan.arena_bytes = malloc(slots * sizeof *plan.arena_bytes);
    if (!order || !p.placed || !plan.arena_bytes) {
        status = error_set(error, TESS_OUT_OF_HOST_MEMORY,
                           "memory plan: no host memory; free some and try again");
        goto fail;
    }
    for (int i = 0; i < count; i++) {
        order[i] = (struct sized){.bytes = items[i].bytes, .index = i};
        if (items[i].bytes <= limits->arena / limits->align * limits->align) continue;
        *culprit = i;
        status = error_set(error, TESS_OUT_OF_DEVICE_MEMORY,
                           "a buffer of %zu bytes, but the device gives at most %zu at once; make "
                           "the batch smaller",
                           items[i].bytes, limits->arena);
        goto fail;
    }
    qsort(order, (size_t)count, sizeof *order, by_size);
    for (int i = 0; i < count; i++)
        place(&p, order[i].index, &plan);
    *out = plan;
    plan.arena_bytes = NULL;
fail:
    free(plan.arena_bytes);
    free(p.placed);
    free(order);
    return status;
}

void memory_plan_end(struct memory_plan *plan) {
    free(plan->arena_bytes);
    *plan = (struct memory_plan){0};
}
