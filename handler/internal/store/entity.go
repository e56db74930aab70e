package store

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"

	"fhirferry/handler/internal/migration"
)

// schema is the form of the rows. A row of another schema was written by another version of the app and is refused.
const schema = 1

// pieceSize is how many bytes of a row's content go into one property: a property holds at most 64 KiB of UTF-16, and a
// row a megabyte in all.
const pieceSize = 30_000

// row is one entity: its keys, its content as JSON text in pieces, and columns that only people read.
type row struct {
	partition, key string
	version        migration.Version
	content        []byte
	columns        map[string]string
	etag           azcore.ETag // as read
}

func newVersion() migration.Version {
	var chance [8]byte
	_, _ = rand.Read(chance[:]) // never fails, says its documentation
	return migration.Version(hex.EncodeToString(chance[:]))
}

// newRow makes a row with a new version from a value.
func newRow(partition, key string, value any) (row, error) {
	content, err := json.Marshal(value)
	if err != nil {
		return row{}, fmt.Errorf("encode row %s: %w", key, err)
	}
	return row{partition: partition, key: key, version: newVersion(), content: content}, nil
}

// encode makes the entity.
func (r row) encode() ([]byte, error) {
	entity := map[string]any{"PartitionKey": r.partition, "RowKey": r.key, "Schema": schema, "Version": string(r.version)}
	for name, text := range r.columns {
		entity[name] = text
	}
	text := string(r.content)
	for i := 0; len(text) > 0; i++ {
		n := min(pieceSize, len(text))
		for n < len(text) && text[n]&0xC0 == 0x80 {
			n-- // not inside a character
		}
		entity[fmt.Sprintf("Content%d", i)] = text[:n]
		text = text[n:]
	}
	return json.Marshal(entity)
}

// decode reads an entity back.
func decode(entity []byte, etag azcore.ETag) (row, error) {
	var fields map[string]any
	if err := json.Unmarshal(entity, &fields); err != nil {
		return row{}, fmt.Errorf("decode a table row: %w", err)
	}
	text := func(name string) string { s, _ := fields[name].(string); return s }
	r := row{partition: text("PartitionKey"), key: text("RowKey"), version: migration.Version(text("Version")), etag: etag}
	if n, ok := fields["Schema"].(float64); !ok || n != schema {
		return row{}, fmt.Errorf("row %s of %s has schema %v and this app writes %d: it was written by another version; "+
			"finish its run with that version, or remove the row", r.key, r.partition, fields["Schema"], schema)
	}
	var content strings.Builder
	for i := 0; ; i++ {
		piece, ok := fields[fmt.Sprintf("Content%d", i)].(string)
		if !ok {
			break
		}
		content.WriteString(piece)
	}
	r.content = []byte(content.String())
	return r, nil
}

// read decodes a row's content into value; fields that value does not have are refused, for acting on half a row loses
// data.
func (r row) read(value any) error {
	d := json.NewDecoder(bytes.NewReader(r.content))
	d.DisallowUnknownFields()
	if err := d.Decode(value); err != nil {
		return fmt.Errorf("read row %s of %s: %w", r.key, r.partition, err)
	}
	return nil
}

func (r row) chunk() (migration.Chunk, error) {
	var c migration.Chunk
	if err := r.read(&c); err != nil {
		return c, err
	}
	if _, ok := migration.ParseState(string(c.State)); !ok {
		return c, fmt.Errorf("chunk %s has the unknown state %q: it was written by another version of the app", c.ID, c.State)
	}
	return c, nil
}

// refusedWith reports whether the service answered with one of the statuses.
func refusedWith(err error, statuses ...int) bool {
	var response *azcore.ResponseError
	return errors.As(err, &response) && slices.Contains(statuses, statusOf(response))
}

// innerStatus finds the status of a part of a multipart answer.
var innerStatus = regexp.MustCompile(`(?m)^HTTP/1\.1 ([45][0-9]{2}) `)

// statusOf is the status of an answer. A refused transaction is answered 202, and the refusal is within (the client
// hands the outer answer back as the error).
func statusOf(response *azcore.ResponseError) int {
	if response.StatusCode != http.StatusAccepted || response.RawResponse == nil {
		return response.StatusCode
	}
	body, err := runtime.Payload(response.RawResponse)
	if err != nil {
		return response.StatusCode
	}
	if found := innerStatus.FindSubmatch(body); found != nil {
		if status, err := strconv.Atoi(string(found[1])); err == nil {
			return status
		}
	}
	return response.StatusCode
}
