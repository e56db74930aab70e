package funchost

import (
	"bufio"
	"crypto/rand"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// process is one run of the handler executable.
type process struct {
	cmd    *exec.Cmd
	exited chan struct{} // closed when it is gone and its output has been read
	status syscall.WaitStatus
	doomed chan struct{} // closed when the host itself has decided to end it
	once   sync.Once
}

// launch is what every start of the handler in one generation has in common.
type launch struct {
	config  config
	root    string
	env     []string
	port    int
	console *console
}

// start starts the executable with the variables of host contract 2.2, and no others
// beside the app settings.
func (l launch) start() (*process, error) {
	id, port := guid(), strconv.Itoa(l.port)
	env := append(slices.Clone(l.env),
		"FUNCTIONS_CUSTOMHANDLER_PORT="+port, "FUNCTIONS_CUSTOMHANDLER_WORKER_ID="+id,
		"FUNCTIONS_HTTPWORKER_PORT="+port, "FUNCTIONS_HTTPWORKER_ID="+id,
		"FUNCTIONS_APP_ROOT_PATH="+l.root)
	visible := newSettings(env...)
	var args []string
	for _, a := range l.config.arguments {
		args = append(args, strings.Fields(visible.expand(a))...)
	}
	cmd := exec.Command(l.config.executable, args...)
	cmd.Dir, cmd.Env, cmd.Stdin = l.config.workingDir, env, os.Stdin
	tie(cmd)
	return run(cmd, l.console)
}

// run starts the command and reads its output to the end. One goroutine, held on its
// thread, starts and awaits it: where the child is tied to that thread (Linux), the
// tie lasts as long as the child.
func run(cmd *exec.Cmd, c *console) (*process, error) {
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	errs, err := cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	p := &process{cmd: cmd, exited: make(chan struct{}), doomed: make(chan struct{})}
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err != nil {
			return
		}
		p.await(c, out, errs)
	}()
	return p, <-started
}

func (p *process) await(c *console, out, errs io.ReadCloser) {
	read := make(chan struct{})
	go func() {
		var both sync.WaitGroup
		both.Go(func() { lines(out, c.stdout) })
		both.Go(func() { lines(errs, c.stderr) })
		both.Wait()
		close(read)
	}()
	state, err := p.cmd.Process.Wait()
	if err == nil {
		p.status, _ = state.Sys().(syscall.WaitStatus)
	}
	// A child of the handler's may hold the pipes open for ever.
	timer := time.NewTimer(time.Second)
	defer timer.Stop()
	select {
	case <-read:
	case <-timer.C:
	}
	_, _ = out.Close(), errs.Close()
	<-read
	close(p.exited)
}

// lines hands each line to say; a line longer than the buffer comes in pieces.
func lines(r io.Reader, say func(string)) {
	b := bufio.NewReaderSize(r, 1<<20)
	for {
		line, err := b.ReadSlice('\n')
		if text := strings.TrimRight(string(line), "\r\n"); text != "" {
			say(text)
		}
		if err != nil && err != bufio.ErrBufferFull {
			return
		}
	}
}

// kill ends the process at once, as the host always does it; SIGTERM is never sent
// (H9). It is marked as the host's own doing, so that its end counts as no error.
func (p *process) kill() {
	p.once.Do(func() { close(p.doomed) })
	_ = p.cmd.Process.Kill()
}

func (p *process) killedByHost() bool {
	select {
	case <-p.doomed:
		return true
	default:
		return false
	}
}

// exit describes the end of a process that has exited.
func (p *process) exit() string {
	if p.status.Signaled() {
		return "signal " + p.status.Signal().String()
	}
	return "exit code " + strconv.Itoa(p.status.ExitStatus())
}

// peak is the most memory the running process has held so far, in bytes; 0 where the
// system does not say.
func (p *process) peak() int64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kib, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
			return kib << 10
		}
	}
	return 0
}

// guid is a random identifier in the usual form.
func guid() string {
	var b [16]byte
	_, _ = rand.Read(b[:])
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
