package vhd

import (
	"errors"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/hashicorp/packer-plugin-sdk/multistep/commonsteps"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/hypervisor"
)

func TestStartHandsTheMachineOver(t *testing.T) {
	b := newBench(t, map[string]any{"cpus": 3, "qemu_arguments": []string{"-x"}})
	b.run.firmware, b.run.disk, b.run.scratch = "uefi", hypervisor.Disk{Path: "d", Format: "qcow2"}, "s"
	s := new(stepStartMachine)
	b.wantContinue(t, s.Run(t.Context(), b))
	got := b.fake.spec
	if got.CPUs != 3 || got.MemoryMB != 4096 || got.Firmware != "uefi" || got.GuestPort != 5985 || !got.Headless || got.Disk != b.run.disk || got.ScratchDir != "s" || got.Arguments[0] != "-x" {
		t.Errorf("got %+v", got)
	}
	s.Cleanup(b)
	<-b.run.machine.ended
	if b.fake.called() != "start close" {
		t.Error(b.fake.called())
	}
	b.run.features, b.fake.fates = hypervisor.Features{}, make(chan hypervisor.Fate)
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
	data := commonsteps.PopulateProvisionHookData(b)
	path, _ := data[hypervisor.EventsKey].(string)
	b.run.happens(hypervisor.Event{Kind: hypervisor.EventRestart})
	if events, err := hypervisor.ReadEvents(path); err != nil || len(events) != 1 || data["Kept"] != "yes" || filepath.Dir(path) != b.run.scratch {
		t.Errorf("%q: %v, %v", path, events, err)
	}
}

func TestTheMachineFollowsTheDriversOfTheSource(t *testing.T) {
	for _, c := range []struct {
		name       string
		options    map[string]any
		facts      sourceFacts
		disk, card string
	}{
		{"nothing known: the hypervisor chooses", nil, sourceFacts{}, "auto", "auto"},
		{"what Windows has drivers for", nil, sourceFacts{DiskInterface: "nvme", NetworkInterface: "virtio"}, "nvme", "virtio"},
		{"the user's word is the last", map[string]any{"disk_interface": "sata", "network_interface": "e1000"}, sourceFacts{DiskInterface: "virtio", NetworkInterface: "virtio"}, "sata", "e1000"},
		{"no IDE on a board the user chose", map[string]any{"machine_type": "q35"}, sourceFacts{DiskInterface: "ide"}, "auto", "auto"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t, c.options)
			b.run.windows = c.facts
			if disk, card := b.run.diskInterface(), b.run.networkInterface(); disk != c.disk || card != c.card {
				t.Errorf("%s and %s, want %s and %s", disk, card, c.disk, c.card)
			}
		})
	}
}
