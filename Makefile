# Thin aliases. What they do stands in .ci/.
.PHONY: test test-full lint bench

# Installs what the tests need (Chromium, npm packages) and runs them all, with the race detector.
test:
	.ci/setup
	. .ci/flags && go test ./...

# As test, and the key management services against a real HashiCorp Vault, whose first build takes minutes.
test-full: test
	. .ci/flags && go test -tags full -run "Bao|Real" ./internal/kms ./internal/openbao

lint:
	.ci/lint

# What a cached token costs, beside a bare net/http server: docs/performance.md.
bench:
	go test -run '^$$' -bench . -timeout 30m ./internal/bench
