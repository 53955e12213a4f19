package verdict

import (
	"errors"
	"fmt"
	"testing"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/diagnosis"
)

// Every class with every cause comes back out of the text, however Packer wraps it.
func TestHeadsSurviveAsText(t *testing.T) {
	causes := []string{""}
	for n := range 100 {
		if d, ok := diagnosis.ByID(fmt.Sprintf("F%02d", n)); ok {
			causes = append(causes, d.Name)
		}
	}
	if len(causes) < 50 {
		t.Fatalf("only %d causes", len(causes))
	}
	for class := range classNames {
		for _, cause := range causes {
			want := Head{Class(class), cause}
			err := Fail(want, errors.New("why: [hung] in the text"))
			for _, text := range []string{err.Error(), "1 error(s) occurred:\n\n" + err.Error(), "Error running provisioner: " + err.Error()} {
				if got, ok := ParseHead(text); !ok || got != want {
					t.Errorf("%q has the head %v, %t; want %v", text, got, ok, want)
				}
			}
		}
	}
}

func TestWhatLooksLikeAHeadIsNone(t *testing.T) {
	for _, text := range []string{"", "timeout waiting for WinRM", "[unknown] x", "[Refused] x", "[refused]", "[refused/] x", "[refused/appx] x", "see [refused] x", "[hung/TIMEOUT]x"} {
		if got, ok := ParseHead(text); ok {
			t.Errorf("%q has the head %v", text, got)
		}
	}
}

func TestAnErrorKeepsItsFirstHead(t *testing.T) {
	why := errors.New("why")
	err := Fail(Head{Class: NotStarted}, fmt.Errorf("wrapped: %w", Fail(Head{Lost, "WINRM_DIED"}, why)))
	if got, ok := ParseHead(err.Error()); !ok || got != (Head{Lost, "WINRM_DIED"}) || !errors.Is(err, why) {
		t.Errorf("%v: %v", err, got)
	}
	if Fail(Head{Class: Lost}, nil) != nil {
		t.Error("no error became one")
	}
}

// Only where Windows has begun its first boot nothing is left to be written to
// the disk.
func TestARestartIsTheCauseOfWhatItUndid(t *testing.T) {
	for _, c := range []struct {
		v    Verdict
		want Head
	}{
		{Verdict{Class: Undone, Restarted: true}, Head{Undone, Restarted}},
		{Verdict{Class: Undone}, Head{Class: Undone}},
		{Verdict{Class: Broken, Restarted: true}, Head{Class: Broken}},
	} {
		if got := c.v.Head(); got != c.want {
			t.Errorf("%+v: %v", c.v, got)
		}
	}
}
