package sysprep

import (
	"encoding/json"
	"log"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/finding"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/guest"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/preflight"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/secrets"
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
	document, err := json.Marshal(b)
	if err == nil {
		document, err = secrets.InJSON(document, r.scrub.kept)
	}
	if err != nil {
		log.Printf("sysprep: writing the pre-flight down: %v", err)
		return
	}
	r.book.SetPreflight(document)
}
