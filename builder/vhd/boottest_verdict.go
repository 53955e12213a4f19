package vhd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/boottest"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/hypervisor"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/proof"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winimage"
)

// bootTestError says that a proven image did not boot.
type bootTestError struct{ text string }

func (e *bootTestError) Error() string { return "boot test: " + e.text }

func noTest(doing string, err error) error {
	return &bootTestError{fmt.Sprintf("%s: %s\nnext: correct that and build again, or remove boot_test", doing, err)}
}

// outcome says whether the image may be handed over.
func (t *cloneTest) outcome(ctx context.Context, untouched stamp, v cloneVerdict, err error) error {
	if stampOf(t.image) != untouched {
		return &bootTestError{"the file of the image was changed while its clone ran; another program writes to it: build again"}
	}
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err == nil && v.Class == boottest.Booted:
		return nil
	case err == nil:
		err = &bootTestError{v.text()}
	}
	if t.block.OnFailure == onFailureWarn {
		t.ui.Sayf("Warning: %s", err)
		t.ui.Say("The image is handed over all the same (boot_test.on_failure = \"warn\")")
		return nil
	}
	return err
}

// judge reads the disk of the clone that is off, and says what it came to.
func (t *cloneTest) judge(ctx context.Context, stop boottest.Stop, begun time.Time) cloneVerdict {
	end := boottest.End{At: t.state.Last.At}
	if stop.Reason == boottest.Ended && t.machine.over() {
		if stop.Text = t.machine.fate.String(); t.machine.fate.Cause == hypervisor.CauseCrash {
			end.Crash = stop.Text
		}
	}
	seen, err := t.inside(ctx)
	if err == nil {
		end.Disk = &seen
	} else {
		end.Why = err.Error()
	}
	v := cloneVerdict{Verdict: boottest.Judge(t.state, stop, end), logs: t.block.LogDirectory}
	if v.Class == boottest.Booted {
		t.ui.Sayf("Boot test: %s. It took %s; restarts: %d; pictures: %s", v.Headline(), t.state.Last.At.Sub(begun).Round(time.Second), t.state.Last.Restarts, t.block.LogDirectory)
		if v.Cause != nil {
			t.ui.Sayf("Warning: the log of its first boot names a failure all the same (%s): %s", v.Cause.ID, v.Cause.Summary)
		}
		return v
	}
	t.ui.Sayf("Boot test: %s", v.Headline())
	if v.Cause != nil {
		for _, line := range proof.Explain(v.Cause.Finding) {
			t.ui.Say(line)
		}
		t.log.Found(v.Cause.Finding)
	}
	t.keepLogs(ctx)
	return v
}

// keepLogs writes the logs of a first boot that failed beside the pictures.
func (t *cloneTest) keepLogs(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, diagnoseLimit)
	defer cancel()
	d, err := t.open(ctx, t.disk.Path)
	if err != nil {
		t.ui.Sayf("The logs of the clone cannot be read: %s", err)
		return
	}
	defer d.Close()
	logs, unread := winimage.ExtractLogs(ctx, d)
	written, _, err := writeLogs(ctx, t.block.LogDirectory, logs, t.hide)
	if err = errors.Join(unread, err); err != nil {
		t.ui.Sayf("Not all logs of the clone could be kept: %s", err)
	}
	if len(written) > 0 {
		t.ui.Sayf("Saved the logs and pictures of the clone in %s (logs: %d)", t.block.LogDirectory, len(written))
	}
}

// cloneVerdict is a verdict with where more is found.
type cloneVerdict struct {
	boottest.Verdict
	logs string
}

// text is the error of a build.
func (v cloneVerdict) text() string {
	text := v.Headline()
	next := v.Next
	if c := v.Cause; c != nil {
		text += fmt.Sprintf("; %s %s: %s", c.ID, c.Name, c.Summary)
		if len(c.Remedy) > 0 {
			next = c.Remedy[0]
		}
	}
	return fmt.Sprintf("%s\nnext: %s\npictures and logs: %s", text, cmp.Or(next, "look at the pictures and the logs"), v.logs)
}
