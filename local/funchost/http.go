package funchost

import (
	"io"
	"net/http"
	"slices"
	"strings"
	"time"
)

// availableLimit is how long a request waits for a host that is down, and notRunning
// what it then gets with status 503 (H23).
const (
	availableLimit = 30 * time.Second
	notRunning     = "Function host is not running."
)

// routes is everything the public listener serves.
func (h *Host) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "Your Functions 4.0 app is up and running\n")
	})
	h.administration(mux)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// The mux would tidy up paths; those of functions reach the handler as they are.
		if r.URL.Path == "/" || strings.HasPrefix(r.URL.Path, "/admin/") {
			mux.ServeHTTP(w, r)
			return
		}
		h.serveFunction(w, r)
	})
}

// available waits for the running generation; nil after it has answered 503.
func (h *Host) available(w http.ResponseWriter, r *http.Request) *generation {
	deadline := time.NewTimer(availableLimit)
	defer deadline.Stop()
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	for {
		if g := h.generation(); g != nil {
			return g
		}
		select {
		case <-ticker.C:
			continue
		case <-deadline.C:
		case <-h.stopping:
		case <-h.stopped:
		case <-r.Context().Done():
		}
		http.Error(w, notRunning, http.StatusServiceUnavailable)
		return nil
	}
}

// serveFunction finds the HTTP function of a request, checks its key and forwards.
func (h *Host) serveFunction(w http.ResponseWriter, r *http.Request) {
	g := h.available(w, r)
	if g == nil {
		return
	}
	f, found := g.route(r)
	if !found || f.disabled && !h.mayAdminister(r) {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	if !h.mayCall(f, r) {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	body, ok := g.readBody(w, r, f, h.settings.requestLimit())
	if !ok {
		return
	}
	done := make(chan struct{})
	var resp *http.Response
	var text []byte
	var err error
	tracked := g.track(func() {
		defer close(done)
		resp, text, err = g.forward(r, body)
	})
	if !tracked {
		http.Error(w, notRunning, http.StatusServiceUnavailable)
		return
	}
	<-done
	if err != nil {
		g.refuse(w, f, err)
		return
	}
	pass(w, resp, text)
}

// route is the function that method and path lead to. A path that exists under another
// method is as unknown as any other (host contract 4.5).
func (g *generation) route(r *http.Request) (function, bool) {
	path := strings.Trim(r.URL.Path, "/")
	if prefix := g.config.routePrefix; prefix != "" {
		if len(path) < len(prefix) || !strings.EqualFold(path[:len(prefix)], prefix) {
			return function{}, false
		}
		path = path[len(prefix):]
		if path != "" && path[0] != '/' {
			return function{}, false
		}
	}
	var best function
	for _, f := range g.functions {
		if f.route == nil || !f.route.match(path) || len(f.methods) > 0 && !slices.Contains(f.methods, r.Method) {
			continue
		}
		if best.route == nil || f.route.before(best.route) < 0 {
			best = f
		}
	}
	return best, best.route != nil
}

// key is what the caller shows: the header first, then the query.
func key(r *http.Request) string {
	if k := r.Header.Get("x-functions-key"); k != "" {
		return k
	}
	return r.URL.Query().Get("code")
}

// mayAdminister says whether the caller has the admin level.
func (h *Host) mayAdminister(r *http.Request) bool {
	return !h.options.EnableAuth || h.options.MasterKey != "" && key(r) == h.options.MasterKey
}

// mayCall says whether the caller's key opens the function (H21).
func (h *Host) mayCall(f function, r *http.Request) bool {
	if h.mayAdminister(r) || f.trigger.AuthLevel == "anonymous" {
		return true
	}
	k := key(r)
	return f.trigger.AuthLevel == "function" && k != "" && (k == h.options.HostKey || k == h.options.FunctionKeys[f.name])
}
