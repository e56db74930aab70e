package fhirsim

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"
)

// Names of the faults for Arm and the control surface. What each does is said at the method of that name.
const (
	faultThrottleKickoff        = "ThrottleKickoff"
	faultLoseExportAnswer       = "LoseExportAnswer"
	faultLoseImportAnswer       = "LoseImportAnswer"
	faultPartialManifest        = "PartialManifest"
	faultStickExport            = "StickExport"
	faultFailExport             = "FailExport"
	faultForgetExport           = "ForgetExport"
	faultSystemCancelExport     = "SystemCancelExport"
	faultRestartExportUnit      = "RestartExportUnit"
	faultLoseBlob               = "LoseBlob"
	faultTruncateBlob           = "TruncateBlob"
	faultChangeBlob             = "ChangeBlob"
	faultByteOrderMark          = "ByteOrderMark"
	faultEmptyLines             = "EmptyLines"
	faultEmptyFile              = "EmptyFile"
	faultForeignOutputURL       = "ForeignOutputURL"
	faultForeignContentLocation = "ForeignContentLocation"
	faultMissingContentLocation = "MissingContentLocation"
	faultForgetAnonymization    = "ForgetAnonymization"
	faultFailImportEtag         = "FailImportEtag"
	faultFailImport             = "FailImport"
	faultStickImport            = "StickImport"
	faultRejectLines            = "RejectLines"
	faultDuplicateErrors        = "DuplicateErrors"
	faultRepeatErrorLines       = "RepeatErrorLines"
	faultLoseErrorFile          = "LoseErrorFile"
	faultCutErrorFile           = "CutErrorFile"
	faultLimitMillisecond       = "LimitMillisecond"
	faultSkipLines              = "SkipLines"
	faultLeaveLease             = "LeaveLease"
	faultSlowImportPoll         = "SlowImportPoll"
	faultPollProgressBody       = "PollProgressBody"
	faultPollStatus             = "PollStatus"
	faultRefuseSearchParameter  = "RefuseSearchParameter"
	faultThrottleBatch          = "ThrottleBatch"
	faultFailReindex            = "FailReindex"
	faultStickReindex           = "StickReindex"
	faultLateVisibility         = "LateVisibility"
	faultExpireToken            = "ExpireToken"
	faultDeprecate              = "Deprecate"
	faultLock423                = "Lock423"
	faultEmptyPages             = "EmptyPages"
	faultShortPages             = "ShortPages"
	faultCountFails             = "CountFails"
	faultLimitCounts            = "LimitCounts"
	faultServerBusy             = "ServerBusy"
	faultDropBefore             = "DropBefore"
	faultDropAfter              = "DropAfter"
)

// FaultNames lists every fault that Arm knows.
func FaultNames() []string {
	return []string{faultThrottleKickoff, faultLoseExportAnswer, faultLoseImportAnswer, faultPartialManifest,
		faultStickExport, faultFailExport, faultForgetExport, faultSystemCancelExport, faultRestartExportUnit,
		faultLoseBlob, faultTruncateBlob, faultChangeBlob, faultByteOrderMark, faultEmptyLines, faultEmptyFile,
		faultForeignOutputURL, faultForeignContentLocation, faultMissingContentLocation,
		faultForgetAnonymization, faultFailImportEtag,
		faultFailImport, faultStickImport, faultRejectLines, faultDuplicateErrors, faultRepeatErrorLines,
		faultLoseErrorFile, faultCutErrorFile, faultLimitMillisecond, faultSkipLines, faultLeaveLease, faultSlowImportPoll, faultPollProgressBody, faultPollStatus,
		faultRefuseSearchParameter, faultThrottleBatch, faultFailReindex, faultStickReindex,
		faultLateVisibility, faultExpireToken, faultDeprecate, faultLock423, faultEmptyPages, faultShortPages,
		faultCountFails, faultLimitCounts, faultServerBusy, faultDropBefore, faultDropAfter}
}

// Form is the shape of a 429 or 503 (F1).
type Form string

const (
	// FormHeaders has Retry-After and x-ms-retry-after-ms.
	FormHeaders Form = "headers"
	// FormPlain has neither.
	FormPlain Form = "plain"
	// FormHTML is a gateway's HTML page without headers.
	FormHTML Form = "html"
)

