#include "net/choose_algorithms.h"

#include <stdlib.h>
#include <string.h>

double choice_seconds(const struct algorithm_site *sites, int count, const int *picks) {
    double seconds = 0;
    for (int i = 0; i < count; i++)
        seconds += sites[i].options[picks[i]].seconds;
    return seconds;
}

static size_t held_bytes(const struct algorithm_site *sites, int count, const int *picks) {
    size_t held = 0;
    for (int i = 0; i < count; i++)
        held += sites[i].options[picks[i]].held;
    return held;
}

static size_t need(const struct algorithm_site *site, int option) {
    return site->alive + site->options[option].workspace;
}

size_t choice_bytes(const struct algorithm_site *sites, int count, const int *picks) {
    size_t most = 0;
    for (int i = 0; i < count; i++)
        if (need(&sites[i], picks[i]) > most) most = need(&sites[i], picks[i]);
    return most + held_bytes(sites, count, picks);
}

/* The fastest option of each site within room; false: one has none. */
static bool pick_fastest(const struct algorithm_site *sites, int count, size_t room, int *picks) {
    for (int i = 0; i < count; i++) {
        const struct algorithm_site *site = &sites[i];
        picks[i] = -1;
        for (int k = 0; k < site->count; k++)
            if (need(site, k) <= room &&
                (picks[i] < 0 || site->options[k].seconds < site->options[picks[i]].seconds))
                picks[i] = k;
        if (picks[i] < 0) return false;
    }
    return true;
}

struct exchange {
    int site, option;
    double price;
};

/* The exchange that frees held bytes at the least time a byte. */
static bool cheapest(const struct algorithm_site *sites, int count, size_t room, const int *picks,
                     struct exchange *out) {
    bool found = false;
    for (int i = 0; i < count; i++) {
        const struct algorithm_option *now = &sites[i].options[picks[i]];
        for (int k = 0; k < sites[i].count; k++) {
            const struct algorithm_option *then = &sites[i].options[k];
            if (then->held >= now->held || need(&sites[i], k) > room) continue;
            double price = (then->seconds - now->seconds) / (double)(now->held - then->held);
            if (found && price >= out->price) continue;
            *out = (struct exchange){i, k, price};
            found = true;
        }
    }
    return found;
}

/* The exchange that gains the most time with at most spare bytes more. */
static bool best_gain(const struct algorithm_site *sites, int count, size_t room, size_t spare,
                      const int *picks, struct exchange *out) {
    *out = (struct exchange){.price = 0};
    for (int i = 0; i < count; i++) {
        const struct algorithm_option *now = &sites[i].options[picks[i]];
        for (int k = 0; k < sites[i].count; k++) {
            const struct algorithm_option *then = &sites[i].options[k];
            double gain = now->seconds - then->seconds;
            if (gain > out->price && need(&sites[i], k) <= room && then->held <= now->held + spare)
                *out = (struct exchange){i, k, gain};
        }
    }
    return out->price > 0;
}

/* Workspaces within room, what is held within the rest of limit. */
static bool solve(const struct algorithm_site *sites, int count, size_t room, size_t limit,
                  int *picks) {
    struct exchange exchange;
    if (room > limit || !pick_fastest(sites, count, room, picks)) return false;
    size_t held = held_bytes(sites, count, picks);
    while (held > limit - room) {
        if (!cheapest(sites, count, room, picks, &exchange)) return false;
        picks[exchange.site] = exchange.option;
        held = held_bytes(sites, count, picks);
    }
    while (best_gain(sites, count, room, limit - room - held, picks, &exchange)) {
        picks[exchange.site] = exchange.option;
        held = held_bytes(sites, count, picks);
    }
    return true;
}

static int by_size(const void *left, const void *right) {
    const size_t a = *(const size_t *)left, b = *(const size_t *)right;
    return a < b ? 1 : a > b ? -1 : 0;
}

/* All values that the maximum may have, largest first, each once. Where nothing is held a smaller maximum gains nothing. */
static int rooms(const struct algorithm_site *sites, int count, size_t limit, size_t *out) {
    int found = 0, kept = 0;
    bool holds = false;
    for (int i = 0; i < count; i++) {
        for (int k = 0; k < sites[i].count; k++) {
            holds = holds || sites[i].options[k].held;
            if (need(&sites[i], k) <= limit) out[found++] = need(&sites[i], k);
        }
    }
    qsort(out, (size_t)found, sizeof *out, by_size);
    for (int i = 0; i < found; i++)
        if (kept == 0 || out[i] != out[kept - 1]) out[kept++] = out[i];
    return holds || kept == 0 ? kept : 1;
}

/* The smallest workspaces, and of those what holds least. */
static void pick_smallest(const struct algorithm_site *sites, int count, int *picks) {
    for (int i = 0; i < count; i++) {
        picks[i] = 0;
        for (int k = 1; k < sites[i].count; k++) {
            const struct algorithm_option *a = &sites[i].options[k];
            const struct algorithm_option *b = &sites[i].options[picks[i]];
            size_t size = a->workspace + a->held, best = b->workspace + b->held;
            if (size < best || (size == best && a->seconds < b->seconds)) picks[i] = k;
        }
    }
}

tess_status choose_algorithms(const struct algorithm_site *sites, int count, size_t limit,
                              tess_error *error, int *picks, bool *fits) {
    size_t total = 1, bytes = sizeof *picks * (size_t)(count ? count : 1);
    for (int i = 0; i < count; i++)
        total += (size_t)sites[i].count;
    size_t *list = malloc(total * sizeof *list);
    int *trial = malloc(bytes);
    tess_status status = TESS_OK;
    double best = 0;
    if (list && trial) {
        int found = rooms(sites, count, limit, list);
        *fits = count == 0;
        pick_smallest(sites, count, picks);
        for (int i = 0; i < found; i++) {
            if (!solve(sites, count, list[i], limit, trial)) continue;
            double seconds = choice_seconds(sites, count, trial);
            if (*fits && seconds >= best) continue;
            best = seconds;
            *fits = true;
            memcpy(picks, trial, bytes);
        }
    } else {
        status = error_set(error, TESS_OUT_OF_HOST_MEMORY,
                           "choosing algorithms: no host memory; free some and try again");
    }
    free(list);
    free(trial);
    return status;
}
