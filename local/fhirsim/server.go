package fhirsim

import (
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

// Server is one simulated FHIR service. It is safe for concurrent use and starts no goroutines.
type Server struct {
	opt     Options
	types   []string // sorted
	faults  *Faults
	record  *record
	working sync.Mutex // held while jobs are advanced; taken before mu

	mu         sync.RWMutex
	base       string
	token      string
	roles      map[string][]Role // by token
	locked     bool              // initial mode
	rng        *rand.Rand
	tables     map[string]*table
	late       []lateWrite
	exports    []*exportJob
	imports    []*importJob
	registered map[string]*importJob // by the SHA-1 of the definition (contract 4.5)
	reindexes  []*reindexJob
	lastID     int64

	builtIn         []definition
	enabled         map[string]definition // custom search parameters in use, by url
	readDefinitions map[*row]definition   // of SearchParameter rows read before
}

// New makes a server without data.
func New(opt Options) *Server {
	opt = opt.withDefaults()
	s := &Server{
		opt:        opt,
		types:      slices.Sorted(slices.Values(opt.Types)),
		faults:     newFaults(opt.Seed),
		record:     newRecord(opt.KeepRequests),
		token:      opt.RequireToken,
		roles:      map[string][]Role{},
		locked:     opt.InitialMode,
		rng:        rand.New(rand.NewPCG(opt.Seed, uint64(opt.Generation))),
		tables:     map[string]*table{},
		registered: map[string]*importJob{},

		builtIn:         builtIns(),
		enabled:         map[string]definition{},
		readDefinitions: map[*row]definition{},
	}
	maps.Copy(s.roles, opt.Roles)
	return s
}

// SetBaseURL sets the absolute URL that Content-Location, fullUrl and next links begin with. Without it
// they begin with the Host of each request.
func (s *Server) SetBaseURL(u string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.base = strings.TrimSuffix(u, "/")
}

// SetToken changes the bearer token that must be sent; the one before is refused from now on.
func (s *Server) SetToken(token string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.token = token
}

// SetInitialMode locks the server for an initial import, or unlocks it (contract 4.6).
func (s *Server) SetInitialMode(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.locked = on
}

// Faults are the server's misbehaviours, all off at first.
func (s *Server) Faults() *Faults { return s.faults }

// Step brings writes and jobs to the clock's now. Every request does so too, unless another one is at it.
func (s *Server) Step() {
	s.working.Lock()
	defer s.working.Unlock()
	s.advance()
}

func (s *Server) stepIfIdle() {
	if s.working.TryLock() {
		defer s.working.Unlock()
		s.advance()
	}
}

// job is an export, import or reindex that does its next piece of work at a known instant.
type job interface {
	// due is when the next piece of work is done; false when none is left. The caller holds mu.
	due() (time.Time, bool)
	// work does the piece of work due at the instant. The caller holds working and not mu.
	work(s *Server, at time.Time)
}

// advance does everything due by now in the order of time.
func (s *Server) advance() {
	now := s.opt.Now()
	s.commitLate(now)
	for {
		next, at := s.nextDue(now)
		if next == nil {
			return
		}
		next.work(s, at)
	}
}

func (s *Server) nextDue(now time.Time) (job, time.Time) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var first job
	var at time.Time
	consider := func(j job) {
		if due, ok := j.due(); ok && !due.After(now) && (first == nil || due.Before(at)) {
			first, at = j, due
		}
	}
	for _, j := range s.exports {
		consider(j)
	}
	for _, j := range s.imports {
		consider(j)
	}
	for _, j := range s.reindexes {
		consider(j)
	}
	return first, at
}

// newID hands out job ids: gen1 large and time-based, gen2 small and sequential. The caller holds mu.
func (s *Server) newID(now time.Time) int64 {
	if s.opt.Generation == Gen1 {
		s.lastID = max(s.lastID+1, now.UnixMilli()*3000)
	} else {
		s.lastID++
	}
	return s.lastID
}

