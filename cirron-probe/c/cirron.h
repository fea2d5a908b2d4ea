/*
 * cirron.h: scopes, marks and requests of a C or C++ program, as USDT probes.
 *
 * One header, nothing to link. Where nobody listens a site is a load and a branch, and its
 * arguments are not evaluated. What the probes say is written down in docs/probes.md.
 *
 *     cirron_scope request = CIRRON_REQUEST("job-7");
 *     cirron_scope scope = CIRRON_BEGIN("preprocess", cirron_int("rows", 3));
 *     CIRRON_MARK(CIRRON_POINT, cirron_int("tokens", 17));
 *     cirron_end(scope);
 *     cirron_end(request);
 *
 * A scope that crosses threads: CIRRON_OPEN, then cirron_enter and cirron_exit on the thread that
 * works for it, cirron_end once. Scopes need not end in the order in which they began.
 *
 * GCC or clang, C99 or C++11, Linux on x86-64 and aarch64. Elsewhere it compiles to nothing.
 * Licensed under Apache-2.0 or MIT.
 */
#ifndef CIRRON_H
#define CIRRON_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* A scope or request; id 0 is one that nobody listened to when it began. */
typedef struct cirron_scope {
    uint64_t id;
} cirron_scope;

/* An attribute of a scope, request or mark. */
typedef struct cirron_attribute {
    const char *key;
    int kind;
    uint64_t word;
    const char *text;
    size_t length;
} cirron_attribute;

enum {
    CIRRON_INT = 1,
    CIRRON_FLOAT = 2,
    CIRRON_BOOL = 3,
    CIRRON_TEXT = 4,
    CIRRON_UINT = 5,
    CIRRON_INDEX = 6,
    CIRRON_LEFT_OUT = 127
};

/* How a scope ended. */
enum { CIRRON_ENDED = 0, CIRRON_FAILED = 1, CIRRON_CANCELLED = 2 };

/* Limits, as the Cirron SDK and the agent have them. */
enum {
    CIRRON_MAX_DEPTH = 64,       /* scopes open on a thread */
    CIRRON_MAX_TEXT = 256,       /* bytes of a text */
    CIRRON_MAX_KEY = 128,        /* bytes of a key */
    CIRRON_MAX_ATTRIBUTES = 512  /* bytes of all attributes of a hit */
};

/* Bits of a mark's kind. */
enum { CIRRON_POINT = 0, CIRRON_SUMMARY = 1 << 8, CIRRON_CUT = 1 << 9 };

/* Reasons of the probe `dropped`. */
enum { CIRRON_TOO_DEEP = 1, CIRRON_NO_KIND = 2 };

static inline cirron_attribute cirron_int(const char *key, int64_t value)
{
    cirron_attribute attribute = {key, CIRRON_INT, (uint64_t)value, NULL, 8};
    return attribute;
}

/* Above the range of int64_t it travels as a number without a sign, else as any integer. */
static inline cirron_attribute cirron_uint(const char *key, uint64_t value)
{
    cirron_attribute attribute = {key, value > (uint64_t)INT64_MAX ? CIRRON_UINT : CIRRON_INT,
                                  value, NULL, 8};
    return attribute;
}

static inline cirron_attribute cirron_float(const char *key, double value)
{
    cirron_attribute attribute = {key, CIRRON_FLOAT, 0, NULL, 8};
    memcpy(&attribute.word, &value, sizeof value);
    return attribute;
}

static inline cirron_attribute cirron_bool(const char *key, int value)
{
    cirron_attribute attribute = {key, CIRRON_BOOL, value != 0, NULL, 1};
    return attribute;
}

/* Text that need not end with 0. */
static inline cirron_attribute cirron_bytes(const char *key, const char *text, size_t length)
{
    cirron_attribute attribute = {key, CIRRON_TEXT, 0, text, text ? length : 0};
    return attribute;
}

static inline cirron_attribute cirron_text(const char *key, const char *text)
{
    return cirron_bytes(key, text, text ? strlen(text) : 0);
}

/* The number of a scope among others of its name. */
static inline cirron_attribute cirron_index(int64_t index)
{
    cirron_attribute attribute = {"", CIRRON_INDEX, (uint64_t)index, NULL, 8};
    return attribute;
}

