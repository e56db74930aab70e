package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"fhirferry/handler/internal/fhir"
)

// mostManifest bounds how much of a manifest is read; a longer one is refused, never cut.
const mostManifest = 256 << 20

// payloadOrder is what the command line of import-payload asks for.
type payloadOrder struct {
	manifest       string // file, status URL; empty: standard input
	out            string // folder; empty: standard output
	mode           fhir.ImportMode
	source         string // inputSource; empty: made from the manifest
	errorContainer string
	account        string // blob endpoint that the files were copied to; empty: as in the manifest
	etags          string // quoted, plain, or empty
	sliceBytes     int64
	sliceLargest   bool // the size of the largest file of each payload
}

// importPayload makes the bodies of $import requests from the manifest of an export, and sends none.
func importPayload(ctx context.Context, args []string, t terminal) error {
	o, c, err := readPayloadOrder(args, t)
	if err != nil {
		return err
	}
	content, err := o.read(ctx, c, t.stdin)
	if err != nil {
		return err
	}
	manifest, err := fhir.ParseManifest(content)
	if err != nil {
		return fmt.Errorf("%w; nothing is made from a manifest that cannot be read in full: fetch it again from the export's status URL", err)
	}
	if err := deIdentified(c, manifest); err != nil {
		return err
	}
	payloads, err := o.payloads(ctx, c, manifest)
	if err != nil {
		return err
	}
	if o.out == "" {
		if len(payloads) > 1 {
			return misused("the files make %d payloads, more than one can be written to standard output; give -out with a folder", len(payloads))
		}
		if _, err := t.stdout.Write(payloads[0].body); err != nil {
			return fmt.Errorf("write the payload: %w", err)
		}
	} else {
		if isURL(o.manifest) {
			payloads = append(payloads, payload{name: "manifest.json", body: content})
		}
		if err := writePayloads(o.out, payloads); err != nil {
			return err
		}
	}
	return o.explain(t.stderr, c, manifest, payloads)
}

func readPayloadOrder(args []string, t terminal) (o payloadOrder, c config, err error) {
	s := newSwitches("import-payload")
	s.setting("files-per-payload", "FERRY_FILES_PER_IMPORT")
	s.setting("anonymization-config", "FERRY_ANONYMIZATION_CONFIG")
	s.setting("anonymization-config-etag", "FERRY_ANONYMIZATION_CONFIG_ETAG")
	mode := s.String("mode", string(fhir.IncrementalLoad), "")
	slice := s.String("slice-bytes", "", "")
	s.StringVar(&o.etags, "etags", "", "")
	s.StringVar(&o.errorContainer, "error-container", "", "")
	s.StringVar(&o.source, "input-source", "", "")
	s.StringVar(&o.account, "account", "", "")
	s.StringVar(&o.out, "out", "", "")
	if err := s.parse(args, 1); err != nil {
		return o, c, err
	}
	if o.manifest = s.Arg(0); o.manifest == "-" {
		o.manifest = ""
	}
	if err := o.judge(*mode, *slice); err != nil {
		return o, c, err
	}
	needed := []string{"FERRY_FILES_PER_IMPORT", "FERRY_ANONYMIZATION_CONFIG", "FERRY_ANONYMIZATION_CONFIG_ETAG"}
	if isURL(o.manifest) {
		needed = append(needed, "FERRY_SOURCE_URL", "FERRY_AUTH", "FERRY_SOURCE_TENANT_ID", "FERRY_SOURCE_CLIENT_ID",
			"FERRY_SOURCE_CLIENT_SECRET", "FERRY_REQUEST_TIMEOUT")
	}
	if o.asksStaging() {
		needed = append(needed, "FERRY_STAGING_URL", "FERRY_STAGING_CONNECTION")
	}
	if c, err = s.config(t, needed...); err != nil {
		return o, c, err
	}
	return o, c, nil
}

