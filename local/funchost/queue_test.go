package funchost

import (
	"encoding/base64"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azqueue"
	"github.com/google/go-cmp/cmp"
)

// queueOf is a client for one of the app's queues.
func (a *app) queueOf(name string) *azqueue.QueueClient {
	a.t.Helper()
	storage, err := once.azurite()
	if err != nil {
		a.t.Fatal(err)
	}
	c, err := azqueue.NewQueueClientFromConnectionString(storage.ConnectionString(), name, nil)
	if err != nil {
		a.t.Fatal(err)
	}
	return c
}

// send creates the queue if need be and puts messages as they are.
func (a *app) send(raw ...string) {
	a.t.Helper()
	q := a.queueOf(a.queue)
	_, _ = q.Create(a.t.Context(), nil)
	for _, text := range raw {
		if _, err := q.EnqueueMessage(a.t.Context(), text, nil); err != nil {
			a.t.Fatal(err)
		}
	}
}

func encoded(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }

// length is how many messages the queue holds, invisible ones included; -1: no queue.
func (a *app) length(name string) int {
	got, err := a.queueOf(name).GetProperties(a.t.Context(), nil)
	if err != nil {
		return -1
	}
	return int(*got.ApproximateMessagesCount)
}

func (a *app) peek(name string) (texts []string) {
	a.t.Helper()
	number := int32(32)
	got, err := a.queueOf(name).PeekMessages(a.t.Context(), &azqueue.PeekMessagesOptions{NumberOfMessages: &number})
	if err != nil {
		a.t.Fatal(err)
	}
	for _, m := range got.Messages {
		texts = append(texts, *m.MessageText)
	}
	return texts
}

func TestASucceededMessageIsDeleted(t *testing.T) {
	for _, chunked := range []bool{false, true} {
		a := newApp(t)
		a.addQueue("")
		a.start(Options{Chunked: chunked})
		a.send(encoded("hello"))
		got := receive(t, a.calls, "invocation")
		if got.Method != http.MethodPost || got.URI != "/visit" {
			t.Errorf("the handler got %s %s, want POST /visit", got.Method, got.URI)
		}
		if isChunked := contains(got.TransferEncoding, "chunked"); isChunked != chunked || got.ContentLength >= 0 == chunked {
			t.Errorf("framing = %v, length %d, want chunked = %t", got.TransferEncoding, got.ContentLength, chunked)
		}
		want := map[string]string{"Content-Type": "application/json; charset=utf-8",
			"X-Azure-Functions-Hostversion": hostVersion, "User-Agent": "Azure-Functions-Host/" + hostVersion}
		for name, value := range want {
			if got := got.Header.Get(name); got != value {
				t.Errorf("header %s = %q, want %q", name, got, value)
			}
		}
		if len(got.Header.Get("X-Azure-Functions-InvocationId")) != 36 {
			t.Errorf("invocation id = %q", got.Header.Get("X-Azure-Functions-InvocationId"))
		}
		eventually(t, "the message is deleted", func() bool { return a.length(a.queue) == 0 })
	}
}

func TestTheQueueIsNotCreatedButAwaited(t *testing.T) {
	a := newApp(t)
	a.addQueue("")
	h := a.start(Options{})
	eventually(t, "the handler runs", func() bool { return h.HandlerPID() != 0 })
	if got := a.length(a.queue); got != -1 {
		t.Errorf("the host created the trigger queue (%d messages)", got)
	}
	a.send(encoded("late"))
	receive(t, a.calls, "invocation")
}

func TestAFailingMessageIsPoisonedAfterItsLastTry(t *testing.T) {
	a := newApp(t)
	a.addQueue("")
	a.answers(func(report) order { return order{Status: http.StatusInternalServerError} })
	a.start(Options{Env: []string{"AzureFunctionsJobHost__extensions__queues__maxDequeueCount=3"}})
	a.send(encoded(`{"kind":"bad"}`))
	eventually(t, "a poison message", func() bool { return a.length(a.queue+"-poison") == 1 })
	eventually(t, "the message is gone", func() bool { return a.length(a.queue) == 0 })
	if got := len(a.calls); got != 3 {
		t.Errorf("the handler was called %d times, want 3", got)
	}
	if got := a.peek(a.queue + "-poison"); !cmp.Equal(got, []string{encoded(`{"kind":"bad"}`)}) {
		t.Errorf("poison = %q, want the message in its encoding", got)
	}
}

// The last failure poisons at once: it does not wait for the delay of a retry.
func TestTheLastFailurePoisonsAtOnce(t *testing.T) {
	a := newApp(t)
	a.addQueue("")
	a.answers(func(report) order { return order{Status: http.StatusInternalServerError} })
	a.start(Options{Env: []string{"AzureFunctionsJobHost__extensions__queues__maxDequeueCount=1",
		"AzureFunctionsJobHost__extensions__queues__visibilityTimeout=01:00:00"}})
	a.send(encoded("once"))
	eventually(t, "a poison message", func() bool { return a.length(a.queue+"-poison") == 1 })
}