/* What begins. */
enum cirron_what_ {
    CIRRON_SCOPE_BEGIN_,
    CIRRON_SCOPE_OPEN_,
    CIRRON_REQUEST_BEGIN_,
    CIRRON_REQUEST_OPEN_
};

/* The scope that the thread works for, as the target of a mark. No identity is that high. */
#define CIRRON_CURRENT UINT64_MAX

#if defined(__linux__) && defined(__LP64__) && (defined(__x86_64__) || defined(__aarch64__))
#define CIRRON_LIVE 1
#else
#define CIRRON_LIVE 0
#endif

#if CIRRON_LIVE

#if defined(__x86_64__)
#define CIRRON_NOPS_ ".byte 0x90\n.byte 0x0f,0x1f,0x44,0x00,0x00\n"
#define CIRRON_OPERANDS_1_ "8@%rdi"
#define CIRRON_OPERANDS_2_ "8@%rdi 8@%rsi"
#define CIRRON_OPERANDS_6_ "8@%rdi 8@%rsi 8@%rdx 8@%rcx 8@%r8 8@%r9"
#define CIRRON_OPERANDS_8_ CIRRON_OPERANDS_6_ " 8@8(%rsp) 8@16(%rsp)"
#else
#define CIRRON_NOPS_ "nop\n"
#define CIRRON_OPERANDS_1_ "8@x0"
#define CIRRON_OPERANDS_2_ "8@x0 8@x1"
#define CIRRON_OPERANDS_6_ "8@x0 8@x1 8@x2 8@x3 8@x4 8@x5"
#define CIRRON_OPERANDS_8_ CIRRON_OPERANDS_6_ " 8@x6 8@x7"
#endif

/*
 * Stub, semaphore and note of a probe: one section group under its name, so that the linker keeps
 * one of it in a program or shared object, whichever files bring it (the Rust crate too). The stub
 * is reached by call and keeps nothing on the stack: a tracer that pushes below the stack pointer
 * destroys nothing, which in the middle of a leaf function it would.
 */
#define CIRRON_STUB_(name, operands)                                                              \
    __asm__(".ifndef cirron_probe_" name "\n"                                                     \
            ".pushsection .text.cirron_probe_" name                                               \
            ",\"axG\",@progbits,cirron_probe_" name ",comdat\n"                                   \
            ".weak cirron_probe_" name "\n.hidden cirron_probe_" name "\n"                        \
            ".type cirron_probe_" name ",@function\n.balign 16\n"                                 \
            "cirron_probe_" name ":\n.cfi_startproc\n" CIRRON_NOPS_ "ret\n.cfi_endproc\n"         \
            ".size cirron_probe_" name ",.-cirron_probe_" name "\n.popsection\n"                  \
            ".pushsection .probes,\"awG\",@progbits,cirron_probe_" name ",comdat\n"               \
            ".weak cirron_probe_" name "_semaphore\n.hidden cirron_probe_" name "_semaphore\n"    \
            ".type cirron_probe_" name "_semaphore,@object\n.balign 2\n"                          \
            "cirron_probe_" name "_semaphore:\n.2byte 0\n"                                        \
            ".size cirron_probe_" name "_semaphore,2\n.popsection\n"                              \
            ".ifndef _.stapsdt.base\n"                                                            \
            ".pushsection .stapsdt.base,\"aG\",@progbits,.stapsdt.base,comdat\n"                  \
            ".weak _.stapsdt.base\n.hidden _.stapsdt.base\n"                                      \
            "_.stapsdt.base:\n.space 1\n.size _.stapsdt.base,1\n.popsection\n.endif\n"            \
            ".pushsection .note.stapsdt,\"G\",@note,cirron_probe_" name ",comdat\n.balign 4\n"    \
            ".4byte .Lcirron_" name "_owned-.Lcirron_" name "_owner\n"                            \
            ".4byte .Lcirron_" name "_end-.Lcirron_" name "_content\n.4byte 3\n"                  \
            ".Lcirron_" name "_owner:\n.asciz \"stapsdt\"\n.Lcirron_" name "_owned:\n.balign 4\n" \
            ".Lcirron_" name "_content:\n.8byte cirron_probe_" name "\n.8byte _.stapsdt.base\n"   \
            ".8byte cirron_probe_" name "_semaphore\n"                                            \
            ".asciz \"cirron\"\n.asciz \"" name "\"\n.asciz \"" operands "\"\n"                   \
            ".Lcirron_" name "_end:\n.balign 4\n.popsection\n.endif\n")

