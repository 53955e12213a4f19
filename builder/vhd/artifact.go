package vhd

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	packersdk "github.com/hashicorp/packer-plugin-sdk/packer"
	"github.com/hashicorp/packer-plugin-sdk/packer/registry/image"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/evidencefile"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/hypervisor"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/proof"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/weburl"
)

// reportState is the name under which State gives the path of the JSON report
// on the image; "" where it was not proven.
const reportState = "sysprep_report"

// artifact is the finished disk.
type artifact struct {
	path          string
	report        string // "" without one
	evidence      []string
	sbom          string // "" without one; evidence has it too
	madeDirectory bool
	state         map[string]any
}

var _ packersdk.Artifact = (*artifact)(nil)

// newArtifact describes what the run made. generatedData is the SDK's map of
// build values, or nil.
func newArtifact(run *run, generatedData any) *artifact {
	c := run.config
	statement, bill := evidencefile.Named(run.output.evidence)
	a := &artifact{path: run.output.path, report: run.report, evidence: run.output.evidence, sbom: bill, madeDirectory: run.output.madeDirectory}
	domain := "kvm" // where Vagrant boots the image, as far as nobody says otherwise
	if d, ok := run.driver.(hypervisor.DomainTyper); ok {
		domain = d.DomainType()
	}
	// diskSize is text with a unit, domainType an accelerator, and the names are what
	// the vagrant post-processor reads, which panics on what is no text.
	a.state = map[string]any{
		"diskName": filepath.Base(a.path), "diskType": c.Format,
		"diskSize": strconv.FormatInt(run.output.virtualSize>>20, 10) + "M", "domainType": domain,
		reportState: run.report,
	}
	a.state[evidenceState], a.state[sbomState] = statement, a.sbom
	if values, ok := generatedData.(map[string]any); ok {
		// checksum, compress and manifest assert exactly this type.
		data := make(map[any]any, len(values))
		for k, v := range values {
			data[k] = v
		}
		a.state["generated_data"] = data
	}
	source := weburl.Redact(c.SourceURL)
	if source == "" && len(run.source.Files) > 0 {
		source = run.source.Files[0]
	}
	labels := map[string]any{
		"hypervisor": c.Hypervisor, "format": c.Format, "vhd_type": c.VHDType, "firmware": string(run.firmware),
		"virtual_size": strconv.FormatInt(run.output.virtualSize, 10),
	}
	if metadata, err := image.FromArtifact(a, image.WithProvider("sysprep"), image.WithRegion(c.OutputDirectory),
		image.WithSourceID(source), image.SetLabels(labels)); err == nil {
		a.state[image.ArtifactStateURI] = metadata
	}
	return a
}

func (*artifact) BuilderId() string { return BuilderID } //nolint:revive // the SDK's name

// Files holds the disk, then the bill of materials where there is one, and nothing else:
// importers take the first that fits.
func (a *artifact) Files() []string {
	if a.sbom != "" {
		return []string{a.path, a.sbom}
	}
	return []string{a.path}
}

// Id is the path of the disk.
func (a *artifact) Id() string { return a.path } //nolint:revive // the SDK's name

// String ends in ": " and the directory, which post-processors split off.
func (a *artifact) String() string {
	return fmt.Sprintf("VM files in directory: %s", filepath.Dir(a.path))
}

func (a *artifact) State(name string) any { return a.state[name] }

// Destroy removes the disk with its evidence, and its folder if the build made it and nobody
// else uses it.
func (a *artifact) Destroy() error {
	if err := os.Remove(a.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("removing disk: %w", err)
	}
	// A report at a place of the user's own choice is the user's.
	if a.report == a.path+proof.ReportSuffix {
		if err := os.Remove(a.report); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("removing report: %w", err)
		}
	}
	for _, path := range a.evidence {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("removing evidence: %w", err)
		}
	}
	if a.madeDirectory {
		_ = os.Remove(filepath.Dir(a.path)) // fails while it holds anything
	}
	return nil
}