// Tries that ended in a crash of the whole host count too.
func TestAMessageTriedTooOftenIsPoisonedUnseen(t *testing.T) {
	a := newApp(t)
	a.addQueue("")
	a.send(encoded("crasher"))
	q, now := a.queueOf(a.queue), int32(0)
	for range 5 {
		got, err := q.DequeueMessage(t.Context(), nil)
		if err != nil || len(got.Messages) != 1 {
			t.Fatalf("%d messages, %v", len(got.Messages), err)
		}
		m := got.Messages[0]
		if _, err := q.UpdateMessage(t.Context(), *m.MessageID, *m.PopReceipt, *m.MessageText, &azqueue.UpdateMessageOptions{VisibilityTimeout: &now}); err != nil {
			t.Fatal(err)
		}
	}
	a.start(Options{})
	eventually(t, "a poison message", func() bool { return a.length(a.queue+"-poison") == 1 })
	eventually(t, "the message is gone", func() bool { return a.length(a.queue) == 0 })
	if len(a.calls) != 0 {
		t.Error("the handler was called")
	}
}

func TestAMessageInAnotherEncodingIsPoisonedUnseen(t *testing.T) {
	a := newApp(t)
	a.addQueue("")
	a.start(Options{})
	a.send("not base64!", encoded("good"))
	receive(t, a.calls, "invocation for the good message")
	eventually(t, "a poison message", func() bool { return a.length(a.queue+"-poison") == 1 })
	if got := a.peek(a.queue + "-poison"); !cmp.Equal(got, []string{"not base64!"}) {
		t.Errorf("poison = %q, want the message untouched", got)
	}
	if len(a.calls) != 0 {
		t.Error("the handler saw the undecodable message")
	}
}

func TestMessagesWithoutEncoding(t *testing.T) {
	a := newApp(t)
	a.addQueue("")
	a.start(Options{Env: []string{"AzureFunctionsJobHost__extensions__queues__messageEncoding=none"}})
	a.send("plain <&> text")
	got := receive(t, a.calls, "invocation")
	if want := `"item":"\"plain <&> text\""`; !strings.Contains(string(got.Body), want) {
		t.Errorf("body = %s, want %s in it", got.Body, want)
	}
}

func TestAFailedMessageComesBackAfterTheVisibilityTimeout(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	a.addQueue("")
	first := true
	a.answers(func(report) order {
		if first {
			first = false
			return order{Status: http.StatusInternalServerError}
		}
		return done()
	})
	a.start(Options{Env: []string{"AzureFunctionsJobHost__extensions__queues__visibilityTimeout=00:00:02"}})
	a.send(encoded("again"))
	receive(t, a.calls, "first try")
	failed := time.Now()
	got := receive(t, a.calls, "second try")
	if waited := time.Since(failed); waited < 1500*time.Millisecond {
		t.Errorf("the second try came after %s, want about 2 s", waited)
	}
	if !strings.Contains(string(got.Body), `"DequeueCount":"2"`) {
		t.Errorf("body = %s, want DequeueCount 2", got.Body)
	}
}

func TestConcurrencyIsBatchSizePlusThreshold(t *testing.T) {
	a := newApp(t)
	a.addQueue("")
	release := make(chan struct{})
	a.answers(func(report) order { <-release; return done() })
	a.start(Options{Env: []string{"AzureFunctionsJobHost__extensions__queues__batchSize=2",
		"AzureFunctionsJobHost__extensions__queues__newBatchThreshold=1"}})
	a.send(encoded("1"), encoded("2"), encoded("3"), encoded("4"), encoded("5"))
	// Two at first; both stay, which is above the threshold, so nothing more comes.
	receive(t, a.calls, "first")
	receive(t, a.calls, "second")
	for end := time.Now().Add(500 * time.Millisecond); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if len(a.calls) != 0 {
			t.Fatal("a third came while two were running")
		}
	}
	release <- struct{}{}
	// One left: not above it, and a batch of two is added.
	receive(t, a.calls, "third")
	receive(t, a.calls, "fourth")
	release <- struct{}{}
	release <- struct{}{}
	receive(t, a.calls, "fifth")
	close(release)
	eventually(t, "all messages are deleted", func() bool { return a.length(a.queue) == 0 })
}

func TestALongRunKeepsItsMessage(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	a.addQueue("")
	release := make(chan struct{})
	a.answers(func(report) order { <-release; return done() })
	a.start(Options{MessageLease: 2 * time.Second})
	a.send(encoded("long"))
	receive(t, a.calls, "invocation")
	time.AfterFunc(5*time.Second, func() { close(release) })
	eventually(t, "the message is deleted with a renewed receipt", func() bool { return a.length(a.queue) == 0 })
	if len(a.calls) != 0 {
		t.Error("the message came again while it was worked on")
	}
}

func TestTheMessageOfADeadHostComesBackToAnother(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	a.addQueue("")
	a.answers(func(report) order { return order{Hang: true} })
	first := a.start(Options{MessageLease: 3 * time.Second})
	a.send(encoded("orphan"))
	receive(t, a.calls, "invocation at the first host")
	a.answers(nil)
	died := time.Now()
	first.Die()
	a.start(Options{MessageLease: 3 * time.Second})
	got := receive(t, a.calls, "invocation at the second host")
	if !strings.Contains(string(got.Body), `"DequeueCount":"2"`) {
		t.Errorf("body = %s, want DequeueCount 2", got.Body)
	}
	if waited := time.Since(died); waited < time.Second {
		t.Errorf("the message came back after %s, before its lease had ended", waited)
	}
}
