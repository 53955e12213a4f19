package image

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	packersdk "github.com/hashicorp/packer-plugin-sdk/packer"
	"github.com/hashicorp/packer-plugin-sdk/packer/registry/image"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/evidencefile"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/foreign"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/proof"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/weburl"
)

// artifact is the converted disk.
type artifact struct {
	path string
	// report is the JSON report beside it; empty without a proof.
	report     string
	evidence   []string // its files; none unless it was asked for
	madeFolder bool
	state      map[string]any
}

var _ packersdk.Artifact = (*artifact)(nil)

// describe fills in what other parts of Packer ask for.
func (a *artifact) describe(input packersdk.Artifact, c *Config, r proof.Result) {
	a.state = map[string]any{}
	if data := generatedData(input); data != nil {
		a.state["generated_data"] = data
	}
	labels := map[string]any{"format": c.Format, "proven": fmt.Sprint(r.Proven())}
	if c.VHDType != "" {
		labels["vhd_type"] = c.VHDType
	}
	if len(r.Facts.Windows) == 1 {
		w := r.Facts.Windows[0]
		labels["windows"], labels["image_state"] = w.Describe(), foreign.Text(w.Setup.ImageState)
		labels["generation"] = fmt.Sprint(r.Facts.Disk.Generation)
	}
	metadata, err := image.FromArtifact(a, image.WithProvider("sysprep"), image.WithRegion(filepath.Dir(a.path)),
		image.WithSourceID(weburl.Redact(input.Id())), image.SetLabels(labels))
	if err == nil {
		a.state[image.ArtifactStateURI] = metadata
	}
}

// generatedData copies the builder's values, in the type that checksum,
// compress and manifest assert without asking; nil where there are none.
func generatedData(input packersdk.Artifact) map[any]any {
	data := map[any]any{}
	switch values := input.State("generated_data").(type) {
	case map[any]any:
		for k, v := range values {
			data[k] = v
		}
	case map[string]any:
		for k, v := range values {
			data[k] = v
		}
	default:
		return nil
	}
	return data
}

func (*artifact) BuilderId() string { return BuilderID } //nolint:revive // the SDK's name

// Files holds the disk, then the bill of materials where there is one, and nothing else:
// importers take the first that fits.
func (a *artifact) Files() []string {
	if _, bill := evidencefile.Named(a.evidence); bill != "" {
		return []string{a.path, bill}
	}
	return []string{a.path}
}

// Id is the path of the disk.
func (a *artifact) Id() string { return a.path } //nolint:revive // the SDK's name

func (a *artifact) String() string { return "Windows image: " + a.path }

func (a *artifact) State(name string) any {
	switch statement, bill := evidencefile.Named(a.evidence); {
	case name == evidenceState && statement != "":
		return statement
	case name == sbomState && bill != "":
		return bill
	}
	return a.state[name]
}

// The names under which State gives the path of the statement or, where it is signed, of
// its envelope, and that of the bill of materials.
const (
	evidenceState = "sysprep_evidence"
	sbomState     = "sysprep_sbom"
)

// Destroy removes the disk, its report and its evidence, and their folder if it was made
// for them and holds nothing else.
func (a *artifact) Destroy() error {
	var errs []error
	for _, path := range append([]string{a.path, a.report}, a.evidence...) {
		if err := os.Remove(path); path != "" && err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	if a.madeFolder {
		_ = os.Remove(filepath.Dir(a.path)) // fails while it holds anything
	}
	return errors.Join(errs...)
}
