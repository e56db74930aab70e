package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const byName = "AzureWebJobsStorage__accountName"

// Which kind of credential each client gets. What a kind does on the network is the Azure library's affair.
func TestCredentials(t *testing.T) {
	const managed, signedIn, client, none = "ManagedIdentity", "DefaultAzure", "ClientSecret", "none"
	azure := map[string]string{"IDENTITY_ENDPOINT": "http://127.0.0.1:1", byName: "progress", "AzureWebJobsStorage": ""}
	cases := []struct {
		name string
		env  map[string]string
		want []string // source, destination, staging, storage
	}{
		{"in Azure", azure, []string{managed, managed, managed, managed}},
		{"in Azure, connection strings", map[string]string{"MSI_ENDPOINT": "http://127.0.0.1:1", "FERRY_STAGING_CONNECTION": someAccount},
			[]string{managed, managed, none, none}},
		{"a developer's machine", map[string]string{byName: "progress", "AzureWebJobsStorage": ""}, []string{signedIn, signedIn, signedIn, signedIn}},
		{"a developer's machine, managed identity demanded", map[string]string{byName: "progress", "AzureWebJobsStorage": "",
			"AzureWebJobsStorage__credential": "ManagedIdentity"}, []string{signedIn, signedIn, signedIn, managed}},
		{"source in another tenant", map[string]string{"FERRY_SOURCE_TENANT_ID": "t", "FERRY_SOURCE_CLIENT_ID": "c", "FERRY_SOURCE_CLIENT_SECRET": "s"},
			[]string{client, signedIn, signedIn, none}},
		{"no tokens", map[string]string{"FERRY_AUTH": "none", "FERRY_SOURCE_URL": "http://127.0.0.1:1", "FERRY_DESTINATION_URL": "http://127.0.0.1:2",
			"FERRY_STAGING_CONNECTION": someAccount}, []string{none, none, none, none}},
	}
	for _, tt := range cases {
		c := read(tt.env)
		if len(c.problems) != 0 {
			t.Errorf("%s: got problems %v, want none", tt.name, c.problems)
		}
		made, err := newCredentials(c)
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		got := []string{kind(made.source), kind(made.destination), kind(made.staging), kind(made.storage)}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s: source, destination, staging, storage (-want +got):\n%s", tt.name, diff)
		}
	}
}

func kind(credential any) string {
	if credential == nil {
		return "none"
	}
	return strings.TrimSuffix(strings.TrimPrefix(fmt.Sprintf("%T", credential), "*azidentity."), "Credential")
}

// The account may have an identity of its own; otherwise it shares the app's, token cache included.
func TestStorageIdentity(t *testing.T) {
	base := map[string]string{"IDENTITY_ENDPOINT": "http://127.0.0.1:1", byName: "progress", "AzureWebJobsStorage": "", "AZURE_CLIENT_ID": "app"}
	for own, shared := range map[string]bool{"": true, "app": true, "account": false} {
		base["AzureWebJobsStorage__clientId"] = own
		made, err := newCredentials(read(base))
		if err != nil {
			t.Fatal(err)
		}
		if got := made.storage == made.source; got != shared {
			t.Errorf("client id %q: got shared %v, want %v", own, got, shared)
		}
	}
}

// A malformed tenant is an error that names the settings and not the secret.
func TestSourceClientIsRefused(t *testing.T) {
	c := read(map[string]string{"FERRY_SOURCE_TENANT_ID": "not a tenant!", "FERRY_SOURCE_CLIENT_ID": "c", "FERRY_SOURCE_CLIENT_SECRET": "hush"})
	_, err := newCredentials(c)
	if err == nil || !strings.Contains(err.Error(), "FERRY_SOURCE_TENANT_ID") || strings.Contains(err.Error(), "hush") {
		t.Errorf("got %v, want an error that names FERRY_SOURCE_TENANT_ID", err)
	}
}
