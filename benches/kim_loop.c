/* The plain C loop that framewise's kim calculator is measured against: ghosts, neighbour lists from linked cells, a portable
 * model of OpenKIM, forces folded back, virial. One model and one set of buffers for all frames, which have the same atoms.
 *
 * cc -O3 -march=native kim_loop.c $(pkg-config --cflags --libs libkim-api) -lm -o kim_loop
 * ./kim_loop MODEL FRAMES RESULTS SYMBOL...
 *
 * FRAMES is binary, native numbers: int32 frames, int32 atoms, int32 periodic (3), double cell vectors in Å (rows), int32
 * species (atoms; positions in the list of SYMBOLs), double positions in Å (frames, atoms, 3). RESULTS gets, in eV and Å,
 * double energies (frames), forces (frames, atoms, 3), virials (frames, 3, 3). Prints the seconds of the loop, those of
 * the processor, and the particles of the last frame. benches/compare/kim makes the file and runs both sides. */
#include <KIM_Log.h>
#include <KIM_SimulatorHeaders.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MOST_LISTS = 8 };

typedef struct {
    double cutoff;
    int of_ghosts, *starts, *neighbors;
    size_t room;
} List;

typedef struct {
    int count;
    List list[MOST_LISTS];
} Lists;

/* Particles: atoms first, then ghosts. `room` is that of all arrays. */
static int n, total, room, *origin, *codes, *contributing;
static double *r, *f;
/* Linked cells: particles sorted by cell, x, y, z beside each other. */
static int cells[3], *first, first_room, *cell_of, *sorted;
static double low[3], width[3], *place;

static double seconds(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return t.tv_sec + 1e-9 * t.tv_nsec;
}

static void *grown(void *old, size_t bytes) {
    void *new = realloc(old, bytes);
    if (!new) exit(3);
    return new;
}

static void make_room(int wanted) {
    if (wanted <= room) return;
    room = wanted + wanted / 2;
    origin = grown(origin, room * sizeof *origin);
    codes = grown(codes, room * sizeof *codes);
    contributing = grown(contributing, room * sizeof *contributing);
    cell_of = grown(cell_of, room * sizeof *cell_of);
    sorted = grown(sorted, room * sizeof *sorted);
    r = grown(r, room * 3 * sizeof *r);
    f = grown(f, room * 3 * sizeof *f);
    place = grown(place, room * 3 * sizeof *place);
}

/* Wraps the atoms, and adds the images that are at most `padding` outside of the cell. */
static void make_particles(const double *positions, double h[3][3], double g[3][3], const int periodic[3], double padding) {
    total = n;
    for (int i = 0; i < n; i++) {
        double at[3];
        memcpy(at, positions + 3 * i, sizeof at);
        for (int k = 0; k < 3; k++) {
            if (!periodic[k]) continue;
            double s = floor(g[k][0] * positions[3 * i] + g[k][1] * positions[3 * i + 1] + g[k][2] * positions[3 * i + 2]);
            for (int d = 0; d < 3; d++) at[d] -= s * h[k][d];
        }
        memcpy(r + 3 * i, at, sizeof at);
    }
    double far[3];
    for (int k = 0; k < 3; k++) far[k] = padding * sqrt(g[k][0] * g[k][0] + g[k][1] * g[k][1] + g[k][2] * g[k][2]);
    for (int i = 0; i < n; i++) {
        int from[3] = {0, 0, 0}, to[3] = {0, 0, 0};
        for (int k = 0; k < 3; k++) {
            if (!periodic[k]) continue;
            double s = g[k][0] * r[3 * i] + g[k][1] * r[3 * i + 1] + g[k][2] * r[3 * i + 2];
            from[k] = ceil(-far[k] - s);
            to[k] = floor(1 + far[k] - s);
        }
        make_room(total + (to[0] - from[0] + 1) * (to[1] - from[1] + 1) * (to[2] - from[2] + 1));
        for (int a = from[0]; a <= to[0]; a++)
            for (int b = from[1]; b <= to[1]; b++)
                for (int c = from[2]; c <= to[2]; c++) {
                    if (!a && !b && !c) continue;
                    for (int d = 0; d < 3; d++) r[3 * total + d] = r[3 * i + d] + a * h[0][d] + b * h[1][d] + c * h[2][d];
                    origin[total] = i;
                    codes[total] = codes[i];
                    contributing[total++] = 0;
                }
    }
}

