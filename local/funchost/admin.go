package funchost

import (
	"encoding/json"
	"io"
	"net/http"
	"time"
)

// administration adds the host's own endpoints (host contract 4.6). With EnableAuth
// they need the master key; ping does not.
func (h *Host) administration(mux *http.ServeMux) {
	guarded := func(pattern string, serve func(*generation, http.ResponseWriter, *http.Request)) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			if !h.mayAdminister(r) {
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			if g := h.available(w, r); g != nil {
				serve(g, w, r)
			}
		})
	}
	guarded("POST /admin/functions/{name}", (*generation).runByHand)
	guarded("GET /admin/functions", (*generation).list)
	guarded("GET /admin/host/status", func(g *generation, w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, map[string]any{"id": h.options.HostID, "state": g.state(), "version": hostVersion})
	})
	guarded("POST /admin/host/drain", func(g *generation, w http.ResponseWriter, _ *http.Request) {
		g.deaf()
		w.WriteHeader(http.StatusAccepted)
	})
	guarded("GET /admin/host/drain/status", func(g *generation, w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, map[string]any{"state": g.drainState()})
	})
	guarded("POST /admin/host/resume", func(g *generation, w http.ResponseWriter, _ *http.Request) {
		if err := g.listen(); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		answer(w, http.StatusOK, map[string]any{"state": g.state()})
	})
	for _, method := range []string{"GET ", "POST "} {
		mux.HandleFunc(method+"/admin/host/ping", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })
	}
	mux.HandleFunc("/admin/", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) })
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

func (g *generation) state() string {
	g.dispatcher.mu.Lock()
	defer g.dispatcher.mu.Unlock()
	if g.dispatcher.ready || len(g.functions) == 0 {
		return "Running"
	}
	return "Initialized"
}

func (g *generation) drainState() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.deafen != nil:
		return "Disabled"
	case g.inFlight > 0:
		return "InProgress"
	}
	return "Completed"
}

func (g *generation) list(w http.ResponseWriter, _ *http.Request) {
	all := []map[string]any{}
	for _, f := range g.functions {
		all = append(all, map[string]any{"name": f.name, "isDisabled": f.disabled, "trigger": f.trigger.Type})
	}
	answer(w, http.StatusOK, all)
}

// runByHand runs a timer or queue function once, with no retry, poison or schedule
// status (H22).
func (g *generation) runByHand(w http.ResponseWriter, r *http.Request) {
	f, known := g.find(r.PathValue("name"))
	if !known {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	var body *struct{ Input string }
	text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, bodyLimit))
	if err != nil || json.Unmarshal(text, &body) != nil || body == nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	var in invocation
	switch {
	case f.isTimer():
		status, err := g.manualStatus(f)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		in = timerInvocation(f, status, false, g.now())
	case f.queue != "":
		in = manualMessage(f, body.Input, g.now())
	default:
		http.Error(w, "call the function by its route: "+errNotSimulated.Error(), http.StatusNotImplemented)
		return
	}
	tracked := g.track(func() {
		if err := g.invoke(g.life, in); err != nil {
			g.log.Error("function failed", "function", f.name, "error", err)
		}
	})
	if !tracked {
		http.Error(w, notRunning, http.StatusServiceUnavailable)
		return
	}
	w.WriteHeader(http.StatusAccepted)
}

func (g *generation) manualStatus(f function) (*timerStatus, error) {
	if !f.monitor {
		return nil, nil
	}
	status, err := g.storage.status(g.life, f.name)
	if status == nil && err == nil {
		status = &timerStatus{}
	}
	return status, err
}

// manualMessage is the invocation for a message that is in no queue.
func manualMessage(f function, text string, now time.Time) invocation {
	m := message{id: guid(), popReceipt: guid(), inserted: now, expires: now.Add(7 * 24 * time.Hour), invisible: now.Add(10 * time.Minute), dequeued: 1}
	return invocation{id: guid(), function: f.name,
		data:     map[string]any{f.trigger.Name: f.payload([]byte(text))},
		metadata: m.metadata(f.name, text, now)}
}
