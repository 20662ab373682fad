//go:build linux

package bench

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
)

// connection sends one request over and over. It does as little as it can: client and server share the machine.
type connection struct {
	net.Conn
	request []byte
	answer  []byte // the last one; all have the length of the first
	body    []byte // of the first answer
}

// dial connects to a server, sends the request once, and reads the answer as any HTTP client would.
func dial(r request) (_ *connection, err error) {
	conn, err := net.Dial("tcp", r.host)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = conn.Close()
		}
	}()
	if err := conn.SetDeadline(time.Now().Add(memoryTime + 30*time.Second)); err != nil { // longer than any round
		return nil, err
	}
	if _, err := conn.Write(r.bytes); err != nil {
		return nil, err
	}
	var answer bytes.Buffer
	resp, err := http.ReadResponse(bufio.NewReader(io.TeeReader(conn, &answer)), nil)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answers %s: %s", r.host, resp.Status, body)
	}
	return &connection{conn, r.bytes, answer.Bytes(), body}, nil
}

// again sends the request once more. Another status, length or body than the first answer's is an error.
func (c *connection) again() error {
	if _, err := c.Write(c.request); err != nil {
		return err
	}
	if _, err := io.ReadFull(c, c.answer); err != nil {
		return err
	}
	if !bytes.HasPrefix(c.answer, []byte("HTTP/1.1 200 OK\r\n")) || !bytes.HasSuffix(c.answer, c.body) {
		return fmt.Errorf("%s answers otherwise than at first:\n%s", c.RemoteAddr(), c.answer)
	}
	return nil
}

// round is what one round of load came to.
type round struct {
	took      time.Duration
	server    time.Duration   // CPU time of the server process, garbage collection included
	others    float64         // CPU that neither process had, in cores; what the hypervisor took away counts
	latencies []time.Duration // of all requests, sorted
}

func (r round) perSecond() float64 { return float64(len(r.latencies)) / r.took.Seconds() }

// cpu is the server's CPU time of one request in microseconds.
func (r round) cpu() float64 { return micros(r.server) / float64(len(r.latencies)) }

// p50 and p99 are latencies in microseconds.
func (r round) p50() float64 { return micros(r.latencies[len(r.latencies)/2]) }
func (r round) p99() float64 { return micros(r.latencies[len(r.latencies)*99/100]) }

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

// quietLoad is load, repeated while the rest of the machine disturbs it and patience lasts; the quietest try counts.
func (p *pair) quietLoad(b testing.TB, s subject, connections int, d time.Duration) round {
	b.Helper()
	best := p.load(b, s, connections, d)
	for best.others > maxOthers && time.Now().Before(p.patientUntil) {
		for busy := true; busy && time.Now().Before(p.patientUntil); {
			before, err1 := machineCPU()
			time.Sleep(time.Second / 2)
			after, err2 := machineCPU()
			if err := errors.Join(err1, err2); err != nil {
				b.Fatal(err)
			}
			busy = (after - before).Seconds() > maxOthers/2
		}
		if r := p.load(b, s, connections, d); r.others < best.others {
			best = r
		}
	}
	return best
}

// load runs one round: as many requests as the connections can make in d, each waiting for its answer before it sends the next.
func (p *pair) load(b testing.TB, s subject, connections int, d time.Duration) round {
	b.Helper()
	p.switchAudit(b, s)
	request := p.request(b, s)
	all := make([]*connection, connections)
	latencies := make([][]time.Duration, connections)
	for i := range all {
		c, err := dial(request)
		if err != nil {
			b.Fatal(err)
		}
		defer func() { _ = c.Close() }()
		if !bytes.Equal(c.body, p.answer) {
			b.Fatalf("%s answers another body: %s", s.name, c.body)
		}
		all[i] = c
		latencies[i] = make([]time.Duration, 0, int(d.Seconds()*60_000)/connections) // no garbage while it runs
	}

	before, err := p.readMeters()
	if err != nil {
		b.Fatal(err)
	}
	start := time.Now()
	var g errgroup.Group
	for i, c := range all {
		g.Go(func() error {
			for last := start; last.Sub(start) < d; {
				if err := c.again(); err != nil {
					return err
				}
				now := time.Now()
				latencies[i] = append(latencies[i], now.Sub(last))
				last = now
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		b.Fatalf("%s: %v", s.name, err)
	}
	took := time.Since(start)
	time.Sleep(settle) // what happens behind the answers belongs to them
	after, err := p.readMeters()
	if err != nil {
		b.Fatal(err)
	}
	others := after.machine - before.machine - (after.server - before.server) - (after.client - before.client)
	r := round{took: took, server: after.server - before.server, others: max(0, others.Seconds()/(took+settle).Seconds()), latencies: slices.Concat(latencies...)}
	slices.Sort(r.latencies)
	return r
}

// meters are CPU times: of both processes, and of everything on the machine.
type meters struct{ server, client, machine time.Duration }

func (p *pair) readMeters() (m meters, err error) {
	server, err := p.usage()
	if err != nil {
		return m, err
	}
	client, err := ownUsage()
	if err != nil {
		return m, err
	}
	machine, err := machineCPU()
	return meters{server.CPU, client.CPU, machine}, err
}

// machineCPU is the time for which the machine's processors did not idle, since its start.
func machineCPU() (busy time.Duration, err error) {
	stat, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, err
	}
	const tick = 10 * time.Millisecond // USER_HZ
	all, _, _ := strings.Cut(string(stat), "\n")
	fields := strings.Fields(all) // cpu, user, nice, system, idle, iowait, irq, softirq, steal, and parts of user
	for i, field := range fields[:min(9, len(fields))] {
		if i == 0 || i == 4 || i == 5 {
			continue
		}
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("/proc/stat begins with %q: %w", all, err)
		}
		busy += time.Duration(n) * tick
	}
	return busy, nil
}
