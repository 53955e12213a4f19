package answerfile

import (
	"fmt"
	"slices"
	"strings"
)

// Configuration passes, in the order Windows runs them.
const (
	WindowsPE        = "windowsPE"
	OfflineServicing = "offlineServicing"
	Generalize       = "generalize"
	Specialize       = "specialize"
	AuditSystem      = "auditSystem"
	AuditUser        = "auditUser"
	OOBESystem       = "oobeSystem"
)

var passNames = []string{WindowsPE, OfflineServicing, Generalize, Specialize, AuditSystem, AuditUser, OOBESystem}

// Rules that a file can break before it has a tree.
const (
	ruleWellFormed = "well-formed"
	ruleComment    = "comment-dashes"
	ruleEncoding   = "encoding"
	ruleRoot       = "namespace"
	ruleLimits     = "limits"
	rulePass       = "pass-unknown"
)

func unknownPass(p Pass) *Error {
	if slices.Contains(passNames, p.Name()) {
		return nil
	}
	for _, name := range passNames {
		if strings.EqualFold(name, p.Name()) {
			return &Error{Rule: rulePass, Line: p.Line, Problem: fmt.Sprintf("unknown configuration pass %q", quotable(p.Name())),
				Fix: fmt.Sprintf("write pass=%q", name)}
		}
	}
	return &Error{Rule: rulePass, Line: p.Line, Problem: fmt.Sprintf("unknown configuration pass %q", quotable(p.Name())),
		Fix: "use one of " + strings.Join(passNames, ", ")}
}
