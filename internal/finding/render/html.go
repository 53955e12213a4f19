package render

import (
	"bytes"
	"cmp"
	_ "embed" // the page
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"math"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/finding"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/foreign"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/report"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/runlog"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/weburl"
)

// HTMLMark is near the start of every page: by it a file is known to be one.
const HTMLMark = `<meta name="generator" content="packer-plugin-sysprep">`

const (
	// maxPicture bounds the picture of a page, in bytes of its file. One of 1920×1080
	// with text on it has less than a tenth of that.
	maxPicture = 2 << 20
	// maxFacts bounds the facts that are listed.
	maxFacts = 2000
)

//go:embed page.html
var pageText string

var page = sync.OnceValue(func() *template.Template { return template.Must(template.New("page").Parse(pageText)) })

// HTML writes the report on a run as one page: everything is in it, it asks for
// nothing over the network and runs no script. The texts of a run are shown as they
// are and never taken for markup.
func HTML(w io.Writer, r report.Run) error {
	facts, err := factsOf(r.Facts)
	if err != nil {
		return err
	}
	run := r.Each(safeLines)
	v := view{
		Run: run, Facts: facts, Took: span(run.TookMS), Timeline: timeline(run),
		What: run.Component + joined(" of build ", run.Packer.BuildName), Word: map[bool]string{true: "✓ good", false: "✗ failed"}[run.Outcome.Good],
	}
	v.Title = v.Word + ": " + v.What
	v.About = about(run)
	for _, s := range run.Sections {
		if s.ID == report.SectionDiagnosis { // what to do comes before what was done
			v.Causes = append(v.Causes, sectionOf(s))
		} else {
			v.Sections = append(v.Sections, sectionOf(s))
		}
	}
	n := count(run.Findings())
	for _, c := range []tally{{"fail", plural(n.Fail, "error")}, {"warn", plural(n.Warn, "warning")}} {
		if !strings.HasPrefix(c.Text, "0 ") {
			v.Counts = append(v.Counts, c)
		}
	}
	v.Picture, v.NoPicture = picture(run.Picture)
	var b bytes.Buffer // nothing is written where the template fails
	if err := page().Execute(&b, v); err != nil {
		return err
	}
	_, err = w.Write(b.Bytes())
	return err
}

// view is what the page shows.
type view struct {
	Title, What, Word, Took string
	Run                     report.Run
	Counts                  []tally
	About, Facts            []entry
	Timeline                []bar
	Causes, Sections        []section
	Picture                 template.URL
	NoPicture               string
}

type tally struct{ Class, Text string }

type entry struct {
	Name, Text string
	Mono       bool
}

// bar is a phase in per cent of the run.
type bar struct {
	Name, Took, Note string
	Left, Width      float64
	Failed           bool
}

type section struct {
	Title, Sum, Error string
	Rows              []row
}

type row struct {
	finding.Finding
	Class, Word, Statement, Place string
}

func about(r report.Run) (all []entry) {
	add := func(name, text string, mono bool) {
		if text != "" {
			all = append(all, entry{name, text, mono})
		}
	}
	add("Outcome", r.Outcome.Class+joined(", cause ", r.Outcome.Cause), false)
	add("Build", r.Packer.BuildName+joined(", builder ", r.Packer.BuilderType), false)
	if !r.Begun.IsZero() {
		add("Begun", r.Begun.Format("2006-01-02 15:04:05 -07:00"), false)
		add("Ended", r.Begun.Add(time.Duration(r.TookMS)*time.Millisecond).Format("2006-01-02 15:04:05 -07:00")+", after "+span(r.TookMS), false)
	}
	if s := r.Source; s != nil {
		add("Source", s.Name, true)
		add("Checksum of the source", s.Checksum, true)
	}
	if o := r.Output; o != nil {
		add("Output", o.Path, true)
		size := mib(o.Size) + " file"
		if o.VirtualSize > 0 {
			size = mib(o.VirtualSize) + " disk, " + size
		}
		add("Format", o.Format+", "+size, false)
		add("SHA-256 of the output", o.SHA256, true)
	}
	for _, f := range r.Files {
		add("Also left", f, true)
	}
	add("Packer", r.Packer.Version, false)
	add("Packer's run id", r.Packer.RunID, true)
	add("Plugin", r.Plugin.Name+" "+r.Plugin.Version, false)
	return all
}

// phases are what a person calls those whose names say too little.
var phases = map[string]string{
	"download": "download the source", "source": "inspect the source", "overlay": "make the overlay", "boot": "start the machine", "wait": "wait for the guest",
	"unattended": "guest's own sysprep", "power-off": "wait for the power-off", "proof": "prove the disk", "boot-test": "boot a clone", "hash": "hash the output",
	"look": "look at the guest", "audit": "audit mode", "answers": "bring the answer file", "sysprep": "watch sysprep",
}

// timeline places the phases between begin and end of the run.
func timeline(r report.Run) (bars []bar) {
	whole := r.TookMS
	for _, p := range r.Phases {
		whole = max(whole, end(r, p))
	}
	share := func(ms int64) float64 {
		if whole <= 0 {
			return 0
		}
		return math.Round(float64(min(max(ms, 0), whole))/float64(whole)*10000) / 100
	}
	for _, p := range r.Phases {
		took := end(r, p) - p.BeginMS
		b := bar{Name: cmp.Or(phases[p.Name], p.Name), Took: span(took), Note: p.Error, Left: share(p.BeginMS), Failed: p.Outcome == runlog.Failed || p.Outcome == runlog.Cancelled}
		b.Width = math.Min(share(took), 100-b.Left)
		if b.Left = math.Min(b.Left, 99.5); b.Failed && b.Note == r.Outcome.Summary { // it is the headline of the page
			b.Note = ""
		}
		bars = append(bars, b)
	}
	return bars
}

