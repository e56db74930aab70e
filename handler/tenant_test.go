package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"

	"fhirferry/handler/internal/fhir"
)

// asked are requests as a server saw them, one line each.
type asked struct {
	mu    sync.Mutex
	lines []string
}

func (a *asked) note(line string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.lines = append(a.lines, line)
}

// fhirService answers every count and notes the token that it was asked with.
func fhirService(t *testing.T, seen *asked) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen.note(r.Header.Get("Authorization"))
		w.Header().Set("Content-Type", "application/fhir+json")
		_, _ = io.WriteString(w, `{"resourceType":"Bundle","total":1}`)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// tokenService stands for a cloud's login service and for the platform's identity endpoint, over TLS. The transport
// leads every request to it, whatever host it names.
func tokenService(t *testing.T, seen *asked) *http.Client {
	t.Helper()
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil {
			t.Error(err)
		}
		w.Header().Set("Content-Type", "application/json")
		tenant, rest, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
		switch {
		case strings.HasSuffix(r.URL.Path, "/openid-configuration"):
			_, _ = fmt.Fprintf(w, `{"issuer":"https://%[1]s/%[2]s/v2.0","authorization_endpoint":"https://%[1]s/%[2]s/oauth2/v2.0/authorize",`+
				`"token_endpoint":"https://%[1]s/%[2]s/oauth2/v2.0/token"}`, r.Host, tenant)
		case strings.HasSuffix(r.URL.Path, "/discovery/instance"):
			_, _ = fmt.Fprintf(w, `{"tenant_discovery_endpoint":"https://%s/%s/v2.0/.well-known/openid-configuration","metadata":[]}`, r.Host, "their-tenant")
		case rest == "oauth2/v2.0/token":
			seen.note(fmt.Sprintf("%s tenant=%s client=%s secret=%s scope=%s", r.Host, tenant, r.Form.Get("client_id"), r.Form.Get("client_secret"),
				strings.Fields(r.Form.Get("scope"))[0]))
			_, _ = io.WriteString(w, `{"token_type":"Bearer","expires_in":3600,"access_token":"token-of-their-tenant"}`)
		case r.URL.Path == "/identity":
			seen.note(fmt.Sprintf("identity client=%s resource=%s", r.Form.Get("client_id"), r.Form.Get("resource")))
			_, _ = io.WriteString(w, `{"token_type":"Bearer","expires_on":"4102444800","access_token":"token-of-the-identity"}`)
		default:
			t.Errorf("asked for %s %s%s", r.Method, r.Host, r.URL.Path)
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	t.Cleanup(s.Close)
	transport := s.Client().Transport.(*http.Transport).Clone()
	transport.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, s.Listener.Addr().String())
	}
	transport.TLSClientConfig = &tls.Config{RootCAs: transport.TLSClientConfig.RootCAs, ServerName: "example.com"}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// A source with client credentials of another tenant gets that tenant's token, for its own address; the destination gets
// the identity's for its own, and neither ever sees the other's. In a sovereign cloud its own login service is asked.
func TestSourceOfAnotherTenant(t *testing.T) {
	for name, way := range map[string]struct {
		cloud cloud.Configuration
		login string
	}{
		"public cloud": {cloud.AzurePublic, "login.microsoftonline.com"},
		"sovereign":    {cloud.AzureGovernment, "login.microsoftonline.us"},
	} {
		t.Run(name, func(t *testing.T) {
			var tokens, atSource, atDestination asked
			t.Setenv("IDENTITY_ENDPOINT", "https://identity.example/identity")
			t.Setenv("IDENTITY_HEADER", "proof")
			source, destination := fhirService(t, &atSource), fhirService(t, &atDestination)
			c := read(map[string]string{
				"FERRY_SOURCE_URL": source, "FERRY_DESTINATION_URL": destination, "IDENTITY_ENDPOINT": "https://identity.example/identity",
				"FERRY_SOURCE_TENANT_ID": "their-tenant", "FERRY_SOURCE_CLIENT_ID": "their-client", "FERRY_SOURCE_CLIENT_SECRET": "hush",
				"AZURE_CLIENT_ID": "our-identity",
			})
			if len(c.problems) > 0 {
				t.Fatalf("got problems %v, want none", c.problems)
			}
			made, err := newCredentialsOver(c, azcore.ClientOptions{Transport: tokenService(t, &tokens), Cloud: way.cloud})
			if err != nil {
				t.Fatal(err)
			}
			from, to, err := c.services(made, slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatal(err)
			}
			for range 2 {
				for _, client := range []*fhir.Client{from, to} {
					if n, err := client.Count(t.Context(), fhir.CountQuery{}); err != nil || n != 1 {
						t.Fatalf("count: got %d, %v, want 1", n, err)
					}
				}
			}
			want := fmt.Sprint([]string{
				way.login + " tenant=their-tenant client=their-client secret=hush scope=" + scopeOf(source) + "/.default",
				"identity client=our-identity resource=" + scopeOf(destination),
			})
			if got := fmt.Sprint(tokens.lines); got != want {
				t.Errorf("tokens asked for:\ngot  %s\nwant %s", got, want)
			}
			for _, end := range []struct {
				name  string
				seen  *asked
				token string
			}{{"source", &atSource, "token-of-their-tenant"}, {"destination", &atDestination, "token-of-the-identity"}} {
				if got, want := fmt.Sprint(end.seen.lines), fmt.Sprint([]string{"Bearer " + end.token, "Bearer " + end.token}); got != want {
					t.Errorf("tokens seen by the %s: got %s, want %s", end.name, got, want)
				}
			}
		})
	}
}

// scopeOf is the resource of a FHIR service: its address, always with https.
func scopeOf(url string) string { return "https://" + strings.TrimPrefix(url, "http://") }
