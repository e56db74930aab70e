package azurite

import (
	"errors"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/data/aztables"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azqueue"
	"github.com/google/go-cmp/cmp"
)

func proxied(t *testing.T) (*Azurite, *Proxies) {
	t.Helper()
	a := start(t, Options{InMemory: true})
	p, err := a.StartProxies(7)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Stop)
	return a, p
}

// once is a client policy without a retry of its own.
func once() policy.ClientOptions {
	return policy.ClientOptions{Retry: policy.RetryOptions{MaxRetries: -1}}
}

func TestProxiesPassEverySignatureAndCountOperations(t *testing.T) {
	_, p := proxied(t)
	exercise(t, p.ConnectionString(), p.BlobEndpoint())
	want := map[string]int{
		"blob put container": 1, "blob put blob": 1, "queue create queue": 1, "queue put": 1,
		"table create table": 1, "table insert": 1, "table batch": 1, "table get": 1,
	}
	if diff := cmp.Diff(want, p.Counts()); diff != "" {
		t.Errorf("counts (-want +got):\n%s", diff)
	}
}

func TestBusyAnswersAreWithoutEffect(t *testing.T) {
	a, p := proxied(t)
	queue, err := azqueue.NewQueueClientFromConnectionString(p.ConnectionString(), "work",
		&azqueue.ClientOptions{ClientOptions: once()})
	if err != nil {
		t.Fatal(err)
	}
	p.Inject(Fault{Effect: Busy, Operation: "queue put", Next: 2})
	if _, err := queue.Create(t.Context(), nil); err != nil {
		t.Fatalf("a fault for another operation struck: %v", err)
	}
	for range 2 {
		_, err := queue.EnqueueMessage(t.Context(), "lost", nil)
		var answer *azcore.ResponseError
		if !errors.As(err, &answer) || answer.StatusCode != http.StatusServiceUnavailable || answer.ErrorCode != "ServerBusy" {
			t.Fatalf("err = %v, want 503 ServerBusy", err)
		}
	}
	if _, err := queue.EnqueueMessage(t.Context(), "kept", nil); err != nil {
		t.Fatalf("the third request: %v", err)
	}
	if got := messages(t, a, "work"); !cmp.Equal(got, []string{"kept"}) {
		t.Errorf("messages = %q, want only the third", got)
	}
	if got := p.Queue.Struck()["queue put"]; got != 2 {
		t.Errorf("struck = %d, want 2", got)
	}
}

// messages reads past the proxies what a queue holds.
func messages(t *testing.T, a *Azurite, name string) []string {
	t.Helper()
	queue, err := azqueue.NewQueueClientFromConnectionString(a.ConnectionString(), name, nil)
	if err != nil {
		t.Fatal(err)
	}
	number := int32(32)
	peeked, err := queue.PeekMessages(t.Context(), &azqueue.PeekMessagesOptions{NumberOfMessages: &number})
	if err != nil {
		t.Fatal(err)
	}
	var texts []string
	for _, m := range peeked.Messages {
		texts = append(texts, *m.MessageText)
	}
	return texts
}

func TestDroppedAnswersHaveTheirEffectAndRefusedOnesNone(t *testing.T) {
	a, p := proxied(t)
	options := &aztables.ClientOptions{ClientOptions: once()}
	through, err := aztables.NewServiceClientFromConnectionString(p.ConnectionString(), options)
	if err != nil {
		t.Fatal(err)
	}
	direct, err := aztables.NewServiceClientFromConnectionString(a.ConnectionString(), options)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := through.CreateTable(t.Context(), "rows", nil); err != nil {
		t.Fatal(err)
	}
	for effect, want := range map[Effect]bool{Drop: true, Refuse: false} {
		key := map[Effect]string{Drop: "dropped", Refuse: "refused"}[effect]
		p.Inject(Fault{Effect: effect, Operation: "table insert", Next: 1})
		row := []byte(`{"PartitionKey":"p","RowKey":"` + key + `"}`)
		_, err := through.NewClient("rows").AddEntity(t.Context(), row, nil)
		var answer *azcore.ResponseError
		if err == nil || errors.As(err, &answer) {
			t.Errorf("%s: err = %v, want a broken connection", key, err)
		}
		_, err = direct.NewClient("rows").GetEntity(t.Context(), "p", key, nil)
		if found := err == nil; found != want {
			t.Errorf("%s: the row exists = %t, want %t (%v)", key, found, want, err)
		}
	}
}

