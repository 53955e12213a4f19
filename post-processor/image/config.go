//go:generate go tool packer-sdc mapstructure-to-hcl2 -type Config
//go:generate go tool packer-sdc struct-markdown

package image

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/packer-plugin-sdk/common"
	packersdk "github.com/hashicorp/packer-plugin-sdk/packer"
	"github.com/hashicorp/packer-plugin-sdk/template/config"
	"github.com/hashicorp/packer-plugin-sdk/template/interpolate"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/diskimage"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/evidencefile"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/hostfile"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/option"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/proof"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/report/block"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/unknown"
)

// Config holds the options of post-processor "sysprep-image". Without any it
// proves the disk and hands the builder's artifact on as it is.
type Config struct {
	common.PackerConfig `mapstructure:",squash"`

	// What has to be true of the image, see [Verify](#verify). Here the report
	// is not written beside the builder's disk, which Packer removes when the
	// build fails, but beside `output`; without `format` it is
	// `output-<build name>-image/<name of the disk>.report.json`. The report on
	// a disk that is refused while an earlier `output` stays is
	// `<output>.not-proven.report.json`.
	Verify proof.Config `mapstructure:"verify"`
	// Where the report on this run is written, see [Report](#report).
	Report block.Config `mapstructure:"report"`
	// A statement that the image is proven, for other programs to verify, see
	// [Evidence](#evidence). It is written beside `output`; without `format` it is in
	// `output-<build name>-image/`, and its names begin with that of the disk. By default
	// there is none.
	Evidence *evidencefile.Config `mapstructure:"evidence"`
	// Write what the Windows of the proven image is made of (build, packages, updates,
	// programs, drivers, services), as `<output>.cdx.json`: a bill of materials in the form
	// of CycloneDX 1.6, the one that the
	// [command `sbom`](https://github.com/packer-plugin-sysprep/packer-plugin-sysprep/blob/main/docs/how-to/sbom.md)
	// writes. It is the second file of the artifact, and `evidence` names its SHA-256.
	// Without `format` it is in `output-<build name>-image/`, and the artifact, which is the
	// builder's, does not list it. A disk with several Windows needs `verify { windows }`.
	// Defaults to `false`.
	SBOM bool `mapstructure:"sbom"`
	// Files and folders that the disk may be based on. A qcow2 overlay (of
	// `use_backing_file` for instance) or a differencing disk names its backing
	// file itself, and the content of that file becomes part of the image: files
	// other than those in the folder of the disk are read only if they are named here.
	// A folder stands for everything below it. Empty by default.
	BackingFiles []string `mapstructure:"backing_files"`
	// The disk is not the builder's own: post-processor "artifice" names it before
	// this one. Without it the builders that are known to leave no disk which could be
	// read here, but an image in a cloud or on a server (amazon, azure, googlecompute,
	// proxmox, vsphere and others), are refused before they run. With the `export` block of
	// a vsphere builder the exported files are the artifact: set it to `true` then.
	// Defaults to `false`.
	FromArtifice bool `mapstructure:"from_artifice"`
	// The format to convert the disk to: `vhd`, `vhdx`, `qcow2` or `raw`; or `wim`, a file of
	// the files on its Windows volume, see [WIM](#wim). By default the disk is proven and
	// stays as it is.
	Format string `mapstructure:"format"`
	// The type of a VHD: `fixed`, the only one that Azure accepts, or `dynamic`. Only
	// with `format = "vhd"`, and then `fixed` by default.
	VHDType string `mapstructure:"vhd_type"`
	// How the files in a WIM are compressed: `xpress`, `lzx`, which makes a smaller file and
	// takes longer, or `none`. Only with `format = "wim"`, and then `xpress` by default.
	WIMCompression string `mapstructure:"wim_compression"`
	// The name of the image in the WIM, which DISM and Setup show. Only with
	// `format = "wim"`. Defaults to the name of the Windows, such as
	// `Windows Server 2022 Standard`.
	WIMName string `mapstructure:"wim_name"`
	// A text about the image in the WIM. Only with `format = "wim"`; empty by default.
	WIMDescription string `mapstructure:"wim_description"`
	// The path of the converted disk; its extension is the format (`.img` also
	// for `raw`). Only with `format`. It must not be a file of the artifact,
	// under any name. It is a [template](/packer/docs/templates/legacy_json_templates/engine)
	// with the variables `BuildName` and `BuilderType` and the builder's shared
	// information. An existing file is an error; with
	// `packer build -force` it is replaced, but only by the finished and proven
	// image: it stays, with its report, when the build fails. Defaults to
	// `output-<build name>-image/packer-<build name>.<format>`.
	Output string `mapstructure:"output"`
	// Leave out the free clusters of NTFS volumes: the output is
	// smaller, and deleted files are not in it. The content of
	// `pagefile.sys` and `swapfile.sys` is dropped; Windows writes it again. The
	// whole disk is copied, with a warning, where free clusters may still
	// matter: a volume is dirty, hibernated, encrypted, damaged or has shadow
	// copies, or the page file holds a crash dump. Only with `format`, and then
	// `true` by default.
	Compact config.Trilean `mapstructure:"compact"`

	ctx interpolate.Context
}

var formats = append(diskimage.Outputs(), formatWIM)

// noValue is what a template leaves where a variable is missing.
const noValue = "<no value>"