/* Sorts the particles into cells that are at least as wide as the cutoff. */
static void make_cells(double cutoff) {
    double high[3];
    for (int d = 0; d < 3; d++) low[d] = high[d] = r[d];
    for (int p = 0; p < total; p++)
        for (int d = 0; d < 3; d++) {
            low[d] = fmin(low[d], r[3 * p + d]);
            high[d] = fmax(high[d], r[3 * p + d]);
        }
    for (int d = 0; d < 3; d++) {
        cells[d] = fmax(1, fmin(64, floor((high[d] - low[d]) / cutoff)));
        width[d] = fmax(cutoff, (high[d] - low[d]) / cells[d] * (1 + 1e-9));
    }
    int count = cells[0] * cells[1] * cells[2];
    if (count >= first_room) first = grown(first, (first_room = 2 * count + 1) * sizeof *first);
    memset(first, 0, (count + 1) * sizeof *first);
    for (int p = 0; p < total; p++) {
        int at[3];
        for (int d = 0; d < 3; d++) at[d] = (r[3 * p + d] - low[d]) / width[d];
        cell_of[p] = (at[2] * cells[1] + at[1]) * cells[0] + at[0];
        first[cell_of[p]]++;
    }
    for (int c = 0, sum = 0; c <= count; c++) {
        int here = first[c];
        first[c] = sum;
        sum += here;
    }
    for (int p = 0; p < total; p++) {
        int at = first[cell_of[p]]++;
        sorted[at] = p;
        memcpy(place + 3 * at, r + 3 * p, 3 * sizeof *r);
    }
    memmove(first + 1, first, count * sizeof *first);
    first[0] = 0;
}

/* Full lists of the atoms, and of the ghosts if they are wanted. */
static void make_list(List *list) {
    int with = list->of_ghosts ? total : n, used = 0;
    double limit = list->cutoff * list->cutoff;
    list->starts = grown(list->starts, (room + 1) * sizeof *list->starts);
    for (int p = 0; p < with; p++) {
        list->starts[p] = used;
        int x = cell_of[p] % cells[0], y = cell_of[p] / cells[0] % cells[1], z = cell_of[p] / cells[0] / cells[1];
        double px = r[3 * p], py = r[3 * p + 1], pz = r[3 * p + 2];
        for (int c = z > 0 ? z - 1 : 0; c <= z + 1 && c < cells[2]; c++)
            for (int b = y > 0 ? y - 1 : 0; b <= y + 1 && b < cells[1]; b++) {
                /* Cells of a row, and their particles, lie beside each other. */
                int row = (c * cells[1] + b) * cells[0];
                int from = first[row + (x > 0 ? x - 1 : 0)], to = first[row + (x + 1 < cells[0] ? x + 2 : cells[0])];
                if ((size_t)(used + to - from) > list->room) {
                    list->room = 2 * (used + to - from);
                    list->neighbors = grown(list->neighbors, list->room * sizeof *list->neighbors);
                }
                int *restrict out = list->neighbors;
                for (int q = from; q < to; q++) {
                    double dx = place[3 * q] - px, dy = place[3 * q + 1] - py, dz = place[3 * q + 2] - pz;
                    out[used] = sorted[q];
                    used += (dx * dx + dy * dy + dz * dz < limit) & (sorted[q] != p);
                }
            }
    }
    list->starts[with] = used;
}

static int neighbors_of(void *const data, int const lists, double const *const cutoffs, int const which, int const particle,
                        int *const count, int const **const neighbors) {
    const List *list = &((const Lists *)data)->list[which];
    (void)cutoffs;
    if (which >= lists || particle >= (list->of_ghosts ? total : n)) return 1;
    *count = list->starts[particle + 1] - list->starts[particle];
    *neighbors = list->neighbors + list->starts[particle];
    return 0;
}

static void cross(const double *a, const double *b, double *c) {
    for (int d = 0; d < 3; d++) c[d] = a[(d + 1) % 3] * b[(d + 2) % 3] - a[(d + 2) % 3] * b[(d + 1) % 3];
}

