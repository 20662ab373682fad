package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// chromium starts the one Chromium of all tests; profiles keep them apart.
var chromium = sync.OnceValues(func() (context.Context, error) {
	path, err := find("chromium")
	if err != nil {
		return nil, err
	}
	allocator, stop := chromedp.NewExecAllocator(context.Background(), append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.NoSandbox, // it sees no pages but ours, and in containers its sandbox cannot start
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("host-resolver-rules", "MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1"))...) // vendors' pages ask for fonts of the internet
	browser, _ := chromedp.NewContext(allocator)
	stopAtEnd(stop)
	return browser, chromedp.Do(browser)
})

// Keys to press.
const tabKey, enterKey = kb.Tab, kb.Enter

// tab is the one tab of a browser profile of its own.
type tab struct {
	t    testing.TB
	ctx  context.Context
	seen *traffic
}

// traffic is what a tab did behind its page.
type traffic struct {
	sync.Mutex
	requests []string // addresses that it fetched, in order
	console  []string // what the browser wrote there
}

// newTab opens a tab in a new profile: no cookies, no history.
func newTab(t testing.TB) *tab {
	t.Helper()
	browser, err := chromium()
	if err != nil {
		t.Fatal(err)
	}
	seen := &traffic{}
	ctx, cancel := chromedp.NewContext(browser, chromedp.WithNewBrowserContext(), chromedp.WithListener(seen.hear))
	t.Cleanup(cancel)
	// A tab of many has the focus only when told so; without it there is nothing to see of the keyboard.
	if err := chromedp.Do(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := chromedp.Call(ctx, emulation.SetFocusEmulationEnabled, emulation.SetFocusEmulationEnabledParams{Enabled: true}); err != nil {
		t.Fatal(err)
	}
	return &tab{t, ctx, seen}
}

// in is the same tab for a subtest.
func (b *tab) in(t testing.TB) *tab { return &tab{t, b.ctx, b.seen} }

func (s *traffic) hear(event any) {
	s.Lock()
	defer s.Unlock()
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		s.requests = append(s.requests, e.Request.URL)
	case *log.EventEntryAdded:
		s.console = append(s.console, e.Entry.Text)
	}
}

// take is what happened since the last take.
func (s *traffic) take() (requests, console []string) {
	s.Lock()
	defer s.Unlock()
	requests, console, s.requests, s.console = s.requests, s.console, nil, nil
	return requests, console
}

// look does one action; it takes no longer than patience.
func look[T any](b *tab, action chromedp.Action[T]) (T, error) {
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	return chromedp.Run(ctx, action)
}

// run is look for an action that must succeed.
func run[T any](b *tab, what string, action chromedp.Action[T]) T {
	b.t.Helper()
	v, err := look(b, action)
	if err != nil {
		b.t.Fatalf("%s: %v; %s", what, err, b)
	}
	return v
}

// String is where the tab stands and all that a person can read there.
func (b *tab) String() string {
	address, err := look(b, chromedp.Location())
	if err != nil {
		return err.Error()
	}
	text, err := look(b, chromedp.Evaluate[string](`document.body.innerText`))
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("at %s the tab shows %q", address, text)
}

// visit goes to an address and waits until its page is there.
func (b *tab) visit(address string) {
	b.t.Helper()
	run(b, "visit "+address, chromedp.Navigate(address))
}

// address is where the tab stands.
func (b *tab) address() string {
	b.t.Helper()
	return run(b, "address", chromedp.Location())
}

// heading is the heading of the page; between two pages there is none.
func (b *tab) heading() string {
	heading, err := look(b, chromedp.Evaluate[string](`document.querySelector('h1')?.innerText ?? ''`))
	if err != nil {
		return ""
	}
	return heading
}

// reads waits until the page has a heading.
func (b *tab) reads(heading string) {
	b.t.Helper()
	for deadline := time.Now().Add(patience); b.heading() != heading; time.Sleep(pause) {
		if time.Now().After(deadline) {
			b.t.Fatalf("waited %s for the page %q; %s", patience, heading, b)
		}
	}
}

func (b *tab) click(css string) {
	b.t.Helper()
	run(b, "click "+css, chromedp.Click(chromedp.CSS(css)))
}

// fill types into a field; enterKey at the end sends its form.
func (b *tab) fill(css, text string) {
	b.t.Helper()
	run(b, "fill "+css, chromedp.SendKeys(chromedp.CSS(css), text))
}

func (b *tab) press(key string) {
	b.t.Helper()
	run(b, "press a key", chromedp.KeyEvent(key))
}

// shoot keeps a picture of the whole page in e2e-screenshots, for people to look at.
func (b *tab) shoot(name string) {
	b.t.Helper()
	dir, err := filepath.Abs(filepath.Join("..", "..", "e2e-screenshots"))
	if err != nil {
		b.t.Fatal(err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		b.t.Fatal(err)
	}
	path := filepath.Join(dir, strings.ReplaceAll(name, " ", "-")+".png")
	if err := os.WriteFile(path, run(b, "screenshot", chromedp.FullScreenshot(100)), 0o644); err != nil {
		b.t.Fatal(err)
	}
	b.t.Log(path)
}
