// Package telemetry holds the metrics and the traces of one server.
//
// It protects users from being counted by name: label values come from fixed sets (operations, outcomes, flows, vendors), never from requests. Spans name
// what a decision was about, and no vendor is told that there is a trace.
package telemetry

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// Metrics are what a server counts. Labels are named in the order in which their values are given.
type Metrics struct {
	Registry *prometheus.Registry

	Requests *prometheus.CounterVec   // operation, outcome (ok or a fault kind)
	Latency  *prometheus.HistogramVec // operation
	Tokens   *prometheus.CounterVec   // flow, outcome: how GetResourceOauth2Token was answered
	Consents *prometheus.CounterVec   // step, outcome: what happened to authorization sessions
	Refresh  *prometheus.CounterVec   // outcome
	Vendor   *prometheus.HistogramVec // vendor, grant type, outcome
	Cache    *prometheus.CounterVec   // cache, result
	Audit    *prometheus.CounterVec   // outcome: of decisions recorded
	Epochs   *prometheus.CounterVec   // outcome: of looks at what other replicas changed

	AuditEntries     prometheus.Counter     // events that became entries of their log
	AuditCheckpoints *prometheus.CounterVec // outcome: published, failed, or conflict when a sink has a checkpoint that the log does not agree with

	Renewals       *prometheus.CounterVec // outcome: refreshes that nobody asked for
	RenewalsDue    prometheus.Gauge
	ClientRefusals *prometheus.CounterVec // vendor, error code: a provider's client is refused

	Throttled *prometheus.CounterVec // operation: requests over the rate of their account

	SignIns *prometheus.CounterVec // kind (oidc, break_glass), outcome: people who came to the console

	Revocations        *prometheus.CounterVec // vendor, outcome: attempts to revoke a grant at its vendor
	RevocationsPending prometheus.Gauge

	Deliveries        *prometheus.CounterVec // event type, outcome: attempts to tell a webhook of an event
	DeliveriesPending prometheus.Gauge
}

var seconds = []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}

// New makes the metrics of one server, with the Go runtime's and the process's own.
func New() *Metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "credence", Name: name, Help: help}, labels)
	}
	histogram := func(name, help string, labels ...string) *prometheus.HistogramVec {
		return prometheus.NewHistogramVec(prometheus.HistogramOpts{Namespace: "credence", Name: name, Help: help, Buckets: seconds}, labels)
	}
	m := &Metrics{
		Registry: prometheus.NewRegistry(),
		Requests: counter("requests_total", "API requests answered.", "operation", "outcome"),
		Latency:  histogram("request_seconds", "Time from the request's headers to the end of its answer.", "operation"),
		Tokens:   counter("resource_tokens_total", "Answers of GetResourceOauth2Token.", "flow", "outcome"),
		Consents: counter("consents_total", "Steps of authorization sessions.", "step", "outcome"),
		Refresh:  counter("refreshes_total", "Refreshes of grants by how they ended.", "outcome"),
		Vendor:   histogram("vendor_seconds", "Calls to token and revocation endpoints of vendors.", "vendor", "grant_type", "outcome"),
		Cache:    counter("cache_lookups_total", "Lookups in the caches of sealed rows.", "cache", "result"),
		Audit:    counter("audit_events_total", "Audit events recorded, or failed to be.", "outcome"),
		Epochs:   counter("epoch_polls_total", "Looks at what other replicas changed.", "outcome"),

		AuditEntries:     prometheus.NewCounter(prometheus.CounterOpts{Namespace: "credence", Name: "audit_entries_total", Help: "Audit events that became entries of their account's log."}),
		AuditCheckpoints: counter("audit_checkpoints_total", "Checkpoints of audit logs on their way to sinks outside the database.", "outcome"),

		Renewals: counter("background_refreshes_total", "Refreshes that nobody waited for by how they ended.", "outcome"),
		RenewalsDue: prometheus.NewGauge(prometheus.GaugeOpts{
			Namespace: "credence", Name: "background_refreshes_due", Help: "Grants of all replicas whose refresh in the background is due.",
		}),
		ClientRefusals: counter("client_refusals_total", "Answers by which a vendor refused a provider's client, for whatever grant.", "vendor", "error"),

		Throttled: counter("throttled_requests_total", "Requests over the rate of their account.", "operation"),

		SignIns: counter("console_sign_ins_total", "Sign-ins to the console by how they ended.", "kind", "outcome"),

		Revocations: counter("revocations_total", "Attempts to revoke a grant at its vendor.", "vendor", "outcome"),
		RevocationsPending: prometheus.NewGauge(prometheus.GaugeOpts{
			Namespace: "credence", Name: "revocations_pending", Help: "Grants of which the vendor has still to be told that they are over.",
		}),

		Deliveries: counter("webhook_deliveries_total", "Attempts to tell a webhook of an event.", "event_type", "outcome"),
		DeliveriesPending: prometheus.NewGauge(prometheus.GaugeOpts{
			Namespace: "credence", Name: "webhook_deliveries_pending", Help: "Events of which a webhook has still to be told.",
		}),
	}
	m.Registry.MustRegister(m.Requests, m.Latency, m.Tokens, m.Consents, m.Refresh, m.Vendor, m.Cache, m.Audit, m.AuditEntries, m.AuditCheckpoints, m.Epochs, m.Throttled, m.SignIns, m.Renewals, m.RenewalsDue, m.ClientRefusals, m.Revocations, m.RevocationsPending, m.Deliveries, m.DeliveriesPending,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// ObserveVendor counts one call to a vendor's token endpoint, or, as grant type revocation, to its revocation endpoint.
func (m *Metrics) ObserveVendor(vendor, grantType, outcome string, since time.Time) {
	m.Vendor.WithLabelValues(vendor, grantType, outcome).Observe(time.Since(since).Seconds())
}
