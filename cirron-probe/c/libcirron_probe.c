/*
 * libcirron_probe.so: the probes behind a C interface, for languages that load a library.
 *
 * Only hits: who the parent is, what a thread or a task works for and how deep it nests is known by
 * the language above. A caller reads the semaphore itself, and calls nothing while it is 0.
 *
 *     cc -O2 -fPIC -shared -o libcirron_probe.so libcirron_probe.c
 */
#include "cirron.h"

#if !CIRRON_LIVE
#error "probes are there on Linux on x86-64 and aarch64 alone"
#endif

#define EXPORTED __attribute__((visibility("default")))

/* The version of this interface: functions are added, and never changed. */
EXPORTED int cirron_probe_interface(void)
{
    return 1;
}

/* Where the semaphore of a probe is, by the probe's name. NULL: no such probe. */
EXPORTED const volatile uint16_t *cirron_probe_semaphore(const char *name)
{
#define SEMAPHORE(probe)                                                                          \
    if (strcmp(name, #probe) == 0)                                                                \
    return &cirron_probe_##probe##_semaphore
    SEMAPHORE(scope_begin);
    SEMAPHORE(scope_open);
    SEMAPHORE(request_begin);
    SEMAPHORE(request_open);
    SEMAPHORE(scope_enter);
    SEMAPHORE(scope_exit);
    SEMAPHORE(scope_end);
    SEMAPHORE(mark);
    SEMAPHORE(dropped);
    return NULL;
}

/* Begins what `what` says: 0 scope_begin, 1 scope_open, 2 request_begin, 3 request_open. Attributes
 * are packed as docs/probes.md says. Returns the identity. */
EXPORTED uint64_t cirron_probe_start(int what, uint64_t parent, const char *name, uint64_t length,
                                     const char *attributes, uint64_t attributes_length)
{
    uint64_t id = cirron_next_id_();
    cirron_hit_((enum cirron_what_)what, id, parent, name, length, attributes, attributes_length);
    return id;
}

EXPORTED void cirron_probe_end(uint64_t id, uint64_t outcome)
{
    if (CIRRON_LISTENS(scope_end))
        cirron_probe_scope_end(id, outcome);
}

EXPORTED void cirron_probe_enter(uint64_t id)
{
    if (CIRRON_LISTENS(scope_enter))
        cirron_probe_scope_enter(id);
}

EXPORTED void cirron_probe_exit(uint64_t id)
{
    if (CIRRON_LISTENS(scope_exit))
        cirron_probe_scope_exit(id);
}

/* A mark whose arguments are those of the probe. */
EXPORTED void cirron_probe_tell(uint64_t scope, const char *name, uint64_t length, uint64_t kind,
                                uint64_t value, uint64_t value_length, const char *attributes,
                                uint64_t attributes_length)
{
    cirron_probe_mark(scope, name, length, kind, value, value_length, attributes,
                      attributes_length);
}

/* A mark whose value is a text. */
EXPORTED void cirron_probe_tell_text(uint64_t scope, const char *name, uint64_t length,
                                     uint64_t kind, const char *text, uint64_t text_length,
                                     const char *attributes, uint64_t attributes_length)
{
    cirron_probe_mark(scope, name, length, kind, (uint64_t)(uintptr_t)text, text_length,
                      attributes, attributes_length);
}

/* Counts what was left out, and tells it: 1 too deep, 2 a value of no kind. */
EXPORTED void cirron_probe_left_out(int reason)
{
    if (reason == CIRRON_TOO_DEEP || reason == CIRRON_NO_KIND)
        cirron_dropped_(reason);
}