CIRRON_STUB_("scope_begin", CIRRON_OPERANDS_6_);
CIRRON_STUB_("scope_open", CIRRON_OPERANDS_6_);
CIRRON_STUB_("request_begin", CIRRON_OPERANDS_6_);
CIRRON_STUB_("request_open", CIRRON_OPERANDS_6_);
CIRRON_STUB_("scope_enter", CIRRON_OPERANDS_1_);
CIRRON_STUB_("scope_exit", CIRRON_OPERANDS_1_);
CIRRON_STUB_("scope_end", CIRRON_OPERANDS_2_);
CIRRON_STUB_("mark", CIRRON_OPERANDS_8_);
CIRRON_STUB_("dropped", CIRRON_OPERANDS_2_);

/* The last identity, of this program or shared object. */
__asm__(".ifndef cirron_probe_ids\n"
        ".pushsection .bss.cirron_probe_ids,\"awG\",@nobits,cirron_probe_ids,comdat\n"
        ".weak cirron_probe_ids\n.hidden cirron_probe_ids\n.type cirron_probe_ids,@object\n"
        ".balign 8\ncirron_probe_ids:\n.zero 8\n.size cirron_probe_ids,8\n.popsection\n.endif\n");

#define CIRRON_HIDDEN_ __attribute__((visibility("hidden")))

#ifdef __cplusplus
extern "C" {
#endif
#define CIRRON_BEGINS_(name)                                                                      \
    extern volatile uint16_t cirron_probe_##name##_semaphore CIRRON_HIDDEN_;                      \
    void cirron_probe_##name(uint64_t, uint64_t, const char *, uint64_t, const char *, uint64_t)  \
        CIRRON_HIDDEN_
CIRRON_BEGINS_(scope_begin);
CIRRON_BEGINS_(scope_open);
CIRRON_BEGINS_(request_begin);
CIRRON_BEGINS_(request_open);
extern volatile uint16_t cirron_probe_scope_enter_semaphore CIRRON_HIDDEN_;
void cirron_probe_scope_enter(uint64_t) CIRRON_HIDDEN_;
extern volatile uint16_t cirron_probe_scope_exit_semaphore CIRRON_HIDDEN_;
void cirron_probe_scope_exit(uint64_t) CIRRON_HIDDEN_;
extern volatile uint16_t cirron_probe_scope_end_semaphore CIRRON_HIDDEN_;
void cirron_probe_scope_end(uint64_t, uint64_t) CIRRON_HIDDEN_;
extern volatile uint16_t cirron_probe_mark_semaphore CIRRON_HIDDEN_;
void cirron_probe_mark(uint64_t, const char *, uint64_t, uint64_t, uint64_t, uint64_t,
                       const char *, uint64_t) CIRRON_HIDDEN_;
extern volatile uint16_t cirron_probe_dropped_semaphore CIRRON_HIDDEN_;
void cirron_probe_dropped(uint64_t, uint64_t) CIRRON_HIDDEN_;
extern uint64_t cirron_probe_ids CIRRON_HIDDEN_;
#ifdef __cplusplus
}
#endif

/* The scopes that a thread works for, the innermost last; one for all files of a program. */
struct cirron_thread_ {
    uint64_t ids[CIRRON_MAX_DEPTH];
    int depth;
};
__attribute__((weak)) CIRRON_HIDDEN_ __thread struct cirron_thread_ cirron_thread_state_;
__attribute__((weak)) CIRRON_HIDDEN_ uint64_t cirron_dropped_totals_[2];

#define CIRRON_COLD_ static __attribute__((noinline, cold, unused))
#define CIRRON_LISTENS(name) __builtin_expect(cirron_probe_##name##_semaphore != 0, 0)

CIRRON_COLD_ void cirron_dropped_(int reason)
{
    uint64_t total = __atomic_add_fetch(&cirron_dropped_totals_[reason - 1], 1, __ATOMIC_RELAXED);
    if (CIRRON_LISTENS(dropped))
        cirron_probe_dropped((uint64_t)reason, total);
}