// decode reads the options and returns everything that is wrong with them at
// once. It can be called any number of times and changes no file.
func (c *Config) decode(raws ...any) error {
	*c = Config{}
	err := config.Decode(c, &config.DecodeOpts{
		PluginType: BuilderID, Interpolate: true, InterpolateContext: &c.ctx,
		InterpolateFilter: &interpolate.RenderFilter{Exclude: []string{"output"}},
	}, raws...)
	if err != nil {
		return option.Decoding(err, slices.Collect(maps.Keys(c.FlatMapstructure().HCL2Spec())))
	}
	var errs *packersdk.MultiError
	for _, problem := range slices.Concat(c.checkBuilder(), c.Verify.Prepare(), c.Evidence.Prepare(!c.Verify.Enabled.False()), evidencefile.PrepareSBOM(c.SBOM, !c.Verify.Enabled.False()), c.prepareFormat(), c.prepareTarget(), c.prepareOutput(), c.preparePaths(), proof.PrepareBackingFiles(c.BackingFiles)) {
		errs = packersdk.MultiErrorAppend(errs, problem)
	}
	if errs != nil {
		return errs
	}
	return nil
}

func (c *Config) prepareFormat() (errs []error) {
	if c.Format != "" && c.Format != unknown.Value && !slices.Contains(formats, c.Format) {
		errs = append(errs, fmt.Errorf("format: %q is not one of %s", c.Format, strings.Join(formats, ", ")))
	}
	types := diskimage.VHD.Types()
	if c.Format == string(diskimage.VHD) && c.VHDType == "" {
		c.VHDType = types[0]
	}
	switch {
	case c.VHDType == "" || c.VHDType == unknown.Value:
	case c.Format == "":
		errs = append(errs, errors.New("vhd_type: only valid with format = \"vhd\"; set format or remove vhd_type"))
	case c.Format != string(diskimage.VHD) && slices.Contains(formats, c.Format):
		errs = append(errs, fmt.Errorf("vhd_type: only valid with format = \"vhd\", not %q; remove one of them", c.Format))
	case !slices.Contains(types, c.VHDType):
		errs = append(errs, fmt.Errorf("vhd_type: %q is not one of %s", c.VHDType, strings.Join(types, ", ")))
	}
	errs = append(errs, c.prepareWIM()...)
	if c.Verify.Compare && c.Format == "" {
		errs = append(errs, errors.New("verify.compare: only valid with format, because without it no other disk is written; set format or remove verify.compare"))
	}
	switch {
	case c.Compact == config.TriUnset && c.Format != "" && c.Format != formatWIM:
		c.Compact = config.TriTrue
	case c.Compact.True() && c.Format == "":
		errs = append(errs, errors.New("compact: only valid with format, because the builder's disk is never changed; set format or remove compact"))
	}
	return errs
}

func (c *Config) prepareOutput() (errs []error) {
	// Importers choose by the extension, so that another one would not be seen
	// by them.
	switch {
	case c.Format == "" && c.Output != "":
		errs = append(errs, errors.New("output: only valid with format; set format or remove output"))
	case c.Format == "" && c.Verify.Enabled.False():
		errs = append(errs, errors.New("verify.enabled, format: nothing is left to do without a proof and a conversion; set format or remove the post-processor"))
	case c.Output != "" && slices.Contains(formats, c.Format) && !unknown.In(c.Output) && !c.names(c.Output):
		errs = append(errs, fmt.Errorf("output: %q must end in .%s, as format says", c.Output, c.Format))
	}
	return errs
}

// prepareTarget is for when prepareFormat has put the defaults in: Go does not say when the
// arguments of a call in a list are read, only that the calls are made in their order.
func (c *Config) prepareTarget() []error { return c.Verify.PrepareTarget(c.Format, c.VHDType) }

// preparePaths tries what will be written, as far as its path is known before
// the builder has run.
func (c *Config) preparePaths() (errs []error) {
	output := c.Output
	if output == "" && c.Format != "" {
		output = filepath.Join(c.folder(), "packer-"+c.PackerBuildName+"."+c.Format)
	}
	if unknown.In(output) || strings.Contains(output, "{{") {
		output = ""
	}
	var err error
	switch {
	case output != "":
		err = hostfile.Writable(output)
	case c.Format == "" && c.Verify.Report == "" && !unknown.In(c.folder()):
		err = hostfile.WritableFolder(c.folder())
	}
	if err != nil {
		errs = append(errs, fmt.Errorf("output: %w", err))
	}
	if output != "" {
		errs = append(errs, c.Evidence.Check(output, output, c.Verify.Report)...)
		errs = append(errs, evidencefile.CheckSBOM(c.SBOM, output, output, c.Verify.Report)...)
	}
	return append(append(errs, c.Verify.PrepareReport(append(c.Evidence.Inputs(), output)...)...), c.Report.Check(false, c.otherFiles(output)...)...)
}

// folder is where everything goes that has no path of its own.
func (c *Config) folder() string { return "output-" + c.PackerBuildName + "-image" }

// outputPath renders the path of the converted disk.
func (c *Config) outputPath(generated map[any]any) (string, error) {
	if c.Output == "" {
		return filepath.Join(c.folder(), "packer-"+c.PackerBuildName+"."+c.Format), nil
	}
	data := map[any]any{"BuildName": c.PackerBuildName, "BuilderType": c.PackerBuilderType}
	for k, v := range generated {
		data[k] = v
	}
	ctx := c.ctx
	ctx.Data = data
	path, err := interpolate.Render(c.Output, &ctx)
	switch {
	case err != nil:
		return "", fmt.Errorf("output: %w", err)
	case strings.Contains(path, noValue) || unknown.In(path):
		return "", fmt.Errorf("output: %q names a variable that has no value (%s)", c.Output, path)
	}
	return path, nil
}

func (c *Config) conversion() diskimage.Options {
	return diskimage.Options{
		Format: diskimage.Format(c.Format), Type: diskimage.Type(c.VHDType),
		AlignMiB: diskimage.Format(c.Format).WholeMiB(), Compare: c.Verify.Compare,
		Digest: c.Evidence.Wanted(),
	}
}
