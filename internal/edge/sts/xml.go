package sts

import (
	"bytes"
	"encoding/xml"
	"net/http"
	"strconv"
	"time"

	"credence/internal/fault"
)

// exception is how a kind of fault stands on the wire.
type exception struct {
	code   string
	status int
}

// exceptions is the one table in which errors meet the wire, by the names of the AWS STS API Reference, "Common Errors".
var exceptions = map[fault.Kind]exception{
	fault.Validation:          {"ValidationError", 400},
	fault.AccessDenied:        {"AccessDenied", 403},
	fault.Throttled:           {"Throttling", 400},
	fault.TooLarge:            {"RequestEntityTooLarge", 413},
	fault.UnknownOperation:    {"InvalidAction", 400},
	fault.MissingSignature:    {"MissingAuthenticationToken", 403},
	fault.IncompleteSignature: {"IncompleteSignature", 403},
	fault.UnknownCaller:       {"InvalidClientTokenId", 403},
	fault.InvalidSignature:    {"SignatureDoesNotMatch", 403},
	fault.ExpiredCaller:       {"ExpiredToken", 403},
	fault.Decryption:          {"ServiceUnavailable", 503}, // the server's key
	fault.Encryption:          {"ServiceUnavailable", 503},
}

var errMissingAction = fault.New(fault.UnknownOperation, "The parameter Action is missing: it must be in the body, a form")

type errorResponse struct {
	XMLName   xml.Name `xml:"ErrorResponse"`
	Namespace string   `xml:"xmlns,attr"`
	Type      string   `xml:"Error>Type"`
	Code      string   `xml:"Error>Code"`
	Message   string   `xml:"Error>Message"`
	RequestID string   `xml:"RequestId"`
}

func writeError(w http.ResponseWriter, f *fault.Fault, requestID string, codes map[fault.Kind]string) (status int) {
	e, ok := exceptions[f.Kind]
	message := f.Msg
	if !ok {
		e = exception{"InternalFailure", http.StatusInternalServerError}
	}
	if code, ok := codes[f.Kind]; ok {
		e = exception{code, http.StatusBadRequest}
	}
	body := errorResponse{Namespace: namespace, Type: "Sender", Code: e.code, Message: message, RequestID: requestID}
	if e.status >= 500 {
		body.Type = "Receiver"
	}
	if f.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int((f.RetryAfter+time.Second-1)/time.Second)))
	}
	text, _ := xml.Marshal(body) // strings always marshal
	write(w, e.status, text)
	return e.status
}

// encode writes <NameResponse><NameResult>…: the fields of result by their Go names.
func encode(operation string, result any, requestID string) ([]byte, error) {
	var b bytes.Buffer
	e := xml.NewEncoder(&b)
	response := xml.StartElement{Name: xml.Name{Local: operation + "Response"}, Attr: []xml.Attr{{Name: xml.Name{Local: "xmlns"}, Value: namespace}}}
	metadata := struct {
		RequestID string `xml:"RequestId"`
	}{requestID}
	for _, step := range []func() error{
		func() error { return e.EncodeToken(response) },
		func() error {
			return e.EncodeElement(result, xml.StartElement{Name: xml.Name{Local: operation + "Result"}})
		},
		func() error {
			return e.EncodeElement(metadata, xml.StartElement{Name: xml.Name{Local: "ResponseMetadata"}})
		},
		func() error { return e.EncodeToken(response.End()) },
		e.Close,
	} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	return b.Bytes(), nil
}

func write(w http.ResponseWriter, status int, body []byte) {
	h := w.Header()
	h.Set("Content-Type", "text/xml")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body)
}
