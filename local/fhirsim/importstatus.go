package fhirsim

import (
	"crypto/sha1"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// startImport answers POST $import (contract 4).
func (s *Server) startImport(c *call) answer {
	if prefer := c.Header.Values("Prefer"); len(prefer) != 1 || prefer[0] != "respond-async" {
		return invalid(c, `Value supplied, %s,  for the "Prefer" header is not supported.`, strings.Join(prefer, ","))
	}
	if kind := c.Header.Get("Content-Type"); !strings.Contains(kind, fhirJSON) {
		return invalid(c, `Value supplied, %s,  for the "Content-Type" header is not supported.`, kind)
	}
	if s.opt.Generation == Gen1 || s.opt.ImportDisabled {
		return invalid(c, `The requested "import" operation is not enabled`)
	}
	order, err := s.readImportOrder(c)
	if err != nil {
		return invalid(c, "%s", err)
	}
	if arm, hit := s.faults.strike(faultThrottleKickoff, c); hit {
		return busy(arm)
	}
	base := s.baseURL(c)
	s.mu.Lock()
	defer s.mu.Unlock()
	definition, _ := json.Marshal(order)
	hash := sha1.Sum(definition)
	key := hex.EncodeToString(hash[:])
	j := s.registered[key]
	if j == nil {
		j = s.newImport(c, base, order)
		s.registered[key] = j
		s.imports = append(s.imports, j)
	}
	a := s.accepted(c, base, "import", j.id)
	if _, lost := s.faults.strike(faultLoseImportAnswer, c); lost {
		j.answerLost, a.dropped = true, true
	} else {
		j.answerLost = false
	}
	return a
}

func (s *Server) newImport(c *call, base string, order importOrder) *importJob {
	j := &importJob{id: s.newID(c.now), created: c.now, start: c.now.Add(s.queueDelay()), order: order,
		crowd: map[int64]int{}, request: base + c.URL.RequestURI(), state: jobCreated}
	_, j.stuck = s.faults.strike(faultStickImport, c)
	_, j.etagFault = s.faults.strike(faultFailImportEtag, c)
	if arm, hit := s.faults.strike(faultFailImport, c); hit {
		j.doom = &arm
	}
	if arm, hit := s.faults.strike(faultSkipLines, c); hit {
		j.skip = arm.Count
	}
	return j
}

// findImport looks a job up. The caller holds mu.
func (s *Server) findImport(c *call) (*importJob, answer) {
	id, err := strconv.ParseInt(c.path[2], 10, 64)
	i := slices.IndexFunc(s.imports, func(j *importJob) bool { return j.id == id })
	if err != nil || i < 0 {
		return nil, outcome(c.now, http.StatusNotFound, "not-found",
			fmt.Sprintf("The requested import job %q was not found.", c.path[2]))
	}
	return s.imports[i], answer{}
}

// importStatus answers GET _operations/import/{id} by the state table of contract 5.1.
func (s *Server) importStatus(c *call) answer {
	if arm, hit := s.faults.strike(faultPollStatus, c); hit {
		return oddAnswer(arm)
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	j, unknown := s.findImport(c)
	if j == nil {
		return unknown
	}
	var a answer
	switch j.state {
	case jobCreated:
		return answer{status: http.StatusAccepted}
	case jobCancelled:
		a = outcome(c.now, http.StatusBadRequest, "processing", "User requested cancellation of operation.")
	case jobFailed:
		a = outcome(c.now, j.failure.status, "processing", "import operation failed for reason: "+j.failure.reason)
	case jobRunning:
		a = s.importResult(c, j, http.StatusAccepted)
	default:
		a = s.importResult(c, j, http.StatusOK)
	}
	if s.opt.SlowPolls {
		a.wait = s.opt.scaled(time.Second)
	}
	if arm, hit := s.faults.strike(faultSlowImportPoll, c); hit {
		a.wait = time.Duration(arm.Milliseconds) * time.Millisecond
	}
	return a
}

type importBody struct {
	TransactionTime string         `json:"transactionTime"`
	Request         string         `json:"request"`
	Output          []importOutput `json:"output"`
	Error           []importOutput `json:"error"`
}

type importOutput struct {
	Type     *string `json:"type"`
	Count    int     `json:"count"`
	InputURL string  `json:"inputUrl"`
	URL      string  `json:"url,omitempty"`
}

// importResult is the body of contract 5.2: completed units only. The caller holds mu.
func (s *Server) importResult(c *call, j *importJob, status int) answer {
	b := importBody{TransactionTime: formatInstant(j.created.Truncate(time.Millisecond).UnixNano()),
		Request: j.request, Output: []importOutput{}, Error: []importOutput{}}
	at := map[int]int{}
	for _, u := range j.units {
		if u.state != jobCompleted {
			continue
		}
		input := j.order.Inputs[u.input]
		var kind *string
		if input.Type != "" {
			kind = &input.Type
		}
		if i, found := at[u.input]; found && c.query.Get("_details") != "true" {
			b.Output[i].Count += u.accepted
		} else {
			at[u.input] = len(b.Output)
			b.Output = append(b.Output, importOutput{kind, u.accepted, input.URL, ""})
		}
		if u.failed > 0 {
			b.Error = append(b.Error, importOutput{kind, u.failed, input.URL, u.errorURL})
		}
	}
	return jsonAnswer(status, plainJSON, b)
}

// cancelImport answers DELETE _operations/import/{id} (contract 5.5).
func (s *Server) cancelImport(c *call) answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	j, unknown := s.findImport(c)
	if j == nil {
		return unknown
	}
	switch j.state {
	case jobCompleted, jobFailed:
		return outcome(c.now, http.StatusConflict, "conflict", "Import operation has already completed")
	case jobCancelled:
		return answer{status: http.StatusAccepted}
	}
	j.state, j.ended = jobCancelled, c.now
	j.stopUnits(s)
	return answer{status: http.StatusAccepted}
}
