// Package azurite starts the real Azurite, the storage emulator that npm
// installs below local/node_modules, on free loopback ports, and can put fault
// proxies in front of its three services.
//
// Not simulated, because Azurite does not have it or we do not ask for it:
// identity based access (shared key and SAS only), geo redundancy, throttling of
// its own, latency of a network, and refusal of unknown API versions (the version
// check is switched off, so that newer clients can speak to an older emulator).
package azurite

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// Account and Key are the emulator's fixed, public credentials.
const (
	Account = "devstoreaccount1"
	Key     = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
)

// ErrNotInstalled means that Azurite, or node itself, is not there to be started.
var ErrNotInstalled = errors.New("azurite is not installed: run make deps (needs node and npm)")

// leash is run by node before Azurite: it ends the process when its standard input
// is closed, so that no emulator outlives the program that started it.
//
//go:embed leash.cjs
var leash []byte

// startLimit is how long a start may take; node is slow on a busy machine.
const startLimit = 60 * time.Second

// stopLimit is how long Azurite may take to write its files before it is killed.
const stopLimit = 5 * time.Second

// Options say where Azurite is and where it keeps its data.
type Options struct {
	// NodeModules is the folder npm installed into. Empty: local/node_modules of the
	// module that the working directory belongs to.
	NodeModules string
	// Dir is the existing folder for the data, kept at Stop. Empty: a temporary one,
	// removed at Stop.
	Dir string
	// InMemory keeps all data in the memory of the Azurite process.
	InMemory bool
}

// Azurite is one running emulator. Its methods may be called at the same time.
type Azurite struct {
	cmd    *exec.Cmd
	input  io.Closer // held open while this program lives: the leash
	output *output
	exited chan struct{}
	temp   string
	keeps  bool // the data is in a folder of the caller's
	hosts  map[Service]string
	stop   sync.Once
}

// Start starts Azurite and returns when its three services answer. The context
// bounds the start only; end the emulator with Stop.
func Start(ctx context.Context, o Options) (*Azurite, error) {
	script, err := mainScript(o.NodeModules)
	if err != nil {
		return nil, err
	}
	node, err := exec.LookPath("node")
	if err != nil {
		return nil, fmt.Errorf("find node: %w: %w", err, ErrNotInstalled)
	}
	temp, err := os.MkdirTemp("", "azurite-*")
	if err != nil {
		return nil, fmt.Errorf("make a folder for azurite: %w", err)
	}
	a := &Azurite{output: newOutput(), exited: make(chan struct{}), temp: temp,
		keeps: o.Dir != "" && !o.InMemory}
	if err := a.start(ctx, node, script, o); err != nil {
		a.Stop()
		return nil, fmt.Errorf("start azurite: %w", err)
	}
	return a, nil
}

func (a *Azurite) start(ctx context.Context, node, script string, o Options) error {
	preload := filepath.Join(a.temp, "leash.cjs")
	if err := os.WriteFile(preload, leash, 0o600); err != nil {
		return err
	}
	dir := o.Dir
	if dir == "" {
		dir = a.temp
	}
	args := []string{"--require", preload, script,
		"--blobPort", "0", "--queuePort", "0", "--tablePort", "0",
		"--silent", "--disableTelemetry", "--skipApiVersionCheck"}
	if o.InMemory {
		args = append(args, "--inMemoryPersistence")
	} else {
		args = append(args, "--location", dir)
	}
	cmd := exec.Command(node, args...)
	cmd.Dir = dir
	cmd.Stdout, cmd.Stderr = a.output, a.output
	// A group of its own: Ctrl-C in a terminal stops the program that started it,
	// and that program decides when the emulator ends.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	input, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	a.input = input
	if err := cmd.Start(); err != nil {
		return err
	}
	a.cmd = cmd
	go func() {
		_ = cmd.Wait()
		close(a.exited)
	}()
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	return a.awaitServices(ctx)
}

// awaitServices takes the ports from what Azurite says and asks each service once.
func (a *Azurite) awaitServices(ctx context.Context) error {
	select {
	case <-a.output.ready:
	case <-a.exited:
		return fmt.Errorf("it ended at once: %s", a.output.tail())
	case <-ctx.Done():
		return fmt.Errorf("%w, it said: %s", ctx.Err(), a.output.tail())
	}
	a.hosts = a.output.addresses()
	for service, host := range a.hosts {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+host+"/"+Account, nil)
		if err != nil {
			return err
		}
		req.Close = true
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return fmt.Errorf("ask its %s service: %w", service, err)
		}
		_ = resp.Body.Close()
	}
	return nil
}

// PID is the process id of the emulator.
func (a *Azurite) PID() int { return a.cmd.Process.Pid }

// BlobEndpoint is the address of the blob service with the account in its path.
func (a *Azurite) BlobEndpoint() string { return endpoint(a.hosts[Blob]) }

// ConnectionString reaches the three services directly.
func (a *Azurite) ConnectionString() string { return connectionString(a.hosts) }

// Stop ends the process, at once if it keeps no data, and removes the temporary
// folder. Later calls do nothing.
func (a *Azurite) Stop() {
	a.stop.Do(func() {
		if a.cmd != nil {
			a.end()
		}
		_ = os.RemoveAll(a.temp)
	})
}

func (a *Azurite) end() {
	// Asked to end, Azurite writes its data and waits for open connections; data
	// that nobody keeps is not worth that wait.
	ask := syscall.SIGKILL
	if a.keeps {
		ask = syscall.SIGTERM
	}
	_ = a.cmd.Process.Signal(ask)
	timer := time.NewTimer(stopLimit)
	defer timer.Stop()
	select {
	case <-a.exited:
	case <-timer.C:
		_ = a.cmd.Process.Kill()
		<-a.exited
	}
}

func endpoint(host string) string { return "http://" + host + "/" + Account }

func connectionString(hosts map[Service]string) string {
	return fmt.Sprintf("DefaultEndpointsProtocol=http;AccountName=%s;AccountKey=%s;BlobEndpoint=%s;QueueEndpoint=%s;TableEndpoint=%s;",
		Account, Key, endpoint(hosts[Blob]), endpoint(hosts[Queue]), endpoint(hosts[Table]))
}
