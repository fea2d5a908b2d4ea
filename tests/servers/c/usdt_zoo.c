/* Probes written by hand, as sdt.h would: a program for tests. It steps as often as its first argument says. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define PROBE(provider, name, semaphore, arguments, ...)                                                     \
    __asm__ volatile("990: nop\n"                                                                            \
                     ".pushsection .note.stapsdt,\"\",\"note\"\n"                                            \
                     ".balign 4\n.4byte 992f-991f,994f-993f,3\n"                                             \
                     "991: .asciz \"stapsdt\"\n992: .balign 4\n"                                             \
                     "993: .8byte 990b,_.stapsdt.base," semaphore "\n"                                       \
                     ".asciz \"" provider "\"\n.asciz \"" name "\"\n.asciz \"" arguments "\"\n"              \
                     "994: .balign 4\n.popsection\n"                                                         \
                     ".ifndef _.stapsdt.base\n"                                                              \
                     ".pushsection .stapsdt.base,\"aG\",\"progbits\",.stapsdt.base,comdat\n"                 \
                     ".weak _.stapsdt.base\n.hidden _.stapsdt.base\n"                                        \
                     "_.stapsdt.base: .space 1\n.size _.stapsdt.base,1\n.popsection\n.endif\n"               \
                     : : __VA_ARGS__)

__attribute__((section(".probes"), used)) volatile unsigned short zoo_step_semaphore;
__attribute__((used)) unsigned zoo_flag = 77;

__attribute__((noinline)) static void step(int n, const char *text, double half)
{
    long words[4] = { 0, -5, 0, 0 };
    if (zoo_step_semaphore)
        PROBE("zoo", "step__start", "zoo_step_semaphore", "-4@%0 8@%1", "r"(n), "r"(text));
    PROBE("zoo", "forms", "0", "-4@$-7 4@zoo_flag(%%rip) 8@(%1,%2,8) -1@%b0 8f@%3",
          "q"(n), "r"(words), "r"(1L), "m"(half), "m"(words));
    PROBE("zoo", "odd", "0", "8f@%0", "x"(half));
    PROBE("zoo", "step__done", "0", "-4@%0", "r"(n));
}

int main(int argc, char **argv)
{
    char text[512], go;
    snprintf(text, sizeof text, "text of %d", getpid());
    long times = argc > 1 ? atol(argv[1]) : 1;
    printf("%u\n", zoo_step_semaphore);
    fflush(stdout);
    while (read(0, &go, 1) == 1) {
        for (long n = 0; n < times; n++)
            step((int)n - 1, text, 0.5);
        printf("%u\n", zoo_step_semaphore);
        fflush(stdout);
    }
    return 0;
}
