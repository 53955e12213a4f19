package vhd

import (
	"fmt"
	"net/url"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/evidence"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/evidencefile"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/hostfile"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/proof"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/unknown"
)

// inputs are the files that the options name for reading, as far as they are
// known.
func (c *Config) inputs() (known []string) {
	paths := []string{c.SourcePath, localFile(c.SourceURL), c.Comm.SSHPrivateKeyFile, c.Comm.SSHCertificateFile}
	if driver := c.driver(); driver != nil {
		for _, f := range driver.Reads() {
			paths = append(paths, f.Path)
		}
	}
	paths = append(paths, c.Evidence.Inputs()...)
	for _, path := range paths {
		if path != "" && !unknown.In(path) {
			known = append(known, path)
		}
	}
	return known
}

// preparePaths tries what will be written, unless a part of its path is not
// known yet.
func (c *Config) preparePaths() []error {
	if unknown.In(c.OutputDirectory + c.OutputName + c.Format) {
		return append(c.Verify.PrepareReport(c.inputs()...), c.Report.Check(false, c.inputs()...)...)
	}
	return c.checkPaths(c.inputs())
}

// checkPaths says which of the files that the build writes cannot be written,
// and that none is one that it reads. A picture and logs that a failed build
// could not keep are checked here as well: then it is too late.
func (c *Config) checkPaths(inputs []string) (errs []error) {
	wrong := func(name string, err error) bool {
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", name, err))
		}
		return err != nil
	}
	const directory = "output_directory"
	if wrong(directory, hostfile.WritableFolder(c.OutputDirectory)) {
		return errs
	}
	output := c.outputPath()
	wrong(directory+", output_name", hostfile.Writable(output, inputs...))
	files := append(slices.Clip(inputs), output)
	wrong(directory, hostfile.Writable(c.screenPath(), files...))
	if !c.Verify.Enabled.False() {
		wrong(directory, hostfile.WritableFolder(c.beside("logs")))
		wrong(directory, proof.CheckReport(c.beside("report.json"), files...))
		reported := directory
		if c.Verify.Report != "" {
			reported = "verify.report"
		}
		if !unknown.In(c.Verify.Report) {
			wrong(reported, proof.CheckReport(c.reportPath(), append(files, c.screenPath())...))
		}
	}
	files = append(files, c.screenPath(), c.reportPath())
	errs = append(errs, c.Evidence.Check(output, files...)...)
	errs = append(errs, evidencefile.CheckSBOM(c.SBOM, output, files...)...)
	errs = append(errs, c.bootTestPaths()...)
	return append(errs, c.Report.Check(false, c.writes(inputs)...)...)
}

// writes are the files that the build reads or writes, besides the block report, as far
// as they are known: no report is one of them.
func (c *Config) writes(inputs []string) []string {
	files := append(slices.Clip(inputs), c.outputPath(), c.screenPath())
	if !c.Verify.Enabled.False() && !unknown.In(c.Verify.Report) {
		files = append(files, c.reportPath(), c.beside("report.json"))
	}
	if c.Evidence.Wanted() || c.SBOM {
		files = append(files, evidence.Paths(c.outputPath())...)
	}
	return files
}

// reportPath is where the report of the finished disk lies.
func (c *Config) reportPath() string {
	if c.Verify.Report != "" {
		return c.Verify.Report
	}
	return c.outputPath() + proof.ReportSuffix
}

// localFile is the path of a file of this machine that is given as a URL, ""
// for any other.
func localFile(address string) string {
	if !strings.Contains(address, "://") && filepath.IsAbs(address) {
		path, _, _ := strings.Cut(address, "?") // options of the downloader
		return path
	}
	u, err := url.Parse(address)
	if err != nil || !strings.EqualFold(u.Scheme, "file") || u.Host != "" {
		return ""
	}
	if runtime.GOOS == "windows" {
		return filepath.FromSlash(strings.TrimPrefix(u.Path, "/"))
	}
	return u.Path
}
