package diagnosis

import (
	"slices"
	"strings"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/lazyregexp"
)

// failure is what a run failed with, as the chain of its lines says. Places are
// indexes of the run's lines, -1 where there is none.
type failure struct {
	// at is the line that says what failed, the first of the chain; end is the
	// last, and begin the line with which the failed block began.
	at, end, begin int
	// entry and module of the provider, or the operation of an action file.
	entry, module, operation string
	component, code          string
	external                 bool
	key                      string
}

func (f failure) dll() string { return base(f.module) }

// named reports whether the chain says what failed.
func (f failure) named() bool { return f.module != "" || f.operation != "" || f.component != "" }

// textChain are the lines by which a failure is passed on, lower case.
var textChain = []string{"sysprepsession::", "runplatformactions:", "actionplatform::execute", textHalting, textFailure, textExecuted, "failure executing '"}

var (
	operationLine = lazyregexp.New(`(?i)Failed during (\w+) operation(?:;? dwRet ?= ?(\S+))?`)
	componentLine = lazyregexp.New(`(?i)Error in executing action for (\S.*?)(?:;? dwRet ?= ?(\S+))?$`)
	returnLine    = lazyregexp.New(`(?i)(?:hr|dwRet) ?= ?(-?\w+)`)
)

// failureOf finds the chain in the lines of a run.
func (s *search) failureOf(lines []Line) failure {
	f := failure{at: -1, end: -1, begin: -1}
	lows := make([]string, len(lines))
	first := -1 // a line that names what failed, where nothing says that the run ended with it
	for i, l := range lines {
		lows[i] = l.lower()
		switch {
		case contains(lows[i], []string{textHalting, textFailure, textParse, textInvalid, "malformed command line detected"}):
			f.end = i
		case first < 0 && contains(lows[i], []string{textExecuted, "failure executing '", "failed during "}):
			first = i
		}
		if f.end >= 0 {
			break
		}
	}
	if f.end < 0 && first < 0 {
		return f
	}
	if f.end < 0 {
		f.at, f.end = first, first
	} else {
		f.at = chainStart(lines, lows, f.end)
	}
	// The chain goes on below the line that ends the run.
	for f.end+1 < len(lines) {
		low := lines[f.end+1].lower()
		if lows[f.end+1] = low; !contains(low, textChain) || strings.Contains(low, "beginning") {
			break
		}
		f.end++
	}
	f.names(s, lines, lows)
	return f
}

// chainStart walks up from the end of a chain to the line that says what failed.
func chainStart(lines []Line, lows []string, end int) int {
	at := end
	for i := end; i >= 0; i-- {
		switch {
		case contains(lows[i], []string{textExecuted, "failure executing '"}):
			return i
		case contains(lows[i], textChain) && lines[i].Level != Info || i == end:
			at = i
		case lines[i].Level == Info || harmless(lines[i]):
		default:
			return at
		}
	}
	return at
}

// names fills in what the lines of the chain say, and looks for the begin of the
// failed block.
func (f *failure) names(s *search, lines []Line, lows []string) {
	var step Step
	begun := -1
	for i := 0; i <= f.end; i++ {
		if i == f.at {
			if groups := s.launched(newProblem(lines[i])); groups != nil {
				f.entry, f.module, f.code = groups["entry"], groups["dll"], groups["code"]
			}
			if step.Named() && step.DLL() == f.dll() {
				f.begin, f.external, f.key = begun, step.External, step.Key
			}
		}
		if i >= f.at {
			f.chainLine(lines[i], lows[i])
			continue
		}
		if next := step.after(lines[i], lows[i]); next != step {
			step, begun = next, i
		}
	}
	for i := max(0, f.at); i <= f.end && f.code == ""; i++ {
		if m := returnLine.FindStringSubmatch(lines[i].start()); m != nil {
			f.code = m[1]
		}
	}
}

func (f *failure) chainLine(l Line, low string) {
	if m := operationLine.FindStringSubmatch(l.start()); m != nil && f.module == "" && f.operation == "" {
		f.operation, f.code = m[1], m[2]
	}
	if m := componentLine.FindStringSubmatch(l.start()); m != nil && f.component == "" {
		f.component = strings.TrimSpace(m[1])
		if f.code == "" {
			f.code = m[2]
		}
	}
	// Windows 7 runs its own providers by LaunchDll as well; the last line of the
	// chain tells them from those of other software.
	f.external = f.external || strings.Contains(low, textExternal) && f.module != ""
}

// noModule stands for an operation of an action file, in a cause's module.
const noModule = "-"

// accepts says whether what a line tells can have made the run fail: it must
// agree with the provider that failed, and with its code.
func (a *analysis) accepts(c cause, l problem) bool {
	f := a.failure
	if f.at < 0 || l.at >= f.at && l.at <= f.end {
		return c.external == f.external || !c.external
	}
	switch {
	case c.external:
		return false
	case c.module == noModule:
		return f.module == "" && a.sameCode(l)
	case c.module != "" && f.module != "":
		return c.module == f.dll()
	case c.module != "":
		return f.operation == "" && f.component == "" // an excerpt does not say which provider failed
	case f.module != "" && f.begin >= 0 && l.at < f.begin:
		// Lines of a block that ended well are context.
		return l.owner == "" && a.near(l) && a.sameCode(l)
	}
	return a.near(l) && a.sameCode(l)
}

// near bounds how far above the chain a line without a provider may stand, in lines
// or in problems. It is asked for each line and cause, so that it searches and does
// not count.
func (a *analysis) near(l problem) bool {
	if a.failure.at-l.at <= above {
		return true
	}
	place := func(at int) int {
		i, _ := slices.BinarySearchFunc(a.problems, at, func(p problem, at int) int { return p.at - at })
		return i
	}
	return place(a.failure.at)-place(l.at) <= above
}

func (a *analysis) sameCode(l problem) bool {
	m := returnLine.FindStringSubmatch(l.text)
	if m == nil || a.failure.code == "" {
		return true
	}
	one, ok := parseCode(m[1])
	other, also := parseCode(a.failure.code)
	return !ok || !also || one&0xffff == other&0xffff
}
