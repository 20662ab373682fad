package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
)

// A human opens an authorization URL in a browser, signs in, and consents.
type human func(ctx context.Context, n narrator, authorizationURL string) error

// aPerson is asked to do so.
func aPerson(_ context.Context, n narrator, authorizationURL string) error {
	n.say("Open this in your browser, sign in with any name, and press Allow:")
	n.show(authorizationURL)
	n.note("waiting for you (the link is good for ten minutes; run with --yes to have it played)")
	return nil
}

// aScript does so by itself, with cookies and forms as a browser would.
func aScript(ctx context.Context, n narrator, authorizationURL string) error {
	n.say("With --yes, a script plays the human. It opens")
	n.show(authorizationURL)
	jar, err := cookiejar.New(nil)
	if err != nil {
		return err
	}
	b := &browser{client: &http.Client{Jar: jar}}
	if err := b.get(ctx, authorizationURL); err != nil {
		return err
	}
	n.note("signs in at Acme Calendar as alice")
	if err := b.submit(ctx, url.Values{"user": {"alice"}}); err != nil {
		return err
	}
	n.note("presses Allow")
	go func() { _ = b.submit(ctx, url.Values{"decision": {"allow"}}) }() // its answer is the application's page, which waits for us
	return nil
}

// browser is as much of one as the vendor's two forms need.
type browser struct {
	client *http.Client
	at     *url.URL
	body   string
}

func (b *browser) get(ctx context.Context, address string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	return b.do(req)
}

var (
	formAction = regexp.MustCompile(`<form method="post" action="([^"]+)"`)
	hiddenID   = regexp.MustCompile(`name="id" value="([^"]+)"`)
)

// submit sends the form of the page at hand.
func (b *browser) submit(ctx context.Context, values url.Values) error {
	action, id := formAction.FindStringSubmatch(b.body), hiddenID.FindStringSubmatch(b.body)
	if action == nil || id == nil {
		return fmt.Errorf("%s shows no form", b.at)
	}
	values.Set("id", id[1])
	target, err := b.at.Parse(action[1])
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, target.String(), strings.NewReader(values.Encode()))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return b.do(req)
}

func (b *browser) do(req *http.Request) error {
	resp, err := b.client.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return err
	}
	b.at, b.body = resp.Request.URL, string(text)
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answered %s", b.at, resp.Status)
	}
	return nil
}
