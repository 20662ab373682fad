# Thin aliases. What they do stands in .ci/.
.PHONY: test lint bench

# Installs what the tests need (Chromium, npm packages) and runs them all. SQLite is C made into Go, one connection a goroutine: watching it for races
# finds nothing of ours and doubles the time.
test:
	.ci/setup
	go test -race -gcflags='github.com/ncruces/go-sqlite3-wasm/...=-race=false' ./...

lint:
	.ci/lint

# What a cached token costs, beside a bare net/http server: docs/performance.md.
bench:
	go test -run '^$$' -bench . -timeout 30m ./internal/bench
