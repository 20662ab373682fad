package admin

import (
	"encoding/json"

	"credence/internal/fault"
)

func (a *Admin) checkTrust(member, document string, everySubject bool) error {
	if !json.Valid([]byte(document)) {
		return fault.Invalid(member, "is not JSON")
	}
	return nil
}
