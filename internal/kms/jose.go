package kms

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"math/big"
	"slices"
)

// fits refuses a signature that a kind of key cannot make.
func fits(kind Spec, alg string) error {
	if !slices.Contains(algs[kind], alg) {
		return refuse("it is of kind %s, which does not sign %q", kind, alg)
	}
	return nil
}

// specOf is the kind of a public key; a size or curve that Credence does not use is refused.
func specOf(public crypto.PublicKey) (Spec, error) {
	switch k := public.(type) {
	case *rsa.PublicKey:
		switch k.N.BitLen() {
		case 2048:
			return RSA2048, nil
		case 3072:
			return RSA3072, nil
		case 4096:
			return RSA4096, nil
		}
		return "", refuse("it is an RSA key of %d bits; 2048, 3072 and 4096 are supported", k.N.BitLen())
	case *ecdsa.PublicKey:
		if k.Curve == elliptic.P256() {
			return P256, nil
		}
		return "", refuse("it is on the curve %s; P-256 is supported", k.Curve.Params().Name)
	}
	return "", refuse("it is neither an RSA nor an elliptic curve key")
}

// joseForm makes the r||s of RFC 7518 §3.4 of an ECDSA signature in DER.
func joseForm(der []byte) ([]byte, error) {
	var sig struct{ R, S *big.Int }
	if rest, err := asn1.Unmarshal(der, &sig); err != nil || len(rest) > 0 || sig.R.Sign() <= 0 || sig.S.Sign() <= 0 || sig.R.BitLen() > 256 || sig.S.BitLen() > 256 {
		return nil, errors.New("the service's signature is not one by ECDSA on P-256")
	}
	out := make([]byte, 64)
	sig.R.FillBytes(out[:32])
	sig.S.FillBytes(out[32:])
	return out, nil
}

func parsePEM(text string) (crypto.PublicKey, error) {
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return nil, errors.New("the service's public key is not in PEM")
	}
	return x509.ParsePKIXPublicKey(block.Bytes)
}
