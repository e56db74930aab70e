package seed

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"
)

// maxRefusals is how many writes in a row may fail before a writer gives up.
const maxRefusals = 50

// Writer keeps changing a FHIR service over HTTP.
type Writer struct {
	BaseURL string
	Client  *http.Client // nil: one whose requests take at most ten seconds
	Seed    uint64
	Rate    float64 // writes per second; zero: 20
	Known   []Ref   // resources that are there already and are changed too
}

// Writes counts what a writer did.
type Writes struct {
	Created, Updated, Deleted int
	Refused                   int // answered with an error, or not at all
}

// Total is the number of writes the service accepted.
func (w Writes) Total() int { return w.Created + w.Updated + w.Deleted }

// Run writes until ctx ends. A write under way is still waited for, so that nothing changes after Run returns.
// The error is nil unless the service refused many writes in a row.
func (w Writer) Run(ctx context.Context) (Writes, error) {
	if w.Client == nil {
		w.Client = &http.Client{Timeout: 10 * time.Second}
	}
	if w.Rate <= 0 {
		w.Rate = 20
	}
	pen := &pen{Writer: w, draw: rand.New(rand.NewPCG(w.Seed, 0xB1D)), kinds: kinds()}
	ticker := time.NewTicker(time.Duration(float64(time.Second) / w.Rate))
	defer ticker.Stop()
	refusals := 0
	for {
		select {
		case <-ctx.Done():
			return pen.done, nil
		case <-ticker.C:
		}
		if ctx.Err() != nil {
			return pen.done, nil
		}
		err := pen.write(context.WithoutCancel(ctx))
		if err == nil {
			refusals = 0
			continue
		}
		pen.done.Refused++
		if refusals++; refusals >= maxRefusals {
			return pen.done, fmt.Errorf("write to the source: %d refusals in a row, last: %w", refusals, err)
		}
	}
}

// pen is a writer at work.
type pen struct {
	Writer
	draw    *rand.Rand
	kinds   []kind
	created []Ref
	turn    int
	done    Writes
}

// write does one write: of ten, four create, five update and one deletes.
func (p *pen) write(ctx context.Context) error {
	p.turn++
	choice := p.draw.IntN(10)
	if choice < 4 || len(p.created)+len(p.Known) == 0 {
		k := p.kinds[p.draw.IntN(len(p.kinds))]
		ref := Ref{Type: k.name, ID: fmt.Sprintf("live-%x-%06d", p.Seed, p.turn)}
		if err := p.put(ctx, ref); err != nil {
			return err
		}
		p.created = append(p.created, ref)
		p.done.Created++
		return nil
	}
	ref := p.existing()
	if choice < 9 {
		if err := p.put(ctx, ref); err != nil {
			return err
		}
		p.done.Updated++
		return nil
	}
	if err := p.send(ctx, http.MethodDelete, ref, nil); err != nil {
		return err
	}
	p.done.Deleted++
	return nil
}

// existing is a resource to change; a deleted one may come back.
func (p *pen) existing() Ref {
	n := p.draw.IntN(len(p.created) + len(p.Known))
	if n < len(p.created) {
		return p.created[n]
	}
	return p.Known[n-len(p.created)]
}

func (p *pen) put(ctx context.Context, ref Ref) error {
	for _, k := range p.kinds {
		if k.name != ref.Type {
			continue
		}
		body := k.body(&story{
			Rand: rand.New(rand.NewPCG(p.Seed, uint64(p.turn))), change: p.draw, n: p.turn, version: p.turn, count: func(string) int { return 100 },
		})
		body["resourceType"], body["id"] = ref.Type, ref.ID
		raw, err := encode(body)
		if err != nil {
			return fmt.Errorf("encode %s/%s: %w", ref.Type, ref.ID, err)
		}
		return p.send(ctx, http.MethodPut, ref, raw)
	}
	return fmt.Errorf("write %s/%s: not a type this writer invents", ref.Type, ref.ID)
}

func (p *pen) send(ctx context.Context, method string, ref Ref, body []byte) error {
	target := strings.TrimSuffix(p.BaseURL, "/") + "/" + ref.Type + "/" + ref.ID
	req, err := http.NewRequestWithContext(ctx, method, target, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("%s %s/%s: %w", method, ref.Type, ref.ID, err)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/fhir+json")
	}
	req.Header.Set("Accept", "application/fhir+json")
	resp, err := p.Client.Do(req)
	if err != nil {
		return fmt.Errorf("%s %s/%s: %w", method, ref.Type, ref.ID, err)
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<20)); err != nil {
		return fmt.Errorf("%s %s/%s: read the answer: %w", method, ref.Type, ref.ID, err)
	}
	if resp.StatusCode >= 300 {
		return fmt.Errorf("%s %s/%s: answered %s", method, ref.Type, ref.ID, resp.Status)
	}
	return nil
}
