// A request whose parts are goroutines: each scope is a child of the context's.
package main

import (
	"context"
	"strings"
	"sync"

	cirron "github.com/cirron/cirron-agent/cirron-probe/go"
)

func main() {
	ctx, end := cirron.Request(context.Background(), "job-7", cirron.String("model", "tiny"))
	defer end()
	var group sync.WaitGroup
	for i := 0; i < 4; i++ {
		group.Add(1)
		go func(i int) {
			defer group.Done()
			ctx, end := cirron.Scope(ctx, "shard", cirron.Index(i), cirron.Int("rows", 3))
			defer end()
			_, parsed := cirron.Scope(ctx, "parse")
			parsed()
			cirron.Mark(ctx, "bytes", 42+i)
		}(i)
	}
	group.Wait()
	cirron.Summary(ctx, "loss", 0.25, cirron.Bool("final", true))
	cirron.Mark(ctx, "finish", strings.Repeat("€", 100))
	deep := ctx
	for i := 0; i < 65; i++ {
		var end func()
		deep, end = cirron.Scope(deep, "deep")
		defer end()
	}
}
