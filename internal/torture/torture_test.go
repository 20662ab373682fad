// Package torture holds tests only: replicas of the real program on one PostgreSQL, while processes, network, database and vendors fail.
//
// It protects the promise that a grant which a user gave is never lost, and that no token reaches anybody else: it counts what came of every grant and
// fails when one is missing.
package torture

import (
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"credence/internal/fakeidp"
)

var (
	duration = flag.Duration("duration", 15*time.Second, "how long everything fails")
	replicas = flag.Int("replicas", 3, "processes of Credence")
	grants   = flag.Int("grants", 60, "users with a grant each")
	seed     = flag.Uint64("seed", 0, "of the order in which things fail; 0: another each time")
)

const (
	lifetime = 8 * time.Second  // of an access token
	grace    = 60 * time.Second // of the vendor that has one
	// beyondLease is longer than broker's lease, so that another replica goes on with what a sleeping one has begun.
	beyondLease = 18 * time.Second
)

// Everything fails, all the time, and then all is well again: no grant is lost, no refresh token used twice, no token handed to anybody else.
func TestTorture(t *testing.T) {
	phase := func(name string, do func()) {
		start := time.Now()
		do()
		t.Logf("%s took %s", name, time.Since(start).Round(100*time.Millisecond))
	}
	var in *installation
	phase("start", func() { in = install(t, *replicas) })
	run := &torture{installation: in, began: map[string]bool{}, busy: map[*replica]bool{}, did: map[string]int{}}
	run.kind = startVendor(t, "kind", lifetime, grace)
	run.strict = startVendor(t, "strict", lifetime, 0)
	run.addWorkload()
	run.register(run.kind)
	run.register(run.strict)
	phase("consents", run.consents)
	if t.Failed() {
		return
	}
	phase("failures", run.everythingFails)
	phase("recovery", run.allIsWell)
	run.report()
}

type torture struct {
	*installation
	kind, strict *vendor
	users        []*user
	seen         ledger

	mu    sync.Mutex
	began map[string]bool // keys of grants that were being refreshed when a replica was killed or put to sleep
	busy  map[*replica]bool
	did   map[string]int // what failed, how often
}

func (run *torture) consents() {
	turns := make(chan struct{}, 8)
	var all sync.WaitGroup
	for i := range *grants {
		u := &user{name: fmt.Sprint("user-", i), vendor: run.kind}
		if i%3 == 0 {
			u.vendor = run.strict
		}
		run.users = append(run.users, u)
		turns <- struct{}{}
		all.Go(func() {
			run.consent(run.replicas[i%len(run.replicas)], u)
			<-turns
		})
	}
	all.Wait()
}

// everythingFails reads and breaks things until the time is up.
func (run *torture) everythingFails() {
	var over atomic.Bool
	var readers, chaos sync.WaitGroup
	for range 12 {
		readers.Go(func() {
			for !over.Load() {
				u := run.users[rand.IntN(len(run.users))]
				u.mu.Lock()
				gone := u.asked
				u.mu.Unlock()
				if !gone {
					run.read(run.t, &run.seen, u)
				}
				time.Sleep(10 * time.Millisecond)
			}
		})
	}
	if *seed == 0 {
		*seed = rand.Uint64()
	}
	run.t.Logf("-seed=%d", *seed)
	dice := rand.New(rand.NewPCG(*seed, 0))
	end := time.Now().Add(*duration)
	if *duration >= 2*beyondLease {
		chaos.Go(func() {
			for time.Until(end) > beyondLease {
				run.with("SIGSTOP beyond the lease", func(r *replica) { run.sleep(r, beyondLease) })
				time.Sleep(beyondLease)
			}
		})
	}
	for time.Now().Before(end) {
		run.oneFails(dice)
		time.Sleep(time.Duration(dice.IntN(1000)) * time.Millisecond)
	}
	chaos.Wait()
	over.Store(true)
	readers.Wait()
}

// with does something to a replica that nothing else is done to; not when that is the last one.
func (run *torture) with(what string, do func(*replica)) {
	run.mu.Lock()
	var idle []*replica
	for _, r := range run.replicas {
		if !run.busy[r] {
			idle = append(idle, r)
		}
	}
	if len(idle) < 2 {
		run.mu.Unlock()
		return
	}
	r := idle[rand.IntN(len(idle))]
	run.busy[r] = true
	run.mu.Unlock()
	run.note(what)
	do(r)
	run.mu.Lock()
	defer run.mu.Unlock()
	delete(run.busy, r)
}

func (run *torture) note(what string) {
	run.mu.Lock()
	defer run.mu.Unlock()
	run.did[what]++
}

// interrupted notes what a replica may have left half done. What it sent to the database last may arrive a little later.
func (run *torture) interrupted() {
	time.Sleep(100 * time.Millisecond)
	keys := run.begun()
	run.mu.Lock()
	defer run.mu.Unlock()
	for _, key := range keys {
		run.began[key] = true
	}
}

func (run *torture) sleep(r *replica, d time.Duration) {
	r.signal(syscall.SIGSTOP)
	run.interrupted()
	time.Sleep(d)
	r.signal(syscall.SIGCONT)
}

