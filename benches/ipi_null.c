/* A client of i-PI that computes nothing: what is left is the server and the socket. usage: ipi_null /tmp/ipi_NAME */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int connection;

static void get(void *to, size_t bytes)
{
    for (char *at = to; bytes > 0;) {
        ssize_t n = read(connection, at, bytes);
        if (n <= 0)
            exit(0);
        at += n;
        bytes -= (size_t)n;
    }
}

static void put(const void *from, size_t bytes)
{
    if (write(connection, from, bytes) != (ssize_t)bytes)
        exit(1);
}

int main(int argc, char **argv)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char word[12], *answer = NULL;
    double cell[18], energy = -1.0;
    int atoms = 0, has_data = 0;
    size_t bytes = 0;
    if (argc != 2 || strlen(argv[1]) >= sizeof address.sun_path)
        return 2;
    strcpy(address.sun_path, argv[1]);
    connection = socket(AF_UNIX, SOCK_STREAM, 0);
    if (connect(connection, (struct sockaddr *)&address, sizeof address) != 0) {
        perror(argv[1]);
        return 1;
    }
    for (;;) {
        get(word, sizeof word);
        if (memcmp(word, "STATUS", 6) == 0) {
            put(has_data ? "HAVEDATA    " : "READY       ", 12);
        } else if (memcmp(word, "POSDATA", 7) == 0) {
            get(cell, sizeof cell);
            get(&atoms, sizeof atoms);
            /* Word, energy, atoms, forces (the positions), virial (the cell), no text. */
            bytes = 12 + 8 + 4 + 24 * (size_t)atoms + 72 + 4;
            answer = realloc(answer, bytes);
            if (answer == NULL)
                return 1;
            memset(answer, 0, bytes);
            memcpy(answer, "FORCEREADY  ", 12);
            memcpy(answer + 12, &energy, 8);
            memcpy(answer + 20, &atoms, 4);
            get(answer + 24, 24 * (size_t)atoms);
            memcpy(answer + 24 + 24 * (size_t)atoms, cell, 72);
            has_data = 1;
        } else if (memcmp(word, "GETFORCE", 8) == 0) {
            put(answer, bytes);
            has_data = 0;
        } else {
            return 0;
        }
    }
}
