package diagnosis

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/testutil"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim/setuplog"
)

// climb feeds a log line by line and returns the percent after each line. It
// fails where the percent falls within a run, or is 100 before the run is over.
func climb(t *testing.T, name string, log []byte) []int {
	t.Helper()
	var tr Tracker
	var all []int
	before, runs := 0, 0
	for _, line := range strings.SplitAfter(string(log), "\n") {
		tr.Feed([]byte(line))
		p := tr.Progress()
		percent := p.Percent()
		switch {
		case percent < 0 || percent > 100:
			t.Fatalf("%s: %d percent", name, percent)
		case percent == 100 && (!p.TagCreated || !p.Closed && !p.ShutdownRequested):
			t.Fatalf("%s: 100 percent before the end, at %q", name, line)
		case p.Runs == runs && p.Lines > 1 && percent < before:
			t.Fatalf("%s: %d percent after %d, at %q", name, percent, before, line)
		}
		before, runs = percent, p.Runs
		all = append(all, percent)
	}
	return all
}

// goodLog is the log of a good run of the simulated guest.
func goodLog(options []string, vm bool) string {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	r := setuplog.Run{Options: options, Privileged: true, VM: vm}
	lines := append(append(r.Begin(now), r.Tag()), r.CommandLine()...)
	lines = append(append(lines, r.ValidateCleanup()...), r.CleanupValid()...)
	passes := [][][]setuplog.Line{{{{Level: setuplog.Info, Text: "WinMain:Processing 'cleanup' internal provider request."}}}, r.Cleanup()}
	if slices.Contains(options, "GENERALIZE") {
		lines = append(append(lines, r.ValidateGeneralize()...), r.GeneralizeValid()...)
		passes = append(passes, [][]setuplog.Line{{{Level: setuplog.Info, Text: "WinMain:Processing 'generalize' internal provider request."}}}, r.GeneralizePhase())
	}
	for _, pass := range passes {
		for _, provider := range pass {
			lines = append(lines, provider...)
		}
	}
	lines = append(append(lines, setuplog.TagCreated(), setuplog.ShutdownCalled(false)), setuplog.End(now)...)
	var b strings.Builder
	for i, l := range lines {
		b.WriteString(l.Format(now.Add(time.Duration(i) * time.Second)))
	}
	return b.String()
}

func TestAGoodRunClimbsToAHundredPercent(t *testing.T) {
	for name, test := range map[string]struct {
		log string
		// steps are how many different values the run shows at least.
		steps int
	}{
		"generalize":        {goodLog([]string{"GENERALIZE", "OOBE", "SHUTDOWN"}, false), 14},
		"vm":                {goodLog([]string{"GENERALIZE", "OOBE", "MODE"}, true), 14},
		"without":           {goodLog([]string{"AUDIT", "QUIT"}, false), 7},
		"server 2016":       {strings.NewReplacer("Executing method '", "Found '", "' from ", "' in ").Replace(goodLog([]string{"GENERALIZE"}, false)), 14},
		"without its begin": {goodLog([]string{"GENERALIZE"}, false)[2000:], 14},
	} {
		all := climb(t, name, []byte(test.log))
		different := map[int]bool{}
		for _, percent := range all {
			different[percent] = true
		}
		if len(different) < test.steps {
			t.Errorf("%s: %d values only: %v", name, len(different), all)
		}
		if last := all[len(all)-1]; last != 100 {
			t.Errorf("%s ends with %d percent", name, last)
		}
	}
}

// The passes of one run and what each is worth.
func TestPercentIsThatOfThePassAndItsBlocks(t *testing.T) {
	blocks := func(pass Pass, ended int) Progress {
		p := Progress{Blocks: Blocks{Pass: pass, Form: FormExecuting}, Options: []string{"GENERALIZE"}}
		p.Blocks.Ended[pass] = ended
		return p
	}
	for name, test := range map[string]struct {
		p    Progress
		want int
	}{
		"nothing yet":              {Progress{}, 0},
		"check of cleanup":         {blocks(PassCheckCleanup, 0), 2},
		"check of generalize":      {blocks(PassCheckGeneralize, 0), 5},
		"cleanup":                  {blocks(PassCleanup, 0), 10},
		"half of cleanup":          {blocks(PassCleanup, 3), 14},
		"generalize":               {blocks(PassGeneralize, 0), 20},
		"half of generalize":       {blocks(PassGeneralize, 15), 53},
		"all of it":                {blocks(PassGeneralize, 30), 87},
		"more blocks than usual":   {blocks(PassGeneralize, 60), 91},
		"far more blocks":          {blocks(PassGeneralize, 100_000), 94},
		"cleanup only":             {Progress{Blocks: Blocks{Pass: PassCleanup}, Options: []string{"AUDIT"}}, 20},
		"the tag":                  {Progress{TagCreated: true, Blocks: Blocks{Pass: PassGeneralize}}, 99},
		"the tag and the shutdown": {Progress{TagCreated: true, ShutdownRequested: true}, 100},
		"the tag, and closed":      {Progress{TagCreated: true, Closed: true}, 100},
		"closed without a tag":     {Progress{Closed: true, Blocks: Blocks{Pass: PassCheckGeneralize}}, 5},
	} {
		if got := test.p.Percent(); got != test.want {
			t.Errorf("%s: %d percent, want %d", name, got, test.want)
		}
	}
}

func TestPercentNeverFallsInRealLogs(t *testing.T) {
	var logs []string
	for _, dir := range []string{testutil.Corpus(t, "logs"), testutil.Cases(t, "sysprep")} {
		found, err := filepath.Glob(filepath.Join(dir, "*.log"))
		if err != nil {
			t.Fatal(err)
		}
		logs = append(logs, found...)
	}
	if len(logs) < 30 {
		t.Fatalf("%d logs only", len(logs))
	}
	for _, path := range logs {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		all := climb(t, filepath.Base(path), b)
		if strings.Contains(path, "ws2022-setupact-complete-refused-run") && all[len(all)-1] != 5 {
			t.Errorf("the refused run of Server 2022 ends with %d percent", all[len(all)-1])
		}
	}
}

// Lines in whatever order behind the options, which stand first in every log.
func TestPercentNeverFallsWhateverTheOrderOfTheLines(t *testing.T) {
	head, rest, _ := strings.Cut(goodLog([]string{"OOBE", "GENERALIZE"}, false), "'GENERALIZE'")
	lines := strings.SplitAfter(rest, "\n")[1:]
	external := `Info SYSPRP LaunchDll:Found 'C:\x\a.dll,B'; executing it` + "\n"
	lines = append(lines, external, strings.Replace(external, "Found '", "Successfully executed '", 1))
	for seed := range uint64(40) {
		shuffled := append([]string{}, lines...)
		rand.New(rand.NewPCG(seed, 0)).Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		climb(t, "shuffled", []byte(head+"'GENERALIZE'\r\n"+strings.Join(shuffled, "")))
	}
}
