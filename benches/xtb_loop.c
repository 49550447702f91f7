/* The plain C loop that framewise's xtb calculator is measured against: fresh objects for each frame.
 *
 * cc -O2 xtb_loop.c -lxtb -o xtb_loop && OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 ./xtb_loop 1 2000
 *
 * arguments: number of water molecules, number of evaluations; prints seconds per evaluation (GFN2-xTB). */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <xtb.h>

int main(int argc, char **argv) {
    if (argc != 3) return 2;
    int waters = atoi(argv[1]), evaluations = atoi(argv[2]), n = 3 * waters, uhf = 0;
    int *numbers = malloc(n * sizeof *numbers);
    double *positions = malloc(3 * n * sizeof *positions), *gradient = malloc(3 * n * sizeof *gradient);
    const double water[3][3] = {{0, 0, 0}, {0.95, 0.1, 0}, {-0.3, 0.92, 0.05}}, bohr = 0.529177210903;
    double charge = 0, sum = 0, energy;
    for (int i = 0; i < n; i++) {
        int k = i / 3;
        numbers[i] = i % 3 ? 1 : 8;
        double shift[3] = {3.2 * (k % 4), 3.2 * (k / 4 % 4), 3.2 * (k / 16)};
        for (int d = 0; d < 3; d++) positions[3 * i + d] = (water[i % 3][d] + shift[d]) / bohr;
    }
    struct timespec a, b;
    clock_gettime(CLOCK_MONOTONIC, &a);
    for (int i = 0; i < evaluations; i++) {
        xtb_TEnvironment env = xtb_newEnvironment();
        xtb_setVerbosity(env, XTB_VERBOSITY_MUTED);
        xtb_TMolecule mol = xtb_newMolecule(env, &n, numbers, positions, &charge, &uhf, NULL, NULL);
        xtb_TCalculator calc = xtb_newCalculator();
        xtb_TResults res = xtb_newResults();
        xtb_loadGFN2xTB(env, mol, calc, NULL);
        xtb_singlepoint(env, mol, calc, res);
        if (xtb_checkEnvironment(env)) return 1;
        xtb_getEnergy(env, res, &energy);
        xtb_getGradient(env, res, gradient);
        sum += energy + gradient[0];
        xtb_delResults(&res);
        xtb_delCalculator(&calc);
        xtb_delMolecule(&mol);
        xtb_delEnvironment(&env);
    }
    clock_gettime(CLOCK_MONOTONIC, &b);
    printf("%.9f s per evaluation (sum %.9f)\n",
           ((b.tv_sec - a.tv_sec) + 1e-9 * (b.tv_nsec - a.tv_nsec)) / evaluations, sum);
    return 0;
}
