package vhd

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2/hcldec"
	packersdk "github.com/hashicorp/packer-plugin-sdk/packer"
	"github.com/hashicorp/packer-plugin-sdk/template/config"
	"github.com/zclconf/go-cty/cty"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/diskimage"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/hypervisor"
)

// Drivers that this builder has never heard of: all that a new one needs.
func init() {
	hypervisor.Register(hypervisor.Driver{Name: "simulated", Options: func() hypervisor.Options { return new(simulated) }})
	hypervisor.Register(hypervisor.Driver{Name: "layered", Options: func() hypervisor.Options { return new(layered) }})
}

type simulated struct {
	Host  string   `mapstructure:"simulated_host"`
	Tools []string `mapstructure:"simulated_tools"`
	Key   string   `mapstructure:"simulated_key_file"`
	CPU   string   `mapstructure:"cpu_model"` // shared with another driver
}

var _ hypervisor.Maker = (*simulated)(nil)

type simulatedSpec struct{}

func (*simulated) FlatMapstructure() interface{ HCL2Spec() map[string]hcldec.Spec } {
	return simulatedSpec{}
}

func (simulatedSpec) HCL2Spec() map[string]hcldec.Spec {
	return map[string]hcldec.Spec{
		"simulated_host":     &hcldec.AttrSpec{Name: "simulated_host", Type: cty.String},
		"simulated_tools":    &hcldec.AttrSpec{Name: "simulated_tools", Type: cty.List(cty.String)},
		"simulated_key_file": &hcldec.AttrSpec{Name: "simulated_key_file", Type: cty.String},
		"cpu_model":          &hcldec.AttrSpec{Name: "cpu_model", Type: cty.String},
	}
}

func (s *simulated) Prepare(hypervisor.Settings) (warnings []string, errs []error) {
	if s.Host == "" {
		errs = append(errs, errors.New("simulated_host: required"))
	}
	return []string{"nothing of this is real"}, errs
}
func (s *simulated) Reads() []hypervisor.File {
	return []hypervisor.File{{Option: "simulated_key_file", Path: s.Key}}
}
func (*simulated) DiskFormat() string { return "raw" }
func (*simulated) Doubts(d hypervisor.GuestDrivers, f hypervisor.Firmware) []string {
	return []string{fmt.Sprintf("no simulated driver (%t, %s)", d.Known, f)}
}
func (s *simulated) New(b hypervisor.Build) hypervisor.Machine {
	return &simulatedMachine{simulated: s, say: b.Say, fates: make(chan hypervisor.Fate, 1)}
}

// simulatedMachine writes to its disk and powers itself off.
type simulatedMachine struct {
	*simulated
	say   func(string)
	fates chan hypervisor.Fate
}

