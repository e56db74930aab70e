package main

import (
	"context"
	"fhirferry/local/rig"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"
)

// process is the handler alone, as a host would start it, without a host.
type process struct {
	cmd   *exec.Cmd
	base  string
	ready time.Duration // from its start to the first answered GET /
}

// launch starts the handler and waits for its first answer. It ends with stop, or with ctx.
func launch(ctx context.Context, dist string, env []string, out io.Writer) (*process, error) {
	port, err := freePort(ctx)
	if err != nil {
		return nil, err
	}
	path, err := filepath.Abs(filepath.Join(dist, "handler"))
	if err != nil {
		return nil, fmt.Errorf("find the handler: %w", err)
	}
	p := &process{cmd: exec.CommandContext(ctx, path), base: "http://127.0.0.1:" + strconv.Itoa(port)}
	p.cmd.Env = append(env, "FUNCTIONS_CUSTOMHANDLER_PORT="+strconv.Itoa(port))
	p.cmd.Stdout, p.cmd.Stderr = out, out
	began := time.Now()
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the handler: %w", err)
	}
	for {
		if _, _, err = call(ctx, http.MethodGet, p.base+"/", "", nil); err == nil {
			p.ready = time.Since(began)
			return p, nil
		}
		if time.Since(began) > answerTime || !rig.Wait(ctx, time.Millisecond) {
			p.stop()
			return nil, fmt.Errorf("wait for the handler's first answer: %w", err)
		}
	}
}

func (p *process) stop() {
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait() // it was killed, and says so
}

// freePort is a port that nobody listens on at this moment.
func freePort(ctx context.Context) (int, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp4", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("find a free port: %w", err)
	}
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port, nil
}
