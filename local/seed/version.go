package seed

import "time"

// Instant is the layout of meta.lastUpdated: milliseconds and an offset (contract 3).
const Instant = "2006-01-02T15:04:05.000-07:00"

// Version is one version of one resource as a FHIR service keeps it.
type Version struct {
	Type        string
	ID          string
	VersionID   string
	LastUpdated time.Time // UTC, whole milliseconds
	Deleted     bool      // a soft delete
	Body        []byte    // the resource as compact JSON, with id, meta.versionId and meta.lastUpdated; a delete holds nothing else
}

// Ref names a resource.
type Ref struct {
	Type string
	ID   string
}
