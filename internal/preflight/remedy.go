package preflight

import (
	"fmt"
	"slices"
	"strings"
)

// Suggested stands for every remedy that is harmless.
const Suggested = "suggested"

// Remedy is one thing that can be done in a guest before sysprep runs. None is done
// unless it was asked for by its id.
type Remedy struct {
	ID string
	// Answers are the checks that find what it is for. They are asked again after it.
	Answers []string
	// Groups are the groups of facts that those checks need.
	Groups []Group
	// Changes says what it changes in the guest, and Keeps what it leaves alone: one
	// line each, for a person.
	Changes, Keeps string
	// Harmless: what it changes is changed for the run only, or cannot work anyway,
	// and nothing of the image is lost. "suggested" takes these.
	Harmless bool
	// ForTheRun: it is undone where no image comes of the run.
	ForTheRun bool
	// Source is what it rests on, and Unconfirmed: neither the vendor's documents nor
	// an artefact support it.
	Source      string
	Unconfirmed bool

	calls func(Facts, Choice) (calls []Call, unknown string)
}

// Choice is which remedies were asked for, and what they need to be told.
type Choice struct {
	// IDs are those of remedies, or Suggested.
	IDs []string
	// Providers are external providers of other software to be removed though their
	// DLL is there: the name of the value, or the path of the DLL.
	Providers []string
	// Keep are files of the guest that the run needs, so that none of them is moved.
	Keep []string
}

// Call is one call of repair.ps1.
type Call struct {
	// Repair is its id there, and Parameters are those of contract.md.
	Repair     string
	Parameters map[string]any
	// Targets are what it is done to, for a person.
	Targets []string
}

// Planned is a remedy and what it has to do.
type Planned struct {
	Remedy Remedy
	// Calls are done in their order; none: there is nothing to do.
	Calls []Call
	// Unknown is why it cannot be said what there is to do; nothing is done then.
	Unknown string
}

// PlanRemedies says what the remedies of a choice have to do, in the order in which they work:
// services are needed to remove packages, packages come back by themselves and so go
// late, and Windows Search starts again, so it is stopped last.
func PlanRemedies(facts Facts, choice Choice) []Planned {
	var all []Planned
	for _, r := range Remedies() {
		if !choice.takes(r) {
			continue
		}
		p := Planned{Remedy: r}
		p.Calls, p.Unknown = r.calls(facts, choice)
		all = append(all, p)
	}
	return all
}

func (c Choice) takes(r Remedy) bool {
	return slices.Contains(c.IDs, r.ID) || r.Harmless && slices.Contains(c.IDs, Suggested)
}

// None says that no remedy was asked for.
func (c Choice) None() bool { return len(c.IDs) == 0 }

// Check says what is wrong with a choice, each mistake once, and names what there is.
func (c Choice) Check() (errs []error) {
	var unknown []string
	for _, id := range c.IDs {
		if id != Suggested && !slices.ContainsFunc(Remedies(), func(r Remedy) bool { return r.ID == id }) {
			unknown = append(unknown, fmt.Sprintf("%q", id))
		}
	}
	if len(unknown) > 0 {
		errs = append(errs, fmt.Errorf("remedies: there is no remedy %s; use %s, or %q for those that are harmless (%s)",
			strings.Join(unknown, " or "), strings.Join(RemedyIDs(), ", "), Suggested, strings.Join(harmless(), ", ")))
	}
	if len(c.Providers) > 0 && !slices.Contains(c.IDs, RemedyProviders) && !slices.Contains(c.IDs, Suggested) {
		errs = append(errs, fmt.Errorf("remove_providers: only the remedy %s removes providers; add it to remedies, or leave remove_providers out", RemedyProviders))
	}
	for i, name := range c.Providers {
		if strings.TrimSpace(name) == "" {
			errs = append(errs, fmt.Errorf("remove_providers[%d] is empty; write the name of the value below SysPrepExternal, or the path of the DLL", i))
		}
	}
	return errs
}

