// Package testpostgres runs a real PostgreSQL for tests: a server for a test program, a database for a test.
//
// The server listens on a socket in a folder of its own, and ends with the program, however that ends.
package testpostgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver pgx
)

// Server is a running PostgreSQL.
type Server struct {
	dir, bin string
	who      *syscall.SysProcAttr
	leash    io.Closer // closed, by us or by our end, it ends the server
	number   atomic.Int64
}

var shared = sync.OnceValues(start)

// Database makes a new database at the test program's server and returns its URL.
func Database(t testing.TB) string {
	t.Helper()
	s, err := shared()
	if err != nil {
		t.Fatalf("PostgreSQL: %v", err)
	}
	return s.Database(t)
}

// Start starts a server that the test may restart.
func Start(t testing.TB) *Server {
	t.Helper()
	s, err := start()
	if err != nil {
		t.Fatalf("PostgreSQL: %v", err)
	}
	t.Cleanup(func() { _ = s.leash.Close() })
	return s
}

// Database makes a new database and returns its URL. Options may follow the name: ENCODING 'SQL_ASCII' TEMPLATE template0.
func (s *Server) Database(t testing.TB, options ...string) string {
	t.Helper()
	name := fmt.Sprintf("test%d", s.number.Add(1))
	if err := s.exec(t.Context(), "CREATE DATABASE "+name+" "+strings.Join(options, " ")); err != nil {
		t.Fatal(err)
	}
	return s.url(name)
}

// Dump is all that stands in the tables of the database at a URL of this package, as bytes: a test looks in it for what must not be there.
func Dump(ctx context.Context, url string) (rows []byte, err error) {
	db, err := sql.Open("pgx", url)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	var tables string
	if err := db.QueryRowContext(ctx, `SELECT string_agg(quote_ident(tablename), ' ') FROM pg_tables WHERE schemaname = current_schema()`).Scan(&tables); err != nil {
		return nil, err
	}
	for table := range strings.FieldsSeq(tables) {
		found, err := db.QueryContext(ctx, "SELECT * FROM "+table)
		if err != nil {
			return nil, err
		}
		columns, err := found.Columns()
		if err != nil {
			return nil, err
		}
		row := make([]any, len(columns))
		for i := range row {
			row[i] = new(sql.RawBytes)
		}
		for found.Next() {
			if err := found.Scan(row...); err != nil {
				return nil, err
			}
			for i, column := range columns {
				rows = fmt.Appendf(rows, "%s.%s=%s\n", table, column, *row[i].(*sql.RawBytes))
			}
		}
		if err := found.Err(); err != nil {
			return nil, err
		}
	}
	return rows, nil
}

func (s *Server) url(database string) string {
	return "postgres:///" + database + "?host=" + s.dir + "&user=credence"
}

// exec runs one statement in the database that every server has.
func (s *Server) exec(ctx context.Context, statement string) (err error) {
	db, err := sql.Open("pgx", s.url("postgres"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	_, err = db.ExecContext(ctx, statement)
	return err
}

// programs is the folder of the newest PostgreSQL of this machine. Debian keeps it out of PATH.
func programs() (string, error) {
	if path, err := exec.LookPath("initdb"); err == nil {
		return filepath.Dir(path), nil
	}
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil || len(found) == 0 {
		return "", errors.Join(errors.New("initdb is not there: install postgresql"), err)
	}
	return filepath.Dir(found[len(found)-1]), nil
}

// notRoot is who runs the server when root runs the test: PostgreSQL refuses root.
func notRoot(dir string) (*syscall.SysProcAttr, error) {
	if os.Getuid() != 0 {
		return nil, nil
	}
	nobody, err := user.Lookup("nobody")
	if err != nil {
		return nil, err
	}
	uid, err := strconv.ParseUint(nobody.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(nobody.Gid, 10, 32)
	if err != nil {
		return nil, err
	}
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}, os.Chown(dir, int(uid), int(gid))
}

// leash waits until its standard input ends, then ends the server and removes its folder.
const leash = `read -r _; "$1/pg_ctl" stop -D "$2/data" -m immediate >/dev/null; rm -rf "$2"`

func start() (*Server, error) {
	s := &Server{}
	var err error
	if s.bin, err = programs(); err != nil {
		return nil, err
	}
	if s.dir, err = os.MkdirTemp("", "postgres"); err != nil {
		return nil, err
	}
	if s.who, err = notRoot(s.dir); err != nil {
		return nil, err
	}
	if err := s.run("initdb", "-D", s.data(), "-U", "credence", "--auth=trust", "--no-sync", "-E", "UTF8", "--locale=C.UTF-8"); err != nil {
		return nil, err
	}
	hold := s.command("sh", "-c", leash, "sh", s.bin, s.dir)
	if s.leash, err = hold.StdinPipe(); err != nil {
		return nil, err
	}
	if err := hold.Start(); err != nil {
		return nil, err
	}
	return s, s.up("start")
}

func (s *Server) data() string { return filepath.Join(s.dir, "data") }

// up starts the server, or starts it again, and waits until it answers.
func (s *Server) up(how ...string) error {
	options := "-c listen_addresses= -c max_connections=200 -c shared_buffers=32MB -k " + s.dir
	return s.run("pg_ctl", append(how, "-D", s.data(), "-w", "-l", filepath.Join(s.dir, "log"), "-o", options)...)
}

// Restart kills the server and all its connections, as a crash does, and starts it again.
func (s *Server) Restart() error { return s.up("restart", "-m", "immediate") }

func (s *Server) command(name string, args ...string) *exec.Cmd {
	c := exec.Command(name, args...)
	c.SysProcAttr, c.Dir = s.who, s.dir
	return c
}

func (s *Server) run(program string, args ...string) error {
	if out, err := s.command(filepath.Join(s.bin, program), args...).CombinedOutput(); err != nil {
		log, _ := os.ReadFile(filepath.Join(s.dir, "log"))
		return fmt.Errorf("%s: %w: %s %s", program, err, out, log)
	}
	return nil
}
