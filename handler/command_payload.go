package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"fhirferry/handler/internal/fhir"
	"fhirferry/handler/internal/migration"
	"fhirferry/handler/internal/store"
)

// payload is one file that the command writes.
type payload struct {
	name  string
	body  []byte
	files int   // named in the body; 0: not a body
	lines int64 // in those files
	slice int64 // slice size that the body asks for; 0: none
}

// payloads cuts the manifest's files, by type and URL, into bodies of at most the limit. The same manifest and order
// give the same bytes.
func (o payloadOrder) payloads(ctx context.Context, c config, m fhir.Manifest) ([]payload, error) {
	files := slices.DeleteFunc(slices.Clone(m.Output), isSearchParameter)
	if len(files) == 0 {
		return nil, fmt.Errorf("the manifest names no file to import (%s left out); if the export should have held something, "+
			"export again: a cancelled export answers like an empty one", plural(len(m.Output), "SearchParameter file"))
	}
	for i := range files {
		if o.account != "" {
			files[i].URL = moveTo(o.account, files[i].URL)
		}
	}
	staged := map[string]migration.StagedFile{}
	if o.asksStaging() {
		var err error
		if staged, err = stagedByURL(ctx, c, files); err != nil {
			return nil, err
		}
	}
	source := o.source
	if source == "" {
		source = "urn:fhirferry:import-payload:" + m.Digest()[:16]
	}
	batches := slices.Collect(slices.Chunk(files, c.filesPerImport))
	width := max(3, len(fmt.Sprint(len(batches))))
	var made []payload
	for i, batch := range batches {
		p := payload{name: fmt.Sprintf("payload-%0*d.json", width, i+1), files: len(batch), slice: o.sliceBytes}
		r := fhir.ImportRequest{Mode: o.mode, Source: source, ErrorContainer: o.errorContainer}
		for _, f := range batch {
			blob := staged[f.URL]
			if o.sliceLargest {
				p.slice = max(p.slice, min(blob.Size, fhir.MaxSliceBytes), 1)
			}
			p.lines += f.Count
			r.Files = append(r.Files, fhir.ImportFile{Type: f.Type, URL: f.URL, ETag: o.etag(blob)})
		}
		r.SliceBytes = p.slice
		body, err := r.Body()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p.name, err)
		}
		p.body = body
		made = append(made, p)
	}
	return made, nil
}

func isSearchParameter(f fhir.OutputFile) bool { return f.Type == "SearchParameter" }

// etag writes a file's etag as the order wants it; empty: not compared.
func (o payloadOrder) etag(f migration.StagedFile) string {
	switch o.etags {
	case "quoted":
		return f.ETag
	case "plain":
		return strings.Trim(f.ETag, `"`)
	}
	return ""
}

// moveTo gives a file of the manifest the endpoint of the account that it was copied to.
func moveTo(account, file string) string {
	u, err := url.Parse(file)
	if err != nil {
		return file // the manifest was read: it can be parsed
	}
	return account + u.EscapedPath()
}

// stagedByURL looks up each file in the staging account, by folders. One that is missing, or empty where lines are
// promised, is an error: an import would fail on it, or lose it.
func stagedByURL(ctx context.Context, c config, files []fhir.OutputFile) (map[string]migration.StagedFile, error) {
	tokens, err := newCredentials(c)
	if err != nil {
		return nil, err
	}
	account, err := blobService(c.stagingConnection, c.stagingURL, tokens.staging)
	if err != nil {
		return nil, fmt.Errorf("FERRY_STAGING_CONNECTION: %w", err)
	}
	found := map[string]migration.StagedFile{}
	listed := map[string]bool{}
	for _, f := range files {
		path, ok := strings.CutPrefix(f.URL, c.stagingURL+"/")
		container, name, named := strings.Cut(path, "/")
		if !ok || !named || container == "" || name == "" {
			return nil, fmt.Errorf("file %s is not in the account %s; set FERRY_STAGING_URL to the account that holds the files, "+
				"or give -account when they were copied there", f.URL, c.stagingURL)
		}
		folder := name[:strings.LastIndex(name, "/")+1]
		root := c.stagingURL + "/" + container + "/"
		if !listed[root+folder] {
			listed[root+folder] = true
			blobs, err := store.NewStaging(account, c.stagingURL, container).Folder(ctx, folder)
			if err != nil {
				return nil, fmt.Errorf("look at the files in %s: %w", root+folder, err)
			}
			for _, b := range blobs {
				found[root+b.Name] = b
			}
		}
		if b, ok := found[f.URL]; !ok || b.Size == 0 && f.Count > 0 {
			return nil, fmt.Errorf("file %s is missing or empty, and the manifest promises %s; export again", f.URL, plural(f.Count, "line"))
		}
	}
	return found, nil
}

