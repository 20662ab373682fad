// Command demo shows the main job from a bare checkout, with nothing to set up: an agent gets an access token for itself and for a user who consented.
//
// It starts Credence on a temporary SQLite, a small authorization server with a resource API as the vendor, and an application in which the agent lives,
// and drives them with the unmodified AWS SDK for Go. It is a program of its own, so that credence carries none of it.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// Access tokens of the vendor end soon, so that the refresh can be watched.
const tokenLifetime = 5 * time.Second

// run is the whole demo: 0 when both journeys came to their end.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("demo", flag.ContinueOnError)
	flags.SetOutput(stderr)
	yes := flags.Bool("yes", false, "play the human too: sign in and consent, so that the demo ends by itself")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	slog.SetDefault(slog.New(slog.DiscardHandler)) // the vendor's library reports every route

	s, err := newStage(ctx)
	if err != nil {
		_, _ = fmt.Fprintln(stderr, "demo:", err)
		return 1
	}
	human := aPerson
	if *yes {
		human = aScript
	}
	j := &journey{stage: s, narrator: narrator{out: stdout}, human: human}
	err = j.run(ctx)
	if closeErr := s.close(); err == nil {
		err = closeErr
	}
	if err != nil {
		_, _ = fmt.Fprintln(stderr, "demo:", err)
		return 1
	}
	return 0
}
