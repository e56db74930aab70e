package store

import (
	"encoding/xml"
	"net/http"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azqueue"
)

// taken reads what the service answers to a message that it takes.
type taken struct{ ExpirationTime, InsertionTime, TimeNextVisible string }

func (m *taken) Do(r *policy.Request) (*http.Response, error) {
	answer, err := r.Next()
	if err != nil || r.Raw().Method != http.MethodPost {
		return answer, err
	}
	body, err := runtime.Payload(answer)
	if err != nil {
		return nil, err
	}
	var list struct{ QueueMessage taken }
	err = xml.Unmarshal(body, &list)
	*m = list.QueueMessage
	return answer, err
}

// after is the time from the insertion to another instant of the message.
func (m *taken) after(t *testing.T, instant string) time.Duration {
	t.Helper()
	from, ferr := http.ParseTime(m.InsertionTime)
	to, terr := http.ParseTime(instant)
	if ferr != nil || terr != nil {
		t.Fatalf("times of a message: %v, %v", ferr, terr)
	}
	return to.Sub(from)
}

// The service itself tells when a message shows up and when it is dropped: an hour later.
func TestNudgeTimes(t *testing.T) {
	_, a := startAzurite(t)
	var message taken
	options := a.options()
	options.PerCallPolicies = []policy.Policy{&message}
	client, err := azqueue.NewQueueClientFromConnectionString(a.connection, a.name("nudges"), &azqueue.ClientOptions{ClientOptions: options})
	if err != nil {
		t.Fatal(err)
	}
	queue := NewQueue(client)
	for _, tt := range []struct{ asked, want time.Duration }{
		{0, 0}, {-time.Hour, 0}, {time.Nanosecond, time.Second}, {1001 * time.Millisecond, 2 * time.Second},
		{6 * time.Hour, 6 * time.Hour}, {6*time.Hour + 1, 6 * time.Hour}, {1 << 62, 6 * time.Hour},
	} {
		if err := queue.Nudge(t.Context(), "chunk", tt.asked); err != nil {
			t.Fatalf("nudge after %v: %v", tt.asked, err)
		}
		visible, gone := message.after(t, message.TimeNextVisible), message.after(t, message.ExpirationTime)
		if visible != tt.want || gone != tt.want+time.Hour {
			t.Errorf("nudge after %v: got visible after %v and gone after %v, want %v and an hour more", tt.asked, visible, gone, tt.want)
		}
	}
}
