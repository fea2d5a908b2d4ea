/*
 * The addon of the Node package: the probes of cirron.h by Node-API, whose interface does not change
 * with Node's version. Only hits; whose scope it is, is known by index.js.
 */
#include "cirron.h"

#include <node_api.h>

#if !CIRRON_LIVE
#error "probes are there on Linux on x86-64 and aarch64 alone"
#endif

/* What is read of a name; the agent cuts at 128. */
enum { MAX_NAME = 1024 };

static size_t text_of(napi_env env, napi_value value, char *text, size_t room)
{
    size_t length = 0;
    if (napi_get_value_string_utf8(env, value, text, room, &length) != napi_ok)
        return 0;
    return length;
}

static uint64_t number_of(napi_env env, napi_value value)
{
    int64_t number = 0;
    napi_get_value_int64(env, value, &number);
    return (uint64_t)number;
}

/* Packed attributes; none where there is no buffer. */
static const char *attributes_of(napi_env env, napi_value value, size_t *length)
{
    void *bytes = NULL;
    bool is_buffer = false;
    *length = 0;
    if (napi_is_buffer(env, value, &is_buffer) == napi_ok && is_buffer)
        napi_get_buffer_info(env, value, &bytes, length);
    return (const char *)bytes;
}

/* start(what, parent, name, attributes): the identity. A name that is no string is none. */
static napi_value start(napi_env env, napi_callback_info info)
{
    napi_value arguments[4], result;
    size_t count = 4, attributes_length;
    char name[MAX_NAME];
    napi_valuetype type;
    napi_get_cb_info(env, info, &count, arguments, NULL, NULL);
    uint64_t what = number_of(env, arguments[0]);
    size_t length = text_of(env, arguments[2], name, sizeof name);
    napi_typeof(env, arguments[2], &type);
    const char *attributes = attributes_of(env, arguments[3], &attributes_length);
    uint64_t id = cirron_next_id_();
    cirron_hit_((enum cirron_what_)what, id, number_of(env, arguments[1]),
                type == napi_string ? name : NULL, length, attributes, attributes_length);
    napi_create_int64(env, (int64_t)id, &result);
    return result;
}

/* end(id, outcome) */
static napi_value end(napi_env env, napi_callback_info info)
{
    napi_value arguments[2];
    size_t count = 2;
    napi_get_cb_info(env, info, &count, arguments, NULL, NULL);
    if (CIRRON_LISTENS(scope_end))
        cirron_probe_scope_end(number_of(env, arguments[0]), number_of(env, arguments[1]));
    return NULL;
}

/* tell(scope, name, kind, value, attributes): the value is a string, else 8 bytes. */
static napi_value tell(napi_env env, napi_callback_info info)
{
    napi_value arguments[5];
    size_t count = 5, attributes_length, value_length;
    char name[MAX_NAME];
    uint64_t word = 0, length = 0;
    napi_get_cb_info(env, info, &count, arguments, NULL, NULL);
    uint64_t kind = number_of(env, arguments[2]);
    size_t name_length = text_of(env, arguments[1], name, sizeof name);
    const char *value = attributes_of(env, arguments[3], &value_length);
    if ((kind & 0xff) == CIRRON_TEXT) {
        word = (uint64_t)(uintptr_t)value;
        length = value_length;
    } else if (value_length == sizeof word) {
        memcpy(&word, value, sizeof word);
    }
    const char *attributes = attributes_of(env, arguments[4], &attributes_length);
    cirron_probe_mark(number_of(env, arguments[0]), name, name_length, kind, word, length,
                      attributes, attributes_length);
    return NULL;
}

/* leftOut(reason) */
static napi_value left_out(napi_env env, napi_callback_info info)
{
    napi_value argument;
    size_t count = 1;
    napi_get_cb_info(env, info, &count, &argument, NULL, NULL);
    uint64_t reason = number_of(env, argument);
    if (reason == CIRRON_TOO_DEEP || reason == CIRRON_NO_KIND)
        cirron_dropped_((int)reason);
    return NULL;
}

static void function(napi_env env, napi_value exports, const char *name, napi_callback callback)
{
    napi_value value;
    if (napi_create_function(env, name, NAPI_AUTO_LENGTH, callback, NULL, &value) == napi_ok)
        napi_set_named_property(env, exports, name, value);
}

/* Two bytes of memory that a script reads without a call. */
static void semaphore(napi_env env, napi_value exports, const char *name, volatile uint16_t *at)
{
    napi_value memory, array;
    if (napi_create_external_arraybuffer(env, (void *)at, sizeof *at, NULL, NULL, &memory) == napi_ok &&
        napi_create_typedarray(env, napi_uint16_array, 1, memory, 0, &array) == napi_ok)
        napi_set_named_property(env, exports, name, array);
}

NAPI_MODULE_INIT()
{
    function(env, exports, "start", start);
    function(env, exports, "end", end);
    function(env, exports, "tell", tell);
    function(env, exports, "leftOut", left_out);
    semaphore(env, exports, "scopeOpen", &cirron_probe_scope_open_semaphore);
    semaphore(env, exports, "requestOpen", &cirron_probe_request_open_semaphore);
    semaphore(env, exports, "mark", &cirron_probe_mark_semaphore);
    return exports;
}
