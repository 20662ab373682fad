package server

import (
	"context"
	"crypto/tls"
	"sync/atomic"
	"time"
)

// A handshake waits this long for the database at most: probes of liveness must not depend on it.
const askTime = time.Second

// tlsConfig is what a listener speaks TLS by. One that serves STS asks clients for a certificate, and needs none; who it is of, and whether it is good, is looked at with each
// request, so that neither a session that is resumed nor a connection that stays open has more than one that begins. No client is asked before there is somebody to
// trust: browsers would ask their users.
func (s *Server) tlsConfig(asks bool) (*tls.Config, error) {
	own, err := tls.LoadX509KeyPair(s.cfg.TLSCert, s.cfg.TLSKey)
	if err != nil {
		return nil, err
	}
	plain := &tls.Config{Certificates: []tls.Certificate{own}, NextProtos: []string{"h2", "http/1.1"}}
	if !asks {
		return plain, nil
	}
	asking := plain.Clone()
	asking.ClientAuth = tls.RequestClientCert
	// Its tickets are under keys of its own: a session that began when nobody was asked has no certificate, and would be resumed without one.
	asking.WrapSession, asking.UnwrapSession = asking.EncryptTicket, asking.DecryptTicket
	var begun atomic.Bool // there was somebody to trust
	plain.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		if begun.Load() {
			return asking, nil
		}
		ctx, cancel := context.WithTimeout(hello.Context(), askTime)
		defer cancel()
		some, err := s.installed.store.HasTrustBundles(ctx)
		if err != nil { // to ask in vain harms less
			s.cfg.Log.Debug("whether there are trust bundles is not known", "cause", err.Error())
			return asking, nil
		}
		if !some {
			return nil, nil
		}
		begun.Store(true)
		return asking, nil
	}
	return plain, nil
}
