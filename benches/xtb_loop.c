/* The plain C loop that framewise's xtb calculator is measured against: GFN2-xTB, fresh objects for each frame, or
 * (with a second argument, any) one calculator, and a fresh molecule with fresh results for each frame.
 *
 * cc -O2 xtb_loop.c -lxtb -o xtb_loop && OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 ./xtb_loop FRAMES [kept]
 *
 * FRAMES is binary, native numbers: int32 frames, int32 atoms, int32 atomic numbers (atoms), double positions in Å
 * (frames, atoms, 3). Prints the seconds of the loop, and the energy of each frame in Hartree on standard error.
 * benches/compare/xtb makes the file and runs both sides. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <xtb.h>

int main(int argc, char **argv) {
    FILE *file = argc == 2 || argc == 3 ? fopen(argv[1], "rb") : NULL;
    int head[2], uhf = 0;
    if (!file || fread(head, sizeof *head, 2, file) != 2) return 2;
    int frames = head[0], n = head[1];
    size_t coordinates = (size_t)3 * n;
    int *numbers = malloc(n * sizeof *numbers);
    double *positions = malloc(frames * coordinates * sizeof *positions), *gradient = malloc(coordinates * sizeof *gradient);
    double *energies = malloc(frames * sizeof *energies), charge = 0, sum = 0;
    if (fread(numbers, sizeof *numbers, n, file) != (size_t)n) return 2;
    if (fread(positions, sizeof *positions, frames * coordinates, file) != frames * coordinates) return 2;
    xtb_TCalculator kept = NULL;
    struct timespec a, b;
    clock_gettime(CLOCK_MONOTONIC, &a);
    for (int i = 0; i < frames; i++) {
        double *r = positions + i * coordinates;
        for (size_t k = 0; k < coordinates; k++) r[k] /= 0.529177210903;
        xtb_TEnvironment env = xtb_newEnvironment();
        xtb_setVerbosity(env, XTB_VERBOSITY_MUTED);
        xtb_TMolecule mol = xtb_newMolecule(env, &n, numbers, r, &charge, &uhf, NULL, NULL);
        xtb_TCalculator calc = kept ? kept : xtb_newCalculator();
        xtb_TResults res = xtb_newResults();
        if (!kept) xtb_loadGFN2xTB(env, mol, calc, NULL);
        if (argc == 3) kept = calc;
        xtb_singlepoint(env, mol, calc, res);
        if (xtb_checkEnvironment(env)) return 1;
        xtb_getEnergy(env, res, &energies[i]);
        xtb_getGradient(env, res, gradient);
        sum += gradient[0];
        xtb_delResults(&res);
        if (!kept) xtb_delCalculator(&calc);
        xtb_delMolecule(&mol);
        xtb_delEnvironment(&env);
    }
    clock_gettime(CLOCK_MONOTONIC, &b);
    printf("%.9f %.3g\n", (b.tv_sec - a.tv_sec) + 1e-9 * (b.tv_nsec - a.tv_nsec), sum);
    for (int i = 0; i < frames; i++) fprintf(stderr, "%.17g\n", energies[i]);
    return 0;
}
