package server

import (
	"context"
	"crypto/tls"
)

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
	plain.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		some, err := s.installed.store.HasTrustBundles(context.WithoutCancel(hello.Context()))
		if err != nil {
			s.cfg.Log.Error("whether there are trust bundles is not known", "cause", err.Error())
		}
		if some || err != nil {
			return asking, nil
		}
		return nil, nil
	}
	return plain, nil
}