CIRRON_COLD_ uint64_t cirron_current_(void)
{
    struct cirron_thread_ *thread = &cirron_thread_state_;
    return thread->depth ? thread->ids[thread->depth - 1] : 0;
}

CIRRON_COLD_ int cirron_push_(uint64_t id)
{
    struct cirron_thread_ *thread = &cirron_thread_state_;
    if (thread->depth >= CIRRON_MAX_DEPTH) {
        cirron_dropped_(CIRRON_TOO_DEEP);
        return 0;
    }
    thread->ids[thread->depth++] = id;
    return 1;
}

/* Takes a scope out, wherever it lies: scopes need not end in order. */
CIRRON_COLD_ int cirron_take_(uint64_t id)
{
    struct cirron_thread_ *thread = &cirron_thread_state_;
    int at = thread->depth;
    while (at > 0 && thread->ids[at - 1] != id)
        at--;
    if (at == 0)
        return 0;
    for (; at < thread->depth; at++)
        thread->ids[at - 1] = thread->ids[at];
    thread->depth--;
    return 1;
}

/* The longest beginning of at most `limit` bytes that ends with a whole UTF-8 character. */
CIRRON_COLD_ size_t cirron_cut_(const char *text, size_t length, size_t limit)
{
    if (length <= limit)
        return length;
    size_t end = limit;
    while (end > 0 && limit - end < 4 && ((unsigned char)text[end] & 0xc0) == 0x80)
        end--;
    return limit - end < 4 ? end : limit;
}

/* Attributes of one hit, as bytes. */
struct cirron_packed_ {
    unsigned char bytes[CIRRON_MAX_ATTRIBUTES];
    size_t length;
};

CIRRON_COLD_ void cirron_entry_(struct cirron_packed_ *packed, int kind, const char *key,
                                size_t key_length, const void *value, size_t length)
{
    uint16_t value_length = (uint16_t)length;
    unsigned char *entry = packed->bytes + packed->length;
    entry[0] = (unsigned char)kind;
    entry[1] = (unsigned char)key_length;
    memcpy(entry + 2, &value_length, 2);
    memcpy(entry + 4, key, key_length);
    if (length)
        memcpy(entry + 4 + key_length, value, length);
    packed->length += 4 + key_length + length;
}

CIRRON_COLD_ void cirron_pack_(struct cirron_packed_ *packed, const cirron_attribute *attributes,
                               size_t count)
{
    uint32_t left_out = 0;
    packed->length = 0;
    for (size_t i = 0; i < count; i++) {
        const cirron_attribute *attribute = &attributes[i];
        unsigned char yes = (unsigned char)attribute->word;
        const void *value = &attribute->word;
        size_t length = attribute->length, key_length = strlen(attribute->key);
        key_length = cirron_cut_(attribute->key, key_length, CIRRON_MAX_KEY);
        if (attribute->kind == CIRRON_TEXT) {
            value = attribute->text;
            length = cirron_cut_(attribute->text, length, CIRRON_MAX_TEXT);
        } else if (attribute->kind == CIRRON_BOOL) {
            value = &yes;
        }
        /* The entry that tells what is missing always fits. */
        if (packed->length + 4 + key_length + length + 8 > CIRRON_MAX_ATTRIBUTES)
            left_out++;
        else
            cirron_entry_(packed, attribute->kind, attribute->key, key_length, value, length);
    }
    if (left_out)
        cirron_entry_(packed, CIRRON_LEFT_OUT, "", 0, &left_out, sizeof left_out);
}

/* Hits the probe of what begins. */
CIRRON_COLD_ void cirron_hit_(enum cirron_what_ what, uint64_t id, uint64_t parent,
                              const char *name, uint64_t length, const char *attributes,
                              uint64_t attributes_length)
{
    switch (what) {
    case CIRRON_SCOPE_BEGIN_:
        cirron_probe_scope_begin(id, parent, name, length, attributes, attributes_length);
        break;
    case CIRRON_SCOPE_OPEN_:
        cirron_probe_scope_open(id, parent, name, length, attributes, attributes_length);
        break;
    case CIRRON_REQUEST_BEGIN_:
        cirron_probe_request_begin(id, parent, name, length, attributes, attributes_length);
        break;
    case CIRRON_REQUEST_OPEN_:
        cirron_probe_request_open(id, parent, name, length, attributes, attributes_length);
        break;
    }
}

