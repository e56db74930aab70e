package fhir

import (
	"strings"
	"testing"
)

const probeFile = "https://acct.blob.core.windows.net/c/probe.ndjson"

func TestProbes(t *testing.T) {
	for name, c := range map[string]struct {
		reply  reply
		export string // part of the error; empty: permitted
		imp    string
	}{
		"parameter named":   {reply{400, nil, outcomeBody("invalid", `The "fhirferryProbe" parameter is not supported.`)}, "", "400"},
		"mode named":        {reply{400, nil, outcomeBody("invalid", "Value of the following parameter mode is invalid.")}, "400", ""},
		"not enabled":       {reply{400, nil, outcomeBody("invalid", `The requested "x" operation is not enabled`)}, "enable the operation", "enable the operation"},
		"no account":        {reply{400, nil, outcomeBody("invalid", "The import storage account is not configured correctly on the server. ")}, "400", "integration storage account"},
		"foreign account":   {reply{400, nil, outcomeBody("invalid", "input.url must match the configured integration storage account endpoint.")}, "400", "make the staging account"},
		"other parameter":   {reply{400, nil, outcomeBody("invalid", "Value of the following parameter inputFormat is invalid.")}, "400", "400"},
		"unauthorized":      {reply{401, nil, outcomeBody("login", "Authentication failed.")}, "tenant", "tenant"},
		"forbidden":         {reply{403, nil, outcomeBody("forbidden", "Authorization failed.")}, "FHIR Data Exporter", "FHIR Data Importer"},
		"no such operation": {reply{404, nil, ""}, "404", "404"},
		"locked":            {reply{423, nil, lockedBody}, "initial import mode off", "initial import mode off"},
		"busy":              {reply{429, nil, ""}, "429", "429"},
		"html":              {reply{400, map[string]string{"Content-Type": "text/html"}, "<html>fhirferryProbe mode"}, "400", "400"},
		"accepts anything":  {reply{202, map[string]string{"Content-Location": "/_operations/x/1"}, ""}, "", ""},
	} {
		server := serve(t, always(c.reply))
		client := server.client(t, Options{})
		for kind, probe := range map[string]struct {
			err  error
			want string
		}{
			"export": {client.ProbeExport(t.Context()), c.export},
			"import": {client.ProbeImport(t.Context(), probeFile), c.imp},
		} {
			if (probe.err == nil) != (probe.want == "") || probe.err != nil && !strings.Contains(asError(t, probe.err).Error(), probe.want) {
				t.Errorf("%s: %s: got %v, want %q", name, kind, probe.err, probe.want)
			}
		}
	}
}

// TestProbeCancelsWhatItStarted: a server that takes an unknown parameter must not be left with a job.
func TestProbeCancelsWhatItStarted(t *testing.T) {
	accepted := reply{202, map[string]string{"Content-Location": "{base}/_operations/export/7"}, ""}
	server := serve(t, inTurn(accepted, reply{status: 202}))
	if err := server.client(t, Options{}).ProbeExport(t.Context()); err != nil {
		t.Errorf("got %v, want permitted", err)
	}
	if got, want := server.lines(), "GET /$export?fhirferryProbe=1\nDELETE /_operations/export/7"; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	server = serve(t, inTurn(accepted, reply{status: 500}))
	err := server.client(t, Options{}).ProbeExport(t.Context())
	if e := asError(t, err); !strings.Contains(e.Error(), "cancel") {
		t.Errorf("got %v, want the failed cancelling", err)
	}
}
