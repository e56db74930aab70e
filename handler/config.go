package main

import (
	"net/url"
	"strings"
	"time"

	"fhirferry/handler/internal/migration"
)

// authMode says where the tokens for the FHIR services come from.
type authMode string

const (
	authAzure authMode = "azure" // from azidentity
	authNone  authMode = "none"  // no tokens; both FHIR services are on this machine
)

// config is every app setting, typed (operator contract 2). It dissolves in run: constructors receive the values they
// need, never the bag. Where a setting is malformed its field holds the default, or is empty when there is none, and
// problems names it: nothing may be moved by such a config.
type config struct {
	sourceURL, destinationURL, stagingURL string // absolute, without a slash at the end
	stagingContainer                      string
	stagingConnection                     secret // empty: the managed identity
	storage                               storageConfig
	clientID                              string // of the user-assigned identity; empty: the system-assigned one
	auth                                  authMode
	sourceTenant, sourceClient            string // both set together with sourceSecret, or empty
	sourceSecret                          secret
	identityEndpoint                      bool // the platform offers managed identities
	schedule, queue                       string

	mode         string
	since, until time.Time // to the millisecond, UTC; zero: no bound
	types        []string  // sorted, each once; empty: all of the source
	window       time.Duration
	chunkLimit   int64

	history, deleted, parallel             bool
	searchParameters                       bool
	maxCount                               int
	anonymizationConfig, anonymizationETag string

	maxExports, maxImports, filesPerImport int
	settle, interval, poll                 time.Duration
	confirmations                          int
	confirmInterval, stall, requestTimeout time.Duration
	maxFailures                            int

	quietHours   migration.QuietHours
	quietImports bool

	insights secret // connection string of Application Insights; empty: none
	instance string // of the app; empty: unknown

	problems []problem
}

// problem is something wrong with one setting: its name, the cause, and what to do about it. No problem quotes a
// secret, or an address, which may hold one.
type problem struct {
	setting, detail, remedy string
}

// functionTimeout is host.json's; the deadlines of a visit nest in it (design 3.5, invariant 7).
const functionTimeout = 10 * time.Minute

// Bounds that come from elsewhere.
const (
	mostImports       = 5      // operator contract 2
	mostCount         = 10_000 // contract 2.1: a larger _maxCount is refused by the source
	fewestAnswers     = 2      // contract 2.7: one 200 may be followed by a 202
	mostExports       = 100    // the slots row names each chunk in flight
	mostFiles         = 10_000 // contract 4: files in one $import
	mostRepetitions   = 1_000
	mostChunkResource = 1 << 50
)

