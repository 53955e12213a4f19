package replay

import (
	"testing"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/runlog"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim"
)

// What a watch does not read is what a generalized Windows has, unless it was read
// later.
func TestTheNextBootOfAGeneralizedWindowsIsFilledIn(t *testing.T) {
	none := 0
	generalized, complete, odd := "IMAGE_STATE_GENERALIZE_RESEAL_TO_OOBE", "IMAGE_STATE_COMPLETE", "odd"
	moments := []winsim.Moment{{ImageState: &complete}, {ImageState: &generalized}, {ImageState: &generalized}}
	armed(moments)
	if moments[0].SetupType != nil || *moments[1].SetupType != 2 || *moments[2].CmdLine != `oobe\windeploy.exe` {
		t.Errorf("%+v", moments)
	}
	moments = []winsim.Moment{{ImageState: &generalized}, {ImageState: &generalized, SetupType: &none, CmdLine: &odd}}
	armed(moments)
	if *moments[0].SetupType != 0 || *moments[0].CmdLine != "odd" {
		t.Errorf("what was read later: %+v", moments)
	}
}

func TestAGuestThatDidNotAnswerWasSilentBefore(t *testing.T) {
	l := runlog.Log{Options: map[string]any{"poll_interval": "1s"}, Observations: runlog.Observations{List: []runlog.Observation{
		{AtMS: 1000, UntilMS: 5000, Reached: true, Facts: &runlog.Facts{}}, {AtMS: 30000, UntilMS: 40000, Why: "no answer in time"},
		{AtMS: 50000, UntilMS: 50000, Reached: true, Facts: &runlog.Facts{}}, {AtMS: 60000, Why: "connection refused", Port: "closed"},
	}}}
	got := timed(l)
	for i, want := range []int64{1000, 7000, 50000, 60000} {
		if got[i].AtMS != want {
			t.Errorf("%d: at %s, want %s", i, time.Duration(got[i].AtMS)*time.Millisecond, time.Duration(want)*time.Millisecond)
		}
	}
}
