package vault

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"credence/internal/fault"
	"credence/internal/telemetry"
)

// replica is another vault on the same database, which must look at what others change.
func (b *bed) replica(t testing.TB) (v *Vault, m *telemetry.Metrics) {
	t.Helper()
	m = telemetry.New()
	v, err := New(context.Background(), Config{Store: b.store, KEK: b.kek, Metrics: m, Replicas: true})
	must(t, err)
	return v, m
}

// as runs f with another vault in the place of b's.
func (b *bed) as(v *Vault, f func() (int, error)) (int, error) {
	own := b.Vault
	b.Vault = v
	defer func() { b.Vault = own }()
	return f()
}

// hits is how often a cache had what was asked for.
func hits(t testing.TB, m *telemetry.Metrics) (n float64) {
	t.Helper()
	families, err := m.Registry.Gather()
	must(t, err)
	for _, f := range families {
		for _, metric := range f.GetMetric() {
			for _, l := range metric.GetLabel() {
				if f.GetName() == "credence_cache_lookups_total" && l.GetValue() == "hit" {
					n += metric.GetCounter().GetValue()
				}
			}
		}
	}
	return n
}

// What one replica changes, the others know within a second. Of a grant they learn that it was taken away; a newer token they find when the older one ends.
func TestReplicasLearnOfChanges(t *testing.T) {
	for _, name := range nounNames {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := openBed(t)
				ctx, stop := context.WithCancel(t.Context())
				defer stop()
				v, m := b.replica(t)
				go v.Follow(ctx)
				n := nouns(t, b)[name]
				must(t, n.insert())
				rounds := 3
				if name == "grant" {
					rounds = 1
				}
				for round := range rounds {
					if round > 0 {
						must(t, n.write(round))
					}
					time.Sleep(epochPoll)
					synctest.Wait()
					for range 2 { // the second time from the cache
						if got, err := b.as(v, n.read); err != nil || got != round {
							t.Errorf("read %d, %v; %d was written", got, err, round)
						}
					}
				}
				must(t, n.remove())
				time.Sleep(epochPoll)
				synctest.Wait()
				if got, err := b.as(v, n.read); !errors.Is(err, fault.NotFound) {
					t.Errorf("read %d, %v after it was removed", got, err)
				}
				if hits(t, m) == 0 {
					t.Error("nothing came from a cache")
				}
			})
		})
	}
}

// A replica that cannot look, or has not looked for a second, serves nothing that it remembers.
func TestReplicaCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := openBed(t)
		v, m := b.replica(t)
		n := nouns(t, b)["workload identity"]
		must(t, n.insert())
		read := func() int {
			got, err := b.as(v, n.read)
			must(t, err)
			return got
		}
		read()
		must(t, n.write(1))
		if got := read(); got != 1 || hits(t, m) != 0 {
			t.Errorf("a replica that never looked served %d from its cache", got)
		}

		ctx, stop := context.WithCancel(t.Context())
		go v.Follow(ctx)
		synctest.Wait()
		read()
		read()
		if hits(t, m) == 0 {
			t.Error("a replica in step served nothing from its cache")
		}
		stop() // as SIGSTOP does, or a network that is gone
		synctest.Wait()
		must(t, n.write(2))
		time.Sleep(epochLife + time.Millisecond)
		if got := read(); got != 2 {
			t.Errorf("a replica that was asleep served %d, 2 was written", got)
		}
	})
}
