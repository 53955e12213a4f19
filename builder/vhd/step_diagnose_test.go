package vhd

import (
	"errors"
	"os"
	"testing"
	"time"

	"github.com/hashicorp/packer-plugin-sdk/multistep"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winimage/winimagetest"
)

func TestTheDiskOfAFailedRunIsAskedForTheCause(t *testing.T) {
	for _, c := range []struct {
		name  string
		setup func(b *bench)
		want  bool
	}{
		{"sysprep hung", func(*bench) {}, true},
		{"cancelled", func(b *bench) { b.Put(multistep.StateCancelled, true) }, false},
		{"nothing was provisioned yet", func(b *bench) { b.run.provisioning = time.Time{} }, false},
		{"a source without Windows", func(b *bench) { b.run.windows = sourceFacts{} }, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := started(t, nil)
			b.run.disk.Path = winimagetest.Disk(t, winimagetest.Spec{Files: map[string]string{winimagetest.Log: winimagetest.RefusedLog}})
			b.run.windows, b.run.provisioning = sourceFacts{Windows: "Windows"}, time.Date(2026, 11, 23, 11, 0, 0, 0, time.UTC)
			b.Put("error", errors.New("sysprep did not finish"))
			c.setup(b)
			new(stepDiagnose).Cleanup(b)
			_, err := os.Stat(b.run.config.beside("logs"))
			if said := b.said.SayCalled; said != c.want || (err == nil) != c.want {
				t.Errorf("said: %t, logs: %v", said, err)
			}
		})
	}
}
