package preflight

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/finding"
)

// Plan is what is asked for, as far as a check depends on it.
type Plan struct {
	// Generalize: sysprep is given /generalize. Audit: the image starts into audit mode.
	Generalize, Audit bool
	// VMMode: sysprep is given /mode:vm.
	VMMode bool
	// OtherUser: sysprep does not run as the account that asks, and AsSystem: as SYSTEM.
	OtherUser, AsSystem bool
	// AnswerFile: sysprep is given one. RemovesAnswerFiles: all others are removed.
	AnswerFile, RemovesAnswerFiles bool
	// OtherAnswer: an agent or a command starts sysprep, with an answer file of its own.
	OtherAnswer bool
	// SkipRearm: the answer file keeps the state of the licence.
	SkipRearm bool
	// SetupComplete: the image is to run SetupComplete.cmd.
	SetupComplete bool
	// Azure: the image is for Azure, or is built there.
	Azure bool
	// Now is the host's clock; zero: the clocks are not compared.
	Now time.Time
}

// Outcome is what a check says.
type Outcome uint8

// Outcomes. Skipped: the check is not for this Windows, or not for what is asked for,
// or its facts were not asked for.
const (
	Skipped Outcome = iota
	Passed
	Failed
	CannotTell
)

// Step is something to do about a finding.
type Step struct {
	Text string
	// Remedy is the id in the option remedies that does it; empty: a person has to.
	Remedy string
}

// Ids of remedies (remedy.go has what they do).
const (
	RemedyAppx       = "appx-per-user"
	RemedySearch     = "windows-search"
	RemedyBitLocker  = "bitlocker"
	RemedyReserves   = "reserved-storage"
	RemedyProviders  = "external-providers"
	RemedyAnswers    = "answer-files"
	RemedyUpdates    = "update-services"
	RemedyStartTypes = "service-start"
	RemedyAutologon  = "autologon"
	RemedyDomain     = "domain-leave"
	RemedyNPS        = "nps-clients"
)

// Check is one of the table.
type Check struct {
	ID string
	// Causes are the ids of diagnosis' catalogue that it predicts, the usual one first.
	Causes []string
	// Group is whose facts it needs.
	Group Group
	// Asserts is what holds where it passes, and Means what happens where it does not.
	Asserts, Means string
	// Severity is the usual one, and When says what makes it another one.
	Severity finding.Severity
	When     string
	// Steps are the remedies, in the order that works.
	Steps  []Step
	Source string
	// Unconfirmed: only reports tell of it.
	Unconfirmed bool

	judge func(inquiry) answer
}

// inquiry is what a check looks at.
type inquiry struct {
	Facts
	Plan
}

// answer is what it says.
type answer struct {
	outcome  Outcome
	severity finding.Severity // of Failed; empty: the check's
	text     string           // what is wrong, or why it cannot be told
	evidence []string
	note     string
	steps    []Step // nil: the check's
}

func pass() answer                { return answer{outcome: Passed} }
func skip() answer                { return answer{} }
func cannot(why string) answer    { return answer{outcome: CannotTell, text: why} }
func incomplete() answer          { return cannot("the guest did not report all of it") }
func fails(summary string) answer { return answer{outcome: Failed, text: summary} }

func (a answer) as(s finding.Severity) answer { a.severity = s; return a }
func (a answer) seen(evidence ...string) answer {
	a.evidence = append(a.evidence, evidence...)
	return a
}
func (a answer) noted(note string) answer  { a.note = note; return a }
func (a answer) todo(steps ...Step) answer { a.steps = steps; return a }
func by(remedy, text string) Step          { return Step{Text: text, Remedy: remedy} }
func person(text string) Step              { return Step{Text: text} }
func when(bad bool, a answer) answer       { return map[bool]answer{true: a, false: pass()}[bad] }
func (q inquiry) only(applies bool, a answer) answer {
	return map[bool]answer{true: a, false: skip()}[applies]
}

// listed answers where a list did not come with its fact: lists are always there
// (contract.md), but for what cmd.exe cannot tell.
func listed[T any](list []T, a answer) answer {
	if list == nil {
		return incomplete()
	}
	return a
}