// RemedyIDs lists the ids of all remedies, in the order in which they are done.
func RemedyIDs() (ids []string) {
	for _, r := range Remedies() {
		ids = append(ids, r.ID)
	}
	return ids
}

func harmless() (ids []string) {
	for _, r := range Remedies() {
		if r.Harmless {
			ids = append(ids, r.ID)
		}
	}
	return ids
}

// Done is one change of a remedy, as run.json has it.
type Done struct {
	What   string `json:"what"`
	Target string `json:"target"`
	Done   bool   `json:"done"`
	// Error is why it was not done; empty in a plan.
	Error string `json:"error,omitempty"`
}

// Applied is what became of a remedy, as run.json has it.
type Applied struct {
	ID     string   `json:"id"`
	Checks []string `json:"checks"`
	// Changed: something in the guest is not as it was.
	Changed bool   `json:"changed"`
	Actions []Done `json:"actions"`
	// Verified is what its checks say afterwards: "holds", "does not hold", or
	// "unknown".
	Verified string `json:"verified"`
	// Undone is what became of a change that was only for the run: empty where there
	// was none, or the run has not ended.
	Undone string `json:"undone,omitempty"`
	// Error is why it was not done, or not to its end.
	Error string `json:"error,omitempty"`
	// Seconds is how long it took.
	Seconds float64 `json:"seconds"`
}

// What Applied.Verified says.
const (
	VerifiedHolds   = "holds"
	VerifiedNot     = "does not hold"
	VerifiedUnknown = "unknown"
)

// Failed counts the changes that were not made.
func (a Applied) Failed() (n int) {
	for _, d := range a.Actions {
		if d.Error != "" {
			n++
		}
	}
	return n
}

// Verifies says what checks make of facts that were asked for after a remedy, and
// which of them do not hold.
func (j Judgement) Verifies(checks []string) (verified string, open []Result) {
	verified = VerifiedUnknown
	for _, r := range j.Results {
		if !slices.Contains(checks, r.Check.ID) {
			continue
		}
		switch r.Outcome {
		case Passed:
			if len(open) == 0 {
				verified = VerifiedHolds
			}
		case Failed, CannotTell:
			open = append(open, r)
		}
	}
	switch {
	case slices.ContainsFunc(open, func(r Result) bool { return r.Outcome == Failed }):
		return VerifiedNot, open
	case len(open) > 0:
		return VerifiedUnknown, open
	}
	return verified, nil
}

// words are what repair.ps1 calls what it does, for a person.
var words = map[string]string{
	"service-stop": "stopped the service", "appx-remove": "removed for all users", "appx-deprovision": "removed for new users", "decrypt": "began to decrypt",
	"reserved-storage-off": "turned reserved storage off", "provider-remove": "removed", "rename": "renamed", "pointer-remove": "removed", "remove": "removed",
	"nps-client-remove": "removed the RADIUS client", "domain-leave": "left the domain",
}

// text is one change for a person.
func (d Done) text() string {
	word, known := words[d.What]
	if value, set := strings.CutPrefix(d.What, "set-"); set {
		word, known = "set to "+value, true
	}
	if value, set := strings.CutPrefix(d.What, "start-"); set {
		word, known = "set to start "+value+": the service", true
	}
	if !known {
		word = d.What
	}
	return strings.TrimSpace(word + " " + d.Target)
}

// Says is what a remedy has changed, and what it could not, as lines.
func Says(a Applied) string {
	var done, not []string
	for _, d := range a.Actions {
		switch {
		case d.Done:
			done = append(done, d.text())
		case d.Error != "":
			not = append(not, fmt.Sprintf("  not done: %s (%s): %s", d.Target, d.What, d.Error))
		}
	}
	head := fmt.Sprintf("Remedy %s has changed: %s", a.ID, strings.Join(done, "; "))
	if len(done) == 0 {
		head = fmt.Sprintf("Remedy %s has changed nothing", a.ID)
	}
	if len(not) > 0 {
		head = "Warning: " + head
	}
	if a.Error != "" {
		not = append(not, "  it did not come to its end: "+a.Error)
	}
	return strings.Join(append([]string{head}, not...), "\n")
}
