package main

import (
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
)

// Eight calls, three at a time, of which one is no stream. The authority is in SSL_CERT_FILE. With HTTP2
// they are streams of HTTP/2, over plain TCP by prior knowledge.
func client(url string) {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	if os.Getenv("HTTP2") != "" {
		transport.Protocols = new(http.Protocols)
		transport.Protocols.SetHTTP2(true)
		transport.Protocols.SetUnencryptedHTTP2(true)
	} else {
		transport.ForceAttemptHTTP2 = false
		transport.TLSClientConfig = &tls.Config{NextProtos: []string{"http/1.1"}}
	}
	http := &http.Client{Transport: transport}
	var group sync.WaitGroup
	slots := make(chan bool, 3)
	for i := 0; i < 8; i++ {
		group.Add(1)
		go func() {
			defer group.Done()
			slots <- true
			defer func() { <-slots }()
			body := fmt.Sprintf(`{"model":"go%d","stream":%t,"messages":[],"x_tokens":%d,"x_ttft_ms":40,"x_interval_ms":5,"stream_options":{"include_usage":true}}`, i, i != 3, 5+i)
			answer, err := http.Post(url, "application/json", strings.NewReader(body))
			if err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
			defer answer.Body.Close()
			io.Copy(io.Discard, answer.Body)
		}()
	}
	group.Wait()
}