CIRRON_COLD_ uint64_t cirron_next_id_(void)
{
    return __atomic_add_fetch(&cirron_probe_ids, 1, __ATOMIC_RELAXED);
}

CIRRON_COLD_ cirron_scope cirron_start_(enum cirron_what_ what, const char *name,
                                        const cirron_attribute *attributes, size_t count)
{
    cirron_scope scope = {0};
    struct cirron_packed_ packed;
    int begins = what == CIRRON_SCOPE_BEGIN_ || what == CIRRON_REQUEST_BEGIN_;
    int request = what == CIRRON_REQUEST_BEGIN_ || what == CIRRON_REQUEST_OPEN_;
    uint64_t parent = request ? 0 : cirron_current_();
    if (begins && cirron_thread_state_.depth >= CIRRON_MAX_DEPTH) {
        cirron_dropped_(CIRRON_TOO_DEEP);
        return scope;
    }
    scope.id = cirron_next_id_();
    if (begins)
        cirron_push_(scope.id);
    cirron_pack_(&packed, attributes, count);
    cirron_hit_(what, scope.id, parent, name, name ? strlen(name) : 0, (const char *)packed.bytes,
                packed.length);
    return scope;
}

CIRRON_COLD_ void cirron_tell_(uint64_t scope, int flags, cirron_attribute value,
                               const cirron_attribute *attributes, size_t count)
{
    struct cirron_packed_ packed;
    uint64_t kind = (uint64_t)(value.kind | flags), word = value.word, length = 0;
    if (scope == CIRRON_CURRENT)
        scope = cirron_current_();
    else if (scope == 0)
        return; /* Nobody knows the scope that was named. */
    if (value.kind == CIRRON_TEXT) {
        length = cirron_cut_(value.text, value.length, CIRRON_MAX_TEXT);
        if (length < value.length)
            kind |= CIRRON_CUT;
        word = (uint64_t)(uintptr_t)value.text;
    }
    cirron_pack_(&packed, attributes, count);
    cirron_probe_mark(scope, value.key, strlen(value.key), kind, word, length,
                      (const char *)packed.bytes, packed.length);
}

CIRRON_COLD_ void cirron_end_(cirron_scope scope, int outcome)
{
    /* It may have been entered more than once. */
    while (cirron_take_(scope.id)) {
    }
    if (CIRRON_LISTENS(scope_end))
        cirron_probe_scope_end(scope.id, (uint64_t)outcome);
}

CIRRON_COLD_ void cirron_enter_(cirron_scope scope)
{
    if (cirron_push_(scope.id) && CIRRON_LISTENS(scope_enter))
        cirron_probe_scope_enter(scope.id);
}

CIRRON_COLD_ void cirron_exit_(cirron_scope scope)
{
    if (cirron_take_(scope.id) && CIRRON_LISTENS(scope_exit))
        cirron_probe_scope_exit(scope.id);
}

#else /* nothing to tell, nobody to listen */

#define CIRRON_LISTENS(name) 0
static inline cirron_scope cirron_start_(enum cirron_what_ what, const char *name,
                                         const cirron_attribute *attributes, size_t count)
{
    cirron_scope scope = {0};
    (void)what, (void)name, (void)attributes, (void)count;
    return scope;
}
static inline void cirron_tell_(uint64_t scope, int flags, cirron_attribute value,
                                const cirron_attribute *attributes, size_t count)
{
    (void)scope, (void)flags, (void)value, (void)attributes, (void)count;
}
static inline void cirron_end_(cirron_scope scope, int outcome) { (void)scope, (void)outcome; }
static inline void cirron_enter_(cirron_scope scope) { (void)scope; }
static inline void cirron_exit_(cirron_scope scope) { (void)scope; }

#endif /* CIRRON_LIVE */

/* Ends a scope or request, on any thread, once. */
static inline void cirron_end(cirron_scope scope)
{
    if (scope.id)
        cirron_end_(scope, CIRRON_ENDED);
}

