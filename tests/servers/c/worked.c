// A library that handlers call: `outer` calls `work`, and each takes some milliseconds.
#include <unistd.h>

int __attribute__((noinline)) work(int n) {
    usleep(3000);
    return n + 1;
}

int __attribute__((noinline)) outer(int n) {
    usleep(1000);
    int result = work(n);
    usleep(500);
    return result * 2;
}
