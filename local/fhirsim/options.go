package fhirsim

import (
	"time"
)

// Generation says which of the two services is simulated (contract 0.2).
type Generation int

const (
	// Gen1 is Azure API for FHIR: the source. It has no $import.
	Gen1 Generation = iota + 1
	// Gen2 is the AHDS FHIR service: the destination, and a possible source.
	Gen2
)

// Options configure one simulated service. The zero value of every field is usable; only Generation and
// Blobs must be given.
type Options struct {
	Generation Generation
	// Blobs is where exports are written to and imports read from and where import error files go.
	Blobs Blobs
	// Now is the server's clock: it dates writes, drives jobs and is sent as Date. Default time.Now.
	Now func() time.Time
	// Scale multiplies every duration of the contract: 1 is real (15 s quiet period, 30 s queue poll,
	// 30 days retention), 0.01 a hundred times faster. Default 1.
	Scale float64
	// Seed decides unit order, slice shuffles, queue delays and faults armed by probability.
	Seed uint64

	// FHIRVersion is what /metadata says. Default 4.0.1.
	FHIRVersion string
	// SoftwareName and SoftwareVersion are what /metadata says, so that an open-source server can be played.
	// Default "Simulated FHIR server" and "5.0.0".
	SoftwareName, SoftwareVersion string
	// Types are the resource types of the capability statement. Default all of R4.
	Types []string
	// Versioning is the policy /metadata shows for every type. Default "versioned".
	Versioning string
	// RefuseUpdateCreate makes /metadata say updateCreate false and PUT of an unknown id answer 405.
	RefuseUpdateCreate bool
	// RequireToken is the bearer token that must be sent, except to /metadata; empty: none.
	RequireToken string
	// Roles are bearer tokens that may do only what their roles grant: 401 for a token that is not known, 403 for
	// an operation it may not (contract 10.3, S42). SetRoles changes them later.
	Roles map[string][]Role

	// DefaultParallel turns the generation's default of _isParallel (gen1 false, gen2 true) around when set.
	DefaultParallel *bool
	// Partitions is the number of physical partitions of a gen1 store, one export chain each. Default 2.
	Partitions int
	// Newline ends the lines of exported files: "\n" (default) or "\r\n".
	Newline string
	// ProgressHeaders adds Retry-After and X-Progress to 202 answers of export polls (S10).
	ProgressHeaders bool
	// AnonymizedExport allows de-identified exports and lists them in /metadata. Configurations are looked up in
	// the container "anonymization" of Blobs.
	AnonymizedExport bool
	// CancelledExportAnswers200 lets polls of a cancelled export answer 200 with the output so far, as older
	// builds do, in place of 404 (contract 2.5).
	CancelledExportAnswers200 bool
	// HistoryOmitsDeleted leaves the resource out of history entries of deletes.
	HistoryOmitsDeleted bool

	// ImportDisabled makes $import answer that it is not enabled. A Gen1 server always does.
	ImportDisabled bool
	// ImportAccountURL is the configured integration storage account. Default Blobs.Endpoint().
	ImportAccountURL string
	// InitialMode locks the server for an initial import (contract 4.6). SetInitialMode changes it later.
	InitialMode bool
	// EtagUnquoted compares input.etag with the blob's etag without its quotes; by default the quotes are
	// part of the text (contract 4.2, unconfirmed).
	EtagUnquoted bool
	// ExactSlices repairs the slice reader's multi-byte defect of contract 4.9.
	ExactSlices bool
	// LeaseInputs lets an import unit hold an infinite lease on its input while it runs, where none is held
	// (contract 4.8, S36). A unit hit by the fault LeaveLease keeps its lease for good.
	LeaseInputs bool
	// SlowPolls makes import polls wait ten times as long as a 100 ms lookup once the coordinator is done,
	// scaled (contract 5.1). The fault SlowImportPoll sets the wait itself.
	SlowPolls bool

	// Workers is the number of units of one job that run at the same time. Default 4.
	Workers int
	// ExportRate and ImportRate are resources per second and worker at scale 1; an import counts a
	// resource as 1,000 bytes. Default 5,000.
	ExportRate, ImportRate float64
	// ReindexRate is resources per second of a reindex at scale 1, all workers together. Default 5,000.
	ReindexRate float64
	// KeepRequests is how many requests the record holds. Default 20,000.
	KeepRequests int
}

func (o Options) withDefaults() Options {
	if o.Now == nil {
		o.Now = time.Now
	}
	setDefault(&o.Scale, 1)
	setDefault(&o.FHIRVersion, "4.0.1")
	setDefault(&o.Versioning, "versioned")
	setDefault(&o.Partitions, 2)
	setDefault(&o.Newline, "\n")
	setDefault(&o.Workers, 4)
	setDefault(&o.ExportRate, 5000)
	setDefault(&o.ImportRate, 5000)
	setDefault(&o.ReindexRate, 5000)
	setDefault(&o.SoftwareName, "Simulated FHIR server")
	setDefault(&o.SoftwareVersion, "5.0.0")
	setDefault(&o.KeepRequests, 20000)
	if len(o.Types) == 0 {
		o.Types = resourceTypes()
	}
	if o.ImportAccountURL == "" && o.Blobs != nil {
		o.ImportAccountURL = o.Blobs.Endpoint()
	}
	return o
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// Durations of the contract at scale 1.
const (
	queuePoll      = 30 * time.Second    // 1.8
	quietPeriod    = 15 * time.Second    // 2.1, rule 7
	retention      = 30 * 24 * time.Hour // 2.6
	futureSlack    = 10 * time.Second    // 6.1; not scaled, it is compared with data
	maxUnitTries   = 10                  // 1.8
	importBatch    = 1000                // 4.8
	defaultSlice   = 10_000_000          // 4.2
	maxPerPage     = 10_000              // 1.3
	maxSearchCount = 1000                // 7.4
)

func (o Options) scaled(d time.Duration) time.Duration {
	return time.Duration(float64(d) * o.Scale)
}

// workTime is how long one worker needs for n resources.
func (o Options) workTime(n int, rate float64) time.Duration {
	return time.Duration(float64(n) / rate * float64(time.Second) * o.Scale)
}

// precision is the finest tick of lastUpdated that queries of this generation tell apart (contract 1.4).
func (o Options) precision() time.Duration {
	if o.Generation == Gen1 {
		return 100 * time.Nanosecond
	}
	return time.Millisecond
}
