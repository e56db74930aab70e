// Command recorder is a custom handler for tests: it tells a test what it receives and
// does what the test answers.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
)

type report struct {
	PID              int
	Args, Env        []string
	Dir              string
	Method, URI      string
	Host             string
	Header           http.Header
	ContentLength    int64
	TransferEncoding []string
	Body             []byte
}

type order struct {
	Exit           *int
	Hang           bool
	Status         int
	Header         http.Header
	Body           []byte
	Stdout, Stderr string
}

func main() {
	here, _ := os.Getwd()
	obey(tell("/start", report{PID: os.Getpid(), Args: os.Args[1:], Env: os.Environ(), Dir: here}))
	serve := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/" {
			w.WriteHeader(http.StatusTeapot) // any status is ready
			return
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			log.Fatal(err)
		}
		o := tell("/call", report{PID: os.Getpid(), Method: r.Method, URI: r.RequestURI, Host: r.Host, Header: r.Header,
			ContentLength: r.ContentLength, TransferEncoding: r.TransferEncoding, Body: body})
		obey(o)
		for name, values := range o.Header {
			w.Header()[name] = values
		}
		w.WriteHeader(o.Status)
		_, _ = w.Write(o.Body)
	})
	log.Fatal(http.ListenAndServe("127.0.0.1:"+os.Getenv("FUNCTIONS_CUSTOMHANDLER_PORT"), serve))
}

func obey(o order) {
	if o.Stdout != "" {
		fmt.Fprintln(os.Stdout, o.Stdout)
	}
	if o.Stderr != "" {
		fmt.Fprintln(os.Stderr, o.Stderr)
	}
	if o.Exit != nil {
		os.Exit(*o.Exit)
	}
	if o.Hang {
		select {}
	}
}

func tell(path string, r report) order {
	text, err := json.Marshal(r)
	if err != nil {
		log.Fatal(err)
	}
	resp, err := http.Post(os.Getenv("RECORDER_URL")+path, "application/json", bytes.NewReader(text))
	if err != nil {
		log.Fatal(err)
	}
	defer resp.Body.Close()
	var o order
	if err := json.NewDecoder(resp.Body).Decode(&o); err != nil {
		log.Fatal(err)
	}
	return o
}