func (run *torture) oneFails(dice *rand.Rand) {
	moment := time.Duration(200+dice.IntN(2000)) * time.Millisecond
	somebody := []*vendor{run.kind, run.strict}[dice.IntN(2)]
	switch dice.IntN(12) {
	case 0, 1, 2:
		run.with("SIGKILL", func(r *replica) {
			r.kill()
			run.interrupted()
			time.Sleep(moment)
			r.start()
			r.ready()
		})
	case 3:
		run.with("SIGSTOP", func(r *replica) { run.sleep(r, 2*moment) })
	case 4:
		run.note("PostgreSQL restarted")
		if err := run.postgres.Restart(); err != nil {
			run.t.Error(err)
		}
	case 5:
		run.with("connections cut", func(r *replica) { r.proxy.cut() })
	case 6:
		run.with("connections half closed", func(r *replica) { r.proxy.halfClose() })
	case 7:
		run.with("away from the database", func(r *replica) { r.proxy.partition(true); time.Sleep(moment); r.proxy.partition(false) })
	case 8:
		run.with("packets kept back", func(r *replica) { letGo := r.proxy.hold(); time.Sleep(moment); letGo() })
	case 9:
		run.with("slow network", func(r *replica) { r.proxy.slow(20 * time.Millisecond); time.Sleep(moment); r.proxy.slow(0) })
	case 10:
		run.note("vendor stalls")
		somebody.trouble(5, fakeidp.Failures{Stall: 2 * moment})
	case 11:
		switch dice.IntN(3) {
		case 0:
			run.note("vendor answers 503 or 429")
			somebody.trouble(10, fakeidp.Failures{Status: []int{503, 429}[dice.IntN(2)]})
		case 1:
			run.note("vendor cuts before it looks")
			somebody.trouble(3, fakeidp.Failures{CutBefore: true})
		case 2: // without a grace nobody could go on from that
			run.note("vendor cuts its answer off")
			run.kind.trouble(2, fakeidp.Failures{CutAfterIssue: true})
		}
	}
}

// allIsWell ends all trouble; then every grant must be served by every replica, and once more when its token has ended.
func (run *torture) allIsWell() {
	run.kind.calm()
	run.strict.calm()
	for _, r := range run.replicas {
		r.ready()
	}
	for round := range 2 {
		time.Sleep(time.Duration(round) * lifetime)
		deadline := time.Now().Add(time.Minute) // breakers close again, leases end
		turns := make(chan struct{}, 12)
		var all sync.WaitGroup
		for _, u := range run.users {
			turns <- struct{}{}
			all.Go(func() {
				defer func() { <-turns }()
				for !u.asked && !run.read(run.t, &run.seen, u) {
					if time.Now().After(deadline) {
						run.t.Errorf("%s is not served at %s", u.name, u.vendor.name)
						return
					}
					time.Sleep(200 * time.Millisecond)
				}
			})
		}
		all.Wait()
	}
}

// report prints what was counted, and fails where a zero is none.
func (run *torture) report() {
	t := run.t
	lost, maybeSpent, unexplained := 0, 0, 0
	dead := map[string]bool{}
	for _, row := range run.keys(`SELECT provider || ' ' || last_error || ' ' || grant_key FROM grants WHERE state <> 'active'`) {
		word := strings.Fields(row)
		dead[word[len(word)-1]] = true
		switch {
		case word[0] != run.strict.name || word[1] != "maybe_spent":
			lost++
			t.Errorf("lost: %s", row)
		case !run.began[word[2]]:
			unexplained++
			t.Errorf("maybe spent, though no replica was stopped while it was refreshed: %s", row)
		default:
			maybeSpent++
		}
	}
	asked := 0
	for _, u := range run.users {
		if u.asked {
			asked++
		}
	}
	if n := len(run.keys(`SELECT grant_key FROM grants`)); n != len(run.users) {
		lost += len(run.users) - n
		t.Errorf("%d grants are left of %d", n, len(run.users))
	}
	// A replica that wakes up with the answer brings back a grant that another one gave up.
	broughtBack := asked - len(dead)
	if broughtBack < 0 || broughtBack > run.did["SIGSTOP"]+run.did["SIGSTOP beyond the lease"] {
		t.Errorf("%d users were asked for a consent, %d grants are dead", asked, len(dead))
	}
	killed := run.kind.FamiliesKilled() + run.strict.FamiliesKilled()
	if killed > 0 {
		t.Errorf("%d families were killed by the vendor: at kind %d, at strict %d", killed, run.kind.FamiliesKilled(), run.strict.FamiliesKilled())
	}
	kind, kindSpent := run.kind.counts()
	strict, strictSpent := run.strict.counts()
	again, interrupted := kind+strict-kindSpent-strictSpent, len(run.began)
	if again > interrupted {
		t.Errorf("%d refresh tokens were sent again, but only %d refreshes were interrupted", again, interrupted)
	}
	if kindSpent < len(run.users) || run.seen.served.Load() < int64(len(run.users)) {
		t.Errorf("too little happened to prove anything: %d refreshes, %d served", kindSpent, run.seen.served.Load())
	}
	var did []string
	for _, what := range slices.Sorted(maps.Keys(run.did)) {
		did = append(did, fmt.Sprintf("%s %d×", what, run.did[what]))
	}
	ratio := float64(kind+strict) / float64(kindSpent+strictSpent)
	t.Logf(`
%d replicas, %d grants, %s; %s

calls                              %6d
  served                           %6d
  refused, to be repeated          %6d
  unreachable                      %6d
refreshes                          %6d
  per expiry                       %6.2f
  again after an interruption      %6d   of %d interrupted
grants lost                        %6d
families killed by reuse           %6d
tokens handed to others            %6d
tokens served after their end      %6d
stale serves                       %6d   in the last tenth of a token's life
maybe spent, at the strict vendor  %6d
  given up and brought back        %6d
longest unavailability of a grant  %6s
`, len(run.replicas), len(run.users), *duration, strings.Join(did, ", "),
		run.seen.calls.Load(), run.seen.served.Load(), run.seen.refused.Load(), run.seen.unreachable.Load(), kind+strict, ratio, again, interrupted, lost+unexplained, killed,
		run.seen.foreign.Load(), run.seen.expired.Load(), run.seen.stale.Load(), maybeSpent, broughtBack, run.seen.longest.Round(100*time.Millisecond))
}
