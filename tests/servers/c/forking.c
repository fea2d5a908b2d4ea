/* Forks inside of a function: a child that calls exec, and one that returns from that function. One step for each byte. */
#include "cirron.h"
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define KEPT __attribute__((noipa))
static const char *self;

KEPT long work(long n) {
    __asm__ volatile("" : "+r"(n));
    return n + 1;
}

/* 1: the child of which it is called goes on here, and returns. 2: the child becomes another program. */
KEPT long around(long how) {
    long sum = work(how);
    pid_t child = fork();
    if (child == 0 && how == 2) {
        sum += work(20);
        cirron_scope scope = CIRRON_BEGIN("told", cirron_int("how", how));
        cirron_end(scope);
        execl(self, self, "child", (char *)0);
        _exit(1);
    }
    if (child > 0) waitpid(child, 0, 0);
    sum += work(how + 10 * (child == 0));
    __asm__ volatile("" : "+r"(sum));
    return sum;
}

int main(int argc, char **argv) {
    char go;
    self = argv[0];
    if (argc > 1) return work(30) == 0;
    pid_t first = getpid();
    puts("ready");
    fflush(stdout);
    while (read(0, &go, 1) == 1) {
        long sum = around(1);
        if (getpid() != first) _exit(work(12) == 0);
        sum += around(2);
        printf("%ld\n", sum);
        fflush(stdout);
    }
    return 0;
}
