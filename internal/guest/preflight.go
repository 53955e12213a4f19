package guest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/guest/scripts"
)

// Group is a group of facts that preflight.ps1 gathers by one command
// (internal/guest/scripts/contract.md).
type Group string

// The groups. GroupEFS lets cipher.exe look at every file of the machine.
const (
	GroupBase      Group = "base"
	GroupAppx      Group = "appx"
	GroupLicensing Group = "licensing"
	GroupRoles     Group = "roles"
	GroupEvents    Group = "events"
	GroupEFS       Group = "efs"
)

// groups are what is known of each group: how long its command may take, and the
// facts it answers with. The limits are above what its queries of CIM are allowed
// to take, which is 30 to 120 s each (preflight.ps1).
var groups = map[Group]struct {
	limit time.Duration
	facts []string
}{
	GroupBase: {4 * time.Minute, []string{
		"engine", "sysprep", "identity", "processes", "imageState", "setup", "os", "computer", "rebootPending", "reservedStorage", "bitlocker", "tpm",
		"services", "answerFiles", "hyperv", "nps", "cluster", "defender", "dsc", "profiles", "disk", "autologon", "externalProviders",
		"licensingRegistry", "storePolicy", "packerLeftovers", "pageFile", "clock", "winrm", "bootEntries",
	}},
	GroupAppx:      {4 * time.Minute, []string{"appx", "appxProvisioned"}},
	GroupLicensing: {5 * time.Minute, []string{"licensing"}},
	GroupRoles:     {5 * time.Minute, []string{"roles", "optionalFeatures"}},
	GroupEvents:    {time.Minute, []string{"eventLogs"}},
	GroupEFS:       {10 * time.Minute, []string{"encryptedFiles"}},
}

// DefaultGroups are those that a pre-flight needs: the base, and the three that are
// slow. Each is one command in the guest.
func DefaultGroups() []Group {
	return []Group{GroupBase, GroupAppx, GroupLicensing, GroupRoles}
}

// GroupFacts is what the guest answered for one group.
type GroupFacts struct {
	Group Group
	// Facts are the facts as they came, by name: {"value":…,"ms":…}, or
	// {"error":…,"errorId":…,"ms":…} for one that could not be gathered. Nil: the
	// group was not answered, and Err says why.
	Facts map[string]json.RawMessage
	// Time is the guest's clock when it answered; zero: not known.
	Time time.Time
	// Took is how long the guest gathered them, without the start of PowerShell.
	Took time.Duration
	// Err is why the group was not answered. Without PowerShell it is why that did
	// not work, and Facts are there all the same.
	Err error
}

// PreflightAnswer is what a guest answered to Preflight.
type PreflightAnswer struct {
	// Groups are the answers in the order asked.
	Groups []GroupFacts
	// WithoutPowerShell: it ran nothing, Reason says why, and cmd.exe answered what
	// it can: facts whose members may be missing, which then are not known.
	WithoutPowerShell bool
	Reason            string
}

// What Facts puts into the errorId of a fact that no document had.
const (
	// ErrorIDGroup: its group was not answered.
	ErrorIDGroup = "group"
	// ErrorIDWithoutPowerShell: cmd.exe has no program that tells it.
	ErrorIDWithoutPowerShell = "without-powershell"
)

// Facts are all facts of the groups that were asked for, by name and in the form of
// contract.md. One that did not come has its group's error.
func (a PreflightAnswer) Facts() map[string]json.RawMessage {
	all := map[string]json.RawMessage{}
	for _, g := range a.Groups {
		maps.Copy(all, g.Facts)
		for _, name := range groups[g.Group].facts {
			if _, there := all[name]; !there {
				all[name] = g.missing()
			}
		}
	}
	return all
}

// missing is a fact that did not come.
func (g GroupFacts) missing() json.RawMessage {
	id, text := ErrorIDGroup, "the guest did not tell it"
	switch {
	case g.Facts != nil && g.Err != nil:
		id, text = ErrorIDWithoutPowerShell, "PowerShell did not work in the guest, and cmd.exe cannot tell it"
	case g.Err != nil:
		text = short(g.Err.Error())
	}
	raw, err := json.Marshal(map[string]any{"error": text, "errorId": id, "ms": 0})
	if err != nil { // of three plain values
		return json.RawMessage(`{"error":"","errorId":"group","ms":0}`)
	}
	return raw
}

type preflightDocument struct {
	Time  time.Time                  `json:"time"`
	MS    int64                      `json:"ms"`
	Facts map[string]json.RawMessage `json:"facts"`
}

// Preflight gathers the facts on which the success of sysprep depends, by one
// command in the guest for each group, one after the other, each with its own
// deadline. It changes nothing but the session's folder, which a cleanup removes. A
// group that is not answered has its own error and keeps no other from being asked.
// Where PowerShell runs nothing cmd.exe is asked, once. The error is that of the
// connection, when no group was answered, or the context's. Look comes first: it
// learns where Windows is.
func (s *Session) Preflight(ctx context.Context, ask []Group) (PreflightAnswer, error) {
	var all PreflightAnswer
	for _, group := range ask {
		if _, known := groups[group]; !known {
			return all, fmt.Errorf("asking for facts: there is no group %q", group)
		}
	}
	for i, group := range ask {
		g := s.preflight(ctx, group)
		if i == 0 && errors.Is(g.Err, ErrNoDocument) && !Unanswered(g.Err) && ctx.Err() == nil {
			return s.preflightWithout(ctx, ask, g.Err)
		}
		all.Groups = append(all.Groups, g)
	}
	if ctx.Err() != nil {
		return all, fmt.Errorf("asking for facts: %w", context.Cause(ctx))
	}
	if slices.ContainsFunc(all.Groups, func(g GroupFacts) bool { return g.Err == nil }) {
		return all, nil
	}
	var errs []error
	for _, g := range all.Groups {
		errs = append(errs, g.Err)
	}
	return all, errors.Join(errs...)
}

// Awaited asks for those facts of the base group by which a run waits. It starts nothing in
// the guest, where the others ask the servicing stack, which is then at work for minutes.
func (s *Session) Awaited(ctx context.Context) (PreflightAnswer, error) {
	g := s.preflight(ctx, GroupBase, "processes", "imageState", "setup", "services")
	if errors.Is(g.Err, ErrNoDocument) && !Unanswered(g.Err) && ctx.Err() == nil {
		return s.preflightWithout(ctx, []Group{GroupBase}, g.Err)
	}
	return PreflightAnswer{Groups: []GroupFacts{g}}, g.Err
}

// preflight asks for one group, or for some of its facts.
func (s *Session) preflight(ctx context.Context, group Group, only ...string) GroupFacts {
	g := GroupFacts{Group: group}
	var doc *preflightDocument
	parameters := map[string]any{"groups": []Group{group}}
	if len(only) > 0 {
		parameters["only"] = only
	}
	err := s.Script(ctx, scripts.Preflight, parameters, func(raw []byte) {
		d := preflightDocument{}
		if json.Unmarshal(raw, &d) == nil && d.Facts != nil {
			doc = &d
		}
	}, groups[group].limit)
	if err == nil && doc == nil {
		err = ErrUnreadable
	}
	if err != nil {
		g.Err = fmt.Errorf("asking for the facts of group %s: %w", group, err)
		return g
	}
	g.Facts, g.Time, g.Took = doc.Facts, doc.Time, time.Duration(doc.MS)*time.Millisecond
	return g
}
