package vhd

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/packer-plugin-sdk/multistep"
	packersdk "github.com/hashicorp/packer-plugin-sdk/packer"
)

// told closes a channel when the user is told of the wait.
type told struct {
	*packersdk.MockUi
	waiting chan struct{}
}

func (u told) Sayf(format string, args ...any) {
	if strings.HasPrefix(format, "Cancelled. Waiting") {
		close(u.waiting)
	}
}

// The real step of the SDK runs here: it returns at once on a cancel.
func TestACancelWaitsForTheProvisioner(t *testing.T) {
	b := started(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	waited, tidied := make(chan struct{}), false
	b.Put("ui", packersdk.Ui(told{b.said, waited}))
	b.Put("hook", packersdk.Hook(hook(func(ctx context.Context) error {
		cancel()
		select {
		case <-waited:
			tidied = true
		case <-t.Context().Done():
		}
		return errors.New("[cancelled] cancelled: sysprep was not started, the machine is untouched")
	})))
	if action := new(StepProvision).Run(ctx, b); action != multistep.ActionHalt {
		t.Errorf("action %v", action)
	}
	if !tidied {
		t.Fatal("the provisioner was left behind")
	}
	if err := b.run.cancelError(); !strings.HasPrefix(err.Error(), "[cancelled] cancelled: sysprep was not started") {
		t.Errorf("the build's error is %q", err)
	}
}

func TestACancelledProvisionerIsNotWaitedForForEver(t *testing.T) {
	b := started(t, nil)
	if err := awaitCancelled(b.said, make(chan error), time.Millisecond); err != nil {
		t.Errorf("got %v", err)
	}
	if said := b.said.ErrorMessage; !strings.Contains(said, "no longer waits for it") || !strings.Contains(said, "its files stay there") {
		t.Errorf("it said %q", said)
	}
}

func TestErrorOfACancelledBuild(t *testing.T) {
	verdict := errors.New("[cancelled] cancelled: the build was cancelled while sysprep was validating")
	for name, c := range map[string]struct {
		cancelled   error
		provisioned bool
		taken       bool
		want        string
	}{
		"the provisioner's verdict":            {verdict, false, true, verdict.Error()},
		"another provisioner's error":          {errors.New("context canceled"), false, true, "the build was cancelled"},
		"before provisioning":                  {nil, false, true, "the build was cancelled"},
		"after it, in a machine of our own":    {nil, true, false, "the build was cancelled"},
		"after it, in a machine of the user's": {nil, true, true, "the machine is as they left it"},
	} {
		r := &run{cancelled: c.cancelled, provisioned: c.provisioned}
		if c.taken {
			r.driver = fakeTaker{}
		}
		if got := r.cancelError().Error(); !strings.Contains(got, c.want) {
			t.Errorf("%s: %q", name, got)
		}
	}
}
