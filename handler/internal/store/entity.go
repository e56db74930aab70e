package store

import (
	"bytes"
	"compress/flate"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"slices"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"

	"fhirferry/handler/internal/migration"
)

// schema is the form of the rows. A row of another schema was written by another version of the app and is refused.
const schema = 1

// A property holds at most 64 KiB, a text counted in UTF-16, and a row a megabyte in all.
const (
	pieceSize  = 30_000         // bytes of content in one text property
	plainLimit = 12 * pieceSize // longer content is deflated, and people cannot read it any more
	packedSize = 60_000         // bytes in one binary property
	packedMost = 15             // such properties in a row
)

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
	if len(r.content) > plainLimit {
		packed, err := deflate(r.content)
		if err != nil {
			return nil, err
		}
		if len(packed) > packedMost*packedSize {
			return nil, fmt.Errorf("%d bytes do not fit into one row, not even deflated", len(r.content))
		}
		for i, piece := range slices.Collect(slices.Chunk(packed, packedSize)) {
			name := fmt.Sprintf("Packed%d", i)
			entity[name], entity[name+"@odata.type"] = base64.StdEncoding.EncodeToString(piece), "Edm.Binary"
		}
		return json.Marshal(entity)
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

func deflate(content []byte) ([]byte, error) {
	var packed bytes.Buffer
	w, err := flate.NewWriter(&packed, flate.DefaultCompression)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(content); err != nil {
		return nil, err
	}
	err = w.Close()
	return packed.Bytes(), err
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
	var content bytes.Buffer
	for i := 0; text(fmt.Sprintf("Content%d", i)) != ""; i++ {
		content.WriteString(text(fmt.Sprintf("Content%d", i)))
	}
	if content.Len() > 0 {
		r.content = content.Bytes()
		return r, nil
	}
	for i := 0; text(fmt.Sprintf("Packed%d", i)) != ""; i++ {
		piece, err := base64.StdEncoding.DecodeString(text(fmt.Sprintf("Packed%d", i)))
		if err != nil {
			return row{}, fmt.Errorf("decode row %s of %s: %w", r.key, r.partition, err)
		}
		content.Write(piece)
	}
	whole, err := io.ReadAll(flate.NewReader(&content))
	if err != nil {
		return row{}, fmt.Errorf("decode row %s of %s, which has no whole content: %w", r.key, r.partition, err)
	}
	r.content = whole
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
	_, known := migration.ParseState(string(c.State))
	return c, r.refuseUnless(known, "state", c.State)
}

func (r row) run() (migration.Run, error) {
	var run migration.Run
	if err := r.read(&run); err != nil {
		return run, err
	}
	modes := []migration.Mode{migration.Continuous, migration.Once}
	outcomes := []migration.Outcome{"", migration.Stopped, migration.Completed}
	if err := r.refuseUnless(slices.Contains(modes, run.Settings.Mode), "mode", run.Settings.Mode); err != nil {
		return run, err
	}
	if err := r.refuseUnless(slices.Contains(outcomes, run.Outcome), "outcome", run.Outcome); err != nil {
		return run, err
	}
	return run, r.refuseUnless(slices.Contains(migration.ReindexOutcomes(), run.Reindex.Result), "result of a reindex", run.Reindex.Result)
}

func (r row) round() (migration.Round, error) {
	var round migration.Round
	if err := r.read(&round); err != nil {
		return round, err
	}
	known := round.Kind == migration.Planning || round.Kind == migration.Closing
	return round, r.refuseUnless(known, "kind", round.Kind)
}

func (r row) errand() (migration.Errand, error) {
	var e migration.Errand
	if err := r.read(&e); err != nil {
		return e, err
	}
	return e, r.refuseUnless(slices.Contains(migration.ErrandKinds(), e.Kind), "kind of errand", e.Kind)
}

// refuseUnless is the error for a word that we do not know: acting on it as if it were another one loses data.
func (r row) refuseUnless(known bool, what string, word any) error {
	if known {
		return nil
	}
	return fmt.Errorf("row %s of %s has the unknown %s %q: it was written by another version of the app; finish its run "+
		"with that version, or remove the row", r.key, r.partition, what, word)
}
