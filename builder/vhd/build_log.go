package vhd

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/hashicorp/packer-plugin-sdk/multistep"
	packersdk "github.com/hashicorp/packer-plugin-sdk/packer"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/lockout"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/runlog"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/secrets"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/verdict"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/version"
)

// buildLogLimit bounds writing build.json.
const buildLogLimit = 10 * time.Second

// phaseDownload begins before the steps, and ends with the next.
const phaseDownload = "download"

// openLog begins to write the build down.
func (r *run) openLog() {
	c := r.config
	r.log = runlog.New(runlog.Log{
		Component: runlog.Builder, Version: version.PluginVersion.String(), PackerRun: os.Getenv("PACKER_RUN_UUID"),
		Build: c.PackerBuildName, Builder: c.PackerBuilderType, Options: c.shown(), Transport: runlog.Transport{Way: c.Comm.Type},
	}, time.Now, r.hide)
}

// hide takes the passwords of the communicator out of a text, and the sensitive variables
// of the template.
func (r *run) hide(text string) string {
	c := r.config.Comm
	passwords := []string{c.WinRMPassword, c.SSHPassword, c.SSHBastionPassword, c.SSHProxyPassword}
	if b := r.config.BootTest; b != nil {
		passwords = append(passwords, b.WinRMPassword)
	}
	known := secrets.Know(passwords...)
	return packersdk.LogSecretFilter.FilterString(known.Hide(text))
}

// shown are the options as they are written down: those that can hold no secret. A
// new option is not among them before it is named here.
func (c *Config) shown() map[string]any {
	return map[string]any{
		"communicator": c.Comm.Type, "hypervisor": c.Hypervisor, "cpus": c.CPUs, "memory": c.Memory, "firmware": c.Firmware, "rtc_time_base": c.RTCTimeBase,
		"format": c.Format, "vhd_type": c.VHDType, "compact": c.Compact.True(), "shutdown_timeout": c.ShutdownTimeout.String(), "stall_timeout": c.StallTimeout.String(), "boot_test": c.BootTest.wanted(),
		"shutdown_command_set": c.ShutdownCommand != "", "login_attempts": cmp.Or(c.LoginAttempts, lockout.DefaultMost),
	}
}

// phase notes that a part of the build begins; what it returns, that it has ended.
func (r *run) phase(name string, state multistep.StateBag) func() {
	r.log.Begin(name)
	return func() {
		err, _ := state.Get("error").(error)
		outcome := runlog.OK
		switch {
		case err != nil:
			outcome = runlog.Failed
		case failed(state):
			outcome = runlog.Cancelled
		}
		r.log.End(name, outcome, err)
	}
}

// closeLog keeps how the build ended. It is written beside the logs of a build that
// failed once it had a machine; of one that ended well, the report tells.
func (r *run) closeLog(ui packersdk.Ui, err error, cancelled bool) {
	v := runlog.Verdict{Class: verdict.Generalized.String()}
	if r.machine != nil {
		for _, e := range r.events.Events() {
			what := strings.TrimSpace(string(e.Kind) + " " + e.Detail)
			r.log.Change(func(l *runlog.Log) {
				l.Events = append(l.Events, runlog.Event{AtMS: e.When.Sub(l.Begun).Milliseconds(), What: r.hide(what)})
			})
			if e.Kind == "restart" {
				v.Restarts++
			}
		}
	}
	if err != nil {
		head, known := verdict.ParseHead(err.Error())
		if v.Class = "failed"; known {
			v.Class, v.Cause = head.Class.String(), head.Cause
		}
		v.Failed, v.Lines = true, strings.Split(err.Error(), "\n")
		v.FirstLine = v.Lines[0]
	}
	if cancelled {
		v.Class = verdict.Cancelled.String()
	}
	r.log.Judged(v)
	if err == nil || cancelled || r.machine == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), buildLogLimit)
	defer cancel()
	path := filepath.Join(r.config.beside("logs"), runlog.BuildFile)
	if err := r.log.Save(ctx, path); err != nil {
		ui.Sayf("%s", fmt.Sprintf("Could not write %s: %s", path, err))
	}
}