int main(int argc, char **argv) {
    FILE *file = argc >= 5 ? fopen(argv[2], "rb") : NULL;
    int head[5];
    double h[3][3], g[3][3];
    if (!file || fread(head, sizeof *head, 5, file) != 5 || fread(h, sizeof h, 1, file) != 1) return 2;
    int frames = head[0];
    n = head[1];
    size_t coordinates = (size_t)3 * n;
    int *species = malloc(n * sizeof *species);
    double *positions = malloc(frames * coordinates * sizeof *positions);
    if (fread(species, sizeof *species, n, file) != (size_t)n) return 2;
    if (fread(positions, sizeof *positions, frames * coordinates, file) != frames * coordinates) return 2;
    fclose(file);
    double *energies = calloc(frames, sizeof *energies), *forces = calloc(frames * coordinates, sizeof *forces);
    double *virials = calloc(9 * (size_t)frames, sizeof *virials);
    for (int k = 0; k < 3; k++) cross(h[(k + 1) % 3], h[(k + 2) % 3], g[k]);
    double volume = h[0][0] * g[0][0] + h[0][1] * g[0][1] + h[0][2] * g[0][2];
    for (int k = 0; k < 3; k++)
        for (int d = 0; d < 3; d++) g[k][d] /= volume;

    KIM_Log_PushDefaultVerbosity(KIM_LOG_VERBOSITY_silent);
    KIM_Model *model;
    KIM_ComputeArguments *arguments;
    int accepted;
    if (KIM_Model_Create(KIM_NUMBERING_zeroBased, KIM_LENGTH_UNIT_A, KIM_ENERGY_UNIT_eV, KIM_CHARGE_UNIT_e,
                         KIM_TEMPERATURE_UNIT_K, KIM_TIME_UNIT_ps, argv[1], &accepted, &model) || !accepted) return 4;
    if (KIM_Model_ComputeArgumentsCreate(model, &arguments)) return 4;
    Lists lists;
    memset(&lists, 0, sizeof lists);
    const double *cutoffs;
    const int *without;
    double padding, largest = 0;
    KIM_Model_GetInfluenceDistance(model, &padding);
    KIM_Model_GetNeighborListPointers(model, &lists.count, &cutoffs, &without);
    if (lists.count > MOST_LISTS) return 4;
    for (int l = 0; l < lists.count; l++) {
        lists.list[l] = (List){cutoffs[l], !without[l], NULL, NULL, 0};
        largest = fmax(largest, cutoffs[l]);
    }
    padding = fmax(padding, largest);
    make_room(n);
    for (int i = 0; i < n; i++) {
        int supported;
        if (species[i] + 4 >= argc) return 2;
        KIM_SpeciesName name = KIM_SpeciesName_FromString(argv[4 + species[i]]);
        if (KIM_Model_GetSpeciesSupportAndCode(model, name, &supported, &codes[i]) || !supported) return 4;
        contributing[i] = 1;
        origin[i] = i;
    }
    double energy;
    int set_for = 0;
    if (KIM_ComputeArguments_SetArgumentPointerInteger(arguments, KIM_COMPUTE_ARGUMENT_NAME_numberOfParticles, &total) ||
        KIM_ComputeArguments_SetArgumentPointerDouble(arguments, KIM_COMPUTE_ARGUMENT_NAME_partialEnergy, &energy) ||
        KIM_ComputeArguments_SetCallbackPointer(arguments, KIM_COMPUTE_CALLBACK_NAME_GetNeighborList, KIM_LANGUAGE_NAME_c,
                                                (KIM_Function *)neighbors_of, &lists)) return 4;

    double wall = seconds(CLOCK_MONOTONIC), processor = seconds(CLOCK_PROCESS_CPUTIME_ID);
    for (int i = 0; i < frames; i++) {
        make_particles(positions + i * coordinates, h, g, head + 2, padding);
        make_cells(largest);
        for (int l = 0; l < lists.count; l++) make_list(&lists.list[l]);
        if (set_for != room) {
            set_for = room;
            if (KIM_ComputeArguments_SetArgumentPointerInteger(arguments, KIM_COMPUTE_ARGUMENT_NAME_particleSpeciesCodes, codes) ||
                KIM_ComputeArguments_SetArgumentPointerInteger(arguments, KIM_COMPUTE_ARGUMENT_NAME_particleContributing, contributing) ||
                KIM_ComputeArguments_SetArgumentPointerDouble(arguments, KIM_COMPUTE_ARGUMENT_NAME_coordinates, r) ||
                KIM_ComputeArguments_SetArgumentPointerDouble(arguments, KIM_COMPUTE_ARGUMENT_NAME_partialForces, f)) return 4;
        }
        if (KIM_Model_Compute(model, arguments)) return 5;
        energies[i] = energy;
        double *on_atoms = forces + i * coordinates, *virial = virials + 9 * i;
        for (int p = 0; p < total; p++)
            for (int d = 0; d < 3; d++) {
                on_atoms[3 * origin[p] + d] += f[3 * p + d];
                for (int e = 0; e < 3; e++) virial[3 * d + e] += f[3 * p + d] * r[3 * p + e];
            }
    }
    processor = seconds(CLOCK_PROCESS_CPUTIME_ID) - processor;
    wall = seconds(CLOCK_MONOTONIC) - wall;
    printf("%.9f %.9f %d\n", wall, processor, total);
    file = fopen(argv[3], "wb");
    if (!file || fwrite(energies, sizeof *energies, frames, file) != (size_t)frames) return 6;
    if (fwrite(forces, sizeof *forces, frames * coordinates, file) != frames * coordinates) return 6;
    if (fwrite(virials, sizeof *virials, 9 * (size_t)frames, file) != 9 * (size_t)frames) return 6;
    return fclose(file) ? 6 : 0;
}
