package torture

import (
	"context"
	"sync"
	"testing"
	"time"

	"credence/internal/fakeidp"
)

// Many who read one grant at once, through several replicas: when its token has ended, the vendor is asked once; and while the vendor answers 503 and the token is
// valid, every one of them is served.
func TestManyReadersOfOneGrant(t *testing.T) {
	t.Parallel()
	const readers, short, long = 64, 3 * time.Second, 2 * time.Minute
	in := install(t, 3, "--no-background-refresh") // a token that ends is what this is about
	in.addWorkload()
	v := startVendor(t, "vendor", short, 0)
	in.register(v)
	u := &user{name: "alice", vendor: v}
	in.consent(in.replicas[0], u)

	// read is all readers at once, so many times each.
	read := func(times int) (tokens map[string]int) {
		tokens = map[string]int{}
		var mu sync.Mutex
		var all sync.WaitGroup
		for n := range readers {
			all.Go(func() {
				for range times {
					ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
					out, err := in.token(ctx, in.replicas[n%len(in.replicas)], u, nil)
					cancel()
					mu.Lock()
					if err != nil || out.AccessToken == nil {
						t.Errorf("reader %d: %+v %v", n, out, err)
					} else {
						tokens[*out.AccessToken]++
					}
					mu.Unlock()
				}
			})
		}
		all.Wait()
		return tokens
	}

	first := read(1) // the grant is in every cache
	time.Sleep(short)
	v.Set(func(b *fakeidp.Behaviour) { b.AccessTokenLifetime = long })
	before := v.Count("refresh_token")
	second := read(3)
	token := ""
	for token = range second {
		if first[token] > 0 {
			t.Error("a token was served after its end")
		}
	}
	if n := v.Count("refresh_token") - before; n != 1 || len(second) != 1 || second[token] != 3*readers {
		t.Errorf("%d refreshes, %d tokens for %d readers", n, len(second), readers)
	}

	v.Set(func(b *fakeidp.Behaviour) { b.Status = 503 })
	time.Sleep(long / 9)
	u.atLeast = long * 9 / 10 // it lives shorter by now, so each of them asks for a renewal
	before = v.Count("refresh_token")
	if third := read(5); third[token] != 5*readers {
		t.Errorf("%d of %d were served the token that is valid", third[token], 5*readers)
	}
	if v.Count("refresh_token") == before {
		t.Error("the vendor was not asked, so this proves nothing")
	}
}
