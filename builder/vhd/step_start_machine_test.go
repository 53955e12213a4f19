package vhd

import (
	"errors"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/hypervisor"
)

func TestStartHandsTheMachineOver(t *testing.T) {
	b := newBench(t, map[string]any{"cpus": 3})
	b.run.firmware, b.run.disk = "uefi", hypervisor.Disk{Path: "d", Format: "qcow2"}
	b.run.windows.Drivers = hypervisor.GuestDrivers{Known: true, Storage: []string{"viostor"}}
	s := new(stepStartMachine)
	b.wantContinue(t, s.Run(t.Context(), b))
	got := b.fake.spec
	if got.CPUs != 3 || got.MemoryMB != 4096 || got.Firmware != "uefi" || got.GuestPort != 5985 || got.Disk != b.run.disk || got.ScratchDir != b.run.scratch || !reflect.DeepEqual(got.Drivers, b.run.windows.Drivers) {
		t.Errorf("got %+v", got)
	}
	s.Cleanup(b)
	<-b.run.machine.ended
	if b.fake.called() != "start close" {
		t.Error(b.fake.called())
	}
	b.run.driver, b.fake.fates = fakeTaker{}, make(chan hypervisor.Fate)
	b.wantContinue(t, s.Run(t.Context(), b))
	if !reflect.DeepEqual(b.fake.spec, hypervisor.Spec{}) {
		t.Errorf("a machine that exists was described: %+v", b.fake.spec)
	}
	close(b.fake.fates)
}

func TestStartThatFailsIsStillClosed(t *testing.T) {
	b := newBench(t, nil)
	b.fake.startErr = errors.New("no such device")
	s := new(stepStartMachine)
	b.wantHalt(t, s.Run(t.Context(), b), "starting the machine: no such device")
	s.Cleanup(b)
	if b.fake.called() != "start close" {
		t.Error(b.fake.called())
	}
	b.Remove("error")
	b.wantQuietHalt(t, s.Run(cancelled(), b))
}

func TestTheProvisionerIsToldWhereTheMachinesEventsAre(t *testing.T) {
	b := newBench(t, nil)
	b.run.scratch = t.TempDir()
	b.run.firmware = hypervisor.FirmwareBIOS
	b.Put("generated_data", map[string]any{"Kept": "yes"})
	b.wantContinue(t, new(stepStartMachine).Run(t.Context(), b))
	defer b.fake.Close()
	data := hookData(b)
	path, _ := data[hypervisor.EventsKey].(string)
	b.run.happens(hypervisor.Event{Kind: hypervisor.EventRestart})
	if events, err := hypervisor.ReadEvents(path); err != nil || len(events) != 1 || data["Kept"] != "yes" || filepath.Dir(path) != b.run.scratch {
		t.Errorf("%q: %v, %v", path, events, err)
	}
}
