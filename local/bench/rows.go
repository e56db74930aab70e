package main

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"fhirferry/local/azurite"
)

const (
	// progress is the table that the handler keeps its rows in.
	progress = "fhirferry"
	// together is how many rows one transaction writes; a table takes no more.
	together = 100
)

// rows is the progress table as a stranger sees it who knows its keys: "c_" and the id for every chunk, "u_" and the
// id for every unfinished one, in the partition of the run.
type rows struct {
	endpoint string // of the table service, with the account
	run      string
}

// openRows finds the run of the stage.
func openRows(ctx context.Context, s *stage) (*rows, error) {
	r := &rows{}
	for part := range strings.SplitSeq(s.azurite.ConnectionString(), ";") {
		if address, ok := strings.CutPrefix(part, "TableEndpoint="); ok {
			r.endpoint = address
		}
	}
	found, err := r.search(ctx, "c_", "c`", 1)
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("table %s holds no chunk: its keys are not what they were", progress)
	}
	r.run, _ = found[0]["PartitionKey"].(string)
	return r, nil
}

// search reads rows between two keys, all or top of them: of the run, once that is known.
func (r *rows) search(ctx context.Context, from, to string, top int) ([]map[string]any, error) {
	filter := fmt.Sprintf("RowKey gt '%s' and RowKey lt '%s'", from, to)
	if r.run != "" {
		filter = fmt.Sprintf("PartitionKey eq '%s' and ", r.run) + filter
	}
	query := url.Values{"$filter": {filter}}
	if top > 0 {
		query.Set("$top", fmt.Sprint(top))
	}
	path := "/" + progress + "()"
	body, _, err := call(ctx, http.MethodGet, r.endpoint+path+"?"+query.Encode(), "", r.signed(path, "application/json"))
	if err != nil {
		return nil, err
	}
	var page struct{ Value []map[string]any }
	if err := json.Unmarshal(body, &page); err != nil {
		return nil, fmt.Errorf("read rows of %s: %w", progress, err)
	}
	return page.Value, nil
}

// signed are the headers of a request with the account's key (Table service, Shared Key Lite).
func (r *rows) signed(path, contentType string) http.Header {
	date := time.Now().UTC().Format(http.TimeFormat)
	key, _ := base64.StdEncoding.DecodeString(azurite.Key) // a constant
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "%s\n/%s/%s%s", date, azurite.Account, azurite.Account, path)
	return http.Header{
		"X-Ms-Date": {date}, "X-Ms-Version": {"2019-02-02"}, "Dataserviceversion": {"3.0"},
		"Accept": {"application/json;odata=nometadata"}, "Content-Type": {contentType},
		"Authorization": {"SharedKeyLite " + azurite.Account + ":" + base64.StdEncoding.EncodeToString(mac.Sum(nil))},
	}
}

// multiply writes a finished chunk of the run n times more, under ids of other windows.
func (r *rows) multiply(ctx context.Context, n int) error {
	found, err := r.search(ctx, "c_", "c`", 1)
	if err != nil {
		return err
	}
	pattern := found[0]
	if pattern["State"] != "imported" {
		return fmt.Errorf("the first chunk is %v, not imported", pattern["State"])
	}
	key, _ := pattern["RowKey"].(string)
	delete(pattern, "Timestamp")
	row, err := json.Marshal(pattern)
	if err != nil {
		return fmt.Errorf("copy a row: %w", err)
	}
	id := strings.TrimPrefix(key, "c_")
	_, kind, ok := cutLast(id, "_")
	if !ok {
		return errors.New("a chunk's id has no parts: it is not what it was")
	}
	at := time.Date(2001, time.January, 1, 0, 0, 0, 0, time.UTC)
	for n > 0 {
		var batch []string
		for range min(n, together) {
			const stamp = "20060102T150405.000Z"
			next := at.Add(time.Hour)
			copied := strings.ReplaceAll(string(row), id, at.Format(stamp)+"_"+next.Format(stamp)+"_"+kind)
			batch, at = append(batch, copied), next
		}
		n -= len(batch)
		if err := r.insert(ctx, batch); err != nil {
			return err
		}
	}
	return nil
}

func cutLast(text, at string) (before, after string, found bool) {
	i := strings.LastIndex(text, at)
	if i < 0 {
		return text, "", false
	}
	return text[:i], text[i+len(at):], true
}

// insert writes rows in one transaction.
func (r *rows) insert(ctx context.Context, batch []string) error {
	const outer, inner = "batch_fhirferry", "changeset_fhirferry"
	var body strings.Builder
	fmt.Fprintf(&body, "--%s\r\nContent-Type: multipart/mixed; boundary=%s\r\n\r\n", outer, inner)
	for _, row := range batch {
		fmt.Fprintf(&body, "--%s\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n\r\n"+
			"POST %s/%s HTTP/1.1\r\nAccept: application/json;odata=nometadata\r\nContent-Type: application/json\r\n"+
			"Prefer: return-no-content\r\nDataServiceVersion: 3.0\r\n\r\n%s\r\n", inner, r.endpoint, progress, row)
	}
	fmt.Fprintf(&body, "--%s--\r\n--%s--\r\n", inner, outer)
	answer, _, err := call(ctx, http.MethodPost, r.endpoint+"/$batch", body.String(), r.signed("/$batch", "multipart/mixed; boundary="+outer))
	if err != nil {
		return err
	}
	if written := strings.Count(string(answer), "HTTP/1.1 204"); written != len(batch) {
		return fmt.Errorf("a transaction wrote %d of %d rows: %.400s", written, len(batch), answer)
	}
	return nil
}