func (m *simulatedMachine) Start(_ context.Context, spec hypervisor.Spec) (<-chan hypervisor.Fate, error) {
	m.say(fmt.Sprintf("Simulated on %s by %s with %s", m.Host, strings.Join(m.Tools, "+"), m.CPU))
	disk, err := os.OpenFile(spec.Disk.Path, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	if _, err := disk.WriteAt([]byte("written by the guest"), 2048); err != nil {
		return nil, err
	}
	m.off()
	return m.fates, disk.Close()
}
func (*simulatedMachine) Endpoint(context.Context) (hypervisor.Endpoint, error) {
	return hypervisor.Endpoint{}, errors.New("it has no address")
}
func (*simulatedMachine) ExpectOff() {}
func (m *simulatedMachine) off() {
	m.fates <- hypervisor.Fate{Cause: hypervisor.CauseGuestShutdown}
	close(m.fates)
}
func (*simulatedMachine) Close() error { return nil }

// layered boots an overlay, by rules of its own, and says what runs it.
type layered struct {
	Who string `mapstructure:"layered_by"`
}

var _ interface {
	hypervisor.Maker
	hypervisor.Overlayer
	hypervisor.DomainTyper
} = (*layered)(nil)

type layeredSpec struct{}

func (*layered) FlatMapstructure() interface{ HCL2Spec() map[string]hcldec.Spec } {
	return layeredSpec{}
}

func (layeredSpec) HCL2Spec() map[string]hcldec.Spec {
	return map[string]hcldec.Spec{"layered_by": &hcldec.AttrSpec{Name: "layered_by", Type: cty.String}}
}

func (*layered) Prepare(hypervisor.Settings) (warnings []string, errs []error) { return nil, nil }
func (*layered) Reads() []hypervisor.File                                      { return nil }
func (*layered) DiskFormat() string                                            { return "qcow2" }
func (*layered) Doubts(hypervisor.GuestDrivers, hypervisor.Firmware) []string  { return nil }
func (*layered) DomainType() string                                            { return "bhyve" }
func (*layered) Backing(source diskimage.Info) (format, copyBecause string) {
	if source.Format != diskimage.Raw {
		return "", "its layers lie on raw disks only"
	}
	return "raw", ""
}
func (l *layered) New(b hypervisor.Build) hypervisor.Machine {
	return &layeredMachine{simulatedMachine{say: b.Say, fates: make(chan hypervisor.Fate, 1)}, l.Who}
}

// layeredMachine changes nothing.
type layeredMachine struct {
	simulatedMachine
	who string
}

func (m *layeredMachine) Start(_ context.Context, spec hypervisor.Spec) (<-chan hypervisor.Fate, error) {
	m.say(fmt.Sprintf("Layered by %s: %s on %q", m.who, spec.Disk.Format, spec.Disk.BackingFormat))
	m.off()
	return m.fates, nil
}

// fromHCL is what Packer hands over for a source: a value of the whole schema.
func fromHCL(t *testing.T, options map[string]cty.Value) cty.Value {
	t.Helper()
	values := map[string]cty.Value{}
	for name, attribute := range hcldec.ImpliedType(new(Builder).ConfigSpec()).AttributeTypes() {
		values[name] = cty.NullVal(attribute)
	}
	for name, value := range options {
		if _, ok := values[name]; !ok {
			t.Fatalf("the schema has no %s", name)
		}
		values[name] = value
	}
	return cty.ObjectVal(values)
}

func TestADriverIsChosenWithItsOwnOptions(t *testing.T) {
	source := rawDisk(t, 1<<20, nil)
	own := map[string]cty.Value{
		"hypervisor": cty.StringVal("simulated"), "communicator": cty.StringVal("none"), "source_path": cty.StringVal(source), "cpus": cty.NumberIntVal(3),
		"simulated_host": cty.StringVal("{{ build_name }}-host"), "simulated_tools": cty.ListVal([]cty.Value{cty.StringVal("a"), cty.StringVal("b")}), "cpu_model": cty.StringVal("best"),
		"output_directory": cty.StringVal(filepath.Join(t.TempDir(), "out")),
	}
	b := new(Builder)
	packer := map[string]any{"packer_build_name": "win", "packer_builder_type": "sysprep-vhd"}
	for range 2 { // HCL2 may prepare twice
		_, warnings, err := b.Prepare(fromHCL(t, own), packer)
		if err != nil || !slices.Contains(warnings, "nothing of this is real") {
			t.Fatalf("%q, %v", warnings, err)
		}
	}
	built, text := runUnproven(t, b)
	for _, want := range []string{"boots raw", "Simulated on win-host by a+b with best", "no simulated driver (false, bios)", "the guest powered itself off"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q was not said:\n%s", want, text)
		}
	}
	if disk, err := os.ReadFile(built.Files()[0]); err != nil || !strings.Contains(string(disk), "written by the guest") {
		t.Errorf("the output is not the machine's disk: %v", err)
	}
}

// runUnproven runs a builder whose machine leaves no Windows, and returns what it
// made and said.
func runUnproven(t *testing.T, b *Builder) (packersdk.Artifact, string) {
	t.Helper()
	b.config.Verify.Enabled = config.TriFalse
	said := new(packersdk.MockUi)
	built, err := b.Run(t.Context(), said, hook(nil))
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, m := range said.SayMessages {
		lines = append(lines, m.Message)
	}
	return built, strings.Join(lines, "\n")
}

// What an overlay may lie on, and what runs the machine, is the driver's to say.
func TestADriverDecidesWhatItsOverlayLiesOn(t *testing.T) {
	raw := rawDisk(t, 1<<20, nil)
	for source, says := range map[string][]string{
		raw: {`Layered by somebody: qcow2 on "raw"`},
		convertTo(t, raw, diskimage.Options{Format: diskimage.VHDX}): {"Copying the source disk, because its layers lie on raw disks only", `Layered by somebody: qcow2 on ""`},
	} {
		b := new(Builder)
		if _, _, err := b.Prepare(fromHCL(t, map[string]cty.Value{
			"hypervisor": cty.StringVal("layered"), "communicator": cty.StringVal("none"), "source_path": cty.StringVal(source),
			"layered_by": cty.StringVal("somebody"), "output_directory": cty.StringVal(filepath.Join(t.TempDir(), "out")),
		}), map[string]any{"packer_build_name": "win"}); err != nil {
			t.Fatal(err)
		}
		built, text := runUnproven(t, b)
		for _, want := range says {
			if !strings.Contains(text, want) {
				t.Errorf("%q was not said:\n%s", want, text)
			}
		}
		if strings.Contains(text, "QEMU") || strings.Count(text, "Copying") != len(says)-1 {
			t.Errorf("said:\n%s", text)
		}
		if got := built.State("domainType"); got != "bhyve" {
			t.Errorf("it is run by %v", got)
		}
		if sum(t, convertTo(t, built.Id(), diskimage.Options{Format: diskimage.Raw})) != sum(t, raw) {
			t.Error("the output is another disk")
		}
	}
}

