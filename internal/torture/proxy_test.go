package torture

import (
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"
)

// proxy stands between one replica and PostgreSQL, and is the network that fails.
type proxy struct {
	listener net.Listener
	socket   string // of PostgreSQL

	mu    sync.Mutex
	pairs map[*pair]bool
	away  bool          // new connections are closed at once
	delay time.Duration // of every packet
	open  chan struct{} // closed while packets go through
}

// pair is one connection and its other half.
type pair struct {
	client *net.TCPConn
	server *net.UnixConn
}

func (p *pair) close() { _, _ = p.client.Close(), p.server.Close() }

func startProxy(t testing.TB, socket string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{listener: l, socket: socket, pairs: map[*pair]bool{}, open: make(chan struct{})}
	close(p.open)
	t.Cleanup(func() { _ = l.Close(); p.cut() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go p.serve(c.(*net.TCPConn))
		}
	}()
	return p
}

func (p *proxy) serve(c *net.TCPConn) {
	s, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: p.socket, Net: "unix"})
	if err != nil {
		_ = c.Close()
		return
	}
	both := &pair{c, s}
	p.mu.Lock()
	if p.away {
		p.mu.Unlock()
		both.close()
		return
	}
	p.pairs[both] = true
	p.mu.Unlock()
	var ways sync.WaitGroup
	ways.Go(func() { p.pass(s, c); _ = s.CloseWrite() })
	ways.Go(func() { p.pass(c, s); _ = c.CloseWrite() })
	ways.Wait()
	p.mu.Lock()
	delete(p.pairs, both)
	p.mu.Unlock()
	both.close()
}

func (p *proxy) pass(to io.Writer, from io.Reader) {
	packet := make([]byte, 32<<10)
	for {
		n, err := from.Read(packet)
		p.mu.Lock()
		delay, open := p.delay, p.open
		p.mu.Unlock()
		time.Sleep(delay)
		<-open
		if _, writeErr := to.Write(packet[:n]); errors.Join(err, writeErr) != nil {
			return
		}
	}
}

// each does something to every connection that there is.
func (p *proxy) each(do func(*pair)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for both := range p.pairs {
		do(both)
	}
}

func (p *proxy) cut() { p.each((*pair).close) }

// halfClose ends what the server says; what the client says still arrives.
func (p *proxy) halfClose() { p.each(func(both *pair) { _ = both.client.CloseWrite() }) }

// partition cuts all connections and lets no new one in, until it is over.
func (p *proxy) partition(on bool) {
	p.mu.Lock()
	p.away = on
	p.mu.Unlock()
	if on {
		p.cut()
	}
}

// hold keeps all packets back, until they are let go.
func (p *proxy) hold() (letGo func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	gate := make(chan struct{})
	p.open = gate
	return func() { close(gate) }
}

func (p *proxy) slow(delay time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.delay = delay
}