// end is when a phase ended, in milliseconds from the begin of the run.
func end(r report.Run, p runlog.Phase) int64 {
	if p.EndMS == nil {
		return max(r.TookMS, p.BeginMS)
	}
	return max(*p.EndMS, p.BeginMS)
}

// sectionOf puts what speaks against the run first.
func sectionOf(s report.Section) section {
	out := section{Title: s.Title, Error: s.Error}
	for _, f := range s.Findings {
		r := row{Finding: f, Class: string(f.Severity), Statement: f.Summary, Place: strings.TrimSuffix(file(f)+line(f), ": ")}
		r.Word = map[finding.Severity]string{finding.Fail: "✗ error", finding.Warn: "! warning", finding.Info: "i info"}[f.Severity]
		if f.Holds {
			r.Class, r.Word = "good", "✓ holds"
		}
		if f.Name != "" {
			r.ID += " " + f.Name
		}
		if f.Unconfirmed {
			r.ID += " (" + likely + ")"
		}
		if len(f.Where.Path) > 0 {
			r.Place = strings.TrimPrefix(r.Place+", "+strings.Join(f.Where.Path, ", "), ", ")
		}
		if f.Holds {
			r.Remedy = nil
			if f.Expected == f.Found {
				r.Expected = ""
			}
		}
		out.Rows = append(out.Rows, r)
	}
	rank := func(r row) int {
		if r.Holds {
			return 9
		}
		return slices.Index(finding.Severities(), r.Severity)
	}
	slices.SortStableFunc(out.Rows, func(a, b row) int { return cmp.Compare(rank(a), rank(b)) })
	if s.ID == report.SectionDiagnosis || s.Error != "" {
		return out
	}
	n := count(s.Findings)
	holds := len(s.Findings) - n.Fail - n.Warn - n.Info
	var parts []string
	for _, t := range []struct {
		n    int
		what string
	}{{n.Fail, "error"}, {n.Warn, "warning"}} {
		if t.n > 0 {
			parts = append(parts, plural(t.n, t.what))
		}
	}
	if n.Info > 0 {
		parts = append(parts, fmt.Sprintf("%d good to know", n.Info))
	}
	switch {
	case holds == 1:
		parts = append(parts, "1 holds")
	case holds > 1:
		parts = append(parts, fmt.Sprintf("%d hold", holds))
	}
	out.Sum = strings.Join(parts, ", ")
	return out
}

// picture is an image as an address that holds it, or why there is none.
func picture(content []byte) (template.URL, string) {
	kind := http.DetectContentType(content)
	switch {
	case len(content) == 0:
		return "", ""
	case kind != "image/png" && kind != "image/jpeg":
		return "", "The screenshot is no PNG or JPEG picture, so it is not in this page."
	case len(content) > maxPicture:
		return "", fmt.Sprintf("The screenshot is too large for this page (%s, of at most %s); it is kept as a file.", mib(int64(len(content))), mib(maxPicture))
	}
	// What is made here has letters, digits and +/= only.
	return template.URL("data:" + kind + ";base64," + base64.StdEncoding.EncodeToString(content)), "" //nolint:gosec // see above
}

// factsOf lists facts by their keys, in the order of their JSON form.
func factsOf(facts any) (all []entry, err error) {
	if facts == nil {
		return nil, nil
	}
	text, err := json.Marshal(facts)
	if err != nil {
		return nil, err
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	out := 0
	if err := flatten(d, "", &all, &out); err != nil {
		return nil, err
	}
	if out > 0 {
		all = append(all, entry{Name: "...", Text: fmt.Sprintf("%d more are not in this page; the report as JSON has them all", out)})
	}
	return all, nil
}

// flatten reads one value. out counts what does not fit.
func flatten(d *json.Decoder, key string, all *[]entry, out *int) error {
	t, err := d.Token()
	if err != nil {
		return err
	}
	delim, nested := t.(json.Delim)
	if !nested {
		switch {
		case t == nil:
		case len(*all) < maxFacts:
			*all = append(*all, entry{Name: safe(key), Text: safeLines(fmt.Sprint(t))})
		default:
			*out++
		}
		return nil
	}
	for i := 0; d.More(); i++ {
		inner := fmt.Sprintf("%s[%d]", key, i)
		if delim == '{' {
			name, err := d.Token()
			if err != nil {
				return err
			}
			inner = strings.TrimPrefix(fmt.Sprintf("%s.%s", key, name), ".")
		}
		if err := flatten(d, inner, all, out); err != nil {
			return err
		}
	}
	_, err = d.Token()
	return err
}

// safeLines is safe for a text of several lines.
func safeLines(text string) string { return foreign.Lines(weburl.Redact(text)) }

// joined is a text with what stands before it, "" without one.
func joined(before, text string) string {
	if text == "" {
		return ""
	}
	return before + text
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// span is a duration in milliseconds for a person.
func span(ms int64) string {
	d := time.Duration(ms) * time.Millisecond
	if d >= time.Minute {
		return d.Round(time.Second).String()
	}
	if d >= time.Second {
		return d.Round(100 * time.Millisecond).String()
	}
	return d.String()
}

func mib(bytes int64) string {
	switch {
	case bytes >= 1<<30:
		return fmt.Sprintf("%.1f GiB", float64(bytes)/(1<<30))
	case bytes >= 1<<20:
		return fmt.Sprintf("%.1f MiB", float64(bytes)/(1<<20))
	}
	return fmt.Sprintf("%d bytes", bytes)
}