// queueDelay is how long a new job waits for a worker (contract 1.8). The caller holds mu.
func (s *Server) queueDelay() time.Duration {
	return time.Duration(s.rng.Float64() * float64(s.opt.scaled(queuePoll)))
}

// call is one request on its way to a handler.
type call struct {
	*http.Request
	route   string // method and path pattern, for counting and for faults
	path    []string
	query   url.Values
	content []byte
	now     time.Time
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.stepIfIdle()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the client went away in the middle of its request
	}
	c := &call{Request: r, content: body, now: s.opt.Now(), query: r.URL.Query()}
	c.path = strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	pattern, handle := s.find(c)
	c.route = r.Method + " " + pattern
	a := s.decide(c, handle)
	s.record.add(c, a)
	s.send(w, c, a)
}

// decide lets everything that stands before the handlers have its say.
func (s *Server) decide(c *call, handle func(*call) answer) answer {
	if _, hit := s.faults.strike(faultDropBefore, c); hit {
		return answer{dropped: true}
	}
	if arm, hit := s.faults.strike(faultServerBusy, c); hit {
		return busy(arm)
	}
	if a, refused := s.refuse(c); refused {
		return a
	}
	a := handle(c)
	if _, hit := s.faults.strike(faultDropAfter, c); hit {
		a.dropped = true
	}
	return a
}

func (s *Server) refuse(c *call) (answer, bool) {
	open := c.route == "GET /metadata" || c.route == "GET /health/check"
	if s.opt.Generation == Gen1 && s.faults.isDeprecated() && !allowedWhenDeprecated(c) {
		return s.deprecated(c), true
	}
	if !open && !s.authorized(c) {
		return outcome(c.now, http.StatusUnauthorized, "login", "Authentication failed."), true
	}
	s.mu.RLock()
	locked := s.locked
	s.mu.RUnlock()
	if (locked || s.faults.isLocked()) && !allowedWhenLocked(c) {
		text := `{"severity":"Error","code":"Locked","diagnostics":"Service is locked for initial import mode."}`
		return answer{status: http.StatusLocked, contentType: "application/json", body: []byte(text)}, true
	}
	if s.forbidden(c) {
		return forbiddenAnswer(c), true
	}
	return answer{}, false
}

func (s *Server) authorized(c *call) bool {
	if _, hit := s.faults.strike(faultExpireToken, c); hit {
		return false
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	_, known := s.rolesOf(c)
	return known
}

// allowedWhenLocked follows contract 4.6.
func allowedWhenLocked(c *call) bool {
	switch c.Method {
	case http.MethodGet:
		return true
	case http.MethodPost:
		return c.URL.Path == "/$import"
	case http.MethodDelete:
		return c.path[0] == "_operations"
	}
	return false
}

// allowedWhenDeprecated is the allow-list of contract 0.4: one trailing slash is tolerated.
func allowedWhenDeprecated(c *call) bool {
	if c.Method != http.MethodGet || strings.Contains(c.URL.Path, "//") {
		return false
	}
	switch c.route {
	case "GET /health/check", "GET /metadata", "GET /$export", "GET /_operations/export/{id}":
		return true
	case "GET /{Type}/$export":
		return c.path[0] == "Patient"
	case "GET /{Type}/{id}/$export":
		return c.path[0] == "Group"
	}
	return false
}

func (s *Server) deprecated(c *call) answer {
	a := outcome(c.now, http.StatusGone, "", "")
	a.body = []byte(`{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"business-rule",` +
		`"details":{"coding":[{"system":"https://azurehealthcareapis.com/fhir/operation-outcome-code",` +
		`"code":"service-deprecated","display":"FHIR service deprecated"}],` +
		`"text":"This FHIR service has been deprecated."},` +
		`"diagnostics":"This FHIR service is deprecated no longer accepts normal workloads."}]}`)
	s.mu.Lock()
	defer s.mu.Unlock()
	a.wait = s.opt.scaled(time.Duration(50+s.rng.IntN(101)) * time.Millisecond)
	return a
}

// baseURL is where this server says it is reached.
func (s *Server) baseURL(c *call) string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.base != "" {
		return s.base
	}
	return "http://" + c.Host
}
