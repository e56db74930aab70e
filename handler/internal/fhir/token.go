package fhir

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
)

// renewBefore is how long before its expiry a token is no longer used: jobs live for days, tokens for an hour.
const renewBefore = 5 * time.Minute

// tokenCache keeps the last token of one server. The lock is never held over the network.
type tokenCache struct {
	credential azcore.TokenCredential
	scope      string

	mu   sync.Mutex
	last azcore.AccessToken
}

func (t *tokenCache) get(ctx context.Context, now time.Time) (string, error) {
	t.mu.Lock()
	last := t.last
	t.mu.Unlock()
	if last.Token != "" && now.Before(last.ExpiresOn.Add(-renewBefore)) {
		return last.Token, nil
	}
	fresh, err := t.credential.GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{t.scope}})
	if err != nil {
		return "", err
	}
	if fresh.Token == "" {
		return "", errors.New("the credential gave an empty token")
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.last = fresh
	return fresh.Token, nil
}

// drop forgets a token that the server refused, unless another one has taken its place.
func (t *tokenCache) drop(token string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.last.Token == token {
		t.last = azcore.AccessToken{}
	}
}
