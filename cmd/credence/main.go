// Command credence is the server and its command line. It carries no logic of its own: flags become a server.Config, or a signed request.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"reflect"
	"syscall"

	"github.com/alecthomas/kong"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	syscall.Umask(0o077) // whatever we make is for us alone
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// exited is how kong ends a command that only prints.
type exited int

// run is the whole program: 0 when all is well, 1 when a command failed, 2 when the arguments are wrong.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) (code int) {
	defer func() {
		if v := recover(); v != nil {
			e, ok := v.(exited)
			if !ok {
				panic(v)
			}
			code = int(e)
		}
	}()
	var c cli
	parser, err := kong.New(&c, kong.Name("credence"), kong.Description("An identity and token vault for AI agents."), kong.Writers(stdout, stderr),
		kong.DefaultEnvars("CREDENCE"), kong.ConfigureHelp(kong.HelpOptions{Compact: true}), kong.Exit(func(code int) { panic(exited(code)) }),
		kong.Vars{"help_kek": helpKEK, "help_place": helpPlace}, kong.NamedMapper("path", kong.MapperFunc(decodePath)))
	if err != nil {
		_, _ = fmt.Fprintln(stderr, "credence:", err)
		return 2
	}
	command, err := parser.Parse(args)
	if err != nil {
		_, _ = fmt.Fprintf(stderr, "credence: %v (credence --help tells more)\n", err)
		return 2
	}
	command.BindTo(ctx, (*context.Context)(nil))
	command.Bind(output{stdout, stderr})
	if err := command.Run(); err != nil {
		_, _ = fmt.Fprintln(stderr, "credence:", err)
		return 1
	}
	return 0
}

// decodePath makes a path absolute, but leaves an empty one: kong would make it the folder that we are in.
func decodePath(ctx *kong.DecodeContext, target reflect.Value) error {
	var path string
	if err := ctx.Scan.PopValueInto("file", &path); err != nil {
		return err
	}
	if path != "" {
		path = kong.ExpandPath(path)
	}
	target.SetString(path)
	return nil
}

// output is where a command writes.
type output struct{ out, err io.Writer }

func (o output) printf(format string, args ...any) { _, _ = fmt.Fprintf(o.out, format, args...) }