// The drivers that are linked in are given HCL's own values too.
func TestDriversReadHCL(t *testing.T) {
	disk := rawDisk(t, 1<<20, nil)
	for name, c := range map[string]struct {
		options map[string]cty.Value
		want    string
	}{
		"the default": {map[string]cty.Value{
			"source_path": cty.StringVal(disk), "communicator": cty.StringVal("none"), "headless": cty.False, "accelerator": cty.StringVal("tcg"),
			"qemu_arguments": cty.ListVal([]cty.Value{cty.StringVal("-x"), cty.StringVal("{{ build_name }}")}),
		}, "Accelerator:tcg EFIFirmwareCode: EFIFirmwareVars: MachineType:auto CPUModel: DiskInterface:auto NetworkInterface:auto Headless:2 QemuBinary: QemuArguments:[-x win]"},
		"existing": {map[string]cty.Value{
			"hypervisor": cty.StringVal("existing"), "disk_path": cty.StringVal(disk), "power_off_settle": cty.StringVal("90s"),
			"winrm_host": cty.StringVal("192.0.2.1"), "winrm_username": cty.StringVal("a"), "winrm_password": cty.StringVal("b"),
		}, "DiskPath:" + disk + " PowerOffSettle:1m30s"},
	} {
		t.Run(name, func(t *testing.T) {
			b := new(Builder)
			c.options["output_directory"] = cty.StringVal(filepath.Join(t.TempDir(), "out"))
			if _, _, err := b.Prepare(fromHCL(t, c.options), map[string]any{"packer_build_name": "win"}); err != nil {
				t.Fatal(err)
			}
			if got := fmt.Sprintf("%+v", b.config.driver()); !strings.Contains(got, c.want) {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

func TestOptionsOfAnotherDriverAreRefused(t *testing.T) {
	for name, c := range map[string]struct {
		options map[string]any
		want    []string
	}{
		"of the simulated one, for the default": {valid(t, map[string]any{"simulated_host": "x", "simulated_tools": []string{"a"}}), []string{`simulated_host, simulated_tools: only valid with hypervisor = "simulated"; remove it`}},
		"of the default, for the simulated one": {valid(t, map[string]any{"hypervisor": "simulated", "accelerator": "tcg"}), []string{`accelerator: only valid with hypervisor = "qemu"`, "simulated_host: required"}},
		"of two, for a third":                   {existingMachine(t, map[string]any{"cpu_model": "x"}), []string{`cpu_model: only valid with hypervisor = "qemu" or "simulated"`}},
		"a file that is not there":              {valid(t, map[string]any{"hypervisor": "simulated", "simulated_key_file": "/no/such"}), []string{"simulated_key_file: "}},
		"one that nobody has":                   {valid(t, map[string]any{"simulated_hots": "x"}), []string{"simulated_hots"}},
	} {
		t.Run(name, func(t *testing.T) { refused(t, c.options, c.want) })
	}
	var c Config // shared by two, in other letters, as JSON templates may have it
	if _, err := c.prepare(valid(t, map[string]any{"hypervisor": "simulated", "Simulated_Host": "x", "cpu_model": "y"})); err != nil {
		t.Error(err)
	}
	if s := c.driver().(*simulated); s.Host != "x" || s.CPU != "y" {
		t.Errorf("got %+v", s)
	}
}

// TestEveryDriverIsDocumented also keeps apart what stands side by side in HCL.
func TestEveryDriverIsDocumented(t *testing.T) {
	page, err := os.ReadFile("../../docs/builders/vhd.mdx")
	if err != nil {
		t.Fatal(err)
	}
	ours := new(Config).FlatMapstructure().HCL2Spec()
	for _, d := range hypervisor.Drivers() {
		o := d.Options()
		for name := range maps.Keys(o.FlatMapstructure().HCL2Spec()) {
			if ours[name] != nil {
				t.Errorf("%s: the option %s is the builder's", d.Name, name)
			}
		}
		if strings.HasPrefix(fmt.Sprintf("%T", o), "*vhd.") {
			continue // of this test
		}
		folder := strings.TrimSuffix(fmt.Sprintf("%T", o)[1:], ".Options")
		for _, want := range []string{"`" + d.Name + "`", "@include 'internal/hypervisor/" + folder + "/Options-not-required.mdx'"} {
			if !strings.Contains(string(page), want) {
				t.Errorf("docs/builders/vhd.mdx lacks %s", want)
			}
		}
	}
}
