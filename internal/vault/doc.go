// Package vault is the only place where plaintext and rows meet.
//
// It protects tokens, codes, client secrets, API keys and access-key secrets at rest. Each account has keysets of its own (Tink, XAES-256-GCM), sealed
// by the key-encryption key (KEK); every sealed column is bound to its table, column, account and row key, so a sealed value moved to another place
// does not open. Keysets are opened once and kept; rows are cached sealed, and opened per use.
//
// Rotation adds a key to a keyset and rewraps it: rows stay as they are.
package vault
