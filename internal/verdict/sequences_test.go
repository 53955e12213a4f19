package verdict

import (
	"math/rand"
	"strings"
	"testing"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/diagnosis"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/windows"
)

// Whatever the guest does, there is a verdict in time, and it is never
// Generalized where tag and state were not both seen.
func TestNoSequenceOfObservationsWaitsForEverOrInventsSuccess(t *testing.T) {
	states := []windows.State{"", windows.StateComplete, windows.StateUndeployable, windows.StateGeneralizeToOOBE, windows.StateGeneralizeToAudit, windows.StateSpecializeToOOBE}
	ends := map[Class]int{}
	for seed := range int64(3000) {
		r := rand.New(rand.NewSource(seed))
		e := Expectation{Generalize: seed%5 != 0, End: End(r.Intn(3))}
		s := Begin(start, e)
		var v *Verdict
		var tagSeen, stateSeen bool
		now, o := time.Duration(0), at(0)
		for v == nil {
			now += time.Duration(1+r.Intn(90)) * time.Second
			if now > (30+5+1+3+3)*time.Minute { // Timeout, EndWithin, AskWithin, SecondLook, and what passes between two observations
				t.Fatalf("seed %d: no verdict after %s: %+v", seed, now, s)
			}
			o.At = start.Add(now)
			// One fact changes at a time, so that states last.
			switch r.Intn(9) {
			case 0:
				o.ImageState = states[r.Intn(len(states))]
			case 1:
				o.Tag = Tri(r.Intn(3))
			case 2:
				o.Process = Tri(r.Intn(3))
			case 3:
				o.Port = Port(r.Intn(3))
			case 4:
				o.Reached = !o.Reached
			case 5, 6:
				log(o.Log.Lines+r.Intn(2), diagnosis.Stage(r.Intn(5)))(&o)
			case 7:
				o.Log.TagCreated = r.Intn(2) == 0
			case 8:
				o.Log.Closed = r.Intn(6) == 0
			}
			look := o
			if !o.Reached {
				silent(o.Port)(&look)
			}
			tagSeen = tagSeen || look.Tag == Yes
			stateSeen = stateSeen || look.ImageState == windows.StateAfter(e.Generalize, false)
			s, v = s.Step(look)
		}
		ends[v.Class]++
		if v.Class == Generalized && (!stateSeen || e.Generalize && !tagSeen) {
			t.Fatalf("seed %d: success without tag and state: %+v", seed, v)
		}
		if v.Reason == "" || v.Took != now {
			t.Fatalf("seed %d: %+v", seed, v)
		}
	}
	for _, c := range []Class{Generalized, Refused, Broken, Hung, Lost} {
		if ends[c] == 0 {
			t.Errorf("no sequence ended %s: %v", c, ends)
		}
	}
}

func TestFactsThatCannotBeReadKeepTheirLastValue(t *testing.T) {
	s := Begin(start, Expectation{Generalize: true})
	s, v := s.Step(at(time.Minute, state(windows.StateUndeployable), gen(3), log(10, processing)))
	if v != nil {
		t.Fatal(v)
	}
	s, v = s.Step(at(2*time.Minute, silent(PortOpen)))
	if v != nil {
		t.Fatal(v)
	}
	got := s.Cancel(start.Add(3 * time.Minute))
	if got.Class != Cancelled || got.ImageState != windows.StateUndeployable || *got.GeneralizationState != 3 || got.Tag != No || !got.StillRunning || got.LastLog != "the last line" || got.Took != 3*time.Minute {
		t.Errorf("%+v", got)
	}
	if !strings.Contains(got.Reason, "changing the machine") {
		t.Errorf("reason %q", got.Reason)
	}
}

func TestARefusalIsDecidedWithTheFirstObservationThatShowsIt(t *testing.T) {
	var tr diagnosis.Tracker
	tr.Feed([]byte("2025-07-22 21:55:35, Error      [0x0f00d8] SYSPRP WinMain:Hit failure while pre-validate sysprep generalize internal providers; hr = 0x80073cf2\r\n"))
	o := at(time.Second, state(windows.StateComplete))
	o.Log, o.LogBytes, o.Launched = tr.Progress(), 100, time.Date(2025, 7, 22, 21, 55, 30, 0, time.UTC)
	if _, v := Begin(start, Expectation{Generalize: true}).Step(o); v == nil || v.Class != Refused || !v.StillRunning {
		t.Errorf("%+v", v)
	}
}
