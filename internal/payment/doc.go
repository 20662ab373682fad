// Package payment makes the tokens that payment vendors want with each request: bearer and wallet JWTs for Coinbase CDP, basic and authorization signatures for Privy.
//
// It protects the private keys of wallets: a key that was parsed signs, and is neither printed nor given back; each token is good for one method, host and
// path, for minutes, and what covers a body covers exactly what the body says.
package payment
