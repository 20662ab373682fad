// Command hydra is Ory Hydra, for the tests of the JWT grant (RFC 7523), which no lighter server takes from a foreign issuer.
package main

import "github.com/ory/hydra/v2/cmd"

func main() { cmd.Execute() }
