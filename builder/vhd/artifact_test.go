package vhd

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/hashicorp/packer-plugin-sdk/packer/registry/image"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/diskimage"
)

// finished is the artifact of a run that wrote its disk.
func finished(t *testing.T, made bool, generated any) *artifact {
	t.Helper()
	return finishedBy(t, newBench(t, nil), made, generated)
}

func finishedBy(t *testing.T, b *bench, made bool, generated any) *artifact {
	t.Helper()
	write(t, b.run.config.outputPath())
	b.run.source = diskimage.Info{Files: []string{"/images/source.vhdx"}}
	b.run.firmware = "uefi"
	b.run.output = output{path: b.run.config.outputPath(), virtualSize: 40 << 30, madeDirectory: made}
	return newArtifact(b.run, generated)
}

func TestArtifactIsWhatPostProcessorsRead(t *testing.T) {
	a := finished(t, true, map[string]any{"PackerRunUUID": "x"})
	if files := a.Files(); len(files) != 1 || filepath.Ext(files[0]) != ".vhd" || a.Id() != files[0] {
		t.Errorf("files %v, id %s", files, a.Id())
	}
	if got := a.String(); got != "VM files in directory: "+filepath.Dir(a.path) {
		t.Error(got)
	}
	if a.BuilderId() != "packer-plugin-sysprep.vhd" {
		t.Error(a.BuilderId())
	}
	// The very assertion of the checksum post-processor.
	if data := a.State("generated_data").(map[any]any); data["PackerRunUUID"] != "x" {
		t.Errorf("got %v", data)
	}
	for name, want := range map[string]any{"diskName": "packer-win.vhd", "diskType": "vhd", "diskSize": "40960M", "domainType": "kvm", "nothing": nil} {
		if got := a.State(name); got != want {
			t.Errorf("%s is %v", name, got)
		}
	}
	metadata, ok := a.State(image.ArtifactStateURI).(*image.Image)
	if !ok || metadata.Validate() != nil {
		t.Fatalf("got %v", a.State(image.ArtifactStateURI))
	}
	if metadata.ImageID != a.path || metadata.ProviderName != "sysprep" || metadata.SourceImageID != "/images/source.vhdx" ||
		metadata.Labels["firmware"] != "uefi" || metadata.Labels["format"] != "vhd" || metadata.Labels["virtual_size"] != "42949672960" {
		t.Errorf("got %+v", metadata)
	}
}

// The vagrant post-processor takes kvm, hvf, tcg and none only.
func TestTheDomainTypeIsTheDrivers(t *testing.T) {
	taken := newBench(t, nil)
	taken.run.driver = fakeTaker{}
	for _, c := range []struct {
		bench *bench
		want  string
	}{
		{taken, "kvm"}, {newBench(t, nil), "kvm"}, {newBench(t, map[string]any{"accelerator": "kvm"}), "kvm"},
		{newBench(t, map[string]any{"accelerator": "tcg"}), "tcg"}, {newBench(t, map[string]any{"accelerator": "hvf"}), "hvf"},
		{newBench(t, map[string]any{"accelerator": "whpx"}), "none"},
	} {
		if got := finishedBy(t, c.bench, true, nil).State("domainType"); got != c.want {
			t.Errorf("%v instead of %q", got, c.want)
		}
	}
}

func TestArtifactWithoutProvisionersHasNoBuildValues(t *testing.T) {
	if got := finished(t, true, nil).State("generated_data"); got != nil {
		t.Errorf("post-processors would panic on %T", got)
	}
}

func TestDestroyRemovesOnlyWhatTheBuildMade(t *testing.T) {
	for _, c := range []struct {
		name        string
		made, other bool
		stays       bool
	}{
		{"a folder of the build goes", true, false, false},
		{"a folder with others' files stays", true, true, true},
		{"a folder that was there stays", false, false, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := finished(t, c.made, nil)
			if c.other {
				write(t, filepath.Join(filepath.Dir(a.path), "other"))
			}
			for range 2 {
				if err := a.Destroy(); err != nil {
					t.Fatal(err)
				}
			}
			_, err := os.Stat(filepath.Dir(a.path))
			if (err == nil) != c.stays {
				t.Errorf("folder: %v", err)
			}
			if _, err := os.Stat(a.path); err == nil {
				t.Error("the disk is still there")
			}
		})
	}
}
