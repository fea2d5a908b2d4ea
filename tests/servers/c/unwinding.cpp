// What leaves functions without their returns: exceptions, longjmp, a thread that exits, a process that aborts.
// One step for each byte that it reads; `a` aborts.
#include <csetjmp>
#include <cstdio>
#include <cstdlib>
#include <pthread.h>
#include <unistd.h>

// No function is made part of another one, none is dropped, and none ends in another one.
#define KEPT extern "C" __attribute__((noipa))
#define BEHIND(value) __asm__ volatile("" : "+r"(value))

static thread_local jmp_buf back;

KEPT long leaf(long n) { BEHIND(n); return n + 1; }

/* Not followed, and deeper in the stack than a frame that was left. It writes nothing there. */
KEPT long deep(long n) {
    volatile char room[4096];
    BEHIND(n);
    n = leaf(n);
    return n + (n < 0 ? room[n & 63] : 0);
}

KEPT long throws(long n) {
    if (n > 0) throw n;
    n = leaf(n);
    BEHIND(n);
    return n;
}

KEPT long passes(long n) {
    n = throws(n);
    BEHIND(n);
    return n;
}

KEPT long catches(long n) {
    long got;
    try { got = passes(n); } catch (long thrown) { got = thrown + leaf(thrown); }
    got = deep(got);
    BEHIND(got);
    return got;
}

KEPT long jumps(long n) {
    if (n > 0) longjmp(back, 1);
    n = leaf(n);
    BEHIND(n);
    return n;
}

KEPT long lands(long n) {
    volatile long got = n;
    if (setjmp(back) == 0) got = jumps(n);
    long deeper = deep(got);
    BEHIND(deeper);
    return deeper;
}

KEPT long exits(long n) {
    if (n > 0) pthread_exit(nullptr);
    n = leaf(n);
    BEHIND(n);
    return n;
}

KEPT long around_exit(long n) {
    n = exits(n);
    BEHIND(n);
    return n;
}

KEPT long aborts(long n) {
    if (n > 0) abort();
    n = leaf(n);
    BEHIND(n);
    return n;
}

/* Called until it is thinned: one of 64 calls throws. Both of its ends are cheap to watch. */
KEPT long often(long n) {
    if (n % 64 == 1) throw n;
    __asm__ volatile("nop" : "+a"(n));
    return n;
}

KEPT void forever() {
    char go;
    puts("ready");
    fflush(stdout);
    while (true) {
        if (read(0, &go, 1) != 1) _exit(0);
        long sum = catches(1) + catches(0) + lands(1) + lands(0);
        pthread_t thread;
        pthread_create(&thread, nullptr, [](void *) -> void * { around_exit(1); return nullptr; }, nullptr);
        pthread_join(thread, nullptr);
        if (go == 'o')
            for (long n = 0; n < 30000; n++)
                try { sum += often(n); } catch (long) { }
        sum += leaf(sum);
        printf("%ld\n", sum);
        fflush(stdout);
        if (go == 'a') aborts(1);
    }
}

int main() { forever(); }
