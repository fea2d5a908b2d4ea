// The scripted model on net/http: `scripted HOST:PORT`, over HTTPS with TLS_CERT and TLS_KEY, without
// these HTTP/2 by prior knowledge with HTTP2. See ../python/script.py. `scripted client URL` is a client of such a server, see client.go; `scripted gateway` asks others, see gateway.go.
package main

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"
)

const word = "zq7canary"

type object = map[string]any

type request struct {
	Model         string  `json:"model"`
	Stream        bool    `json:"stream"`
	Tokens        *int    `json:"x_tokens"`
	PromptTokens  *int    `json:"x_prompt_tokens"`
	TTFT          float64 `json:"x_ttft_ms"`
	Interval      float64 `json:"x_interval_ms"`
	Status        int     `json:"x_status"`
	Usage         *bool   `json:"x_usage"`
	StreamOptions struct {
		IncludeUsage bool `json:"include_usage"`
	} `json:"stream_options"`
}

var (
	truth *os.File
	mutex sync.Mutex
)

func log(r *http.Request, start time.Time, facts object) {
	line := object{"method": r.Method, "path": r.URL.Path, "status": 200, "pid": os.Getpid(), "start_wall_ns": start.UnixNano(),
		"duration_ns": time.Since(start).Nanoseconds(), "llm": false, "stream": false, "whole": true}
	for k, v := range facts {
		line[k] = v
	}
	text, _ := json.Marshal(line)
	mutex.Lock()
	defer mutex.Unlock()
	truth.Write(append(text, '\n'))
}

func or(p *int, d int) int {
	if p == nil {
		return d
	}
	return *p
}

func wait(ms float64) {
	if ms > 0 {
		time.Sleep(time.Duration(ms * float64(time.Millisecond)))
	}
}

func answer(w http.ResponseWriter, status int, body object) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Reply", word)
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(body)
}

func v1(w http.ResponseWriter, r *http.Request) {
	start := time.Now()
	var b request
	if err := json.NewDecoder(r.Body).Decode(&b); err != nil {
		answer(w, 400, object{"error": object{"message": err.Error(), "type": "invalid_request_error"}})
		return
	}
	kind := map[string]string{"chat/completions": "chat", "completions": "text", "embeddings": "embeddings"}[strings.TrimPrefix(r.URL.Path, "/v1/")]
	raw := make([]byte, 16)
	rand.Read(raw)
	id := fmt.Sprintf("chatcmpl-%x", raw)
	tokens, prompt := or(b.Tokens, 5), or(b.PromptTokens, 7)
	withUsage := !b.Stream || b.StreamOptions.IncludeUsage
	if b.Usage != nil {
		withUsage = *b.Usage
	}
	usage := object{"prompt_tokens": prompt, "completion_tokens": tokens, "total_tokens": prompt + tokens}
	facts := object{"llm": true, "stream": b.Stream, "model": b.Model, "kind": kind}
	if b.Status >= 400 {
		wait(b.TTFT)
		typ := "invalid_request_error"
		if b.Status >= 500 {
			typ = "server_error"
		}
		answer(w, b.Status, object{"error": object{"message": "scripted " + word, "type": typ, "code": "scripted"}})
		facts["status"] = b.Status
		log(r, start, facts)
		return
	}
	facts["id"], facts["prompt_tokens"], facts["tokens"], facts["usage"] = id, prompt, tokens, withUsage
	base := object{"id": id, "created": 1, "model": b.Model, "object": "chat.completion"}
	if !b.Stream {
		wait(b.TTFT)
		text := ""
		for i := 0; i < tokens; i++ {
			text += fmt.Sprintf("%s%d ", word, i)
		}
		switch kind {
		case "embeddings":
			base = object{"object": "list", "model": b.Model, "data": []object{{"object": "embedding", "index": 0, "embedding": []float64{0.25}}}}
			usage = object{"prompt_tokens": prompt, "total_tokens": prompt}
			facts["id"], facts["usage"] = nil, false
		case "text":
			base["object"] = "text_completion"
			base["choices"] = []object{{"index": 0, "text": text, "finish_reason": "stop"}}
		default:
			base["choices"] = []object{{"index": 0, "message": object{"role": "assistant", "content": text}, "finish_reason": "stop"}}
		}
		if withUsage {
			base["usage"] = usage
		}
		answer(w, 200, base)
		log(r, start, facts)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	base["object"] = "chat.completion.chunk"
	if kind == "text" {
		base["object"] = "text_completion"
	}
	flusher := w.(http.Flusher)
	send := func(choices []object) {
		base["choices"] = choices
		line, _ := json.Marshal(base)
		fmt.Fprintf(w, "data: %s\n\n", line)
		flusher.Flush()
	}
	choice := func(text string, delta object, finish any) []object {
		if kind == "text" {
			return []object{{"index": 0, "text": text, "finish_reason": finish}}
		}
		return []object{{"index": 0, "delta": delta, "finish_reason": finish}}
	}
	if kind != "text" {
		send(choice("", object{"role": "assistant", "content": ""}, nil))
	}
	for i := 0; i < tokens; i++ {
		if i == 0 {
			wait(b.TTFT)
			facts["ttft_ns"] = time.Since(start).Nanoseconds()
		} else {
			wait(b.Interval)
		}
		text := fmt.Sprintf("%s%d ", word, i)
		send(choice(text, object{"content": text}, nil))
	}
	send(choice("", object{}, "length"))
	if withUsage {
		base["usage"] = usage
		send([]object{})
	}
	fmt.Fprint(w, "data: [DONE]\n\n")
	log(r, start, facts)
}

func main() {
	if os.Args[1] == "client" {
		client(os.Args[2])
		return
	}
	if os.Args[1] == "gateway" {
		gateway(os.Args[2])
		return
	}
	truth, _ = os.OpenFile(os.Getenv("TRUTH_FILE"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	http.HandleFunc("/health", func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		answer(w, 200, object{"ok": true})
		log(r, start, nil)
	})
	http.HandleFunc("/v1/", v1)
	var err error
	if cert := os.Getenv("TLS_CERT"); cert != "" {
		err = http.ListenAndServeTLS(os.Args[1], cert, os.Getenv("TLS_KEY"), nil)
	} else {
		server := &http.Server{Addr: os.Args[1], Protocols: new(http.Protocols)}
		server.Protocols.SetHTTP1(true)
		server.Protocols.SetUnencryptedHTTP2(os.Getenv("HTTP2") != "")
		err = server.ListenAndServe()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
