// Package oauth is the OAuth 2.0 client: what is sent to a vendor's authorization and token endpoints, and what its answers mean. One
// file for each RFC or topic.
//
// It protects grants. Each call sends exactly one POST, never a second one to try another client authentication (only where a vendor
// wants a proof of possession before it looks at the grant, it gets one), and each failure says what may be concluded from it (Outcome): only a caller who knows that nothing was sent may send a code or a rotating refresh token
// again. And it protects secrets: no error repeats what was sent, or more of an answer than its cleaned error and error_description.
package oauth
