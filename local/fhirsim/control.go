package fhirsim

import (
	"encoding/json"
	"net/http"
)

// ControlHandler lets another process arm faults and look at the server. It is for tests: give it a listener
// or a path of its own.
//
//	POST /faults         {"fault":"StickExport","times":1}   arms; the other fields are those of Arm
//	DELETE /faults       disarms all; DELETE /faults/{name} one
//	GET /faults          how often each has fired
//	GET /requests        counts by method and route
//	GET /jobs            the jobs
//	GET /counts          versions by type
//	POST /empty          removes all resources
func (s *Server) ControlHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /faults", s.armOverHTTP)
	mux.HandleFunc("DELETE /faults", func(w http.ResponseWriter, _ *http.Request) {
		s.faults.Reset()
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("DELETE /faults/{name}", func(w http.ResponseWriter, r *http.Request) {
		s.faults.Clear(r.PathValue("name"))
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("GET /faults", func(w http.ResponseWriter, _ *http.Request) { show(w, s.faults.Fired()) })
	mux.HandleFunc("GET /requests", func(w http.ResponseWriter, _ *http.Request) { show(w, s.RequestCounts()) })
	mux.HandleFunc("GET /jobs", func(w http.ResponseWriter, _ *http.Request) { show(w, s.Jobs()) })
	mux.HandleFunc("GET /counts", func(w http.ResponseWriter, _ *http.Request) { show(w, s.Counts()) })
	mux.HandleFunc("POST /empty", func(w http.ResponseWriter, _ *http.Request) {
		s.Empty()
		w.WriteHeader(http.StatusNoContent)
	})
	return mux
}

func (s *Server) armOverHTTP(w http.ResponseWriter, r *http.Request) {
	var order struct {
		Fault string `json:"fault"`
		Arm
	}
	decoder := json.NewDecoder(r.Body)
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&order); err != nil {
		http.Error(w, "read order: "+err.Error(), http.StatusBadRequest)
		return
	}
	if err := s.faults.Arm(order.Fault, order.Arm); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func show(w http.ResponseWriter, value any) {
	w.Header().Set("Content-Type", plainJSON)
	_ = json.NewEncoder(w).Encode(value) // a client that went away is its own affair
}