func TestProbabilityStrikesTheSameRequestsForTheSameSeed(t *testing.T) {
	run := func(seed uint64) (struck []int) {
		f := faults{list: []*Fault{{Effect: Busy, Probability: 0.3}}, random: rand.New(rand.NewPCG(seed, 1))}
		for i := range 1000 {
			if f.strike("queue put") == Busy {
				struck = append(struck, i)
			}
		}
		return struck
	}
	first := run(1)
	if len(first) < 200 || len(first) > 400 {
		t.Errorf("a probability of 0.3 struck %d of 1000", len(first))
	}
	if !cmp.Equal(first, run(1)) || cmp.Equal(first, run(2)) {
		t.Error("the struck requests do not follow the seed")
	}
}

func TestHealEndsFaults(t *testing.T) {
	_, p := proxied(t)
	p.Inject(Fault{Effect: Busy, Probability: 1})
	p.Heal()
	exercise(t, p.ConnectionString(), p.BlobEndpoint())
	if struck := p.Table.Struck(); len(struck) != 0 {
		t.Errorf("struck after Heal: %v", struck)
	}
}

func TestOperationNames(t *testing.T) {
	cases := map[string]struct {
		service      Service
		method, path string
	}{
		"table create table":    {Table, "POST", "/a/Tables"},
		"table delete table":    {Table, "DELETE", "/a/Tables('rows')"},
		"table list tables":     {Table, "GET", "/a/Tables"},
		"table insert":          {Table, "POST", "/a/rows"},
		"table query":           {Table, "GET", "/a/rows()?$filter=x"},
		"table get":             {Table, "GET", "/a/rows(PartitionKey='p',RowKey='r')"},
		"table merge":           {Table, "PATCH", "/a/rows(PartitionKey='p',RowKey='r')"},
		"table replace":         {Table, "PUT", "/a/rows(PartitionKey='p',RowKey='r')"},
		"table delete":          {Table, "DELETE", "/a/rows(PartitionKey='p',RowKey='r')"},
		"table batch":           {Table, "POST", "/a/$batch"},
		"queue create queue":    {Queue, "PUT", "/a/q"},
		"queue delete queue":    {Queue, "DELETE", "/a/q"},
		"queue get properties":  {Queue, "GET", "/a/q?comp=metadata"},
		"queue list queues":     {Queue, "GET", "/a?comp=list"},
		"queue put":             {Queue, "POST", "/a/q/messages?messagettl=1"},
		"queue get":             {Queue, "GET", "/a/q/messages?numofmessages=16"},
		"queue peek":            {Queue, "GET", "/a/q/messages?peekonly=true"},
		"queue clear":           {Queue, "DELETE", "/a/q/messages"},
		"queue update":          {Queue, "PUT", "/a/q/messages/1?popreceipt=x"},
		"queue delete":          {Queue, "DELETE", "/a/q/messages/1?popreceipt=x"},
		"blob put container":    {Blob, "PUT", "/a/c?restype=container"},
		"blob list blobs":       {Blob, "GET", "/a/c?restype=container&comp=list"},
		"blob list containers":  {Blob, "GET", "/a?comp=list"},
		"blob put blob":         {Blob, "PUT", "/a/c/b"},
		"blob get blob":         {Blob, "GET", "/a/c/b"},
		"blob get properties":   {Blob, "HEAD", "/a/c/b"},
		"blob delete blob":      {Blob, "DELETE", "/a/c/b"},
		"blob put block":        {Blob, "PUT", "/a/c/b?comp=block&blockid=1"},
		"blob put block list":   {Blob, "PUT", "/a/c/b?comp=blocklist"},
		"blob lease":            {Blob, "PUT", "/a/c/b?comp=lease"},
		"blob delete container": {Blob, "DELETE", "/a/c?restype=container"},
	}
	for want := range maps.Keys(cases) {
		c := cases[want]
		if got := Operation(c.service, httptest.NewRequest(c.method, c.path, nil)); got != want {
			t.Errorf("%s %s %s = %q, want %q", c.service, c.method, c.path, got, want)
		}
	}
}
