package sysprep

import (
	"bytes"
	"encoding/json"
	"log"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/finding"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/guest"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/preflight"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/runlog"
)

// preflightBook is what run.json keeps of the time before sysprep: what the guest told,
// what the checks say of it, and what was changed.
type preflightBook struct {
	Facts    *preflight.Facts    `json:"facts,omitempty"`
	Findings []finding.Finding   `json:"findings,omitempty"`
	Remedies []preflight.Applied `json:"remedies,omitempty"`
	Cleaned  []guest.Cleaned     `json:"cleaned,omitempty"`
}

// notePreflight writes down what is known of it by now.
func (r *run) notePreflight() {
	if r.checked == nil && !r.applied.any() {
		return
	}
	b := preflightBook{Findings: r.checked.findings(), Remedies: r.applied.remedies, Cleaned: r.applied.cleaned}
	if r.checked != nil {
		b.Facts = &r.checked.facts
	}
	document, err := withoutSecrets(b, func(text string) string { return runlog.Scrub(r.scrub.text(text)) })
	if err != nil {
		log.Printf("sysprep: writing the pre-flight down: %v", err)
		return
	}
	r.book.SetPreflight(document)
}

// withoutSecrets is the value as JSON, with hide done to each text in it. Names of
// members stay as they are: none of them comes from the guest's secrets.
func withoutSecrets(value any, hide func(string) string) (json.RawMessage, error) {
	document, err := json.Marshal(value)
	if err != nil {
		return nil, err
	}
	var all any
	whole := json.NewDecoder(bytes.NewReader(document))
	whole.UseNumber()
	if err := whole.Decode(&all); err != nil {
		return nil, err
	}
	return json.Marshal(hidden(all, hide))
}

func hidden(value any, hide func(string) string) any {
	switch v := value.(type) {
	case string:
		return hide(v)
	case []any:
		for i := range v {
			v[i] = hidden(v[i], hide)
		}
	case map[string]any:
		for name := range v {
			v[name] = hidden(v[name], hide)
		}
	}
	return value
}