// writePayloads writes the files into a folder that holds no payloads yet: an older one that is left there would be
// posted with them.
func writePayloads(folder string, payloads []payload) error {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return fmt.Errorf("make the folder: %w", err)
	}
	older, err := filepath.Glob(filepath.Join(strings.NewReplacer("*", `\*`, "?", `\?`, "[", `\[`).Replace(folder), "payload-*.json"))
	if err != nil {
		return fmt.Errorf("look into %s: %w", folder, err)
	}
	for _, p := range payloads {
		if _, err := os.Lstat(filepath.Join(folder, p.name)); !errors.Is(err, fs.ErrNotExist) {
			older = append(older, filepath.Join(folder, p.name))
		}
	}
	if len(older) > 0 {
		return fmt.Errorf("%s is there already and is not written over; give -out with a new folder", older[0])
	}
	for _, p := range payloads {
		if err := writeNew(filepath.Join(folder, p.name), p.body); err != nil {
			return fmt.Errorf("write %s: %w; what is in the folder is not complete, remove it", p.name, err)
		}
	}
	return nil
}

func writeNew(name string, content []byte) error {
	file, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = file.Write(content)
	return errors.Join(err, file.Close())
}

// explain says what was made, what was left out, and how to go on.
func (o payloadOrder) explain(w io.Writer, c config, m fhir.Manifest, payloads []payload) error {
	note := func(format string, args ...any) { _, _ = fmt.Fprintf(w, format+"\n", args...) }
	var skipped int
	var lines int64
	for _, f := range m.Output {
		if isSearchParameter(f) {
			skipped, lines = skipped+1, lines+f.Count
		}
	}
	note("manifest: %s, %s, digest %s", plural(len(m.Output), "file"), plural(m.Lines(), "line"), m.Digest()[:16])
	if isURL(o.manifest) {
		note("one answer was read; an export can answer too early: run the command again in half a minute, the digest must be the same")
	}
	if m.Errors > 0 {
		note("the manifest names %s, which this command does not read: look into them before you import", plural(m.Errors, "error file"))
	}
	if skipped == 0 {
		note("left out: nothing")
	} else {
		note("left out: %s with %s", plural(skipped, "SearchParameter file"), plural(lines, "line"))
		note("$import refuses SearchParameter resources: write them to the destination one by one before the import, then start $reindex after it")
	}
	if o.mode == fhir.InitialLoad {
		note("InitialLoad loses versions, deletes and instants of last update, and refuses conditional references: IncrementalLoad keeps them")
	}
	if o.sliceBytes == 0 && !o.sliceLargest {
		note("no slice size is asked for: the server reads files in slices of 10,000,000 bytes and may lose a line at the edge of two; -slice-bytes largest avoids that")
	}
	base := c.destinationURL
	if base == "" {
		base = "https://WORKSPACE-SERVICE.fhir.azurehealthcareapis.com"
	}
	request, err := fhir.ImportByHand(base)
	if err != nil {
		return fmt.Errorf("FERRY_DESTINATION_URL: %w", err)
	}
	_, _ = io.WriteString(w, tokenLine(request.Scope))
	for _, p := range payloads {
		if p.files == 0 {
			continue
		}
		name := filepath.Join(o.out, p.name)
		note("# %s: %s, %s, %s", name, plural(p.files, "file"), plural(p.lines, "line"), plural(int64(len(p.body)), "byte"))
		note("%s", curl(request, name))
	}
	note("the Content-Location of the answer tells how the import goes; its end must account for every line: accepted and rejected, file by file")
	note("the same payload posted again is the same job, whatever became of it: to try again after a failure, give another -input-source")
	return nil
}
