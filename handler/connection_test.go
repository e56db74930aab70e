package main

import (
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/data/aztables"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azqueue"
	"github.com/google/go-cmp/cmp"
)

// Whatever form the host accepts, the three clients accept what becomes of it, and find their endpoints.
func TestConnectionStringsReachThreeServices(t *testing.T) {
	const emulatorKey = "AccountKey=Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
	cases := []struct{ name, text, tables, queues, blobs string }{
		{"public cloud", someAccount,
			"https://progress.table.core.windows.net", "https://progress.queue.core.windows.net/", "https://progress.blob.core.windows.net/"},
		{"sovereign cloud, other case, blanks", " accountname=progress; ACCOUNTKEY=" + someKey + ";endpointsuffix=core.chinacloudapi.cn;Unknown=x",
			"https://progress.table.core.chinacloudapi.cn", "https://progress.queue.core.chinacloudapi.cn/", "https://progress.blob.core.chinacloudapi.cn/"},
		{"emulator in short", emulatorShort,
			"http://127.0.0.1:10002/devstoreaccount1", "http://127.0.0.1:10001/devstoreaccount1/", "http://127.0.0.1:10000/devstoreaccount1/"},
		{"emulator elsewhere", "usedevelopmentstorage=TRUE;DevelopmentStorageProxyUri=http://[::1]:9",
			"http://[::1]:10002/devstoreaccount1", "http://[::1]:10001/devstoreaccount1/", "http://[::1]:10000/devstoreaccount1/"},
		{"emulator on other ports", "DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;" + emulatorKey +
			";BlobEndpoint=http://127.0.0.1:1/devstoreaccount1;QueueEndpoint=http://127.0.0.1:2/devstoreaccount1;TableEndpoint=http://127.0.0.1:3/devstoreaccount1;",
			"http://127.0.0.1:3/devstoreaccount1", "http://127.0.0.1:2/devstoreaccount1/", "http://127.0.0.1:1/devstoreaccount1/"},
	}
	for _, tt := range cases {
		c := read(map[string]string{"AzureWebJobsStorage": tt.text, "FERRY_STAGING_CONNECTION": tt.text})
		if len(c.problems) != 0 {
			t.Errorf("%s: got problems %v, want none", tt.name, c.problems)
			continue
		}
		if _, err := aztables.NewServiceClientFromConnectionString(c.storage.connection.reveal(), nil); err != nil {
			t.Errorf("%s: tables: %v", tt.name, err)
		}
		queues, err := azqueue.NewServiceClientFromConnectionString(c.storage.connection.reveal(), nil)
		if err != nil {
			t.Errorf("%s: queues: %v", tt.name, err)
			continue
		}
		blobs, err := azblob.NewClientFromConnectionString(c.storage.connection.reveal(), nil)
		if err != nil {
			t.Errorf("%s: blobs: %v", tt.name, err)
			continue
		}
		if queues.URL() != tt.queues || blobs.URL() != tt.blobs {
			t.Errorf("%s: got %s and %s, want %s and %s", tt.name, queues.URL(), blobs.URL(), tt.queues, tt.blobs)
		}
		if got := tableEndpoint(t, c.storage.connection); got != tt.tables {
			t.Errorf("%s: got %s, want %s", tt.name, got, tt.tables)
		}
		if c.stagingConnection.reveal() != c.storage.connection.reveal() {
			t.Errorf("%s: the staging connection differs", tt.name)
		}
	}
}

// tableEndpoint is where a table client would go: it does not tell by itself.
func tableEndpoint(t *testing.T, s secret) string {
	t.Helper()
	parts, err := readConnection(s.reveal())
	if err != nil {
		t.Fatal(err)
	}
	if endpoint := parts["TableEndpoint"]; endpoint != "" {
		return endpoint
	}
	protocol := parts["DefaultEndpointsProtocol"]
	if protocol == "" {
		protocol = "https"
	}
	return protocol + "://" + parts["AccountName"] + ".table." + parts["EndpointSuffix"]
}

