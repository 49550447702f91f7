/* A calculator for framewise in any language that speaks C: a shared library with these functions.
 *
 *     cc -shared -fPIC -O2 -I DIR springs.c -o springs.so
 *     framewise run md.h5 -o result.h5 --calculator plugin:./springs.so --param k=2.0
 *
 * `framewise calculators plugin --header` prints this file.
 *
 * Every worker thread creates a calculator of its own, uses it for all its frames, and destroys it at its end; several
 * threads are in the library at once. A calculator must answer the same for a frame whatever it was asked before: then
 * a result is the same bytes on any number of ranks. Whatever the library prints goes where framewise's output goes.
 *
 * Units: eV, Angstrom, eV/Angstrom, eV/Angstrom^3.
 */
#ifndef FRAMEWISE_PLUGIN_H
#define FRAMEWISE_PLUGIN_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Grows when anything below changes. A library of another version is refused. */
#define FRAMEWISE_PLUGIN_VERSION 1

/* What became of a frame. Any other number is taken for FRAMEWISE_FAILED. */
#define FRAMEWISE_COMPLETED 0
#define FRAMEWISE_NOT_CONVERGED 2 /* the self-consistent field, for instance */
#define FRAMEWISE_FAILED 3

/* The parameters of the job as typed after --param, name by name, sorted, without those of framewise itself. */
typedef struct {
    size_t count;
    const char *const *names;
    const char *const *values;
} framewise_parameters;

/* One frame. Valid during the call. */
typedef struct {
    size_t atoms;
    const uint8_t *species;       /* atomic numbers */
    const double (*positions)[3]; /* atoms may lie outside the cell */
    double cell[3][3];            /* rows are the cell vectors; zeros where there is none */
    uint8_t periodic[3];          /* 1 where the frame repeats along that vector */
} framewise_frame;

/* Where results go. Arrives with energy and forces 0 and stress NaN. */
typedef struct {
    double energy;        /* total energy */
    double (*forces)[3];  /* room for frame->atoms rows */
    double stress[3][3];  /* (1/V) dE/dstrain, positive under tension; leave NaN where it is not defined */
    char *message;        /* room for a reason, in UTF-8 with a zero at its end, where the frame is not completed */
    size_t message_size;
} framewise_results;

/* Returns FRAMEWISE_PLUGIN_VERSION. */
uint32_t framewise_plugin_version(void);

/* May be left out. 0 if these parameters and species (each atomic number once) can be treated; otherwise, before
 * anything is created, the job ends with `message`. */
int framewise_plugin_check(const framewise_parameters *parameters, const uint8_t *species, size_t count, char *message,
                           size_t message_size);

/* A calculator for the calling thread, or NULL and why in `message`: then the job ends. */
void *framewise_plugin_create(const framewise_parameters *parameters, char *message, size_t message_size);

/* Computes one frame. */
int framewise_plugin_evaluate(void *calculator, const framewise_frame *frame, framewise_results *results);

/* Frees a calculator. */
void framewise_plugin_destroy(void *calculator);

#ifdef __cplusplus
}
#endif

#endif
