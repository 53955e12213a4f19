package sysprep

import (
	"context"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/hypervisor"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/runlog"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim"
)

// bubbleRun is a run of the provisioner against a guest in this process, in no time:
// the clock is that of a synctest bubble.
type bubbleRun struct {
	scenario winsim.Scenario
	options  map[string]any
	begins   time.Time // by the bubble's clock; zero: now
	machine  bool      // a hypervisor tells what the machine does
	adjust   func(*run)
	// cancels arranges for a cancel.
	cancels func(r *run, cancel func())
	onSay   func(line string, cancel func())
	onGuest func(line string, g *winsim.Guest) // the same
	// accounts are further ones of the guest, later is done some time after onGuest.
	accounts map[string]string
	later    func()
	login    string // the password of Packer's communicator
}

// do is the run as its file has it.
func (b *bubbleRun) do(t *testing.T) (l runlog.Log) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		if b.begins.IsZero() {
			b.begins = realNow
		}
		time.Sleep(time.Until(b.begins)) // the bubble's clock begins long ago
		comm := &replayComm{over: make(chan struct{}), changed: make(chan struct{})}
		if b.scenario.Replay != nil {
			comm.upload = b.scenario.Replay.UploadError
		}
		ui := &recordUI{}
		m := &replayMachine{t: t}
		var guest *winsim.Guest
		ready := make(chan struct{})
		opt := winsim.Options{Root: t.TempDir(), User: simUser, Password: simPassword, Scenario: b.scenario, Accounts: b.accounts, Log: t.Logf}
		opt.Moment = func(moment winsim.Moment, _ int) {
			comm.becomes(moment)
			m.becomes(moment)
		}
		opt.WinRM = func(state winsim.WinRMState) { comm.becomes(winsim.Moment{Reach: reachOf(state), Why: string(state)}) }
		opt.Power = func(e winsim.PowerEvent) {
			<-ready
			comm.becomes(winsim.Moment{Reach: winsim.Closed, Rebooted: true})
			if m.becomes(winsim.Moment{Off: e == winsim.PowerOff, Restarts: map[bool]int{true: 1}[e == winsim.Reboot]}); e != winsim.Reboot {
				return
			}
			select {
			case <-time.After(max(time.Minute, time.Duration(b.scenario.BootTakes))):
			case <-comm.over:
				return
			}
			if err := guest.Boot(); err != nil {
				t.Error(err)
			}
			if _, ok := guest.WinRMDelay(); ok {
				comm.becomes(winsim.Moment{})
			}
		}
		var err error
		if guest, err = winsim.New(opt); err != nil {
			t.Fatal(err)
		}
		comm.guest = guest
		close(ready)
		defer func() {
			close(comm.over)
			if err := guest.Close(); err != nil {
				t.Error(err)
			}
			for _, u := range guest.Unknown() {
				t.Errorf("the guest was sent what it does not know: %s", u)
			}
		}()
		p := &Provisioner{}
		for range 2 {
			if err := p.Prepare(b.options); err != nil {
				t.Fatal(err)
			}
		}
		r := newRun(p.config, ui, comm, map[string]any{"Host": "guest", "Port": 5985, "User": simUser, "Password": b.login, "ConnType": "winrm"})
		r.probe = comm.probe
		if b.machine {
			m.path = filepath.Join(t.TempDir(), "events")
			if err := m.events.Write(m.path); err != nil {
				t.Fatal(err)
			}
			r.machine.path = m.path
		}
		if b.adjust != nil {
			b.adjust(r)
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		if b.cancels != nil {
			b.cancels(r, cancel)
		}
		if b.onSay != nil {
			ui.onSay = func(line string) { b.onSay(line, cancel) }
		}
		if b.onGuest != nil {
			ui.onSay = func(line string) {
				if b.onGuest(line, guest); b.later != nil {
					time.AfterFunc(5*time.Second, b.later)
					b.later = nil
				}
			}
		}
		err = r.provision(ctx)
		t.Logf("ended: %v", err)
		t.Logf("ui:\n%s", ui.text())
		l = throughFile(t, r)
	})
	return l
}

// realNow is outside of every bubble.
var realNow = time.Now().Truncate(time.Second)

func reachOf(state winsim.WinRMState) winsim.Reach {
	switch state {
	case winsim.WinRMNoShells:
		return winsim.Refuses
	case winsim.WinRMBlackHole:
		return winsim.Silent
	case winsim.WinRMClosed, winsim.WinRMReset:
		return winsim.Closed
	case "frozen":
		return winsim.Hangs
	}
	return winsim.Answers
}

// replayMachine turns what the hypervisor had reported into its events.
type replayMachine struct {
	t      *testing.T
	path   string
	events hypervisor.EventLog
	last   winsim.Moment
}

func (r *replayMachine) becomes(m winsim.Moment) {
	add := func(kind hypervisor.EventKind, detail string) {
		if err := r.events.Add(hypervisor.Event{Kind: kind, Detail: detail, When: time.Now()}); err != nil {
			r.t.Error(err)
		}
	}
	for i := r.last.Restarts; i < m.Restarts; i++ {
		add(hypervisor.EventRestart, "")
	}
	if m.Paused != r.last.Paused {
		if m.Paused == "" {
			add(hypervisor.EventResume, "")
		} else {
			add(hypervisor.EventPause, m.Paused)
		}
	}
	if m.Off && !r.last.Off {
		add(hypervisor.EventOff, "")
	}
	if m.Crashed != r.last.Crashed {
		add(hypervisor.EventCrash, m.Crashed)
	}
	r.last = m
}

// throughFile is the run as its file has it.
func throughFile(t *testing.T, r *run) runlog.Log {
	t.Helper()
	path := filepath.Join(t.TempDir(), runlog.RunFile)
	if err := r.book.Save(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	l, err := runlog.Read(path)
	if err != nil {
		t.Fatal(err)
	}
	return l
}