// A signature opens the staging account, whose blobs are all we need, but not the account of the host.
func TestSharedAccessSignature(t *testing.T) {
	const signed = "BlobEndpoint=https://staging.blob.core.windows.net/;SharedAccessSignature=sv=2024&sig=a%3D"
	c := read(map[string]string{"FERRY_STAGING_CONNECTION": signed})
	if len(c.problems) != 0 {
		t.Fatalf("got problems %v, want none", c.problems)
	}
	blobs, err := azblob.NewClientFromConnectionString(c.stagingConnection.reveal(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if want := "https://staging.blob.core.windows.net/?sv=2024&sig=a%3D"; blobs.URL() != want {
		t.Errorf("got %s, want %s", blobs.URL(), want)
	}
	if diff := cmp.Diff([]string{"AzureWebJobsStorage"}, blamed(read(map[string]string{"AzureWebJobsStorage": signed}))); diff != "" {
		t.Errorf("settings blamed (-want +got):\n%s", diff)
	}
}

func TestMalformedConnectionStrings(t *testing.T) {
	for _, text := range []string{
		"rubbish", "=", ";;;", "AccountName=progress", "AccountKey=" + someKey, "AccountName=progress;AccountKey=***",
		"AccountName=Progress!;AccountKey=" + someKey, someAccount + ";DefaultEndpointsProtocol=ftp", someAccount + ";TableEndpoint=elsewhere",
		someAccount + ";QueueEndpoint=https://", someAccount + ";BlobEndpoint=https://a?b=c", "UseDevelopmentStorage=false",
		"UseDevelopmentStorage=true;DevelopmentStorageProxyUri=here",
	} {
		if diff := cmp.Diff([]string{"AzureWebJobsStorage"}, blamed(read(map[string]string{"AzureWebJobsStorage": text}))); diff != "" {
			t.Errorf("%q: settings blamed (-want +got):\n%s", text, diff)
		}
	}
}

func TestStorageByIdentity(t *testing.T) {
	const tables, queues, blobs = "AzureWebJobsStorage__tableServiceUri", "AzureWebJobsStorage__queueServiceUri", "AzureWebJobsStorage__blobServiceUri"
	const account = "AzureWebJobsStorage__accountName"
	cases := []struct {
		name  string
		env   map[string]string
		want  []string // endpoints of tables, queue, blobs
		blame []string
	}{
		{"by name", map[string]string{account: "progress"}, []string{
			"https://progress.table.core.windows.net", "https://progress.queue.core.windows.net", "https://progress.blob.core.windows.net"}, nil},
		{"by addresses", map[string]string{tables: "https://t.example/", queues: "https://q.example", blobs: "https://b.example"},
			[]string{"https://t.example", "https://q.example", "https://b.example"}, nil},
		{"an address before the name", map[string]string{account: "progress", queues: "https://q.example"}, []string{
			"https://progress.table.core.windows.net", "https://q.example", "https://progress.blob.core.windows.net"}, nil},
		{"two addresses of three", map[string]string{tables: "https://t.example", blobs: "https://b.example"}, nil, []string{queues}},
		{"one address of three", map[string]string{queues: "https://q.example"}, nil, []string{blobs, tables}},
		{"plain http", map[string]string{account: "progress", blobs: "http://b.example"}, nil, []string{blobs}},
		{"not a name", map[string]string{account: "progress.blob.core.windows.net"}, nil, []string{account}},
		{"unknown credential", map[string]string{account: "progress", "AzureWebJobsStorage__credential": "key"}, nil, []string{"AzureWebJobsStorage__credential"}},
		{"neither", nil, nil, []string{"AzureWebJobsStorage"}},
	}
	for _, tt := range cases {
		env := map[string]string{"AzureWebJobsStorage": ""}
		for name, value := range tt.env {
			env[name] = value
		}
		c := read(env)
		if diff := cmp.Diff(tt.blame, blamed(c)); diff != "" {
			t.Errorf("%s: settings blamed (-want +got):\n%s", tt.name, diff)
		}
		if tt.want != nil {
			if diff := cmp.Diff(tt.want, []string{c.storage.tables, c.storage.queues, c.storage.blobs}); diff != "" {
				t.Errorf("%s: endpoints (-want +got):\n%s", tt.name, diff)
			}
		}
	}
}
