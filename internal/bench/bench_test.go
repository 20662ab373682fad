//go:build linux

// Package bench measures what a cached token costs: GetResourceOauth2Token out of the vault on SQLite, where every use of a token is durable in the
// audit log before it is answered.
//
// It protects the promise that nobody needs to cache tokens in front of Credence, by holding it against what no server can save. One server process has
//
//   - a, bare: a net/http handler that answers the same body and reads nothing;
//   - b, verifying: one that reads and decodes the same request and verifies its signature, with the code that Credence has for it, and answers the same
//     body and headers;
//   - c, Credence;
//   - d, durable: b, which also records an event of the same size, with others in one write to a plain file, and syncs that before it answers;
//   - e, c whose audit events are kept nowhere;
//   - f, e whose events wait for as long as a sync takes;
//   - g, c whose events go to the plain file of d.
//
// What c has below d, the vault costs; what d has below b, durability; what c has below e, the audit log. Of that, f tells what waiting alone costs, and g what
// a sync costs and nothing else: no database and no transparency log.
//
// The other process, which `go test` started, makes the load over raw TCP connections. Rounds take turns, so that a slow time of the
// machine slows all. Figures are medians over rounds, ratios are medians of the ratios within a round. docs/performance.md has results.
package bench

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"golang.org/x/sync/errgroup"
)

// Of BenchmarkProfile: what the server process does while Credence serves.
var (
	cpuProfile   = flag.String("servercpu", "", "`file` for a CPU profile of the server process")
	allocProfile = flag.String("serverallocs", "", "`file` for its allocations; GODEBUG=memprofilerate=512 makes them exact enough")
	profileOf    = flag.String("serverof", "c", "`server` to profile: a to g")
	profileConns = flag.Int("serverconns", 64, "`connections` while it is profiled")

	auditRounds = flag.Int("auditrounds", 5, "`rounds` of BenchmarkAudit")
	auditOf     = flag.String("auditof", "cefg", "`servers` that it measures")
	auditConns  = flag.String("auditconns", "16,64,256", "`connections` that it has")
)

const (
	roundsOfEach = 3
	roundTime    = 2 * time.Second
	memoryTime   = time.Minute
	profileTime  = 15 * time.Second
	settle       = 1200 * time.Millisecond // for which events may be on their way into the log, and more

	maxOthers = 0.2             // cores: a round that the rest of the machine disturbed more is repeated,
	patience  = 5 * time.Minute // but not for longer than this in all
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(dataDirVariable); dir != "" {
		if err := serve(dir); err != nil {
			fmt.Fprintln(os.Stderr, "server process:", err)
			os.Exit(1)
		}
		return
	}
	m.Run()
}

// A benchmark that measures a refusal, or a server that verifies nothing, would be of no use.
func TestServers(t *testing.T) {
	p := start(t)
	for _, s := range p.servers() {
		t.Run(s.name, func(t *testing.T) {
			r := p.request(t, s)
			c, err := dial(r)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = c.Close() }()
			if err := c.again(); err != nil {
				t.Error(err)
			}
			r.bytes[len(r.bytes)-2] ^= 1 // of the body, which is signed
			_, err = dial(r)
			if refuses := s != p.bare; (err != nil) != refuses {
				t.Errorf("a request with a wrong signature: %v", err)
			}
		})
	}
}

func BenchmarkCachedToken(b *testing.B) {
	p := start(b)
	servers := p.servers()[:4]
	for _, s := range servers { // not counted: caches fill, heaps grow to their size
		p.load(b, s, 64, roundTime)
	}
	fmt.Printf("\nGetResourceOauth2Token, cached. Request %d bytes, answer %d bytes with a token of %d; medians of %d rounds of %v; %d cores.\n\n",
		len(p.request(b, p.credence).bytes), len(p.answer), len(p.token), roundsOfEach, roundTime, runtime.NumCPU())
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	defer func() { _ = table.Flush() }()
	fmt.Fprint(table, "server\tconnections\treq/s\tp50 µs\tp99 µs\tCPU µs/req\tothers' CPU\t\n")
	var ratios []string
	for _, connections := range []int{1, 16, 64} {
		of := map[subject][]round{}
		for range roundsOfEach {
			for _, s := range servers {
				of[s] = append(of[s], p.quietLoad(b, s, connections, roundTime))
			}
		}
		for _, s := range servers {
			figure := func(f func(round) float64) float64 {
				return median(of[s], of[s], func(r, _ round) float64 { return f(r) })
			}
			fmt.Fprintf(table, "%s\t%d\t%.0f\t%.0f\t%.0f\t%.1f\t%.0f %%\t\n", s.name, connections,
				figure(round.perSecond), figure(round.p50), figure(round.p99), figure(round.cpu), 100*figure(func(r round) float64 { return r.others }))
		}
		for _, pair := range [][2]subject{{p.credence, p.bare}, {p.credence, p.verifying}, {p.credence, p.durable}, {p.durable, p.verifying}} {
			name := fmt.Sprintf("%.1s/%.1s", pair[0].name, pair[1].name)
			perSecond := median(of[pair[0]], of[pair[1]], func(x, y round) float64 { return x.perSecond() / y.perSecond() })
			perCPU := median(of[pair[0]], of[pair[1]], func(x, y round) float64 { return y.cpu() / x.cpu() })
			ratios = append(ratios, fmt.Sprintf("%s\t%d\t%.2f\t\t\t%.2f\t\t\n", name, connections, perSecond, perCPU))
			b.ReportMetric(perCPU, fmt.Sprintf("%s-%d", name, connections))
		}
	}
	fmt.Fprint(table, "ratio\tconnections\tper second\t\t\tper CPU-second\t\t\n")
	for _, line := range ratios {
		fmt.Fprint(table, line)
	}
	b.ReportMetric(0, "ns/op") // says nothing here
}

