package store

import (
	"context"
	"strings"
	"sync"

	"github.com/pressly/goose/v3"
)

// engine is all that differs between databases.
type engine struct {
	dialect goose.Dialect
	options []goose.ProviderOption
	rewrite *strings.Replacer // of the one SQL text
	cache   sync.Map          // query → rewritten query
	// classify turns a driver's error into a fault, where there is one for it.
	classify func(error) error
	// transient tells whether what failed left nothing behind, and may go well when it is done again.
	transient func(error) bool
	// queue: writes of concurrent callers share one transaction on one connection; otherwise each has its own, serialisable.
	queue bool

	snapshot func(ctx context.Context, s *Store, path string) error
	// scrub makes sure that no copy of what was deleted is left in the files; nil where the server sees to it.
	scrub func(ctx context.Context, s *Store) error
	check func(ctx context.Context, s *Store) error
}

// sql is the engine's form of a query. The one text is PostgreSQL's, with {now} for the database's clock in unix milliseconds.
func (e *engine) sql(query string) string {
	if q, ok := e.cache.Load(query); ok {
		return q.(string)
	}
	q := e.rewrite.Replace(query)
	e.cache.Store(query, q)
	return q
}
