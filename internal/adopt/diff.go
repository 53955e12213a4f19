package adopt

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
)

// edit replaces a piece of the text.
type edit struct {
	span
	with string
}

// context is how many lines a diff shows around a change.
const context = 3

// apply makes the edits, which do not overlap, and shows them as a unified diff.
func apply(name string, text []byte, edits []edit) (after []byte, diff string) {
	slices.SortStableFunc(edits, func(a, b edit) int { return a.from - b.from })
	if bytes.Contains(text, []byte("\r\n")) {
		for i := range edits {
			edits[i].with = strings.ReplaceAll(strings.ReplaceAll(edits[i].with, "\r\n", "\n"), "\n", "\r\n")
		}
	}
	var out bytes.Buffer
	at := 0
	for _, e := range edits {
		out.Write(text[at:e.from])
		out.WriteString(e.with)
		at = e.to
	}
	out.Write(text[at:])
	return out.Bytes(), unified(name, text, edits)
}

// hunk is a run of whole lines that changed: of the old text from line first (from 0) on.
type hunk struct {
	first    int
	old, new []string
}

// unified makes a diff of what is known to have changed, without a search.
func unified(name string, text []byte, edits []edit) string {
	lines := split(string(text))
	starts := make([]int, 0, len(lines)+1)
	offset := 0
	for _, l := range lines {
		starts = append(starts, offset)
		offset += len(l)
	}
	lineOf := func(at int) int {
		n, found := slices.BinarySearch(starts, at)
		if !found {
			n--
		}
		return max(n, 0)
	}
	var hunks []hunk
	for i := 0; i < len(edits); {
		// All edits that touch the same lines are one change.
		first, last, j := lineOf(edits[i].from), lineOf(edits[i].to), i
		for j+1 < len(edits) && lineOf(edits[j+1].from) <= last {
			j++
			last = max(last, lineOf(edits[j].to))
		}
		var changed strings.Builder
		begin := 0
		if len(starts) > 0 {
			begin = starts[first]
		}
		at := begin
		for _, e := range edits[i : j+1] {
			changed.Write(text[at:e.from])
			changed.WriteString(e.with)
			at = e.to
		}
		end := len(text)
		if last+1 < len(starts) {
			end = starts[last+1]
		}
		changed.Write(text[at:end])
		hunks = append(hunks, trim(hunk{first, split(string(text[begin:end])), split(changed.String())}))
		i = j + 1
	}
	var b strings.Builder
	fmt.Fprintf(&b, "--- %s\n+++ %s\n", name, name)
	shift := 0
	for i := 0; i < len(hunks); {
		j := i
		for j+1 < len(hunks) && hunks[j+1].first-(hunks[j].first+len(hunks[j].old)) <= 2*context {
			j++
		}
		from := max(0, hunks[i].first-context)
		to := min(len(lines), hunks[j].first+len(hunks[j].old)+context)
		var body []string
		at, grown := from, 0
		for _, h := range hunks[i : j+1] {
			body = append(body, marked(" ", lines[at:h.first])...)
			body = append(body, marked("-", h.old)...)
			body = append(body, marked("+", h.new)...)
			at = h.first + len(h.old)
			grown += len(h.new) - len(h.old)
		}
		body = append(body, marked(" ", lines[at:to])...)
		fmt.Fprintf(&b, "@@ -%d,%d +%d,%d @@\n%s", from+1, to-from, from+1+shift, to-from+grown, strings.Join(body, ""))
		shift += grown
		i = j + 1
	}
	return b.String()
}

// trim leaves out lines at both ends that did not change.
func trim(h hunk) hunk {
	for len(h.old) > 0 && len(h.new) > 0 && h.old[0] == h.new[0] {
		h.first, h.old, h.new = h.first+1, h.old[1:], h.new[1:]
	}
	for len(h.old) > 0 && len(h.new) > 0 && h.old[len(h.old)-1] == h.new[len(h.new)-1] {
		h.old, h.new = h.old[:len(h.old)-1], h.new[:len(h.new)-1]
	}
	return h
}

func split(text string) []string { return slices.Collect(strings.Lines(text)) }

func marked(mark string, lines []string) (out []string) {
	for _, l := range lines {
		if !strings.HasSuffix(l, "\n") {
			l += "\n\\ No newline at end of file\n"
		}
		out = append(out, mark+l)
	}
	return out
}