/* The same, and says how: CIRRON_FAILED, CIRRON_CANCELLED. */
static inline void cirron_end_as(cirron_scope scope, int outcome)
{
    if (scope.id)
        cirron_end_(scope, outcome);
}

/* This thread works for the scope from here on. */
static inline void cirron_enter(cirron_scope scope)
{
    if (scope.id)
        cirron_enter_(scope);
}

/* This thread works for the scope no more. */
static inline void cirron_exit(cirron_scope scope)
{
    if (scope.id)
        cirron_exit_(scope);
}

/* Attributes follow: cirron_int("rows", 3), cirron_text("model", name), cirron_index(i), ... */
#ifdef __cplusplus
#include <initializer_list>
static inline cirron_scope cirron_start_all_(cirron_what_ what, const char *name,
                                             std::initializer_list<cirron_attribute> all)
{
    return cirron_start_(what, name, all.begin(), all.size());
}
static inline void cirron_tell_all_(uint64_t scope, int flags, cirron_attribute value,
                                    std::initializer_list<cirron_attribute> all)
{
    cirron_tell_(scope, flags, value, all.begin(), all.size());
}
#define CIRRON_START_(what, name, ...) cirron_start_all_(what, name, {__VA_ARGS__})
#define CIRRON_TELL_(scope, flags, value, ...) cirron_tell_all_(scope, flags, value, {__VA_ARGS__})
#define CIRRON_INERT_ cirron_scope()
#else
/* The first one stands for none, which an array of C cannot be. */
#define CIRRON_LIST_(...) ((cirron_attribute[]){{"", 0, 0, NULL, 0}, __VA_ARGS__})
#define CIRRON_COUNT_(...) (sizeof CIRRON_LIST_(__VA_ARGS__) / sizeof(cirron_attribute) - 1)
#define CIRRON_START_(what, name, ...)                                                            \
    cirron_start_(what, name, CIRRON_LIST_(__VA_ARGS__) + 1, CIRRON_COUNT_(__VA_ARGS__))
#define CIRRON_TELL_(scope, flags, value, ...)                                                    \
    cirron_tell_(scope, flags, value, CIRRON_LIST_(__VA_ARGS__) + 1, CIRRON_COUNT_(__VA_ARGS__))
#define CIRRON_INERT_ ((cirron_scope){0})
#endif

/* Begins a scope under the current one; this thread works for it. CIRRON_BEGIN(name, attributes...) */
#define CIRRON_BEGIN(name, ...)                                                                   \
    (CIRRON_LISTENS(scope_begin) ? CIRRON_START_(CIRRON_SCOPE_BEGIN_, name, __VA_ARGS__)          \
                                 : CIRRON_INERT_)

/* Begins a scope that no thread works for yet: see cirron_enter. */
#define CIRRON_OPEN(name, ...)                                                                    \
    (CIRRON_LISTENS(scope_open) ? CIRRON_START_(CIRRON_SCOPE_OPEN_, name, __VA_ARGS__)            \
                                : CIRRON_INERT_)

/* Begins a request, a root; its id is a text, or NULL. This thread works for it. */
#define CIRRON_REQUEST(id, ...)                                                                   \
    (CIRRON_LISTENS(request_begin) ? CIRRON_START_(CIRRON_REQUEST_BEGIN_, id, __VA_ARGS__)        \
                                   : CIRRON_INERT_)

/* The same, and no thread works for it yet. */
#define CIRRON_OPEN_REQUEST(id, ...)                                                              \
    (CIRRON_LISTENS(request_open) ? CIRRON_START_(CIRRON_REQUEST_OPEN_, id, __VA_ARGS__)          \
                                  : CIRRON_INERT_)

/* A value of the current scope; its key is the mark's name. CIRRON_MARK(CIRRON_SUMMARY, cirron_int("tokens", 17)) */
#define CIRRON_MARK(flags, value, ...)                                                            \
    (CIRRON_LISTENS(mark) ? CIRRON_TELL_(CIRRON_CURRENT, flags, value, __VA_ARGS__) : (void)0)

/* A value of the scope that is named. */
#define CIRRON_MARK_ON(scope, flags, value, ...)                                                  \
    (CIRRON_LISTENS(mark) ? CIRRON_TELL_((scope).id, flags, value, __VA_ARGS__) : (void)0)

#endif /* CIRRON_H */
