# Thin aliases. What they do stands in .ci/.
.PHONY: test lint bench

# Installs what the tests need (Chromium, npm packages) and runs them all, with the race detector.
test:
	.ci/setup
	. .ci/flags && go test ./...

lint:
	.ci/lint

# What a cached token costs, beside a bare net/http server: docs/performance.md.
bench:
	go test -run '^$$' -bench . -timeout 30m ./internal/bench