// BenchmarkAudit measures what the audit log costs. Unlike BenchmarkCachedToken it does not wait for a quiet machine.
func BenchmarkAudit(b *testing.B) {
	p := start(b)
	var subjects []subject
	for _, s := range p.servers() {
		if s == p.memory || strings.Contains(*auditOf, s.name[:1]) {
			subjects = append(subjects, s)
			p.load(b, s, 64, roundTime)
		}
	}
	fmt.Printf("\nWhat the audit log costs; medians of %d rounds of %v. Ratios are to e, in memory.\n\n", *auditRounds, roundTime)
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	defer func() { _ = table.Flush() }()
	fmt.Fprint(table, "server\tconnections\treq/s\tp50 µs\tp99 µs\tCPU µs/req\tothers' CPU\tper CPU-second\tper second\t\n")
	for _, text := range strings.Split(*auditConns, ",") {
		connections, err := strconv.Atoi(text)
		if err != nil {
			b.Fatal(err)
		}
		of := map[subject][]round{}
		for range *auditRounds {
			for _, s := range subjects {
				of[s] = append(of[s], p.load(b, s, connections, roundTime))
			}
		}
		for _, s := range subjects {
			figure := func(f func(round) float64) float64 {
				return median(of[s], of[s], func(r, _ round) float64 { return f(r) })
			}
			cpu := median(of[s], of[p.memory], func(x, y round) float64 { return y.cpu() / x.cpu() })
			perSecond := median(of[s], of[p.memory], func(x, y round) float64 { return x.perSecond() / y.perSecond() })
			fmt.Fprintf(table, "%s\t%d\t%.0f\t%.0f\t%.0f\t%.1f\t%.0f %%\t%.2f\t%.2f\t\n", s.name, connections,
				figure(round.perSecond), figure(round.p50), figure(round.p99), figure(round.cpu), 100*figure(func(r round) float64 { return r.others }), cpu, perSecond)
		}
	}
	b.ReportMetric(0, "ns/op")
}

// median is that of a figure over rounds of two servers that took turns.
func median(of, and []round, f func(of, and round) float64) float64 {
	var all []float64
	for i := range of {
		all = append(all, f(of[i], and[i]))
	}
	slices.Sort(all)
	return all[len(all)/2]
}

// Memory that a minute of full load leaves behind would show as growth of the second half over the first.
func BenchmarkMemory(b *testing.B) {
	p := start(b)
	p.load(b, p.credence, 64, roundTime)
	var samples []usage
	var g errgroup.Group
	g.Go(func() error {
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for range int(memoryTime / time.Second) {
			<-tick.C
			u, err := p.usage()
			if err != nil {
				return err
			}
			samples = append(samples, u)
		}
		return nil
	})
	r := p.load(b, p.credence, 64, memoryTime)
	if err := g.Wait(); err != nil {
		b.Fatal(err)
	}
	fmt.Printf("\nMemory of the server process over %v at 64 connections, %.0f req/s; medians of the halves.\n\n", memoryTime, r.perSecond())
	for _, m := range []struct {
		name string
		of   func(usage) int64
	}{{"resident", func(u usage) int64 { return u.Resident }}, {"live heap", func(u usage) int64 { return u.Heap }}} {
		half := func(samples []usage) float64 {
			var all []int64
			for _, u := range samples {
				all = append(all, m.of(u))
			}
			slices.Sort(all)
			return float64(all[len(all)/2]) / (1 << 20)
		}
		first, second := half(samples[:len(samples)/2]), half(samples[len(samples)/2:])
		fmt.Printf("%-9s  %6.1f MiB, then %6.1f MiB (%+.1f %%)\n", m.name, first, second, 100*(second/first-1))
		b.ReportMetric(second/first, m.name[:4]+"-growth")
	}
	b.ReportMetric(0, "ns/op")
}

// BenchmarkProfile writes where the server's CPU time goes, and its memory comes from.
func BenchmarkProfile(b *testing.B) {
	files := map[string]string{"profile": *cpuProfile, "allocs": *allocProfile}
	if *cpuProfile == "" && *allocProfile == "" {
		return // nobody asked for one
	}
	p := start(b)
	i := slices.IndexFunc(p.servers(), func(s subject) bool { return strings.HasPrefix(s.name, *profileOf) })
	if i < 0 {
		b.Fatalf("-serverof %q is none of a to g", *profileOf)
	}
	s := p.servers()[i]
	p.load(b, s, *profileConns, roundTime)
	var g errgroup.Group
	for kind, file := range files {
		if file == "" {
			continue
		}
		g.Go(func() error { return p.saveProfile(kind, file) })
	}
	r := p.load(b, s, *profileConns, profileTime)
	if err := g.Wait(); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(r.perSecond(), "req/s")
	b.ReportMetric(r.cpu(), "CPU-µs/req")
	b.ReportMetric(0, "ns/op")
}

func (p *pair) saveProfile(kind, file string) error {
	resp, err := http.Get(fmt.Sprintf("%s/%s?seconds=%.0f", p.control, kind, profileTime.Seconds()))
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	out, err := os.Create(file)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, resp.Body)
	return errors.Join(err, out.Close())
}
