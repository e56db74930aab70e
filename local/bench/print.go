package main

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// figure is one line of the table.
type figure struct{ name, measured, aim string }

// table lines the columns up.
func table(figures []figure) []string {
	width := [2]int{}
	for _, f := range figures {
		width[0] = max(width[0], utf8.RuneCountInString(f.name))
		width[1] = max(width[1], utf8.RuneCountInString(f.measured))
	}
	var lines []string
	for _, f := range figures {
		lines = append(lines, strings.TrimRight(fmt.Sprintf("%-*s  %-*s  %s", width[0], f.name, width[1], f.measured, f.aim), " "))
	}
	return lines
}

func (b *bench) conclude() {
	b.say("done")
	lines := table(append([]figure{{"figure", "measured", "aim"}}, b.figures...))
	widest := 0
	for _, line := range lines {
		widest = max(widest, utf8.RuneCountInString(line))
	}
	rule := strings.Repeat("─", widest)
	fmt.Fprintf(b.out, "\n%s\n%s\n", lines[0], rule)
	for _, line := range lines[1:] {
		fmt.Fprintln(b.out, line)
	}
	fmt.Fprintln(b.out, rule)
	for _, note := range b.notes {
		fmt.Fprintln(b.out, note)
	}
}

// tally is how often each thing was done.
type tally map[string]int

// since is what has been added to an earlier tally.
func (t tally) since(earlier tally) tally {
	grown := tally{}
	for name, n := range t {
		if n > earlier[name] {
			grown[name] = n - earlier[name]
		}
	}
	return grown
}

// of is the sum of what begins with one of the prefixes.
func (t tally) of(prefixes ...string) int {
	total := 0
	for name, n := range t {
		if slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(name, p) }) {
			total += n
		}
	}
	return total
}

// parts lists what begins with the prefix, without it, the most frequent first, each divided by n.
func (t tally) parts(prefix string, n int) string {
	var names []string
	for name := range t {
		if strings.HasPrefix(name, prefix) {
			names = append(names, name)
		}
	}
	slices.SortFunc(names, func(a, b string) int {
		if t[a] != t[b] {
			return t[b] - t[a]
		}
		return strings.Compare(a, b)
	})
	var texts []string
	for _, name := range names {
		texts = append(texts, fmt.Sprintf("%s %s", strings.TrimPrefix(name, prefix), per(t[name], n)))
	}
	return strings.Join(texts, ", ")
}

func per(n, of int) string { return fmt.Sprintf("%.1f", float64(n)/float64(max(of, 1))) }

func millis(d time.Duration) string {
	return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond))
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.1f s", d.Seconds()) }

func percent(part, whole time.Duration) string {
	return fmt.Sprintf("%.1f %%", 100*float64(part)/float64(max(whole, 1)))
}
