/* Stands between framewise and the real libxtb and dies in a frame whose first atom is beyond 100 Bohr in x, in the
 * way the variable POISON names. Every other symbol is found in the real library, to which this one is linked:
 *
 *     cc -shared -fPIC -o poison_xtb.so poison_xtb.c -Wl,--no-as-needed -l:libxtb.so.6 -ldl -lpthread
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static __thread bool marked;

void *xtb_newMolecule(void *env, const int *natoms, const int *numbers, const double *positions, const double *charge,
                      const int *uhf, const double *lattice, const bool *periodic) {
    typedef void *(*Function)(void *, const int *, const int *, const double *, const double *, const int *, const double *,
                              const bool *);
    Function real = (Function)dlsym(RTLD_NEXT, "xtb_newMolecule");
    marked = *natoms > 0 && positions[0] > 100.0;
    return real(env, natoms, numbers, positions, charge, uhf, lattice, periodic);
}

static int deep(int n) {
    volatile char page[4096];
    page[n % 4096] = (char)n;
    return deep(n + 1) + page[(n + 7) % 4096];
}

static void *helper(void *unused) {
    raise(SIGFPE);
    return unused;
}

static void die(const char *how) {
    if (!strcmp(how, "null")) *(volatile int *)8 = 1;
    if (!strcmp(how, "raise")) raise(SIGSEGV);
    if (!strcmp(how, "abort")) abort();
    if (!strcmp(how, "exit")) exit(3);
    if (!strcmp(how, "stop")) exit(0);
    if (!strcmp(how, "kill")) kill(getpid(), SIGKILL);
    if (!strcmp(how, "stack")) deep(0);
    if (!strcmp(how, "hang")) sleep(600);
    if (!strcmp(how, "print")) {
        printf("the engine prints\n");
        fflush(stdout);
    }
    if (!strcmp(how, "helper")) {
        pthread_t thread;
        pthread_create(&thread, NULL, helper, NULL);
        pthread_join(thread, NULL);
    }
    if (!strcmp(how, "memory")) {
        /* As the out-of-memory killer: no more than 2 GiB, and whoever wants more is killed. */
        struct rlimit limit = {2L << 30, 2L << 30};
        setrlimit(RLIMIT_AS, &limit);
        for (;;) {
            char *more = malloc(16 << 20);
            if (!more) kill(getpid(), SIGKILL);
            memset(more, 1, 16 << 20);
        }
    }
}

void xtb_singlepoint(void *env, void *molecule, void *calculator, void *results) {
    typedef void (*Function)(void *, void *, void *, void *);
    Function real = (Function)dlsym(RTLD_NEXT, "xtb_singlepoint");
    const char *how = getenv("POISON");
    if (marked && how) die(how);
    real(env, molecule, calculator, results);
}