// on makes a check of one fact.
func on[T any](fact func(Facts) Fact[T], judge func(T, inquiry) answer) func(inquiry) answer {
	return func(q inquiry) answer {
		f := fact(q.Facts)
		value, known := f.Get()
		if !known {
			return cannot(f.Why())
		}
		return judge(value, q)
	}
}

// Version is what checks ask of the version of Windows.
type Version struct {
	Build  int
	Client bool
	Core   bool
	Eval   bool
}

// Version says which Windows it is, where that is known.
func (f Facts) Version() (Version, bool) {
	os, known := f.OS.Get()
	build, err := strconv.Atoi(os.CurrentBuildNumber)
	if !known || err != nil || build <= 0 || build > 1_000_000 {
		return Version{}, false
	}
	client := os.ProductType == 1
	if os.ProductType == 0 { // without CIM
		client = strings.EqualFold(os.InstallationType, "Client")
	}
	return Version{
		Build: build, Client: client, Core: strings.EqualFold(os.InstallationType, "Server Core"),
		Eval: strings.HasSuffix(strings.ToLower(os.EditionID), "eval"),
	}, true
}

// Builds that checks go by.
const (
	builds2008     = 6003  // the last of Windows Vista and Server 2008
	builds2008R2   = 7601  // the last of Windows 7 and Server 2008 R2
	build1607      = 14393 // Windows 10 1607 and Server 2016
	build1803      = 17134
	build1903      = 18362 // the first with reserved storage
	buildWindows11 = 22000
	notUnderstood  = "the version of Windows is not known"
)

// client judges on clients only.
func client(judge func(inquiry) answer) func(inquiry) answer {
	return func(q inquiry) answer {
		v, known := q.Version()
		switch {
		case !known:
			return cannot(notUnderstood)
		case !v.Client:
			return skip()
		}
		return judge(q)
	}
}

// generalizing judges where sysprep is given /generalize.
func generalizing(judge func(inquiry) answer) func(inquiry) answer {
	return func(q inquiry) answer {
		if !q.Generalize {
			return skip()
		}
		return judge(q)
	}
}

// disabled is a check that a service is not disabled; one that is not there is none of
// its business.
func disabled(name string) func(inquiry) answer {
	return on(func(f Facts) Fact[map[string]Service] { return f.Services }, func(all map[string]Service, _ inquiry) answer {
		s, there := all[name]
		switch {
		case !there:
			return skip()
		case s.Start == nil:
			return cannot("the start type of the service " + name + " was not reported")
		}
		if s.untilRestart() {
			return fails("the service "+name+" is disabled until Windows is restarted").
				seen(fmt.Sprintf(`HKLM\SYSTEM\CurrentControlSet\Services\%s\Start = %d, which the service control manager has not read yet`, name, *s.Start)).
				todo(person(`Restart Windows (provisioner "windows-restart"): what is written into the registry counts from the next start on.`), by(RemedyStartTypes, "Or let the service control manager set it: sc.exe config."))
		}
		return when(s.disabled(), fails("the service "+name+" is disabled").seen(`HKLM\SYSTEM\CurrentControlSet\Services\`+name+`\Start = 4`))
	})
}

// enabling are the steps for a service that is disabled. Windows protects some of them
// from sc.exe, in versions that are not documented.
func enabling(name, scType string, start int) []Step {
	return []Step{
		by(RemedyStartTypes, "sc.exe config "+name+" start= "+scType),
		person(fmt.Sprintf(`Where Windows refuses that: reg add HKLM\SYSTEM\CurrentControlSet\Services\%s /v Start /t REG_DWORD /d %d /f, and restart Windows before sysprep.`, name, start)),
	}
}

// running is a check that a service does not run.
func running(name, what string) func(inquiry) answer {
	return on(func(f Facts) Fact[map[string]Service] { return f.Services }, func(all map[string]Service, _ inquiry) answer {
		s, there := all[name]
		switch {
		case !there:
			return skip()
		case s.Status == nil:
			return cannot("whether the service " + name + " runs was not reported")
		}
		return when(s.runs(), fails(what))
	})
}
