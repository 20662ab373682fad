package torture

import (
	"context"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/bedrockagentcorecontrol"
)

// What is taken away at one replica is served by no other: not by one that was asleep, not even to requests that came while it slept; and not by one that
// has been cut off from the database for a second.
func TestReplicaThatMissedADeletion(t *testing.T) {
	t.Parallel()
	in := install(t, 2)
	in.addWorkload()
	here, there := in.replicas[0], in.replicas[1]
	v := startVendor(t, "", time.Hour, 0)
	var letGo func()
	for name, test := range map[string]struct {
		miss      func()
		deaf, lag time.Duration // how long it misses everything; from when on nothing may be served
		back      func()
	}{
		"asleep":            {func() { there.signal(syscall.SIGSTOP) }, 10 * time.Second, 0, func() { there.signal(syscall.SIGCONT) }},
		"cut off":           {func() { there.proxy.partition(true) }, 4 * time.Second, time.Second, func() { there.proxy.partition(false) }},
		"packets kept back": {func() { letGo = there.proxy.hold() }, 4 * time.Second, time.Second, func() { letGo() }},
	} {
		t.Run(name, func(t *testing.T) {
			v.name = "vendor-" + name[:3]
			in.register(v)
			u := &user{name: "alice", vendor: v}
			in.consent(here, u)
			ask := func(patience time.Duration) (token bool, err error) {
				ctx, cancel := context.WithTimeout(context.Background(), patience)
				defer cancel()
				out, err := in.token(ctx, there, u, nil)
				return err == nil && out.AccessToken != nil, err
			}
			for range 3 {
				if served, err := ask(callTime); !served {
					t.Fatalf("it does not serve what it must forget: %v", err)
				}
			}
			test.miss()
			if _, err := in.control().DeleteOauth2CredentialProvider(t.Context(), &bedrockagentcorecontrol.DeleteOauth2CredentialProviderInput{Name: &v.name}); err != nil {
				test.back()
				t.Fatal(err)
			}
			time.Sleep(test.lag)
			var readers sync.WaitGroup
			for range 8 {
				readers.Go(func() {
					for start := time.Now(); time.Since(start) < test.deaf+time.Second; {
						if served, _ := ask(2 * test.deaf); served {
							t.Error("a token was served after its provider was deleted")
						}
					}
				})
			}
			time.Sleep(test.deaf)
			test.back()
			readers.Wait()
			there.ready()
		})
	}
}
