// Package external reaches secrets that are kept elsewhere: files, AWS Secrets Manager, Google Secret Manager, Azure Key Vault, OpenBao.
//
// It protects everything that this process can read and an account may not: a reference is used only below a prefix that the operator configured for that
// account. There is one spelling of each reference, and whatever could be read in two ways is refused before any backend is asked. The process's own cloud
// identity is used only where a prefix says so.
package external
