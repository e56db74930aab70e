package store

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/data/aztables"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/service"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azqueue"

	"fhirferry/handler/internal/store/storetest"
	"fhirferry/local/azurite"
)

// account is a storage account, reached by clients that give up late and repeat at once.
type account struct {
	connection, blobs string
	wire              *wire
}

// wire passes requests on and lets a test look at them.
type wire struct {
	mu   sync.Mutex
	seen func(sent *http.Request, body []byte, status int) // nil: nobody looks
}

func (w *wire) Do(r *http.Request) (*http.Response, error) {
	w.mu.Lock()
	seen := w.seen
	w.mu.Unlock()
	var body []byte
	if seen != nil && r.Body != nil {
		var err error
		if body, err = io.ReadAll(r.Body); err != nil {
			return nil, err
		}
		r = r.Clone(r.Context())
		r.Body = io.NopCloser(bytes.NewReader(body))
	}
	answer, err := http.DefaultClient.Do(r)
	if err == nil && seen != nil {
		seen(r, body, answer.StatusCode)
	}
	return answer, err
}

func (w *wire) look(t *testing.T, seen func(sent *http.Request, body []byte, status int)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.seen = seen
	t.Cleanup(func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.seen = nil
	})
}

// shared is the emulator of all tests of the package: started when the first needs it, ended by TestMain. Names are
// numbered, so that each test has tables, queues and containers of its own.
var shared struct {
	start sync.Once
	*azurite.Azurite
	err   error
	names atomic.Int64
}

func TestMain(m *testing.M) {
	code := m.Run()
	if shared.Azurite != nil {
		shared.Stop()
	}
	os.Exit(code)
}

func startAzurite(t *testing.T) (*azurite.Azurite, account) {
	t.Helper()
	shared.start.Do(func() {
		shared.Azurite, shared.err = azurite.Start(context.Background(), azurite.Options{InMemory: true})
	})
	if errors.Is(shared.err, azurite.ErrNotInstalled) && os.Getenv("REQUIRE_AZURITE") == "" {
		t.Skip(shared.err)
	}
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	return shared.Azurite, account{shared.ConnectionString(), shared.BlobEndpoint(), &wire{}}
}

func (a account) options() policy.ClientOptions {
	return policy.ClientOptions{
		Retry:     policy.RetryOptions{MaxRetries: 25, RetryDelay: time.Millisecond, MaxRetryDelay: 10 * time.Millisecond},
		Transport: a.wire,
	}
}

func (account) name(kind string) string { return fmt.Sprintf("%s%d", kind, shared.names.Add(1)) }

func (a account) service(t *testing.T) *service.Client {
	t.Helper()
	client, err := service.NewClientFromConnectionString(a.connection, &service.ClientOptions{ClientOptions: a.options()})
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// ledger is an empty one, in a table and a container of its own that nobody has made yet.
func (a account) ledger(t *testing.T) *Ledger {
	t.Helper()
	tables, err := aztables.NewServiceClientFromConnectionString(a.connection, &aztables.ClientOptions{ClientOptions: a.options()})
	if err != nil {
		t.Fatal(err)
	}
	l := NewLedger(tables, a.service(t).NewContainerClient(a.name("documents")))
	l.table.client = tables.NewClient(a.name("runs"))
	return l
}

func (a account) queue(t *testing.T) (*Queue, *azqueue.QueueClient) {
	t.Helper()
	client, err := azqueue.NewQueueClientFromConnectionString(a.connection, a.name("nudges"), &azqueue.ClientOptions{ClientOptions: a.options()})
	if err != nil {
		t.Fatal(err)
	}
	return NewQueue(client), client
}

// Nothing of what is examined exists before: tables, queues and containers are made when they turn out missing.
func (a account) exerciseLedger(t *testing.T) {
	t.Run("ledger", func(t *testing.T) {
		storetest.ExerciseLedger(t, func(t *testing.T) storetest.ExamLedger { return a.ledger(t) })
	})
}

func (a account) exerciseQueueAndStaging(t *testing.T) {
	t.Run("queue", func(t *testing.T) {
		storetest.ExerciseQueue(t, func(t *testing.T) (storetest.ExamQueue, func(*testing.T) map[string]time.Duration) {
			queue, _ := a.queue(t)
			hidden := map[string]time.Duration{}
			a.wire.look(t, func(sent *http.Request, body []byte, status int) {
				if sent.Method == http.MethodPost && status == http.StatusCreated {
					readNudge(t, sent, string(body), hidden)
				}
			})
			return queue, func(*testing.T) map[string]time.Duration { return hidden }
		})
	})
	t.Run("staging", func(t *testing.T) {
		storetest.ExerciseStaging(t, func(t *testing.T) (storetest.ExamStaging, func(container, name string, content []byte)) {
			name, account := a.name("staging"), a.service(t)
			staging := NewStaging(account, a.blobs+"/", name)
			if err := staging.Prepare(t.Context()); err != nil {
				t.Fatal(err)
			}
			// Files are written by somebody else, who meets no faults.
			others, err := service.NewClientFromConnectionString(shared.ConnectionString(), nil)
			if err != nil {
				t.Fatal(err)
			}
			return staging, func(container, name string, content []byte) {
				files := others.NewContainerClient(container)
				if err := createContainer(t.Context(), files); err != nil {
					t.Fatal(err)
				}
				if _, err := files.NewBlockBlobClient(name).UploadBuffer(t.Context(), content, nil); err != nil {
					t.Fatal(err)
				}
			}
		})
	})
}

// readNudge notes a message that the service took: for how long it is hidden, and that it lives an hour longer.
func readNudge(t *testing.T, sent *http.Request, body string, hidden map[string]time.Duration) {
	_, text, _ := strings.Cut(body, "<MessageText>")
	text, _, _ = strings.Cut(text, "</MessageText>")
	id, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		t.Errorf("message %s: %v; the host decodes base64", text, err)
	}
	delay, _ := strconv.Atoi(sent.URL.Query().Get("visibilitytimeout"))
	life, _ := strconv.Atoi(sent.URL.Query().Get("messagettl"))
	if life != delay+3600 {
		t.Errorf("message %s: got a life of %d s, want %d and an hour", id, life, delay)
	}
	hidden[string(id)] = time.Duration(delay) * time.Second
}

func TestAzurite(t *testing.T) {
	_, a := startAzurite(t)
	a.exerciseLedger(t)
	a.exerciseQueueAndStaging(t)
}

// Answers are lost after the effect, requests before it, and the service is busy, many times in each exam.
func TestAzuriteWithFaults(t *testing.T) {
	emulator, a := startAzurite(t)
	proxies, err := emulator.StartProxies(1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(proxies.Stop)
	a.connection = proxies.ConnectionString()
	for _, effect := range []azurite.Effect{azurite.Busy, azurite.Drop, azurite.Refuse} {
		proxies.Inject(azurite.Fault{Effect: effect, Probability: 0.06})
	}
	a.exerciseLedger(t)
	for range 10 {
		a.exerciseQueueAndStaging(t)
	}
	struck := strikes(proxies)
	for _, operation := range []string{"table batch", "table get", "table query", "queue put", "blob put blob", "blob list blobs"} {
		if struck[operation] == 0 {
			t.Errorf("%s: no fault struck, of %d requests", operation, proxies.Counts()[operation])
		}
	}
}

// strikes are the requests that a fault has met so far, by operation.
func strikes(p *azurite.Proxies) map[string]int {
	all := map[string]int{}
	for _, proxy := range []*azurite.Proxy{p.Table, p.Queue, p.Blob} {
		maps.Copy(all, proxy.Struck())
	}
	return all
}
