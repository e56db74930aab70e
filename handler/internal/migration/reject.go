package migration

import "slices"

// RejectClass says what a line that the destination did not accept means for the migration (contract 5.3).
type RejectClass string

// The classes of rejected lines.
const (
	// BenignReject is a line told as a duplicate whose version the destination was seen to hold (contract C18).
	BenignReject RejectClass = "benign"
	// DuplicateReject is a line told as a duplicate that the destination was not seen to hold: a version may be lost.
	DuplicateReject RejectClass = "duplicate"
	// ConflictReject is a line that contradicts what the destination holds.
	ConflictReject RejectClass = "conflict"
	// MalformedReject is a line that the destination could not read.
	MalformedReject RejectClass = "malformed"
	// SearchParameterReject is a custom search parameter, which a step of its own moves.
	SearchParameterReject RejectClass = "searchParameter"
	// OtherReject is every other line, and one of which no error file tells anything.
	OtherReject RejectClass = "other"
)

// RejectClasses lists every class in the order in which they are shown.
func RejectClasses() []RejectClass {
	return []RejectClass{BenignReject, DuplicateReject, ConflictReject, MalformedReject, SearchParameterReject, OtherReject}
}

// ParseRejectClass reads a class.
func ParseRejectClass(s string) (RejectClass, bool) {
	return RejectClass(s), slices.Contains(RejectClasses(), RejectClass(s))
}

// Rejects counts lines by class.
type Rejects struct {
	Benign, Duplicate, Conflict, Malformed, SearchParameter, Other int64
}

// of is the count of a class; what is unknown is other.
func (r *Rejects) of(c RejectClass) *int64 {
	switch c {
	case BenignReject:
		return &r.Benign
	case DuplicateReject:
		return &r.Duplicate
	case ConflictReject:
		return &r.Conflict
	case MalformedReject:
		return &r.Malformed
	case SearchParameterReject:
		return &r.SearchParameter
	}
	return &r.Other
}

// Of is the count of a class.
func (r Rejects) Of(c RejectClass) int64 { return *r.of(c) }

// Add counts n lines more.
func (r *Rejects) Add(c RejectClass, n int64) { *r.of(c) += n }

// Plus adds two counts.
func (r Rejects) Plus(o Rejects) Rejects {
	for _, c := range RejectClasses() {
		r.Add(c, o.Of(c))
	}
	return r
}

// Minus subtracts o.
func (r Rejects) Minus(o Rejects) Rejects {
	for _, c := range RejectClasses() {
		r.Add(c, -o.Of(c))
	}
	return r
}

// Harmful counts the lines that are not benign.
func (r Rejects) Harmful() int64 {
	return r.Duplicate + r.Conflict + r.Malformed + r.SearchParameter + r.Other
}

// Reading is how far the rejected lines of a batch have been read and classified. The work may take many visits; each
// goes on here.
type Reading struct {
	Unit    int     // error file, in the order of the result
	Slice   int64   // where in the input file the slice begins whose lines are counted
	Line    int64   // line of the slice that was passed last; 0: none
	At      int64   // byte of the input file after that line
	Listed  int64   // lines told by the error file so far
	Pages   int     // documents kept so far
	Rejects Rejects // classified so far
}

// ImportBatch is a batch whose import ended with balanced books.
type ImportBatch struct {
	From, Files int     // of the manifest's files
	Attempt     int     // of the import
	Result      string  // document of the import's result
	Pages       int     `json:",omitzero"` // documents that list its rejected lines
	Rejects     Rejects `json:",omitzero"` // lines by class; together more than were rejected when an error file told too much
}
