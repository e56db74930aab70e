package funchost

import (
	"os/exec"
	"syscall"
)

// tie makes the child end with this process, so that a test that is killed leaves no
// handler behind.
func tie(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
