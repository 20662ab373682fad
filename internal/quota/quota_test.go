package quota

import (
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

const alpha, beta = "111111111111", "222222222222"

var rates = map[string]int{"Get": 20, "Take": 200}

func newLimits(t testing.TB, off bool, settings ...string) *Limits {
	t.Helper()
	l, err := New(settings, rates, off)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// What is said of an account counts before what is said of all, a name before rate.*, and both before the default, in whatever order they come.
func TestPrecedence(t *testing.T) {
	for name, test := range map[string]struct {
		off                         bool
		settings                    []string
		alphaGet, betaGet, betaTake int
		alphaProviders              int
	}{
		"defaults":                 {false, nil, 20, 20, 200, 50},
		"off":                      {true, nil, 0, 0, 0, 0},
		"off, but for one":         {true, []string{"rate.Get=5"}, 5, 5, 0, 0},
		"all rates":                {false, []string{"rate.*=7"}, 7, 7, 7, 50},
		"one before all":           {false, []string{"rate.Get=3", "rate.*=off"}, 3, 3, 0, 50},
		"an account":               {false, []string{alpha + ":rate.Get=1", "rate.Get=2"}, 1, 2, 200, 50},
		"an account's all":         {false, []string{"rate.Get=2", alpha + ":rate.*=9"}, 9, 2, 200, 50},
		"an account's any number":  {false, []string{alpha + ":oauth2-providers=0", alpha + ":rate.Get=off"}, 0, 20, 200, 0},
		"rate.* is of rates alone": {false, []string{alpha + ":rate.*=1"}, 1, 20, 200, 50},
	} {
		l := newLimits(t, test.off, test.settings...)
		got := [4]int{l.Of(alpha, "rate.Get"), l.Of(beta, "rate.Get"), l.Of(beta, "rate.Take"), l.Of(alpha, OAuth2Providers)}
		if want := [4]int{test.alphaGet, test.betaGet, test.betaTake, test.alphaProviders}; got != want {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
}

// A setting that is wrong is told with what would be right; all of them at once.
func TestSettingsThatAreWrong(t *testing.T) {
	for setting, want := range map[string]string{
		"oauth2-provider=1":        `there is no quota "oauth2-provider", but api-key-providers, consent-portals, oauth2-providers, payment-providers, rate.Get, rate.Take, workload-identities, rate.*`,
		"rate.Nothing=1":           `there is no quota "rate.Nothing"`,
		"oauth2-providers":         "must be NAME=VALUE or ACCOUNT:NAME=VALUE",
		"oauth2-providers=-1":      `"-1" must be a number from 0 to 2147483647, or off`,
		"oauth2-providers=1.5":     `"1.5" must be a number`,
		"oauth2-providers=":        `"" must be a number`,
		"rate.Get=99999999999":     `"99999999999" must be a number`,
		"12345:oauth2-providers=1": `"12345" is no account, which has 12 digits`,
		alpha + ":nothing=1":       `there is no quota "nothing"`,
	} {
		_, err := New([]string{"rate.Get=x", setting}, rates, false)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), `"rate.Get=x"`) {
			t.Errorf("%s: %v, want %s", setting, err, want)
		}
	}
	if _, err := New([]string{"rate.Get=1", "rate.Get=2"}, rates, false); err == nil || !strings.Contains(err.Error(), "set twice") {
		t.Error(err)
	}
}

// As many as the rate at once, then one each time its turn comes; who waits as long as told gets through. Accounts do not touch each other.
func TestRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newLimits(t, false, beta+":rate.Get=off").Rate("Get")
		if other := newLimits(t, false).Rate("Take"); other == r {
			t.Error("two operations share a rate")
		}
		burst := func() (n int) {
			for {
				if wait, _ := r.Take(alpha); wait > 0 {
					return n
				}
				n++
			}
		}
		if n := burst(); n != 20 {
			t.Errorf("%d at once", n)
		}
		wait, limit := r.Take(alpha)
		if wait != 50*time.Millisecond || limit != 20 {
			t.Errorf("wait %s, limit %d", wait, limit)
		}
		time.Sleep(wait)
		if n := burst(); n != 1 {
			t.Errorf("%d after the wait", n)
		}
		time.Sleep(time.Hour)
		if n := burst(); n != 20 {
			t.Errorf("%d after an hour", n)
		}
		for range 1000 {
			if wait, _ := r.Take(beta); wait != 0 {
				t.Fatal("an account without a bound has to wait")
			}
		}
	})
	if r := newLimits(t, true).Rate("Get"); r != nil {
		t.Error("there is a rate where nothing is bounded")
	}
	if wait, _ := (*Rate)(nil).Take(alpha); wait != 0 {
		t.Error("no rate has to be waited for")
	}
	if r := newLimits(t, true, alpha+":rate.Get=1").Rate("Get"); r == nil {
		t.Error("one account's rate is forgotten")
	}
}

// Exact with many callers at once, also on the first call of an account.
func TestRateWithManyCallers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newLimits(t, false).Rate("Take")
		var through atomic.Int64
		var all sync.WaitGroup
		for range 64 {
			all.Go(func() {
				for range 50 {
					if wait, _ := r.Take(alpha); wait == 0 {
						through.Add(1)
					}
				}
			})
		}
		all.Wait()
		if n := through.Load(); n != 200 {
			t.Errorf("%d got through, want 200", n)
		}
	})
}

func BenchmarkTake(b *testing.B) {
	r := newLimits(b, false, "rate.Get=1000000000").Rate("Get")
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if wait, _ := r.Take(alpha); wait != 0 {
				b.Fatal(wait)
			}
		}
	})
}

// Every request passes here.
func TestTakeAllocatesNothing(t *testing.T) {
	r := newLimits(t, false, "rate.Get=1000000").Rate("Get")
	if n := testing.AllocsPerRun(1000, func() { r.Take(alpha) }); n != 0 {
		t.Errorf("%v allocations a call", n)
	}
}
