/* A plug-in that goes wrong in one frame: the one whose first atom lies beyond x = 90. How: -p how=... */
#include "framewise_plugin.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#ifndef VERSION
#define VERSION FRAMEWISE_PLUGIN_VERSION
#endif

uint32_t framewise_plugin_version(void) { return VERSION; }

#ifndef WITHOUT_CREATE
void *framewise_plugin_create(const framewise_parameters *parameters, char *message, size_t size) {
    const char *how = parameters->count > 0 ? parameters->values[0] : "";
    (void)message;
    (void)size;
    return strcmp(how, "refuse") == 0 ? NULL : strdup(how);
}
#endif

int framewise_plugin_evaluate(void *calculator, const framewise_frame *frame, framewise_results *results) {
    const char *how = calculator;
    results->energy = frame->cell[0][0] + frame->periodic[1] + frame->species[0];
    if (frame->positions[0][0] < 90) return FRAMEWISE_COMPLETED;
    if (strcmp(how, "crash") == 0) abort();
    if (strcmp(how, "nan") == 0) results->forces[1][2] = NAN;
    if (strcmp(how, "stress") == 0) results->stress[0][0] = 1;
    if (strcmp(how, "unconverged") == 0) {
        strncpy(results->message, "two\n  lines", results->message_size);
        return FRAMEWISE_NOT_CONVERGED;
    }
    if (strcmp(how, "endless") == 0) {
        memset(results->message, 'x', results->message_size);
        return FRAMEWISE_FAILED;
    }
    return strcmp(how, "strange") == 0 ? 77 : FRAMEWISE_COMPLETED;
}

void framewise_plugin_destroy(void *calculator) { free(calculator); }
