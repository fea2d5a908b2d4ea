package main

import (
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"
)

// A service that asks a model for each request: `scripted gateway HOST:PORT`, over HTTPS with TLS_CERT and TLS_KEY. UPSTREAM
// names the model's server, which may be another one of these. Numbers in paths tell whose call is whose.
//
//	/ask/ID      the handler asks /v1/ID/chat/completions
//	/fan/ID      three goroutines of the handler ask that, each once
//	/queue/ID    a goroutine that the first such request started asks it, and all that come later
//	/behind/ID   a goroutine of the handler asks it when the answer has gone
//	/work/ID     the handler works through functions of its own, then asks
var upstream = os.Getenv("UPSTREAM")
var asker = &http.Client{Transport: &http.Transport{
	MaxIdleConnsPerHost: 8,
	TLSClientConfig:     &tls.Config{NextProtos: []string{"http/1.1"}},
}}

const question = `{"model": "m", "messages": [{"role": "user", "content": "x"}]}`

func ask(id string) string {
	answer, err := asker.Post(upstream+"/v1/"+id+"/chat/completions", "application/json", strings.NewReader(question))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return ""
	}
	defer answer.Body.Close()
	text, _ := io.ReadAll(answer.Body)
	return string(text)
}

type job struct {
	id   string
	done chan string
}

var (
	jobs  = make(chan job)
	start sync.Once
)

func worker() {
	for j := range jobs {
		j.done <- ask(j.id)
	}
}

//go:noinline
func prepare(number int, text string) int {
	if number > 0 {
		return prepare(number-1, text) + len(text)
	}
	time.Sleep(time.Millisecond)
	return grow(20)
}

// Its frame is larger than a goroutine's first stack: the stack moves, and the function begins again.
//
//go:noinline
func grow(depth int) int {
	var room [4096]byte
	room[depth%len(room)] = byte(depth)
	if depth > 0 {
		return grow(depth-1) + int(room[depth%len(room)]) - depth
	}
	return 0
}

//go:noinline
func fails(number int) {
	if number >= 0 {
		panic("on purpose")
	}
	fmt.Println(number)
}

//go:noinline
func recovers(number int) (text string) {
	defer func() {
		text = fmt.Sprint(recover())
	}()
	fails(number)
	return
}

func gateway(address string) {
	handle := func(path string, work func(id string) string) {
		http.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			text := work(strings.TrimPrefix(r.URL.Path, path))
			w.Header().Set("Content-Type", "application/json")
			io.WriteString(w, text)
		})
	}
	http.HandleFunc("/health", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "{}") })
	handle("/ask/", ask)
	handle("/fan/", func(id string) string {
		var group sync.WaitGroup
		for i := 0; i < 3; i++ {
			group.Add(1)
			go func() {
				defer group.Done()
				ask(id)
			}()
		}
		group.Wait()
		return "{}"
	})
	handle("/queue/", func(id string) string {
		start.Do(func() {
			for i := 0; i < 4; i++ {
				go worker()
			}
		})
		j := job{id, make(chan string)}
		jobs <- j
		return <-j.done
	})
	handle("/behind/", func(id string) string {
		go func() {
			time.Sleep(30 * time.Millisecond)
			ask(id)
		}()
		return "{}"
	})
	handle("/work/", func(id string) string {
		prepare(2, id)
		recovers(1)
		return ask(id)
	})
	handle("/v1/", func(id string) string {
		time.Sleep(20 * time.Millisecond)
		return `{"object": "chat.completion", "model": "m", "choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}], "usage": {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}}`
	})
	var err error
	if cert := os.Getenv("TLS_CERT"); cert != "" {
		server := &http.Server{Addr: address, TLSNextProto: map[string]func(*http.Server, *tls.Conn, http.Handler){}}
		err = server.ListenAndServeTLS(cert, os.Getenv("TLS_KEY"))
	} else {
		err = http.ListenAndServe(address, nil)
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
