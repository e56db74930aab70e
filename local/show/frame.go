package show

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// shownProblems is how many of the newest problems a frame holds.
const shownProblems = 3

// Block is the frame as lines for a terminal of the given width; no line is longer.
func (f Frame) Block(width int) []string {
	lines := []string{
		fmt.Sprintf("%-9s %s %3.0f%%  %s of %s versions", f.State, bar(f.Share(), max(10, min(40, width-50))), math.Floor(f.Share()*100),
			grouped(f.Resources.Imported), grouped(f.Total)),
		fmt.Sprintf("%-9s %s", "chunks", f.chunkWords()),
		fmt.Sprintf("%-9s %s versions/s, %s left, %s passed", "speed", grouped(int64(f.Speed)), remaining(f.Remaining), clock(f.Passed)),
		fmt.Sprintf("%-9s till %s", "migrated", till(f.MigratedTill)),
	}
	if counts := f.exceptions(); counts != "" {
		lines = append(lines, fmt.Sprintf("%-9s %s", "counted", counts))
	}
	if steps := f.steps(); steps != "" {
		lines = append(lines, fmt.Sprintf("%-9s %s", "steps", steps))
	}
	if f.Note != "" {
		lines = append(lines, fmt.Sprintf("%-9s %s", "meanwhile", f.Note))
	}
	for i, p := range f.Problems {
		if i == shownProblems {
			lines = append(lines, fmt.Sprintf("%-9s and %d more", "", max(f.ProblemsTotal, len(f.Problems))-shownProblems))
			break
		}
		lines = append(lines, fmt.Sprintf("%-9s %s", "problem", p))
	}
	for i := range lines {
		lines[i] = cut(lines[i], width)
	}
	return lines
}

// Line is the frame in one line, for output that is not a terminal.
func (f Frame) Line() string {
	line := fmt.Sprintf("%s %s %.0f%%, %s of %s versions, %s/s, %s left; chunks: %s; till %s", clock(f.Passed), f.State, math.Floor(f.Share()*100),
		grouped(f.Resources.Imported), grouped(f.Total), grouped(int64(f.Speed)), remaining(f.Remaining), f.chunkWords(), till(f.MigratedTill))
	for _, more := range []string{f.exceptions(), f.steps(), f.Note} {
		if more != "" {
			line += "; " + more
		}
	}
	if n := max(f.ProblemsTotal, len(f.Problems)); n > 0 {
		line += fmt.Sprintf("; problems: %d", n)
	}
	return line
}

// String is the problem in one line.
func (p Problem) String() string {
	detail := strings.Join(strings.Fields(p.Detail), " ")
	if p.Chunk == "" {
		return detail
	}
	return p.Chunk + ": " + detail
}

func (f Frame) chunkWords() string {
	var words []string
	for _, state := range f.states() {
		words = append(words, fmt.Sprintf("%s %d", state, f.Chunks[state]))
	}
	if len(words) == 0 {
		return "none yet"
	}
	return strings.Join(words, ", ")
}

// exceptions names what was not simply imported.
func (f Frame) exceptions() string {
	var words []string
	if n := f.Resources.Rejected; n > 0 {
		words = append(words, "rejected "+grouped(n))
	}
	if n := f.Resources.Benign; n > 0 {
		words = append(words, "harmless duplicates "+grouped(n))
	}
	if n := f.Resources.Skipped; n > 0 {
		words = append(words, "SearchParameter lines passed over "+grouped(n))
	}
	return strings.Join(words, ", ")
}

// steps tells how far the run is with what it does besides moving chunks.
func (f Frame) steps() string {
	var words []string
	if p := f.Parameters; p != nil {
		words = append(words, fmt.Sprintf("search parameters %s (%d found, %d written)", p.State, p.Found, p.Written))
	}
	if r := f.Reindex; r != nil {
		words = append(words, fmt.Sprintf("reindex %s", r.State)+share(r.Done, r.Total))
	}
	if c := f.Check; c != nil {
		words = append(words, c.Line())
	}
	return strings.Join(words, ", ")
}

func share(done, total int) string {
	if total == 0 {
		return ""
	}
	return fmt.Sprintf(" (%s of %s)", grouped(int64(done)), grouped(int64(total)))
}

func bar(share float64, width int) string {
	full := int(share * float64(width))
	return strings.Repeat("█", full) + strings.Repeat("░", width-full)
}

func till(at *time.Time) string {
	if at == nil || at.IsZero() {
		return "the beginning"
	}
	return at.UTC().Format("2006-01-02T15:04:05.000Z")
}

func remaining(d time.Duration) string {
	if d < 0 {
		return "--:--"
	}
	return clock(d)
}

// clock is minutes and seconds, with hours where there are any.
func clock(d time.Duration) string {
	s := int(max(0, d).Round(time.Second).Seconds())
	if s >= 3600 {
		return fmt.Sprintf("%d:%02d:%02d", s/3600, s/60%60, s%60)
	}
	return fmt.Sprintf("%02d:%02d", s/60, s%60)
}

// grouped is a number with a comma between thousands.
func grouped(n int64) string {
	text := strconv.FormatInt(n, 10)
	for i := len(text) - 3; i > 0 && text[i-1] != '-'; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

func cut(line string, width int) string {
	if utf8.RuneCountInString(line) <= width {
		return line
	}
	return string([]rune(line)[:max(0, width-1)]) + "…"
}
