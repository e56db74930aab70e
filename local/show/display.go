package show

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// Display writes frames: on a terminal as a block that is drawn over again, elsewhere as a line every few seconds
// and whenever the state changes.
type Display struct {
	out   io.Writer
	width int           // zero: not a terminal
	every time.Duration // between two lines

	drawn int // lines of the block on the screen
	last  time.Time
	state string
}

// NewDisplay writes to a terminal of the given width; width zero means that out is not one, and then there are at
// least every between two lines of the same state.
func NewDisplay(out io.Writer, width int, every time.Duration) *Display {
	return &Display{out: out, width: width, every: every}
}

// TerminalWidth is the width of the terminal behind f, or zero when there is none. columns is the environment's
// COLUMNS; without it a terminal counts as 100 wide.
func TerminalWidth(f *os.File, columns string) int {
	info, err := f.Stat()
	if err != nil || info.Mode()&os.ModeCharDevice == 0 || f.Name() == os.DevNull {
		return 0
	}
	var width int
	if _, err := fmt.Sscan(columns, &width); err != nil || width < 40 {
		return 100
	}
	return width
}

// Draw shows a frame that was made at the instant.
func (d *Display) Draw(at time.Time, f Frame) {
	if d.width > 0 {
		d.block(f)
		return
	}
	if f.State != d.state || at.Sub(d.last) >= d.every {
		fmt.Fprintln(d.out, f.Line())
		d.state, d.last = f.State, at
	}
}

// block draws over the lines drawn before; every line is cleared to its end and the rest of the screen with it.
func (d *Display) block(f Frame) {
	lines := f.Block(d.width)
	var text strings.Builder
	if d.drawn > 0 {
		fmt.Fprintf(&text, "\x1b[%dA", d.drawn)
	}
	for _, line := range lines {
		text.WriteString("\x1b[2K" + line + "\n")
	}
	text.WriteString("\x1b[J")
	d.drawn = len(lines)
	fmt.Fprint(d.out, text.String())
}

// Say writes a line that stays. A block on the screen stays above it.
func (d *Display) Say(format string, args ...any) {
	d.drawn = 0
	fmt.Fprintf(d.out, format+"\n", args...)
}
