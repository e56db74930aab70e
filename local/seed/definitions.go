package seed

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"path"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// definitionsPerMilli is how many definitions share one lastUpdated: they look like what a bulk load leaves
// behind, yet stay far below the documented 10,000 of one millisecond (contract 4.7).
const definitionsPerMilli = 40

// definitionStep is the time between two such groups; all of the package spans some months.
const definitionStep = 6*time.Hour + 7*time.Millisecond

var notInID = regexp.MustCompile(`[^A-Za-z0-9\-.]+`)

// Definitions yields every resource in the JSON files below root (bundles, lists and single resources), the
// first stamped from. A resource without a usable id gets one made of its url or name; a resource that occurs
// again becomes the next version of the first. Files that hold no resource are passed over; a file that cannot
// be read or parsed ends the stream with an error.
func Definitions(root fs.FS, from time.Time) iter.Seq2[Version, error] {
	return func(yield func(Version, error) bool) {
		d := &definitions{at: from.UTC().Truncate(time.Millisecond), versions: map[Ref]int{}}
		files, err := jsonFiles(root)
		if err != nil {
			yield(Version{}, fmt.Errorf("list definitions: %w", err))
			return
		}
		for _, name := range files {
			if err := d.file(root, name, yield); err != nil {
				if err != errStopped {
					yield(Version{}, fmt.Errorf("read definitions %s: %w", name, err))
				}
				return
			}
		}
	}
}

// errStopped says that the consumer of a stream wants no more of it.
var errStopped = errors.New("stopped")

type definitions struct {
	at       time.Time
	inGroup  int
	versions map[Ref]int
}

func jsonFiles(root fs.FS) ([]string, error) {
	var files []string
	err := fs.WalkDir(root, ".", func(name string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() && path.Ext(name) == ".json" {
			files = append(files, name)
		}
		return err
	})
	return files, err
}

// file streams one file: the largest bundle has 35 MB, of which only one entry is held at a time.
func (d *definitions) file(root fs.FS, name string, yield func(Version, error) bool) error {
	f, err := root.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	dec := json.NewDecoder(f)
	first, err := dec.Token()
	if err != nil {
		return err
	}
	switch first {
	case json.Delim('['):
		return d.list(dec, yield)
	case json.Delim('{'):
		return d.object(dec, yield)
	}
	return nil
}

// list reads an array of resources.
func (d *definitions) list(dec *json.Decoder, yield func(Version, error) bool) error {
	for dec.More() {
		var fields map[string]json.RawMessage
		if err := dec.Decode(&fields); err != nil {
			return err
		}
		if err := d.emit(fields, yield); err != nil {
			return err
		}
	}
	_, err := dec.Token()
	return err
}

// entries reads the entries of a bundle.
func (d *definitions) entries(dec *json.Decoder, yield func(Version, error) bool) error {
	for dec.More() {
		var entry struct {
			Resource map[string]json.RawMessage `json:"resource"`
		}
		if err := dec.Decode(&entry); err != nil {
			return err
		}
		if err := d.emit(entry.Resource, yield); err != nil {
			return err
		}
	}
	_, err := dec.Token()
	return err
}

// object reads a bundle, or collects a single resource.
func (d *definitions) object(dec *json.Decoder, yield func(Version, error) bool) error {
	fields := map[string]json.RawMessage{}
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return err
		}
		if key == "entry" && string(fields["resourceType"]) == `"Bundle"` {
			if _, err := dec.Token(); err != nil {
				return err
			}
			if err := d.entries(dec, yield); err != nil {
				return err
			}
			continue
		}
		var raw json.RawMessage
		if err := dec.Decode(&raw); err != nil {
			return err
		}
		fields[fmt.Sprint(key)] = raw
	}
	if _, err := dec.Token(); err != nil && err != io.EOF {
		return err
	}
	return d.emit(fields, yield)
}

// emit stamps one resource and hands it on.
func (d *definitions) emit(fields map[string]json.RawMessage, yield func(Version, error) bool) error {
	ref := Ref{Type: text(fields["resourceType"])}
	if ref.Type == "" || ref.Type == "Bundle" {
		return nil
	}
	if ref.Type == "SearchParameter" && !storable(fields) {
		return nil
	}
	ref.ID = validID(fields)
	if ref.ID == "" {
		return fmt.Errorf("%s has no id, name or url", ref.Type)
	}
	if d.versions[ref] > 0 {
		d.nextGroup() // no two versions of one resource share a millisecond
	}
	d.versions[ref]++
	v := Version{Type: ref.Type, ID: ref.ID, VersionID: strconv.Itoa(d.versions[ref]), LastUpdated: d.at}
	body, err := stamped(fields, v)
	if err != nil {
		return fmt.Errorf("stamp %s/%s: %w", ref.Type, ref.ID, err)
	}
	v.Body = body
	if d.inGroup++; d.inGroup >= definitionsPerMilli {
		d.nextGroup()
	}
	if !yield(v, nil) {
		return errStopped
	}
	return nil
}

// storable reports whether a service would have stored a search parameter: it refuses what it cannot search by, which is
// what has no expression or a type of its own, and what is for other resource types than those of FHIR (contract 8.2).
func storable(fields map[string]json.RawMessage) bool {
	return text(fields["expression"]) != "" && text(fields["type"]) != "special" && strings.HasPrefix(text(fields["url"]), "http://hl7.org/")
}

func (d *definitions) nextGroup() {
	d.at, d.inGroup = d.at.Add(definitionStep), 0
}

// validID is the resource's id, or one of at most 64 allowed characters made of what else names it.
func validID(fields map[string]json.RawMessage) string {
	for _, key := range []string{"id", "url", "name"} {
		id := text(fields[key])
		if key == "url" {
			id = path.Base(id)
		}
		id = strings.Trim(notInID.ReplaceAllString(id, "-"), "-.")
		if len(id) > 64 {
			id = id[len(id)-64:]
		}
		if id != "" {
			return id
		}
	}
	return ""
}

func text(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) != nil {
		return ""
	}
	return s
}

// stamped is the resource with the id and meta of v. Other fields keep their bytes, numbers included, and what
// meta says beside version and instant (profiles, tags) stays.
func stamped(fields map[string]json.RawMessage, v Version) ([]byte, error) {
	meta := map[string]json.RawMessage{}
	if raw, ok := fields["meta"]; ok {
		if err := json.Unmarshal(raw, &meta); err != nil {
			return nil, err
		}
	}
	meta["versionId"] = json.RawMessage(strconv.Quote(v.VersionID))
	meta["lastUpdated"] = json.RawMessage(strconv.Quote(v.LastUpdated.Format(Instant)))
	rawMeta, err := encode(meta)
	if err != nil {
		return nil, err
	}
	fields["id"], fields["meta"] = json.RawMessage(strconv.Quote(v.ID)), rawMeta
	return encode(fields)
}

// encode is compact JSON that leaves <, > and & alone, as narratives hold plenty of them.
func encode(value any) ([]byte, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(value); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n")), nil
}
