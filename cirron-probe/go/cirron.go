// Package cirron tells cirron-agent of scopes, marks and requests by USDT probes.
//
//	ctx, end := cirron.Scope(ctx, "preprocess", cirron.Int("rows", 3))
//	defer end()
//	cirron.Mark(ctx, "tokens", 17)
//
// The current scope travels in the context, as goroutines have no identity and move between threads:
// every scope names its parent and every mark its scope, and no thread is claimed for one. Where nobody
// listens a call is a load and a branch, and its arguments are evaluated all the same: Go has no macros.
//
// It needs cgo: the probes are those of cirron.h, in the program itself.
package cirron

/*
#include "cirron.h"

#if CIRRON_LIVE
static uint64_t start(int what, uint64_t parent, const char *name, size_t length,
                      const char *attributes, size_t attributes_length)
{
    uint64_t id = cirron_next_id_();
    cirron_hit_((enum cirron_what_)what, id, parent, name, length, attributes, attributes_length);
    return id;
}

static void end(uint64_t id, int outcome)
{
    if (CIRRON_LISTENS(scope_end))
        cirron_probe_scope_end(id, (uint64_t)outcome);
}

static void tell(uint64_t scope, const char *name, size_t length, uint64_t kind, uint64_t word,
                 const char *text, size_t text_length, const char *attributes,
                 size_t attributes_length)
{
    cirron_probe_mark(scope, name, length, kind, text ? (uint64_t)(uintptr_t)text : word,
                      text_length, attributes, attributes_length);
}

static void too_deep(void) { cirron_dropped_(CIRRON_TOO_DEEP); }
#else
static uint16_t silence;
#define cirron_probe_scope_open_semaphore silence
#define cirron_probe_request_open_semaphore silence
#define cirron_probe_mark_semaphore silence
static uint64_t start(int what, uint64_t parent, const char *name, size_t length,
                      const char *attributes, size_t attributes_length) { return 0; }
static void end(uint64_t id, int outcome) {}
static void tell(uint64_t scope, const char *name, size_t length, uint64_t kind, uint64_t word,
                 const char *text, size_t text_length, const char *attributes,
                 size_t attributes_length) {}
static void too_deep(void) {}
#endif

static const volatile uint16_t *scope_open(void) { return &cirron_probe_scope_open_semaphore; }
static const volatile uint16_t *request_open(void) { return &cirron_probe_request_open_semaphore; }
static const volatile uint16_t *mark(void) { return &cirron_probe_mark_semaphore; }
*/
import "C"

import (
	"context"
	"sync/atomic"
	"unsafe"
)

// maxDepth is how many scopes can be open within one another, as in the Cirron SDK.
const maxDepth = 64

var (
	scopeOpen   = (*uint16)(unsafe.Pointer(C.scope_open()))
	requestOpen = (*uint16)(unsafe.Pointer(C.request_open()))
	marks       = (*uint16)(unsafe.Pointer(C.mark()))
)

type key struct{}

// node is a scope that somebody listened to when it began.
type node struct {
	id    uint64
	up    *node
	depth int
	ended atomic.Bool
}

// innermost is the nearest scope of the context that has not ended.
func innermost(ctx context.Context) *node {
	at, _ := ctx.Value(key{}).(*node)
	for at != nil && at.ended.Load() {
		at = at.up
	}
	return at
}

func nothing() {}

// Scope begins a scope under the context's. What is called at the end ends it, once, on any goroutine.
func Scope(ctx context.Context, name string, attributes ...Attribute) (context.Context, func()) {
	if *scopeOpen == 0 {
		return ctx, nothing
	}
	up := innermost(ctx)
	if up == nil {
		return begin(ctx, C.CIRRON_SCOPE_OPEN_, 0, &node{depth: 1}, name, attributes)
	}
	if up.depth >= maxDepth {
		C.too_deep()
		return ctx, nothing
	}
	return begin(ctx, C.CIRRON_SCOPE_OPEN_, up.id, &node{up: up, depth: up.depth + 1}, name, attributes)
}

// Request begins a request, for code that serves no HTTP: a root. With an empty id the tracer makes one.
func Request(ctx context.Context, id string, attributes ...Attribute) (context.Context, func()) {
	if *requestOpen == 0 {
		return ctx, nothing
	}
	return begin(ctx, C.CIRRON_REQUEST_OPEN_, 0, &node{depth: 1}, id, attributes)
}

func begin(ctx context.Context, what C.int, parent uint64, at *node, name string, attributes []Attribute) (context.Context, func()) {
	packed := pack(attributes)
	at.id = uint64(C.start(what, C.uint64_t(parent), chars(name), C.size_t(len(name)),
		bytes(packed), C.size_t(len(packed))))
	end := func() {
		if !at.ended.Swap(true) {
			C.end(C.uint64_t(at.id), 0)
		}
	}
	return context.WithValue(ctx, key{}, at), end
}

// Mark attaches a value to the context's scope: an integer, a float, a boolean or a string.
func Mark[V Value](ctx context.Context, name string, value V, attributes ...Attribute) {
	if *marks != 0 {
		tell(ctx, 0, attributeOf(name, value), attributes)
	}
}

// Summary is a mark that is the value of the whole scope.
func Summary[V Value](ctx context.Context, name string, value V, attributes ...Attribute) {
	if *marks != 0 {
		tell(ctx, C.CIRRON_SUMMARY, attributeOf(name, value), attributes)
	}
}

func tell(ctx context.Context, flags uint64, value Attribute, attributes []Attribute) {
	var scope uint64
	if at := innermost(ctx); at != nil {
		scope = at.id
	}
	bits := flags | uint64(value.kind)
	var text *C.char
	kept := cut(value.text, maxText)
	if value.kind == kindText {
		if text = chars(kept); text == nil {
			text = chars("\x00")
		}
		if len(kept) < len(value.text) {
			bits |= C.CIRRON_CUT
		}
	}
	packed := pack(attributes)
	C.tell(C.uint64_t(scope), chars(value.key), C.size_t(len(value.key)), C.uint64_t(bits),
		C.uint64_t(value.word), text, C.size_t(len(kept)), bytes(packed), C.size_t(len(packed)))
}

func chars(text string) *C.char {
	return (*C.char)(unsafe.Pointer(unsafe.StringData(text)))
}

func bytes(packed []byte) *C.char {
	return (*C.char)(unsafe.Pointer(unsafe.SliceData(packed)))
}