// readConfig reads every setting. It never fails: a handler with bad settings still starts and says what is wrong
// (operator contract 2), so all problems are collected.
func readConfig(getenv func(string) string) config {
	r := newReader(getenv)
	c := config{
		sourceURL: r.address("FERRY_SOURCE_URL", "the base URL of the source FHIR service, such as https://name.azurehealthcareapis.com"),
		destinationURL: r.address("FERRY_DESTINATION_URL",
			"the base URL of the destination FHIR service, such as https://workspace-name.fhir.azurehealthcareapis.com"),
		stagingURL:          r.address("FERRY_STAGING_URL", "the blob endpoint of the staging account, such as https://name.blob.core.windows.net"),
		stagingContainer:    r.azureName("FERRY_STAGING_CONTAINER"),
		stagingConnection:   r.blobConnection("FERRY_STAGING_CONNECTION"),
		storage:             r.storage(),
		clientID:            r.text("AZURE_CLIENT_ID"),
		auth:                authMode(r.word("FERRY_AUTH", string(authAzure), string(authNone))),
		identityEndpoint:    r.text("IDENTITY_ENDPOINT") != "" || r.text("MSI_ENDPOINT") != "",
		schedule:            r.schedule("FERRY_SCHEDULE"),
		queue:               r.azureName("FERRY_QUEUE"),
		mode:                r.mode("FERRY_MODE"),
		since:               r.instant("FERRY_SINCE"),
		until:               r.instant("FERRY_UNTIL"),
		types:               r.resourceTypes("FERRY_RESOURCE_TYPES"),
		window:              r.duration("FERRY_WINDOW"),
		chunkLimit:          r.integer("FERRY_CHUNK_LIMIT", 1, mostChunkResource),
		history:             r.boolean("FERRY_HISTORY"),
		deleted:             r.boolean("FERRY_DELETED"),
		searchParameters:    r.boolean("FERRY_SEARCH_PARAMETERS"),
		parallel:            r.boolean("FERRY_PARALLEL"),
		maxCount:            int(r.integer("FERRY_MAX_COUNT", 0, mostCount)),
		anonymizationConfig: r.blobName("FERRY_ANONYMIZATION_CONFIG"),
		anonymizationETag:   r.etag("FERRY_ANONYMIZATION_CONFIG_ETAG"),
		maxExports:          int(r.integer("FERRY_MAX_EXPORTS", 1, mostExports)),
		maxImports:          int(r.integer("FERRY_MAX_IMPORTS", 1, mostImports)),
		filesPerImport:      int(r.integer("FERRY_FILES_PER_IMPORT", 1, mostFiles)),
		settle:              r.duration("FERRY_SETTLE"),
		interval:            r.duration("FERRY_INTERVAL"),
		poll:                r.duration("FERRY_POLL"),
		confirmations:       int(r.integer("FERRY_CONFIRMATIONS", fewestAnswers, mostRepetitions)),
		confirmInterval:     r.duration("FERRY_CONFIRM_INTERVAL"),
		stall:               r.duration("FERRY_STALL"),
		requestTimeout:      r.duration("FERRY_REQUEST_TIMEOUT"),
		maxFailures:         int(r.integer("FERRY_MAX_FAILURES", 1, mostRepetitions)),
		quietHours:          r.quietHours("FERRY_QUIET_HOURS"),
		quietImports:        r.boolean("FERRY_QUIET_IMPORTS"),
		insights:            r.insights("APPLICATIONINSIGHTS_CONNECTION_STRING"),
		instance:            r.text("WEBSITE_INSTANCE_ID"),
	}
	c.sourceTenant, c.sourceClient, c.sourceSecret = r.sourceClient()
	r.together(c)
	c.problems = r.problems
	return c
}

// together checks what no setting shows alone.
func (r *reader) together(c config) {
	if c.sourceURL != "" && strings.EqualFold(c.sourceURL, c.destinationURL) {
		r.report("FERRY_DESTINATION_URL", "it is the source itself", "name the service that the resources are to be moved to")
	}
	if c.auth == authNone {
		for _, s := range []struct{ name, address string }{
			{"FERRY_SOURCE_URL", c.sourceURL}, {"FERRY_DESTINATION_URL", c.destinationURL},
		} {
			if u, err := url.Parse(s.address); s.address != "" && (err != nil || !loopback(u.Hostname())) {
				r.report("FERRY_AUTH", "none is for two FHIR services on this machine, and "+s.name+" is not a loopback address",
					"set FERRY_AUTH to azure")
			}
		}
	}
	if !c.since.IsZero() && !c.until.IsZero() && !c.until.After(c.since) {
		r.report("FERRY_UNTIL", "it is not after FERRY_SINCE, so that nothing lies between them",
			"set a later FERRY_UNTIL, or leave it empty for no end")
	}
	if c.anonymizationConfig != "" && !c.parallel {
		r.report("FERRY_PARALLEL", "it is false, and only parallel exports can be de-identified, as FERRY_ANONYMIZATION_CONFIG asks",
			"set it to true")
	}
	if c.anonymizationETag != "" && r.text("FERRY_ANONYMIZATION_CONFIG") == "" {
		r.report("FERRY_ANONYMIZATION_CONFIG_ETAG", "it is set, and FERRY_ANONYMIZATION_CONFIG, whose etag it is, is empty",
			"set both for a de-identified export, or none")
	}
	if c.requestTimeout > functionTimeout/3 {
		r.report("FERRY_REQUEST_TIMEOUT", "three times it is more than the "+functionTimeout.String()+
			" that the host gives an invocation, and a claim lapses after three times it", "set at most 200s")
	}
	if c.stall <= c.poll {
		r.report("FERRY_STALL", "it is not longer than FERRY_POLL, so that every job would count as stalled when it is first looked at",
			"set a FERRY_STALL of many times FERRY_POLL")
	}
}
