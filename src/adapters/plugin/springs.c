/* An example: every atom hangs on a spring at the origin, E = k/2 sum r^2, F = -k r; k in eV/Angstrom^2. */
#include "framewise_plugin.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

uint32_t framewise_plugin_version(void) { return FRAMEWISE_PLUGIN_VERSION; }

/* Reads k; false with a reason if it is missing or no number. */
static int read_k(const framewise_parameters *parameters, double *k, char *message, size_t size) {
    for (size_t i = 0; i < parameters->count; i++) {
        char *end;
        if (strcmp(parameters->names[i], "k") != 0) {
            snprintf(message, size, "springs know no parameter %s, only k (eV/Angstrom^2)", parameters->names[i]);
            return 0;
        }
        *k = strtod(parameters->values[i], &end);
        if (*end == '\0') return 1;
    }
    snprintf(message, size, "springs need --param k=NUMBER (eV/Angstrom^2)");
    return 0;
}

int framewise_plugin_check(const framewise_parameters *parameters, const uint8_t *species, size_t count, char *message,
                           size_t size) {
    double k;
    for (size_t i = 0; i < count; i++) {
        if (species[i] > 118) {
            snprintf(message, size, "there is no element %d", species[i]);
            return 1;
        }
    }
    return !read_k(parameters, &k, message, size);
}

void *framewise_plugin_create(const framewise_parameters *parameters, char *message, size_t size) {
    double *k = malloc(sizeof *k);
    if (k != NULL && !read_k(parameters, k, message, size)) {
        free(k);
        return NULL;
    }
    return k;
}

int framewise_plugin_evaluate(void *calculator, const framewise_frame *frame, framewise_results *results) {
    double k = *(double *)calculator;
    for (size_t i = 0; i < frame->atoms; i++) {
        for (int d = 0; d < 3; d++) {
            double r = frame->positions[i][d];
            results->energy += 0.5 * k * r * r;
            results->forces[i][d] = -k * r;
        }
    }
    return FRAMEWISE_COMPLETED;
}

void framewise_plugin_destroy(void *calculator) { free(calculator); }
