package consent

import (
	_ "embed"
	"html/template"
	"net/http"

	"credence/internal/broker"
	"credence/internal/edge/door"
)

var (
	//go:embed page.html
	pageHTML string

	pageTemplate = template.Must(template.New("page").Funcs(template.FuncMap{"style": door.PageStyle}).Parse(pageHTML))

	contentSecurityPolicy = door.PagePolicy("'none'", door.PageStyle())
)

// page is one page: what happened, and what to do.
type page struct {
	status    int
	Title     string
	What      string
	Do        string
	Link      string
	LinkText  string
	Reference string
	Confirm   *broker.Confirmation
	Device    *broker.DevicePage
}

// interruptions are the pages for what can come between. Each says what happened and what to do, to somebody who only wanted to connect an account.
var interruptions = map[broker.Cause]page{
	broker.CauseUnknown: {
		status: http.StatusNotFound, Title: "This link is not known",
		What: "It may be incomplete, or from too long ago.",
		Do:   "Go back to the application that sent you here and start again.",
	},
	broker.CauseExpired: {
		status: http.StatusGone, Title: "This link has expired",
		What: "For your safety, such links are good for ten minutes only.",
		Do:   "Go back to the application that sent you here and start again.",
	},
	broker.CauseAnswered: {
		status: http.StatusGone, Title: "This was already answered",
		What: "Each link asks for your consent once, and this one has had its answer.",
		Do:   "You can close this page and go on in the application. If it still asks you to connect, start again from there.",
	},
	broker.CauseForeignBrowser: {
		status: http.StatusBadRequest, Title: "Please start again in this browser",
		What:     "The answer came to a browser that did not ask the question, or whose cookies were cleared meanwhile. To protect your account, nothing was connected.",
		Do:       "If it was you who wanted to connect an account, reopen the link here. If somebody sent you here, close this page.",
		LinkText: "Reopen here",
	},
	broker.CauseWrongIssuer: {
		status: http.StatusBadRequest, Title: "The answer came from another server",
		What:     "Another server than the one you were sent to gave the answer. To protect your account, nothing was connected.",
		Do:       "You can try again. If this page comes back, tell the people who run the application.",
		LinkText: "Reopen here",
	},
	broker.CauseProviderGone: {
		status: http.StatusGone, Title: "This connection was changed",
		What: "Since you were asked, the people who run the application have changed or removed the service that you were to connect.",
		Do:   "Go back to the application that sent you here and start again.",
	},
	broker.CauseVendorAway: {
		status: http.StatusServiceUnavailable, Title: "The service does not answer",
		What: "The service whose account you want to connect cannot be reached at the moment.",
		Do:   "Wait a minute, then reload this page.",
	},
	broker.CauseVendorRefused: {
		status: http.StatusBadGateway, Title: "The service refused the request",
		What: "The service whose account you want to connect does not take what the application asks of it. Nothing was connected.",
		Do:   "Tell the people who run the application, and give them the reference below.",
	},
}

func failure(id string) page {
	return page{
		Title: "Something went wrong on our side", Reference: id,
		What: "Your answer could not be handled, and nothing was connected.",
		Do:   "Wait a minute, then reload this page. If it keeps happening, tell the people who run the application, and give them the reference below.",
	}
}

func confirmation(c broker.Confirmation) page {
	return page{Title: "Connect " + c.Provider + " for " + c.Agent + "?", Confirm: &c}
}

func deviceCode(p broker.DevicePage) page {
	return page{Title: "Connect " + p.Provider + " for " + p.Agent, Device: &p}
}

func (d *Door) show(w http.ResponseWriter, status int, p page) {
	door.WritePage(w, d.Log, status, pageTemplate, p)
}
