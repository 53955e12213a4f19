package diagnosis

import "strings"

// Pass is a part of a sysprep run, in the order in which the parts run
// (Microsoft, Sysprep process overview; logs of real runs).
type Pass uint8

// Passes of a run.
const (
	PassNone            Pass = iota // options, answer file
	PassCheckCleanup                // pre-validation of the cleanup providers
	PassCheckGeneralize             // pre-validation of the generalize providers
	PassCleanup                     // from here on the machine is changed
	PassGeneralize
	passes
)

// Form is how the lines that begin a provider's work look, which differs between
// the versions of Windows.
type Form uint8

// Forms of the lines that begin a block.
const (
	FormUnknown   Form = iota
	FormLaunchDLL      // Windows 7 and Server 2008 R2: providers stand in the registry
	FormFound          // Windows 8 to Server 2016: LaunchModule: Found
	FormExecuting      // Windows 10 and later: LaunchModule: Executing method
)

// Blocks counts the blocks of a run that have ended, pass by pass. A block is
// the work of one provider, from the line that begins it to the one that says
// that it ended.
type Blocks struct {
	// Pass is the newest pass that has begun.
	Pass Pass
	Form Form
	// Ended is how many blocks of the pass have ended.
	Ended [passes]int
}

// after is what the counts are after one more line; before and now are the steps
// around it, text is the line in lower case.
func (b Blocks) after(before, now Step, text string) Blocks {
	if before == now && !strings.Contains(text, "winmain:") {
		return b
	}
	b.Pass = max(b.Pass, passOf(now, text))
	switch {
	case now.Named() && !now.External && b.Form == FormUnknown:
		b.Form = formOf(text)
	case before.Named() && !now.Named() && strings.Contains(text, "successfully executed '"):
		b.Ended[b.Pass]++
	}
	return b
}

func formOf(text string) Form {
	switch {
	case strings.Contains(text, "executing method '"):
		return FormExecuting
	case strings.Contains(text, "launchdll:"):
		return FormLaunchDLL
	case strings.Contains(text, "launchmodule:"):
		return FormFound
	}
	return FormUnknown
}

// passOf is the pass that a line belongs to, PassNone where it does not say.
func passOf(now Step, text string) Pass {
	for _, p := range []struct {
		text string
		pass Pass
	}{
		{"pre-validing 'cleanup'", PassCheckCleanup}, {"pre-validing 'generalize'", PassCheckGeneralize},
		{"winmain:processing 'cleanup'", PassCleanup}, {"winmain:processing 'generalize'", PassGeneralize},
	} {
		if strings.Contains(text, p.text) {
			return p.pass
		}
	}
	switch action := strings.ToLower(now.Action); {
	case action == "cleanup.xml" && now.Validating:
		return PassCheckCleanup
	case action == "cleanup.xml":
		return PassCleanup
	case action == "generalize.xml" && now.Validating:
		return PassCheckGeneralize
	case action == "generalize.xml":
		return PassGeneralize
	}
	return PassNone
}

// share is the part of a run, in percent, with which a pass begins. The shares
// are those of the time a run takes: the checks are over within seconds where
// nothing is wrong, generalize takes minutes.
var (
	share        = [passes + 1]int{0, 2, 5, 10, 20, 95}
	shareCleanup = [passes + 1]int{0, 5, 5, 20, 95, 95} // without /generalize
)

// usual is how many blocks a pass usually has, by the form of the lines. These
// are estimates: nobody has published the whole log of a good run. A run with
// fewer blocks goes on to the next pass at once, one with more gets slower
// towards the end of its share. The unknown form has the most, so that a run
// does not go back when its form is seen.
var usual = map[Form][passes]int{
	FormUnknown:   {0, 1, 3, 6, 30},
	FormLaunchDLL: {0, 0, 0, 4, 20},
	FormFound:     {0, 1, 2, 5, 25},
	FormExecuting: {0, 1, 3, 6, 30},
}

// doneShare is what a run has reached with its tag, before it closes its log or
// asks for the shutdown.
const doneShare = 99

// Percent says how much of the run is done, from 0 to 100, by the blocks that a
// run of this Windows usually has. It never falls while a run goes on, and is
// 100 only when the tag was created and sysprep has closed its log or asked for
// the shutdown. A run that failed stays where it was.
func (f Progress) Percent() int {
	if f.TagCreated {
		if f.Closed || f.ShutdownRequested {
			return 100
		}
		return doneShare
	}
	b, shares := f.Blocks, share
	if len(f.Options) > 0 && !f.HasOption("GENERALIZE") {
		shares = shareCleanup
	}
	from, to := shares[b.Pass], shares[b.Pass+1]
	return from + int(float64(to-from)*portion(b.Ended[b.Pass], usual[b.Form][b.Pass]))
}

// portion is how much of a pass is done, below 1: nine tenths are for the blocks
// that it usually has, what comes behind them shares the rest.
func portion(ended, usual int) float64 {
	switch {
	case ended <= 0:
		return 0
	case ended <= usual:
		return 0.9 * float64(ended) / float64(usual)
	}
	more := float64(ended - usual)
	return 0.9 + 0.1*more/(more+float64(usual)+1)
}