// Arm says how often a fault fires and how. Fields that a fault has no use for are ignored.
type Arm struct {
	// Times is the number of matches it fires for; negative: for all. Zero: Probability decides.
	Times int `json:"times,omitempty"`
	// Probability of firing at each match, drawn from the seed, without end.
	Probability float64 `json:"probability,omitempty"`
	// Skip lets so many matches pass first.
	Skip int `json:"skip,omitempty"`
	// Route narrows the matches to requests whose route or whose method and path begin so, for instance
	// "GET /$export" or "GET /SearchParameter".
	Route string `json:"route,omitempty"`

	Status      int    `json:"status,omitempty"`
	Form        Form   `json:"form,omitempty"`
	Text        string `json:"text,omitempty"` // diagnostics or reason
	Body        string `json:"body,omitempty"`
	ContentType string `json:"contentType,omitempty"`
	// Length is a Content-Length to claim, in bytes.
	Length int64 `json:"length,omitempty"`
	// Count is a number of lines, or of polls.
	Count int `json:"count,omitempty"`
	// Milliseconds is a duration by the clock the fault names, not scaled.
	Milliseconds int `json:"milliseconds,omitempty"`
}

// Faults are the misbehaviours of one server. It is safe for concurrent use.
type Faults struct {
	mu     sync.Mutex
	rng    *rand.Rand
	armed  map[string][]*Arm
	fired  map[string]int
	reject func(resourceType, id string, line int) string
}

func newFaults(seed uint64) *Faults {
	return &Faults{rng: rand.New(rand.NewPCG(seed, 0xfa)), armed: map[string][]*Arm{}, fired: map[string]int{}}
}

// Arm adds a fault by name. Several of one name are used up in the order they were armed.
func (f *Faults) Arm(name string, arm Arm) error {
	if !slices.Contains(FaultNames(), name) {
		return fmt.Errorf("arm fault: unknown name %q; one of %s", name, strings.Join(FaultNames(), ", "))
	}
	if arm.Times == 0 && arm.Probability == 0 {
		return fmt.Errorf("arm fault %s: give times or probability", name)
	}
	f.arm(name, arm)
	return nil
}

func (f *Faults) arm(name string, arm Arm) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.armed[name] = append(f.armed[name], &arm)
}

// Clear disarms one fault; Reset all of them. Jobs that were already hit stay so.
func (f *Faults) Clear(name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.armed, name)
}

// Reset disarms all faults.
func (f *Faults) Reset() {
	f.mu.Lock()
	defer f.mu.Unlock()
	clear(f.armed)
	f.reject = nil
}

// Fired is how often each fault has struck.
func (f *Faults) Fired() map[string]int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return maps.Clone(f.fired)
}

// strike is take for a request.
func (f *Faults) strike(name string, c *call) (Arm, bool) {
	return f.take(name, c.route, c.Method+" "+c.URL.Path)
}

// take reports whether the fault strikes at this match, which has one or more routes, and with what.
func (f *Faults) take(name string, routes ...string) (Arm, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i, arm := range f.armed[name] {
		if !slices.ContainsFunc(routes, func(route string) bool { return strings.HasPrefix(route, arm.Route) }) {
			continue
		}
		if arm.Skip > 0 {
			arm.Skip--
			continue
		}
		if arm.Times == 0 && f.rng.Float64() >= arm.Probability {
			continue
		}
		if arm.Times > 0 {
			if arm.Times--; arm.Times == 0 {
				f.armed[name] = slices.Delete(f.armed[name], i, i+1)
			}
		}
		f.fired[name]++
		return *arm, true
	}
	return Arm{}, false
}

// standing is an armed fault that is a state of the server and not used up.
func (f *Faults) standing(name string) (Arm, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if list := f.armed[name]; len(list) > 0 {
		return *list[len(list)-1], true
	}
	return Arm{}, false
}

func (f *Faults) isDeprecated() bool { _, on := f.standing(faultDeprecate); return on }

func (f *Faults) isLocked() bool { _, on := f.standing(faultLock423); return on }

// lateness is how long the next write stays invisible.
func (f *Faults) lateness() time.Duration {
	arm, _ := f.take(faultLateVisibility, "")
	return time.Duration(arm.Milliseconds) * time.Millisecond
}

// rejects is the error text for a line that is to be refused; empty: none.
func (f *Faults) rejects(resourceType, id string, line int) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.reject == nil {
		return ""
	}
	return f.reject(resourceType, id, line)
}
