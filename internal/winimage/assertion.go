package winimage

import (
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/finding"
)

// Assertion is a rule of the proof, for those who list them.
type Assertion struct {
	ID, Title string
	Severity  finding.Severity
	// Expected is what is asked for by default; empty where that depends on the disk.
	Expected string
	// When says when it is made; empty: for each Windows on the disk.
	When    string
	Remedy  []string
	Beliefs []string // ids in the ledger (internal/windows)
	Source  string   // addresses, separated by "; "; empty where it is about what could be read
	// Unconfirmed: it rests on a belief that is only reported, or unproven.
	Unconfirmed bool
}

// made says of the assertions that are not made for each Windows when they are.
var made = map[string]string{
	WindowsID:            "always, and before all others",
	"bitlocker":          "once for the disk",
	"boots":              "once for the disk",
	"boot-entries":       "once for the disk, where it has a boot store (BCD)",
	limitsID:             "once for the disk",
	"cached-answer-file": "where sysprep is known to have been given an answer file, and the disk holds one Windows",
	"vm-mode":            "where it is known whether `/mode:vm` was used, and the disk holds one Windows",
}

// Assertions lists the rules of Prove in the order in which they are made.
func Assertions() []Assertion {
	yes := true
	expect := Expectation{AnswerFile: true, VMMode: &yes}
	facts := Facts{Boot: &Boot{Problem: "not read"}}
	var all []Assertion
	for _, r := range append([]rule{oneWindows}, rules...) {
		source, unconfirmed := r.basis.cite()
		all = append(all, Assertion{
			ID: r.id, Title: r.title, Severity: r.severity, Expected: r.check(&Windows{}, &facts, expect).expected, When: made[r.id],
			Remedy: r.remedy, Beliefs: r.basis.beliefs, Source: source, Unconfirmed: unconfirmed,
		})
	}
	return all
}