// judge checks what needs no other setting.
func (o *payloadOrder) judge(mode, slice string) error {
	modes := []fhir.ImportMode{fhir.IncrementalLoad, fhir.InitialLoad}
	known := slices.IndexFunc(modes, func(m fhir.ImportMode) bool { return strings.EqualFold(string(m), mode) })
	if known < 0 {
		return misused("-mode: unknown value %s; give %s or %s", quote(mode), modes[0], modes[1])
	}
	o.mode = modes[known]
	if o.sliceLargest = slice == "largest"; slice != "" && !o.sliceLargest {
		n, err := strconv.ParseInt(slice, 10, 64)
		if err != nil || n < 1 || n > fhir.MaxSliceBytes {
			return misused("-slice-bytes: got %s; give a number from 1 to %d, or largest", quote(slice), fhir.MaxSliceBytes)
		}
		o.sliceBytes = n
	}
	switch fault := addressFault(o.account); {
	case o.etags != "" && o.etags != "quoted" && o.etags != "plain":
		return misused("-etags: unknown value %s; give quoted or plain", quote(o.etags))
	case o.errorContainer != "" && (len(o.errorContainer) < 3 || len(o.errorContainer) > 63 || !nameForm.MatchString(o.errorContainer)):
		return misused("-error-container: %s is not the name of a container; give 3 to 63 lower-case letters, digits and single hyphens",
			quote(o.errorContainer))
	case o.account != "" && fault != "":
		return misused("-account: %s; give the blob endpoint that the files were copied to, such as https://name.blob.core.windows.net", fault)
	}
	o.account = strings.TrimRight(o.account, "/")
	return nil
}

// asksStaging reports whether each file is looked at in the staging account.
func (o payloadOrder) asksStaging() bool { return o.etags != "" || o.sliceLargest }

func isURL(text string) bool {
	lower := strings.ToLower(text)
	return strings.HasPrefix(lower, "https://") || strings.HasPrefix(lower, "http://")
}

// read returns the manifest as it was received.
func (o payloadOrder) read(ctx context.Context, c config, stdin io.Reader) ([]byte, error) {
	switch {
	case isURL(o.manifest):
		return fetchManifest(ctx, c, o.manifest)
	case o.manifest == "":
		return readAll("standard input", stdin)
	}
	file, err := os.Open(o.manifest)
	if err != nil {
		return nil, fmt.Errorf("open the manifest: %w", err)
	}
	defer file.Close()
	return readAll(o.manifest, file)
}

func readAll(name string, from io.Reader) ([]byte, error) {
	content, err := io.ReadAll(io.LimitReader(from, mostManifest+1))
	if err != nil {
		return nil, fmt.Errorf("read the manifest from %s: %w", name, err)
	}
	if len(content) > mostManifest {
		return nil, fmt.Errorf("read the manifest from %s: it is longer than the %d bytes that are read; export in shorter windows", name, mostManifest)
	}
	return content, nil
}

// deIdentified refuses a manifest that does not prove what the settings ask for: as in the app, nothing is imported
// without proof.
func deIdentified(c config, m fhir.Manifest) error {
	config, etag := m.DeIdentifiedBy()
	switch {
	case c.anonymizationConfig == "",
		config == c.anonymizationConfig && (c.anonymizationETag == "" || strings.Trim(etag, `"`) == c.anonymizationETag):
		return nil
	case config == c.anonymizationConfig:
		return fmt.Errorf("the manifest does not prove that the export was de-identified by %s with the etag %s; delete its files, then export again",
			config, c.anonymizationETag)
	}
	return fmt.Errorf("the manifest does not prove that the export was de-identified by %s; delete its files, find out why the source left it out, "+
		"then export again", c.anonymizationConfig)
}

// fetchManifest asks the source once how the export is doing.
func fetchManifest(ctx context.Context, c config, statusURL string) ([]byte, error) {
	tokens, err := newCredentials(c)
	if err != nil {
		return nil, err
	}
	source, err := fhir.New(c.sourceURL, fhir.Options{Credential: tokens.source, Timeout: c.requestTimeout})
	if err != nil {
		return nil, fmt.Errorf("FERRY_SOURCE_URL: %w", err)
	}
	status, err := source.ExportStatus(ctx, statusURL)
	fault, answered := errors.AsType[*fhir.Error](err)
	switch {
	case err == nil && status.Done:
		return status.Manifest, nil
	case err == nil:
		return nil, errors.New("the export is still running, nothing can be made from it yet; run the command again later")
	case answered && fault.Foreign():
		return nil, fmt.Errorf("%w; the token would travel there: set FERRY_SOURCE_URL to the service that ran the export", err)
	case answered && fault.JobFailed():
		return nil, fmt.Errorf("%w; the export has failed and nothing of it may be imported: export again", err)
	case answered && fault.Gone():
		return nil, fmt.Errorf("%w; the export was cancelled, or is older than the service remembers: export again", err)
	}
	return nil, err
}
