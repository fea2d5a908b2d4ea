/* A server of HTTP/1.1 with a thread for each connection, whose functions count themselves: `counted PORT`.
   GET /work/N answers; GET /counts says how often each function was called. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define KEPT __attribute__((noipa))
static atomic_long answered, prepared, computed, responded;

KEPT long prepare(long n, const char *path) {
    prepared++;
    return n + (long)strlen(path);
}

/* Calls itself `n` times more. */
KEPT long compute(long n) {
    computed++;
    if (n == 0) return 1;
    long rest = compute(n - 1);
    __asm__ volatile("" : "+r"(rest));
    return rest + n;
}

KEPT long respond(int fd, long total) {
    char body[256], head[512];
    responded++;
    int len = snprintf(body, sizeof body, "%ld %ld %ld %ld %ld\n", total, answered, prepared, computed, responded);
    int all = snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len, body);
    return write(fd, head, all) == all;
}

/* Ends in another function: it is over where that one begins. */
KEPT long answer(int fd, const char *path) {
    answered++;
    long n = atoi(path + strlen("/work/")) % 4;
    long total = prepare(n, path) + compute(n);
    return respond(fd, total);
}

static void *serve(void *arg) {
    int fd = (int)(long)arg;
    char buffer[4096], path[256];
    size_t len = 0;
    ssize_t got;
    while ((got = read(fd, buffer + len, sizeof buffer - 1 - len)) > 0) {
        len += got;
        buffer[len] = 0;
        if (!strstr(buffer, "\r\n\r\n")) continue;
        if (sscanf(buffer, "GET %255s", path) != 1) break;
        if (strncmp(path, "/work/", 6) == 0) {
            if (!answer(fd, path)) break;
        } else {
            char body[128], head[256];
            int size = snprintf(body, sizeof body, "answer %ld prepare %ld compute %ld respond %ld\n", answered, prepared, computed,
                                responded);
            int all = snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", size, body);
            if (write(fd, head, all) != all) break;
        }
        len = 0;
    }
    close(fd);
    return 0;
}

int main(int argc, char **argv) {
    int listener = socket(AF_INET, SOCK_STREAM, 0), on = 1;
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(argc > 1 ? atoi(argv[1]) : 8080)};
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(listener, (struct sockaddr *)&at, sizeof at) || listen(listener, 128)) return 1;
    while (1) {
        long fd = accept(listener, 0, 0);
        pthread_t thread;
        if (fd < 0 || pthread_create(&thread, 0, serve, (void *)fd)) continue;
        pthread_detach(thread);
    }
}
