package sysprep

import (
	"encoding/base64"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim/wsman"
)

// holds says whether a line, or what is in base64 in it, has a text.
func holds(line, text string) bool {
	return strings.Contains(line, text) || slices.ContainsFunc(strings.FieldsFunc(line, func(r rune) bool { return strings.ContainsRune(" ()>&|", r) }), func(word string) bool {
		b, _ := base64.StdEncoding.DecodeString(word)
		return strings.Contains(string(b), text)
	})
}

// Over our own connection the answer file goes over standard input, into a folder
// for administrators only; where that is refused, it goes as Packer's uploads do.
func TestTheAnswerFileGoesOverStandardInput(t *testing.T) {
	t.Parallel()
	folders := regexp.MustCompile(`C:\\Windows\\System32\\Sysprep\\packer-unattend-\w+`)
	for name, c := range map[string]struct {
		unkind winsim.Unkind
		shown  bool // in a command line
		says   string
	}{
		"placed":       {},
		"the slow way": {unkind: winsim.Unkind{BlockedScripts: []string{"place"}}, shown: true, says: "what they hold is in command lines there, in base64: PowerShell does not run the script"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newOwnRun(t, winsim.Scenario{Unkind: c.unkind}, map[string]any{"answer_file_content": testAnswer})
			var mu sync.Mutex
			shown, started := false, 0
			g.server.OnEvent = func(e wsman.Event) {
				mu.Lock()
				defer mu.Unlock()
				shown = shown || holds(e.Detail, "<unattend")
				if e.Action != "Command" || !strings.Contains(e.Detail, "launch.ps1 ") {
					return
				}
				started++
				folder := folders.FindString(e.Detail)
				if acl := g.sim.Guest.ACL(folder); !slices.Equal(acl, []string{"*S-1-5-18:(OI)(CI)F", "*S-1-5-32-544:(OI)(CI)F"}) {
					t.Errorf("the permissions of %q are %q", folder, acl)
				}
			}
			if err := g.provision(); err != nil {
				t.Fatal(err)
			}
			if shown != c.shown || started != 1 {
				t.Errorf("in a command line: %t, want %t; %d starts", shown, c.shown, started)
			}
			want(t, g.ui.text(), c.says)
			wantNothingLeft(t, g)
		})
	}
}

func TestAFilteredTokenCannotBringTheAnswerFile(t *testing.T) {
	t.Parallel()
	g := newOwnRun(t, winsim.Scenario{Unkind: winsim.Unkind{FilteredToken: true}}, map[string]any{"answer_file_content": testAnswer})
	wantError(t, g.provision(), "the answer file could not be put into the guest", "administrator with the elevated token")
	wantNothingLeft(t, g)
}

func TestBringingFilesIsBoundedByStallTimeout(t *testing.T) {
	for stall, want := range map[time.Duration]time.Duration{
		time.Second: 30 * time.Second, time.Minute: time.Minute, 10 * time.Minute: 2 * time.Minute,
	} {
		if got := transferStall(stall); got != want {
			t.Errorf("with stall_timeout %s: %s, want %s", stall, got, want)
		}
	}
}

// The cached answer file holds passwords: where logs are kept as a file in the
// guest on their way, it is not among them.
func TestNoCopyOfTheCachedAnswerFileIsMadeInTheGuest(t *testing.T) {
	t.Parallel()
	g := newOwnRun(t, winsim.Scenario{Unkind: winsim.Unkind{BlockedScripts: []string{"fetch"}}}, map[string]any{"answer_file_content": testAnswer, "log_directory": t.TempDir()})
	var mu sync.Mutex
	bundled, copied := 0, 0
	g.server.OnEvent = func(e wsman.Event) {
		mu.Lock()
		defer mu.Unlock()
		if e.Action != "Command" || !strings.Contains(e.Detail, "bundle.ps1 ") {
			return
		}
		if bundled++; holds(e.Detail, `unattend.xml`) {
			copied++
		}
	}
	if err := g.provision(); err != nil {
		t.Fatal(err)
	}
	if bundled != 1 || copied != 0 {
		t.Errorf("%d bundles, %d with the answer file", bundled, copied)
	}
	want(t, g.ui.text(), "Saved logs of the guest", "stays in the image and holds secrets")
	wantNothingLeft(t, g)
}
